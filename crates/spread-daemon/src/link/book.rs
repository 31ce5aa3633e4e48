//! Where daemons were last heard from, and where others say that those are whom this one does not hear.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ring::Tag;

/// Daemons whose address is remembered.
const MAX: usize = 1024;

/// Shared between the sockets, which learn, and the ring, which introduces daemons to each other. Both are on one thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book(Arc<Mutex<BTreeMap<Tag, SocketAddr>>>);

impl Book {
    fn with<R>(&self, f: impl FnOnce(&mut BTreeMap<Tag, SocketAddr>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn get(&self, tag: Tag) -> Option<SocketAddr> {
        self.with(|book| book.get(&tag).copied())
    }

    /// A datagram of this daemon came from there.
    pub(crate) fn learn(&self, tag: Tag, from: SocketAddr) {
        self.with(|book| {
            if book.get(&tag) != Some(&from) {
                if book.len() >= MAX && !book.contains_key(&tag) {
                    book.pop_first();
                }
                book.insert(tag, from);
            }
        });
    }

    /// Somebody says that this daemon is there; what was heard from itself counts more.
    pub(crate) fn hint(&self, tag: Tag, at: SocketAddr) {
        let possible = !at.ip().is_unspecified() && !at.ip().is_multicast() && at.port() != 0;
        self.with(|book| {
            if possible && book.len() < MAX {
                book.entry(tag).or_insert(at);
            }
        });
    }

    /// The daemons that are or were there: several lives of one, too.
    pub(crate) fn who(&self, at: SocketAddr) -> Vec<Tag> {
        let there = |book: &mut BTreeMap<Tag, SocketAddr>| {
            book.iter().filter(|(_, known)| **known == at).map(|(tag, _)| *tag).collect()
        };
        self.with(there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_counts_more_than_what_was_said() {
        let book = Book::default();
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        book.hint(Tag(1), at("10.0.0.9:4803"));
        assert_eq!(book.get(Tag(1)), Some(at("10.0.0.9:4803")));
        book.learn(Tag(1), at("10.0.0.1:4803"));
        book.hint(Tag(1), at("10.0.0.9:4803"));
        assert_eq!(book.get(Tag(1)), Some(at("10.0.0.1:4803")));
        assert_eq!(book.who(at("10.0.0.1:4803")), [Tag(1)]);
    }

    #[test]
    fn nobody_is_introduced_at_an_address_that_no_machine_has() {
        let book = Book::default();
        for nowhere in ["0.0.0.0:4803", "239.192.48.3:4803", "10.0.0.1:0"] {
            book.hint(Tag(1), nowhere.parse().unwrap());
        }
        assert_eq!(book.get(Tag(1)), None);
    }
}
