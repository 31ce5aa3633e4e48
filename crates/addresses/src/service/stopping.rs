//! Sets that are off and whose programs for that (`on down`) have not all ended.
//!
//! Under quorum such a set is released when all of them have ended well. When one has not, what it was to stop may still run:
//! then the set is released after a lease, as if this machine had been lost just then. The guardian goes on knowing the set
//! until this is over, so that a death meanwhile leaves nothing undone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use base::Instant;
use vip::SetKey;

use super::holding::Holding;
use crate::hooks::Called;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    sets: BTreeMap<SetKey, One>,
}

#[derive(Debug)]
struct One {
    /// As it was held, for a guardian that has to be told of it anew.
    holding: Holding,
    /// The calls of programs for it, and how many of each have not ended.
    calls: BTreeMap<u64, usize>,
    /// The group hears that it is off only when this is over.
    withheld: bool,
    failed: bool,
    /// What could not be stopped is waited for until then.
    until: Option<Instant>,
}

/// What follows from the end of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Others are waited for, or it was none of these.
    NotYet,
    /// The last has ended, and not all have ended well: the set with this head is released after a lease.
    Badly(IpAddr),
    /// Nothing is waited for any more.
    All(SetKey),
}

impl Stopping {
    /// The programs of a set that is off have been called.
    pub(super) fn begin(&mut self, key: SetKey, holding: Holding, called: Called) {
        let withheld = holding.set.quorum;
        let one = self.sets.entry(key).or_insert_with(|| One {
            holding: holding.clone(),
            calls: BTreeMap::new(),
            withheld,
            failed: false,
            until: None,
        });
        one.holding = holding;
        one.withheld |= withheld;
        one.until = None;
        one.calls.insert(called.number, called.hooks);
    }

    /// A program of this call has ended, well or not.
    pub(super) fn ended(
        &mut self,
        now: Instant,
        call: u64,
        well: bool,
        lease: Duration,
    ) -> Stopped {
        let of = self.sets.iter_mut().find(|(_, one)| one.calls.contains_key(&call));
        let Some((key, one)) = of else { return Stopped::NotYet };
        one.failed |= !well;
        if let Some(left) = one.calls.get_mut(&call) {
            *left = left.saturating_sub(1);
        }
        one.calls.retain(|_, left| *left > 0);
        match (one.calls.is_empty(), one.withheld && one.failed) {
            (false, _) => Stopped::NotYet,
            (true, false) => Stopped::All(*key),
            (true, true) => {
                one.until = Some(now + lease);
                Stopped::Badly(one.holding.set.head())
            }
        }
    }

    /// Those whose lease is over since something of them could not be stopped.
    pub(super) fn due(&self, now: Instant) -> Vec<SetKey> {
        let is_due = |one: &One| one.until.is_some_and(|until| until <= now);
        self.sets.iter().filter(|(_, one)| is_due(one)).map(|(key, _)| *key).collect()
    }

    /// When the next of those is due.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.sets.values().filter_map(|one| one.until).min()
    }

    /// It is over for a set; whether the group has still to hear that it is off.
    pub(super) fn remove(&mut self, key: SetKey) -> bool {
        self.sets.remove(&key).is_some_and(|one| one.withheld)
    }

    /// The set is to be here again: what still ends of it says nothing to the group.
    pub(super) fn comes_back(&mut self, key: SetKey) {
        if let Some(one) = self.sets.get_mut(&key) {
            one.withheld = false;
            one.until = None;
            if one.calls.is_empty() {
                self.sets.remove(&key);
            }
        }
    }

    /// Whether the group must not hear yet that this set is off.
    pub(super) fn withholds(&self, key: SetKey) -> bool {
        self.sets.get(&key).is_some_and(|one| one.withheld)
    }

    /// The heads of the sets of which that is so.
    pub(super) fn withheld(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.sets.values().filter(|one| one.withheld).map(|one| one.holding.set.head())
    }

    pub(super) fn has(&self, key: SetKey) -> bool {
        self.sets.contains_key(&key)
    }

    pub(super) fn holding(&self, key: SetKey) -> Option<&Holding> {
        self.sets.get(&key).map(|one| &one.holding)
    }

    pub(super) fn keys(&self) -> BTreeSet<SetKey> {
        self.sets.keys().copied().collect()
    }

    /// The set that a call was for.
    pub(super) fn of_call(&self, call: u64) -> Option<SetKey> {
        let of = self.sets.iter().find(|(_, one)| one.calls.contains_key(&call));
        of.map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use vip::Reason;

    use super::*;
    use crate::config;
    use crate::service::holding::State;

    const LEASE: Duration = Duration::from_millis(4_400);
    const KEY: SetKey = SetKey(7);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(1) + Duration::from_millis(millis)
    }

    fn holding(quorum: bool) -> Holding {
        let address = config::Address {
            interface: None,
            ip: "10.0.0.1".parse().unwrap(),
            prefix: 32,
            net: 0,
            source: false,
        };
        Holding {
            set: config::Set { name: None, addresses: vec![address], kernel: true, quorum },
            placed: Vec::new(),
            state: State::Up,
            reason: Reason::Drain,
            contested: None,
            since: at(0),
            put_back: 0,
        }
    }

    fn called(number: u64, hooks: usize) -> Called {
        Called { number, hooks }
    }

    #[test]
    fn a_set_with_two_programs_is_over_when_both_have_ended() {
        let mut stopping = Stopping::default();
        stopping.begin(KEY, holding(true), called(3, 2));
        assert!(stopping.withholds(KEY));
        assert_eq!(stopping.ended(at(1), 3, true, LEASE), Stopped::NotYet);
        assert!(stopping.withholds(KEY));
        // Nothing to do with it.
        assert_eq!(stopping.ended(at(1), 4, true, LEASE), Stopped::NotYet);
        assert_eq!(stopping.ended(at(2), 3, true, LEASE), Stopped::All(KEY));
        assert!(stopping.remove(KEY));
        assert!(!stopping.has(KEY));
    }

    #[test]
    fn under_quorum_a_program_that_failed_costs_a_lease() {
        let mut stopping = Stopping::default();
        stopping.begin(KEY, holding(true), called(3, 2));
        assert_eq!(stopping.ended(at(1), 3, false, LEASE), Stopped::NotYet);
        let head = "10.0.0.1".parse().unwrap();
        assert_eq!(stopping.ended(at(10), 3, true, LEASE), Stopped::Badly(head));
        assert!(stopping.withholds(KEY));
        assert_eq!(stopping.next_timeout(), Some(at(4_410)));
        assert_eq!(stopping.due(at(4_409)), []);
        assert_eq!(stopping.due(at(4_410)), [KEY]);
        assert!(stopping.remove(KEY));
    }

    #[test]
    fn without_quorum_nobody_waits_for_a_program() {
        let mut stopping = Stopping::default();
        stopping.begin(KEY, holding(false), called(3, 1));
        assert!(!stopping.withholds(KEY));
        assert_eq!(stopping.withheld().count(), 0);
        assert_eq!(stopping.ended(at(1), 3, false, LEASE), Stopped::All(KEY));
        assert!(!stopping.remove(KEY));
    }

    #[test]
    fn programs_of_two_calls_are_waited_for_and_one_set_is_not_another_of_the_same_name() {
        let mut stopping = Stopping::default();
        stopping.begin(KEY, holding(true), called(3, 1));
        stopping.begin(KEY, holding(true), called(4, 1));
        stopping.begin(SetKey(8), holding(true), called(5, 1));
        assert_eq!(stopping.ended(at(1), 4, true, LEASE), Stopped::NotYet);
        assert_eq!(stopping.ended(at(1), 5, true, LEASE), Stopped::All(SetKey(8)));
        assert_eq!(stopping.of_call(3), Some(KEY));
        assert_eq!(stopping.ended(at(1), 3, true, LEASE), Stopped::All(KEY));
    }

    #[test]
    fn what_is_back_is_not_released_by_programs_that_were_called_before() {
        let mut stopping = Stopping::default();
        stopping.begin(KEY, holding(true), called(3, 1));
        stopping.comes_back(KEY);
        assert!(stopping.has(KEY) && !stopping.withholds(KEY));
        assert_eq!(stopping.ended(at(1), 3, false, LEASE), Stopped::All(KEY));
        assert!(!stopping.remove(KEY));
        // Nor by a lease that was waited for.
        stopping.begin(KEY, holding(true), called(4, 1));
        let _ = stopping.ended(at(1), 4, false, LEASE);
        stopping.comes_back(KEY);
        assert_eq!(stopping.due(at(60_000)), []);
        assert!(!stopping.has(KEY));
    }
}
