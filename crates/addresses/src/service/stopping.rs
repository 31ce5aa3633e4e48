//! Sets that are off and whose programs for that (`on down`) have not all ended.
//!
//! Under quorum such a set is released when all of them have ended well. When one has not, what it was to stop may still run:
//! then the set is released after a lease, as if this machine had been lost just then. The guardian goes on knowing the set
//! until this is over, so that a death meanwhile leaves nothing undone.
//!
//! What the guardian has taken away it stops by itself: then its word is waited for, and not only under quorum. A set that came back
//! earlier would be stopped by what still runs for it.

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
    /// When the guardian has certainly ended the programs that it runs, if there are any: one of an earlier version does not say so.
    guardian_until: Option<Instant>,
}

#[derive(Debug)]
struct One {
    /// As it was held, for a guardian that has to be told of it anew.
    holding: Holding,
    /// The calls of programs for it, and how many of each have not ended.
    calls: BTreeMap<u64, usize>,
    /// The guardian runs programs for it.
    guardian: bool,
    /// Or may do so: what it was told by the image before is not known.
    perhaps: bool,
    /// The group hears that it is off only when this is over.
    withheld: bool,
    /// And only after a lease, if not all ends well: it was under quorum.
    strict: bool,
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
        let one = self.one(key, holding);
        one.withheld |= one.strict;
        one.calls.insert(called.number, called.hooks);
    }

    /// The guardian has taken a set away and runs its programs; it will have ended them by then.
    pub(super) fn begin_at_guardian(&mut self, key: SetKey, holding: Holding, until: Instant) {
        let one = self.one(key, holding);
        one.guardian = true;
        one.withheld = true;
        self.guardian_until = self.guardian_until.max(Some(until));
    }

    /// The same of a set of which it is not known whether the guardian has anything to run for it.
    pub(super) fn begin_perhaps(&mut self, key: SetKey, holding: Holding, until: Instant) {
        self.begin_at_guardian(key, holding, until);
        if let Some(one) = self.sets.get_mut(&key) {
            one.perhaps = true;
        }
    }

    /// Whether the guardian certainly runs programs for this set.
    pub(super) fn is_certain(&self, key: SetKey) -> bool {
        self.sets.get(&key).is_some_and(|one| one.guardian && !one.perhaps)
    }

    fn one(&mut self, key: SetKey, holding: Holding) -> &mut One {
        let one = self.sets.entry(key).or_insert_with(|| One {
            holding: holding.clone(),
            calls: BTreeMap::new(),
            guardian: false,
            perhaps: false,
            withheld: false,
            strict: false,
            failed: false,
            until: None,
        });
        one.strict |= holding.set.quorum;
        one.holding = holding;
        one.until = None;
        one
    }

    /// The guardian has ended its programs, well or not: what follows for each set.
    pub(super) fn guardian_ended(
        &mut self,
        now: Instant,
        well: bool,
        lease: Duration,
    ) -> Vec<Stopped> {
        self.guardian_until = None;
        let waiting = self.sets.iter_mut().filter(|(_, one)| one.guardian);
        let ended = waiting.map(|(key, one)| {
            one.guardian = false;
            one.perhaps = false;
            one.failed |= !well;
            one.next(*key, now, lease)
        });
        ended.collect()
    }

    /// The guardian itself is gone before that: the sets, and as what they were held. They are as if they had never been its.
    /// Last, whether it had certainly something to run for it.
    pub(super) fn without_guardian(&mut self) -> Vec<(SetKey, Holding, bool)> {
        self.guardian_until = None;
        let waiting = self.sets.iter_mut().filter(|(_, one)| one.guardian);
        let all = waiting.map(|(key, one)| {
            one.guardian = false;
            one.withheld = one.strict;
            (*key, one.holding.clone(), !std::mem::take(&mut one.perhaps))
        });
        all.collect()
    }

    /// Whether it should have ended them by now.
    pub(super) fn is_guardian_late(&self, now: Instant) -> bool {
        self.guardian_until.is_some_and(|until| until <= now)
    }

    /// Whether the guardian runs programs for this set.
    pub(super) fn is_at_guardian(&self, key: SetKey) -> bool {
        self.sets.get(&key).is_some_and(|one| one.guardian)
    }

    /// Whether it does for any.
    pub(super) fn waits_for_guardian(&self) -> bool {
        self.guardian_until.is_some()
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
        one.next(*key, now, lease)
    }

    /// Those whose lease is over since something of them could not be stopped.
    pub(super) fn due(&self, now: Instant) -> Vec<SetKey> {
        let is_due = |one: &One| one.until.is_some_and(|until| until <= now);
        self.sets.iter().filter(|(_, one)| is_due(one)).map(|(key, _)| *key).collect()
    }

    /// When the next of those is due.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.sets.values().filter_map(|one| one.until).chain(self.guardian_until).min()
    }

    /// It is over for a set; whether the group has still to hear that it is off.
    pub(super) fn remove(&mut self, key: SetKey) -> bool {
        self.sets.remove(&key).is_some_and(|one| one.withheld)
    }

    /// The set is to be here again: what still ends of it says nothing to the group.
    pub(super) fn comes_back(&mut self, key: SetKey) {
        if let Some(one) = self.sets.get_mut(&key) {
            one.withheld = false;
            one.strict = false;
            one.until = None;
            if !one.is_busy() {
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

    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Whether programs that were called here run for it, or wait for their turn.
    pub(super) fn is_called(&self, key: SetKey) -> bool {
        self.sets.get(&key).is_some_and(|one| !one.calls.is_empty())
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

impl One {
    fn is_busy(&self) -> bool {
        self.guardian || !self.calls.is_empty()
    }

    /// What follows when one of its programs, or of the guardian's, has ended.
    fn next(&mut self, key: SetKey, now: Instant, lease: Duration) -> Stopped {
        if self.is_busy() {
            return Stopped::NotYet;
        }
        if !(self.withheld && self.strict && self.failed) {
            return Stopped::All(key);
        }
        self.until = Some(now + lease);
        Stopped::Badly(self.holding.set.head())
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
    fn what_the_guardian_stops_is_withheld_until_it_says_so() {
        for quorum in [false, true] {
            let mut stopping = Stopping::default();
            stopping.begin_at_guardian(KEY, holding(quorum), at(9_000));
            assert!(stopping.withholds(KEY) && stopping.is_at_guardian(KEY));
            assert!(stopping.waits_for_guardian() && !stopping.is_guardian_late(at(8_999)));
            // Another program of the service has nothing to do with it.
            assert_eq!(stopping.ended(at(1), 3, false, LEASE), Stopped::NotYet);
            assert_eq!(stopping.guardian_ended(at(2), true, LEASE), [Stopped::All(KEY)]);
            assert!(!stopping.waits_for_guardian());
            assert!(stopping.remove(KEY), "the group has still to hear of it");
        }
    }

    #[test]
    fn what_the_guardian_could_not_stop_costs_a_lease_under_quorum_and_nothing_without() {
        let head = "10.0.0.1".parse().unwrap();
        for (quorum, follows) in [(false, Stopped::All(KEY)), (true, Stopped::Badly(head))] {
            let mut stopping = Stopping::default();
            stopping.begin_at_guardian(KEY, holding(quorum), at(9_000));
            // It has not said anything in time.
            assert_eq!(stopping.next_timeout(), Some(at(9_000)));
            assert!(stopping.is_guardian_late(at(9_000)));
            assert_eq!(stopping.guardian_ended(at(9_000), false, LEASE), [follows]);
            let due = if quorum { vec![KEY] } else { Vec::new() };
            assert_eq!(stopping.due(at(9_000) + LEASE), due);
            assert!(stopping.withholds(KEY));
            // What it says later says nothing new.
            assert_eq!(stopping.guardian_ended(at(9_001), true, LEASE), []);
        }
    }

    #[test]
    fn a_second_fencing_while_programs_run_is_waited_for_as_well() {
        let mut stopping = Stopping::default();
        stopping.begin_at_guardian(KEY, holding(false), at(9_000));
        stopping.begin_at_guardian(SetKey(8), holding(true), at(12_000));
        assert!(!stopping.is_guardian_late(at(11_999)));
        let all = stopping.guardian_ended(at(10_000), true, LEASE);
        assert_eq!(all, [Stopped::All(KEY), Stopped::All(SetKey(8))]);
    }

    #[test]
    fn programs_of_the_service_and_of_the_guardian_are_waited_for_together() {
        let mut stopping = Stopping::default();
        stopping.begin(KEY, holding(false), called(3, 1));
        assert!(!stopping.withholds(KEY));
        stopping.begin_at_guardian(KEY, holding(false), at(9_000));
        assert!(stopping.withholds(KEY) && stopping.is_called(KEY));
        assert_eq!(stopping.guardian_ended(at(1), true, LEASE), [Stopped::NotYet]);
        assert_eq!(stopping.ended(at(2), 3, true, LEASE), Stopped::All(KEY));
    }

    #[test]
    fn a_guardian_that_is_gone_is_not_waited_for() {
        let mut stopping = Stopping::default();
        stopping.begin_at_guardian(KEY, holding(false), at(9_000));
        stopping.begin_at_guardian(SetKey(8), holding(true), at(9_000));
        assert!(stopping.is_certain(KEY));
        stopping.begin_perhaps(SetKey(9), holding(false), at(9_000));
        assert!(stopping.is_at_guardian(SetKey(9)) && !stopping.is_certain(SetKey(9)));
        let keys: Vec<SetKey> = stopping.without_guardian().iter().map(|(key, ..)| *key).collect();
        assert_eq!(keys, [KEY, SetKey(8), SetKey(9)]);
        assert!(!stopping.waits_for_guardian() && !stopping.is_at_guardian(KEY));
        // As if its own programs had been called at once.
        assert!(!stopping.withholds(KEY) && stopping.withholds(SetKey(8)));
        stopping.begin(SetKey(8), holding(true), called(5, 1));
        assert_eq!(stopping.ended(at(1), 5, true, LEASE), Stopped::All(SetKey(8)));
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
