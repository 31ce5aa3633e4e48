//! Messages of clients that are not whole yet: what has come of them is kept, for all clients together up to a bound.
//!
//! One client may have begun one message of 143,952 bytes, which is little; ten thousand that stop in the middle of one are
//! not. With too much the one goes that has said nothing for longest. Who is in the middle of a message because nobody
//! reads it, since it waits for a slow reader, is not to blame and goes last. Nor does anybody go who said something a moment
//! ago: what follows may just not have been read yet. Until that is known they may take twice as much.

use std::collections::BTreeSet;
use std::time::Duration;

use base::Instant;
use groups::Groups;

use super::Sessions;

/// Times `bus.backlog` that all of them may take together.
const BACKLOGS: u64 = 16;
/// Who has said nothing for so long is silent; how often is looked is as much.
const SILENT: Duration = Duration::from_millis(100);

/// What has come of the message of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Half {
    /// When the last of it came.
    at: Instant,
    /// What it takes.
    bytes: usize,
}

/// All of them: when the last came, and the slot.
#[derive(Debug, Default)]
pub(super) struct Halves {
    by_time: BTreeSet<(Instant, usize)>,
    bytes: u64,
}

impl Halves {
    fn change(&mut self, slot: usize, before: Option<Half>, now: Option<Half>) {
        if let Some(half) = before {
            self.by_time.remove(&(half.at, slot));
            self.bytes -= half.bytes as u64;
        }
        if let Some(half) = now {
            self.by_time.insert((half.at, slot));
            self.bytes += half.bytes as u64;
        }
    }
}

impl Sessions {
    /// Counts what the client in this slot has begun to say.
    pub(super) fn count_half(&mut self, now: Instant, at: usize) {
        let Some(connection) = self.slots[at].as_mut() else { return };
        let bytes = connection.input.capacity();
        let half = (!connection.input.is_empty()).then_some(Half { at: now, bytes });
        self.halves.change(at, std::mem::replace(&mut connection.half, half), half);
    }

    /// The connection in this slot is over.
    pub(super) fn forget_half(&mut self, at: usize, half: Option<Half>) {
        self.halves.change(at, half, None);
    }

    /// Whether they take too much.
    pub(super) fn has_many_halves(&self) -> bool {
        self.halves.bytes > self.config.backlog.bytes.saturating_mul(BACKLOGS)
    }

    /// While they take too much, whoever has said nothing for longest goes.
    pub(super) fn limit_halves(&mut self, now: Instant, groups: &mut Groups) {
        let most = self.config.backlog.bytes.saturating_mul(BACKLOGS);
        while self.has_many_halves() {
            let oldest = || self.halves.by_time.iter();
            let is_read = |&&(_, at): &&(Instant, usize)| {
                self.slots[at].as_ref().is_some_and(|connection| connection.held == 0)
            };
            let Some(&(since, at)) = oldest().find(is_read).or(oldest().next()) else { return };
            if now.since(since) < SILENT && self.halves.bytes <= 2 * most {
                return;
            }
            self.stalled(now, at, now.since(since));
            self.lose(groups, at, "it did not end its message");
        }
    }

    fn stalled(&mut self, now: Instant, at: usize, silent: Duration) {
        self.counters.violations += 1;
        if let Some(before) = self.stalls.pass(now) {
            let client = self.slots[at].as_ref().and_then(|connection| connection.name());
            tracing::warn!(
                client = client.unwrap_or_default(),
                said_nothing_for = ?silent,
                before,
                "clients have begun messages that together take more than {BACKLOGS} times bus.backlog; the one that has said nothing for longest in the middle of its message is disconnected"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_known_and_the_sum_is_that_of_all() {
        let at = Instant::from_millis;
        let half = |ms, bytes| Some(Half { at: at(ms), bytes });
        let mut halves = Halves::default();
        halves.change(1, None, half(5, 100));
        halves.change(2, None, half(4, 50));
        halves.change(2, half(4, 50), half(6, 70));
        assert_eq!(halves.bytes, 170);
        assert_eq!(halves.by_time.first(), Some(&(at(5), 1)));
        halves.change(1, half(5, 100), None);
        halves.change(2, half(6, 70), None);
        assert!(halves.bytes == 0 && halves.by_time.is_empty());
    }
}
