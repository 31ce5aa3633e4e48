//! What one daemon tells of itself, small enough for one datagram.

use groups::Groups;
use serde::{Deserialize, Serialize};

use crate::session::Sessions;

/// Numbers of a report; a later version may say more, which is skipped, or an earlier one fewer, which are 0.
const NUMBERS: usize = 20;
/// Most bytes of each text of a report.
const TEXT_MAX: usize = 64;

/// A daemon at a moment. Counters count from its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What it is called.
    pub name: String,
    /// The first member of its view; empty before the first view.
    pub leader: String,
    /// The identity of its view, the same at all its members; empty before the first view.
    pub view: String,
    /// Whether the view stands.
    pub stands: bool,
    /// Whether the groups are at work, so that clients are served.
    pub settled: bool,
    /// Whether an artificial partition is in force at it.
    pub partitioned: bool,
    /// Seconds since its start.
    pub seconds: u64,
    /// Daemons of its view.
    pub daemons: u64,
    /// Segments that it knows.
    pub segments: u64,
    /// Visits of the token.
    pub token_visits: u64,
    /// Tokens sent again.
    pub tokens_resent: u64,
    /// Views since its start.
    pub views: u64,
    /// Packets that it sent.
    pub packets_sent: u64,
    /// Packets of others that it received.
    pub packets_received: u64,
    /// Packets that it sent again.
    pub packets_resent: u64,
    /// Packets that it asked for.
    pub packets_requested: u64,
    /// Everything up to this packet it has received.
    pub received_up_to: u64,
    /// Everything up to this packet all members have received.
    pub stable_up_to: u64,
    /// The highest packet of the view.
    pub highest: u64,
    /// Clients of this daemon.
    pub sessions: u64,
    /// Groups of all daemons.
    pub groups: u64,
    /// Packets that all members may send in one rotation at most.
    pub window: u64,
    /// Packets of a visit that are sent after the token was passed on.
    pub accelerated: u64,
    /// Messages given to clients.
    pub messages_delivered: u64,
    /// Microseconds that the token was away when it went round last; 0 if it never did.
    pub rotation_micros: u64,
    /// Packets in the window that is in force now.
    pub window_now: u64,
}

impl Report {
    /// What the ring, the groups and the sessions say; the rest is the monitor's.
    pub(super) fn new(ring: &ring::Status, groups: &Groups, sessions: &Sessions) -> Self {
        let (view, c) = (ring.view.as_ref(), &ring.counters);
        Self {
            leader: view.map(|view| view.leader().name.to_string()).unwrap_or_default(),
            view: view.map(|view| view.id.to_string()).unwrap_or_default(),
            stands: ring.stands,
            settled: groups.is_settled(),
            daemons: view.map_or(0, |view| view.members.len() as u64),
            token_visits: c.visits,
            tokens_resent: c.token_resent,
            views: ring.views,
            packets_sent: c.sent,
            packets_received: c.received,
            packets_resent: c.resent,
            packets_requested: c.requested,
            received_up_to: ring.received,
            stable_up_to: ring.stable,
            highest: ring.high,
            sessions: sessions.counts().0 as u64,
            groups: groups.group_count() as u64,
            window: ring.window_most.into(),
            accelerated: ring.accelerated.into(),
            messages_delivered: sessions.counters.delivered,
            rotation_micros: ring.rotation.map_or(0, |time| time.as_micros() as u64),
            window_now: ring.window.into(),
            ..Self::default()
        }
    }

    fn numbers(&mut self) -> [&mut u64; NUMBERS] {
        [
            &mut self.seconds,
            &mut self.daemons,
            &mut self.segments,
            &mut self.token_visits,
            &mut self.tokens_resent,
            &mut self.views,
            &mut self.packets_sent,
            &mut self.packets_received,
            &mut self.packets_resent,
            &mut self.packets_requested,
            &mut self.received_up_to,
            &mut self.stable_up_to,
            &mut self.highest,
            &mut self.sessions,
            &mut self.groups,
            &mut self.window,
            &mut self.accelerated,
            &mut self.messages_delivered,
            &mut self.rotation_micros,
            &mut self.window_now,
        ]
    }

    /// `flags [1]`, three texts with a byte of length each, the count of numbers, the numbers.
    pub(super) fn encode(mut self, out: &mut Vec<u8>) {
        let flags = [self.stands, self.settled, self.partitioned];
        out.push(flags.iter().enumerate().map(|(at, is)| u8::from(*is) << at).sum());
        for text in [&self.name, &self.leader, &self.view] {
            let text = &text.as_bytes()[..text.len().min(TEXT_MAX)];
            out.push(text.len() as u8);
            out.extend_from_slice(text);
        }
        out.push(NUMBERS as u8);
        for number in self.numbers() {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut take = |count: usize| {
            let (front, rest) = bytes.split_at_checked(count)?;
            bytes = rest;
            Some(front)
        };
        let flags = *take(1)?.first()?;
        let mut text = || {
            let length = usize::from(*take(1)?.first()?);
            let text = take(length).filter(|text| text.len() <= TEXT_MAX)?;
            // Names and identities are printable; anything else is no daemon's.
            let text = std::str::from_utf8(text).ok()?;
            (!text.chars().any(char::is_control)).then(|| text.to_owned())
        };
        let mut report = Self {
            name: text()?,
            leader: text()?,
            view: text()?,
            stands: flags & 1 != 0,
            settled: flags & 2 != 0,
            partitioned: flags & 4 != 0,
            ..Self::default()
        };
        let count = usize::from(*take(1)?.first()?);
        let numbers = take(8 * count)?;
        for (to, from) in report.numbers().into_iter().zip(numbers.chunks_exact(8)) {
            *to = u64::from_be_bytes(from.try_into().ok()?);
        }
        Some(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_arrives_as_it_was_sent_and_fits_a_datagram() {
        let mut report = Report {
            name: "n".repeat(19),
            leader: "l".repeat(19),
            view: "18446744073709551615.ffffffffffffffff".into(),
            settled: true,
            ..Report::default()
        };
        for (at, number) in report.numbers().into_iter().enumerate() {
            *number = u64::MAX - at as u64;
        }
        let mut bytes = Vec::new();
        report.clone().encode(&mut bytes);
        assert!(bytes.len() < 400, "{}", bytes.len());
        assert_eq!(Report::decode(&bytes), Some(report.clone()));
        for cut in 0..bytes.len() {
            assert_eq!(Report::decode(&bytes[..cut]), None, "cut at {cut}");
        }
        // What a later version adds is skipped.
        bytes.extend_from_slice(&[1, 2, 3]);
        assert_eq!(Report::decode(&bytes), Some(report));
    }
}
