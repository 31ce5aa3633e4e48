//! What clients are sent: queued, written, and counted while it waits.

use std::time::Duration;

use base::Instant;
use bytes::Bytes;
use groups::{Departure, Groups, SessionId};
use spread_wire::{Service, ServiceType};

use super::Sessions;
use super::connection::Stage;
use super::pace::Taken;

/// Bytes written to clients between two looks at the other daemons; the last of them may take a backlog more. A long message to
/// thousands of clients would otherwise hold up the token for longer than a daemon may be silent.
const FLUSH: usize = 4 << 20;
/// Over all clients so many times as much may wait as for one.
const BACKLOGS: u64 = 16;
/// Who takes nothing for so long does not read, if nothing more is known.
const STUCK: Duration = Duration::from_millis(100);

impl Sessions {
    /// Gives a message to a session.
    pub(crate) fn deliver(&mut self, session: SessionId, message: Bytes) {
        let Some(&at) = self.by_id.get(&session) else { return };
        let Some(connection) = self.slots[at].as_mut() else { return };
        self.counters.delivered += 1;
        self.counters.delivered_bytes += message.len() as u64;
        if let Some(service) = service_of(&message) {
            self.counters.delivered_multicasts.add(service, 1);
            self.counters.delivered_multicast_bytes.add(service, message.len() as u64);
        }
        let holds = connection.behind.then(|| message.clone());
        connection.queue(message);
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(at);
        }
        if let Some(message) = holds {
            self.hold(at, &message);
        }
    }

    /// The session is over; what waits for it is written first.
    pub(crate) fn end(&mut self, now: Instant, groups: &mut Groups, session: SessionId) {
        if let Some(at) = self.by_id.get(&session).copied() {
            self.close(now, groups, at, Departure::Asked);
            self.touch(at);
        }
    }

    /// The same of all sessions: the view of which they were told is over, and the daemon is in no other.
    pub(crate) fn end_all(&mut self, now: Instant, groups: &mut Groups) {
        let open: Vec<usize> = self.by_id.values().copied().collect();
        for at in open {
            self.close(now, groups, at, Departure::Lost);
            self.touch(at);
        }
    }

    /// Writes what waits, and drops who is gone or too slow. After much was written the rest waits for the next turn.
    pub(crate) fn flush(&mut self, now: Instant, groups: &mut Groups) {
        let mut dirty = std::mem::take(&mut self.dirty).into_iter();
        let mut left = FLUSH;
        while left > 0
            && let Some(at) = dirty.next()
        {
            let Some(connection) = self.slots[at].as_mut() else {
                self.waiting.remove(&at);
                continue;
            };
            connection.dirty = false;
            let (before, _) = connection.backlog();
            let mut gone = connection.flush(now, &mut self.ledger).is_err();
            if gone && matches!(connection.stage, Stage::Open { .. }) {
                connection.give_up_writing(now, &mut self.ledger);
                gone = false;
            }
            connection.weigh(&mut self.ledger);
            let (bytes, messages) = connection.backlog();
            left = left.saturating_sub(before.saturating_sub(bytes));
            if bytes > 0 || connection.deaf {
                self.waiting.insert(at);
            } else {
                self.waiting.remove(&at);
            }
            let stage = &connection.stage;
            let (open, closing) =
                (matches!(stage, Stage::Open { .. }), matches!(stage, Stage::Closing { .. }));
            let limit = &self.config.backlog;
            let much = too_much(limit, bytes, messages).filter(|_| open);
            if gone {
                self.lose(groups, at, "the client is gone");
            } else if let Some(why) = much {
                self.drop_slow(now, groups, at, why);
            } else if bytes == 0 && closing {
                // Closing now would throw away what the client has not read yet if it still sends; it may close first.
                connection.shut(now, &mut self.ledger);
            } else {
                self.judge(now, at);
            }
        }
        // For them something waits, which slows writers down if it becomes much.
        self.waiting.extend(dirty.as_slice());
        for &at in dirty.as_slice() {
            if let Some(connection) = self.slots[at].as_mut() {
                connection.weigh(&mut self.ledger);
                self.judge(now, at);
            }
        }
        self.dirty.splice(0..0, dirty);
        self.limit_all(now, groups);
        self.judge_ring();
    }

    /// While too much waits over all clients, the one goes for whom most waits.
    fn limit_all(&mut self, now: Instant, groups: &mut Groups) {
        while self.ledger.bytes() > self.config.backlog.bytes.saturating_mul(BACKLOGS) {
            let waits = |&at: &usize| Some((self.slots[at].as_ref()?.backlog(), at));
            let most = self.waiting.iter().filter_map(waits).max();
            let Some((_, at)) = most.filter(|&((bytes, _), _)| bytes > 0) else { return };
            let why = "more waits for all clients together than 16 times bus.backlog, and most of it for this one";
            self.drop_slow(now, groups, at, why);
        }
    }

    pub(super) fn drop_slow(&mut self, now: Instant, groups: &mut Groups, at: usize, why: &str) {
        let Some(connection) = self.slots[at].as_mut() else { return };
        connection.look(now);
        let client = connection.name().unwrap_or_default();
        let (bytes, messages) = connection.backlog();
        let stuck = connection.stuck_for(now);
        self.counters.slow += 1;
        tracing::warn!(
            %client,
            bytes,
            messages,
            took_nothing_for = ?stuck,
            "a client {} and is disconnected: {why}; raise that if it is to be waited for",
            how_it_reads(connection.pace.lately(), stuck)
        );
        self.lose(groups, at, "it did not read");
    }
}

/// How a client reads that has to go, in words.
fn how_it_reads(lately: Taken, stuck: Duration) -> String {
    match lately.rate() {
        Some(0) => "does not read".into(),
        None if stuck >= STUCK => "does not read".into(),
        Some(rate) => format!("reads slower than others write ({rate} bytes/s)"),
        None => "reads slower than others write".into(),
    }
}

/// Which limit of what may wait for a client is passed.
fn too_much(limit: &crate::config::Backlog, bytes: usize, messages: usize) -> Option<&'static str> {
    if bytes as u64 > limit.bytes {
        Some("more bytes wait for it than bus.backlog allows")
    } else if limit.messages.is_some_and(|most| messages > most) {
        Some("more wait for it than bus.backlog_messages (MaxSessionMessages) allows")
    } else {
        None
    }
}

/// The service of a message to a client; none if it is a notice of members.
pub(super) fn service_of(message: &[u8]) -> Option<Service> {
    let first = u32::from_le_bytes(*message.first_chunk()?);
    let little = first & ServiceType::ENDIAN_MARK == ServiceType::ENDIAN_MARK;
    ServiceType::from_bits(if little { first } else { first.swap_bytes() }).service()
}
