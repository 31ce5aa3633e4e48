//! Readers that are slower than those who write to them, and who waits for them.
//!
//! A session is behind when more than a certain amount waits for it, until that has shrunk to half. While it is behind and takes
//! enough to be worth it ([`Pace`](super::pace::Pace)), each session of this daemon whose message reaches it is read no more: that one
//! holds it. Everybody else goes on. Senders at other daemons can only be slowed down with the whole ring, so for them
//! the ring is held up, and a reader has to take far more to be worth that.

use base::Instant;
use bytes::Bytes;
use spread_wire::GroupName;

use super::connection::{Connection, Stage};
use super::output::service_of;
use super::pace::SAMPLE;
use super::{PIECE, Sessions};

/// With so many bytes waiting a session is behind, or with a part of the backlog if that is small.
const BEHIND: u64 = 1 << 20;
const PART_OF_BACKLOG: u64 = 4;
/// The part of the backlog that is read of one client at a time, if that is less than usual: what a turn brings has to have
/// room beside what may wait before anybody is held.
const TURN_OF_BACKLOG: u64 = 16;
/// So many of the messages that wait are looked at for their senders when a session falls behind.
const LAST: usize = 64;

/// Who sent the message to a client; none if it is a notice of members.
fn sender(message: &Bytes) -> Option<GroupName> {
    service_of(message)?;
    GroupName::from_field(message.get(4..)?.first_chunk()?)
}

impl Sessions {
    /// Bytes to be read of one client in its turn.
    pub(super) fn piece(backlog: u64) -> usize {
        usize::try_from(backlog / TURN_OF_BACKLOG).unwrap_or(PIECE).min(PIECE)
    }

    /// Looks after a write, or instead of one, at whether the session is behind.
    pub(super) fn judge(&mut self, now: Instant, at: usize) {
        let limit = BEHIND.min(self.config.backlog.bytes / PART_OF_BACKLOG);
        let Some(connection) = self.slots[at].as_mut() else { return };
        let (bytes, _) = connection.backlog();
        let open = matches!(connection.stage, Stage::Open { .. });
        if !connection.behind && bytes as u64 > limit && open {
            connection.fall_behind(now);
            self.behind.insert(at);
            // Those who wrote what waits have written enough; who wrote before is held when he writes again.
            for message in connection.last_messages(LAST) {
                self.hold(at, &message);
            }
        } else if connection.behind && bytes as u64 <= limit / 2 {
            self.release(now, at);
        }
    }

    /// The session `at` is behind and gets a message: who sent it waits.
    pub(super) fn hold(&mut self, at: usize, message: &Bytes) {
        let by = sender(message).and_then(|name| self.by_group.get(&name)).copied();
        let Some(reader) = self.slots[at].as_mut() else { return };
        let Some(by) = by else {
            reader.slows_ring = true;
            return;
        };
        if !reader.pace.is_worth_senders() {
            return;
        }
        let Some(serial) = self.slots[by].as_ref().map(|sender| sender.serial) else { return };
        let new = self.slots[at].as_mut().is_some_and(|reader| reader.holds.insert((by, serial)));
        if let Some(sender) = self.slots[by].as_mut().filter(|_| new) {
            sender.held += 1;
        }
    }

    /// The session is not behind any more, or gone.
    pub(super) fn release(&mut self, now: Instant, at: usize) {
        if self.behind.remove(&at)
            && let Some(reader) = self.slots[at].as_mut()
        {
            reader.catch_up(now);
        }
        self.let_go(at);
    }

    /// Nobody waits for the session any more.
    fn let_go(&mut self, at: usize) {
        let Some(reader) = self.slots[at].as_mut() else { return };
        for (by, serial) in std::mem::take(&mut reader.holds) {
            let sender = self.slots.get_mut(by).and_then(Option::as_mut);
            let Some(sender) = sender.filter(|sender| sender.serial == serial) else { continue };
            sender.held = sender.held.saturating_sub(1);
            self.list(by);
        }
    }

    /// Puts a connection among those to be read, if it can be and nobody holds it.
    pub(super) fn list(&mut self, at: usize) {
        if let Some(connection) = self.slots[at].as_mut()
            && connection.readable
            && connection.held == 0
            && !connection.listed
        {
            connection.listed = true;
            self.ready.push_back(at);
        }
    }

    /// Looks from time to time at what those take for whom something waits.
    pub(super) fn look_at_readers(&mut self, now: Instant) {
        let waiting: Vec<usize> = self.waiting.iter().copied().collect();
        for at in waiting {
            let Some(connection) = self.slots[at].as_mut() else { continue };
            if now.since(connection.looked) >= SAMPLE {
                connection.look(now);
                if connection.behind && !connection.pace.is_worth_senders() {
                    self.let_go(at);
                }
            }
        }
        self.judge_ring();
    }

    /// Whether the ring has to wait for somebody.
    pub(super) fn judge_ring(&mut self) {
        let waits = |at: &usize| {
            let reader: Option<&Connection> = self.slots[*at].as_ref();
            reader.is_some_and(|reader| reader.slows_ring && reader.pace.is_worth_the_ring())
        };
        self.held_up = self.behind.iter().any(waits);
    }
}
