//! What others see of the service: for pages, metrics and commands.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use vip::status::Status;
use vip::{Reason, SetKey};

use super::drained::now_ms;
use crate::health::CheckState;

/// Decisions kept to be told.
const DECISIONS_MAX: usize = 256;

/// Numbers that only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sets that came here, by reason.
    pub came: BTreeMap<Reason, u64>,
    /// Sets that went, by reason.
    pub went: BTreeMap<Reason, u64>,
    /// Announcements to everybody.
    pub announced: u64,
    /// Announcements to single hosts.
    pub told: u64,
    /// Frames that no socket took.
    pub unsent: u64,
    /// What was heard of addresses that are held here.
    pub conflicts: vip::conflict::Counters,
    /// Renewals that were due and not allowed: the bus was not fresh.
    pub renewals_missed: u64,
    /// Renewals that came after the lease had run out.
    pub renewals_late: u64,
    /// Times when everything was taken off because the bus was not fresh after a renewal.
    pub gaps: u64,
    /// Connections reset because their address went.
    pub reset: u64,
    /// Packets passed on to the other machine of a move.
    pub passed: u64,
    /// Addresses that somebody else took off, and that were put back.
    pub put_back: u64,
    /// Times the guardian took everything away, and how often it was started anew.
    pub fenced: u64,
    /// Last words of other machines' guardians.
    pub farewells: u64,
    /// Datagrams at the port of those that were none: forged, damaged, or of something else.
    pub farewells_refused: u64,
    /// Guardians started.
    pub guardians: u64,
    /// Runs of hooks by their event and program, with those that failed, and how long all took.
    pub hooks: BTreeMap<String, (u64, u64, Duration)>,
}

/// Something that was decided or that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Its number, one above that of the one before. The first of a run is the clock at its start, in milliseconds since 1970, so that
    /// numbers of a later run are greater, and small enough for every reader of JSON.
    pub number: u64,
    /// When.
    pub at: SystemTime,
    /// The head of the set it is about, if it is about one.
    pub head: Option<IpAddr>,
    /// What, as a sentence.
    pub what: String,
    /// Whether somebody should look.
    pub alarm: bool,
    /// Whether it tells of a stranger with an address of ours.
    pub stranger: bool,
    /// Why the set has another owner or moves, if it tells of that.
    pub reason: Option<Reason>,
    /// The machines that have or had it then; several where it was held more than once.
    pub from: Vec<String>,
    /// The machine that has it or gets it then.
    pub to: Option<String>,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct Report {
    /// What the core knows.
    pub status: Status,
    /// Sets by key: their name if they have one, and their addresses as `eth0:10.0.0.1/24` or without the interface.
    pub names: BTreeMap<SetKey, SetName>,
    /// The sets of this machine's configuration, in its order.
    pub order: Vec<SetKey>,
    /// The heads of the sets of which something is still, or already, on this machine's interfaces, or of which a hook runs.
    pub held: Vec<IpAddr>,
    /// Whether an operator has sent this machine away from the bus.
    pub away: bool,
    /// Why a set cannot be held here now, by key.
    pub unable: BTreeMap<SetKey, String>,
    /// Whether there is a session with the bus; otherwise why not.
    pub bus: Result<String, String>,
    /// For how long there has been none.
    pub off_bus: Option<Duration>,
    /// Private groups of members that are the original Wackamole.
    pub originals: BTreeSet<String>,
    /// Why this machine is or is not healthy.
    pub health: (bool, String),
    /// Its checks.
    pub checks: Vec<CheckState>,
    /// Numbers.
    pub counters: Counters,
    /// The last decisions, the oldest first.
    pub decisions: VecDeque<Decision>,
    /// Whether a guardian watches.
    pub guarded: bool,
    /// Whether packets are passed on while an address moves; otherwise why not.
    pub passes_on: Result<(), String>,
}

/// How a set is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetName {
    /// What people call it.
    pub name: Option<String>,
    /// Interface, address, prefix, in the order of the configuration.
    pub addresses: Vec<(String, IpAddr, u8)>,
    /// Whether it may be held only by a majority.
    pub quorum: bool,
}

/// The last decisions.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    pub(super) last: VecDeque<Decision>,
    number: u64,
}

impl Decisions {
    pub(super) fn note(&mut self, head: Option<IpAddr>, what: String, alarm: bool) {
        self.number = match self.number {
            0 => now_ms().max(1),
            number => number + 1,
        };
        if self.last.len() >= DECISIONS_MAX {
            self.last.pop_front();
        }
        let at = SystemTime::now();
        self.last.push_back(Decision {
            number: self.number,
            at,
            head,
            what,
            alarm,
            stranger: false,
            reason: None,
            from: Vec::new(),
            to: None,
        });
    }

    /// The last one was of a stranger with an address of ours.
    pub(super) fn of_a_stranger(&mut self) {
        if let Some(last) = self.last.back_mut() {
            last.stranger = true;
        }
    }

    /// The last one was of a set that has another owner or moves.
    pub(super) fn of_a_move(&mut self, from: Vec<String>, to: Option<String>, reason: Reason) {
        if let Some(last) = self.last.back_mut() {
            (last.from, last.to, last.reason) = (from, to, Some(reason));
        }
    }

    pub(super) fn above(&self, number: u64) -> Vec<Decision> {
        self.last.iter().filter(|one| one.number > number).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_with_the_clock_and_follow_each_other() {
        let before = now_ms();
        let mut decisions = Decisions::default();
        for what in ["one", "two", "three"] {
            decisions.note(None, what.into(), false);
        }
        let numbers: Vec<u64> = decisions.last.iter().map(|one| one.number).collect();
        let first = numbers[0];
        assert!((before..=now_ms()).contains(&first), "{first}");
        assert_eq!(numbers, [first, first + 1, first + 2]);
        assert!(first < 1 << 53);
        let above: Vec<String> = decisions.above(first).into_iter().map(|one| one.what).collect();
        assert_eq!(above, ["two", "three"]);
    }

    #[test]
    fn a_move_says_from_whom_to_whom_and_why_and_nothing_else_does() {
        let mut decisions = Decisions::default();
        decisions.note(None, "mature".into(), false);
        decisions.note(None, "10.0.0.1 goes from m1 to m2 (drain)".into(), false);
        decisions.of_a_move(vec!["m1".into()], Some("m2".into()), Reason::Drain);
        let moves =
            decisions.last.iter().map(|one| (one.reason, one.from.join(" "), one.to.as_deref()));
        assert_eq!(
            moves.collect::<Vec<_>>(),
            [(None, String::new(), None), (Some(Reason::Drain), "m1".into(), Some("m2"))]
        );
    }
}
