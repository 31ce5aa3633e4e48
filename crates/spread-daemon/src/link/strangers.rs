//! Who speaks to the daemon's sockets and is no daemon of this cluster: each address is told of once.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// Addresses told of; whoever forges more of them fills no log.
const TOLD_MAX: usize = 64;

/// Why nothing is made of what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strange {
    /// No key opens it.
    OtherKey,
    /// Nobody is expected there.
    Elsewhere,
}

/// Those who were told of, and those who are to be.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    told: BTreeSet<(IpAddr, Strange)>,
    news: Vec<(SocketAddr, Strange)>,
}

impl Strangers {
    pub(crate) fn note(&mut self, from: SocketAddr, why: Strange) {
        if self.told.len() < TOLD_MAX && self.told.insert((from.ip(), why)) {
            self.news.push((from, why));
        }
    }

    /// Other keys, other addresses: what is true then is told again.
    pub(crate) fn forget(&mut self) {
        self.told.clear();
    }

    /// Says what is to be said.
    pub(crate) fn tell(&mut self) {
        for (from, why) in self.news.drain(..) {
            match why {
                Strange::OtherKey => tracing::warn!(
                    %from,
                    "datagrams come that no key here opens: a daemon of another cluster, or one with another key; they are ignored"
                ),
                Strange::Elsewhere => tracing::warn!(
                    %from,
                    "datagrams come from where no daemon is expected, and are ignored; if it is one of this cluster, add it to the list of daemons everywhere and let it be read again, or its address to cluster.accept"
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_told_of_once_for_each_reason_and_not_without_end() {
        let mut strangers = Strangers::default();
        let at = |n: u16| SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 4803));
        for _ in 0..3 {
            strangers.note(at(1), Strange::OtherKey);
            strangers.note(at(1), Strange::Elsewhere);
            strangers.note(at(2), Strange::OtherKey);
        }
        assert_eq!(strangers.news.len(), 3);
        strangers.tell();
        (0..1000).for_each(|n| strangers.note(at(n), Strange::OtherKey));
        assert_eq!(strangers.news.len(), TOLD_MAX - 3);
        strangers.forget();
        strangers.note(at(1), Strange::OtherKey);
        assert_eq!(strangers.news.len(), TOLD_MAX - 2);
    }
}
