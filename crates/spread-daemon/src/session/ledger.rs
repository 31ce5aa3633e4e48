//! What the messages take that wait for clients, over all sessions: a message counts once, however many it waits for.
//!
//! Only what is left after a write stands here, so a message that a client takes at once costs nothing. A message is known by
//! where its last byte is: that stays the same while its beginning is written, and nobody else is there as long as it waits.

use std::collections::HashMap;

use bytes::Bytes;

/// What a message takes besides its bytes, about: what the allocator adds, its counter, its line here.
const MESSAGE: u64 = 96;
/// What a place in the queue of a session takes.
const PLACE: u64 = size_of::<Bytes>() as u64;

/// Messages that wait, and what they take in all.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    messages: HashMap<usize, Line>,
    bytes: u64,
}

#[derive(Debug)]
struct Line {
    sessions: u32,
    /// Bytes of it, for the session that has most of it before it.
    bytes: u64,
}

fn place(message: &Bytes) -> usize {
    message.as_ptr_range().end as usize
}

impl Ledger {
    /// What all takes, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// It waits for one session more.
    pub(super) fn add(&mut self, message: &Bytes) {
        self.bytes += PLACE;
        let line = self.messages.entry(place(message)).or_insert_with(|| {
            self.bytes += MESSAGE;
            Line { sessions: 0, bytes: 0 }
        });
        line.sessions += 1;
        // The session before may have been sent some of it.
        let more = (message.len() as u64).saturating_sub(line.bytes);
        line.bytes += more;
        self.bytes += more;
    }

    /// It waits for one session less.
    pub(super) fn remove(&mut self, message: &Bytes) {
        let at = place(message);
        let Some(line) = self.messages.get_mut(&at) else { return };
        self.bytes -= PLACE;
        line.sessions -= 1;
        if line.sessions == 0 {
            self.bytes -= MESSAGE + line.bytes;
            self.messages.remove(&at);
            if self.messages.is_empty() {
                // A crowd that has gone leaves no room behind.
                self.messages = HashMap::new();
            }
        }
    }

    /// What a session has sealed takes so many bytes instead of as many before.
    pub(super) fn change(&mut self, before: usize, now: usize) {
        self.bytes = self.bytes - before as u64 + now as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_once_and_a_place_for_each_session() {
        let mut ledger = Ledger::default();
        let (long, short) = (Bytes::from(vec![1; 1000]), Bytes::from(vec![1; 100]));
        ledger.add(&long.slice(300..));
        ledger.add(&long.clone());
        ledger.add(&short);
        assert_eq!(ledger.bytes(), 1100 + 2 * MESSAGE + 3 * PLACE);
        // A beginning of it is written.
        ledger.remove(&long.slice(900..));
        ledger.remove(&short);
        assert_eq!(ledger.bytes(), 1000 + MESSAGE + PLACE);
        ledger.remove(&long);
        assert_eq!(ledger.bytes(), 0);
        ledger.remove(&long);
        assert_eq!(ledger.bytes(), 0);
    }

    #[test]
    fn two_messages_of_one_packet_are_two() {
        let mut ledger = Ledger::default();
        let packet = Bytes::from(vec![1; 1000]);
        ledger.add(&packet.slice(..100));
        ledger.add(&packet.slice(100..300));
        assert_eq!(ledger.bytes(), 300 + 2 * MESSAGE + 2 * PLACE);
    }
}
