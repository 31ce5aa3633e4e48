//! What the kernel takes no more of what is held here: a set that cannot be kept goes in order and is not tried for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base::Instant;
use vip::SetKey;

use super::run::Service;
use crate::kernel;

/// How long a set that could not be kept here is not tried again, as in the core after an addition that was refused.
const NOT_AGAIN_FOR: Duration = Duration::from_secs(10);
/// The same of one of which another machine of the cluster has an address for itself: that is so until somebody changes the list, and
/// whoever asks for it has a set less for as long.
const A_MACHINE_S_FOR: Duration = Duration::from_secs(60);
/// How long a stranger is remembered who had an address when it was to be taken: longer than until it is asked for again.
const STRANGER_FOR: Duration = Duration::from_secs(30);

/// What was refused.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Sets that could not be kept, until when they are not tried again, and why.
    sets: BTreeMap<SetKey, (Instant, String)>,
    /// Those of them of which another machine of the cluster has an address, for itself as it seemed.
    machine_s: BTreeSet<SetKey>,
    /// Addresses whose renewals are refused: since when, and when the last one was.
    renewals: BTreeMap<kernel::Address, (Instant, Instant)>,
    /// Sets that are not here because a stranger has an address of theirs, until when that is remembered, and what is to be said of it.
    strangers: BTreeMap<SetKey, (Instant, String)>,
}

impl Refusals {
    /// Why a set cannot be held here for now.
    pub(super) fn of(&self, key: SetKey) -> Option<&String> {
        self.sets.get(&key).map(|(_, why)| why)
    }

    /// When the next one is to be tried again.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.sets.values().map(|(until, _)| *until).min()
    }

    /// A stranger has an address of this set, which was to be here.
    pub(super) fn of_a_stranger(&mut self, now: Instant, key: SetKey, what: String) {
        self.strangers.retain(|_, (until, _)| *until > now);
        self.strangers.insert(key, (now + STRANGER_FOR, what));
    }

    /// It is here.
    pub(super) fn forget_stranger(&mut self, key: SetKey) {
        self.strangers.remove(&key);
    }

    /// What is known of strangers, for people who ask.
    pub(super) fn strangers(&self, now: Instant) -> impl Iterator<Item = (SetKey, &String)> {
        let fresh = self.strangers.iter().filter(move |(_, (until, _))| *until > now);
        fresh.map(|(key, (_, what))| (*key, what))
    }

    fn refuse(&mut self, key: SetKey, until: Instant, why: String) {
        self.sets.insert(key, (until, why));
    }

    /// Forgets those whose time is over. Whether there were any.
    fn forget(&mut self, now: Instant) -> bool {
        let before = self.sets.len();
        self.sets.retain(|_, (until, _)| *until > now);
        self.machine_s.retain(|key| self.sets.contains_key(key));
        self.sets.len() < before
    }

    /// Who answered for an address was no stranger, and had it for the cluster, if that is `known` by now. Whether there were such.
    fn reconsider(&mut self, known: impl Fn(SetKey) -> bool) -> bool {
        self.strangers.retain(|key, _| !known(*key));
        let over: Vec<SetKey> = self.machine_s.iter().copied().filter(|key| known(*key)).collect();
        for key in &over {
            self.machine_s.remove(key);
            self.sets.remove(key);
        }
        !over.is_empty()
    }

    /// A renewal was refused. Whether that has been so for most of a lease: then the kernel is about to let the address go, and it is
    /// better to be gone in order before. One that was renewed in between begins anew.
    fn renewal(&mut self, now: Instant, address: kernel::Address, lease: Duration) -> bool {
        self.renewals.retain(|_, (_, last)| now.since(*last) <= lease / 2);
        let (since, last) = self.renewals.entry(address).or_insert((now, now));
        *last = now;
        let over = now.since(*since) >= lease * 2 / 3;
        if over {
            self.renewals.remove(&address);
        }
        over
    }
}

impl Service {
    /// The kernel would not renew an address.
    pub(super) fn not_renewed(&mut self, now: Instant, address: kernel::Address, why: String) {
        let keys = self.holdings.with(&address);
        let head = keys.iter().find_map(|key| Some(self.holdings.sets.get(key)?.set.head()));
        // What has gone meanwhile is nobody's trouble.
        let Some(head) = head else { return };
        if self.seldom(format!("renewal {}", address.ip)) {
            self.alarm(Some(head), format!("{} could not be renewed: {why}", address.ip));
        }
        if self.refusals.renewal(now, address, self.config.lease) {
            for key in keys {
                self.cannot_keep(now, key, format!("{} is not renewed: {why}", address.ip));
            }
        }
    }

    /// A set that is up cannot be kept. It goes as it would if its interface were gone: connections are reset, programs are run, and the
    /// group is told, so that another machine has it.
    pub(super) fn cannot_keep(&mut self, now: Instant, key: SetKey, why: String) {
        let Some(holding) = self.holdings.sets.get(&key) else { return };
        let head = holding.set.head();
        self.alarm(Some(head), format!("{head} cannot be kept here: {why}"));
        // It is not said again when the interfaces are looked at.
        self.unable.insert(key, why.clone());
        self.refusals.refuse(key, now + NOT_AGAIN_FOR, why);
        self.vip.handle_able(now, key, false, false);
    }

    /// Another machine of the cluster has an address of a set for itself. That was said.
    pub(super) fn is_a_machine_s(&mut self, now: Instant, key: SetKey, why: String) {
        self.unable.insert(key, why.clone());
        self.refusals.refuse(key, now + A_MACHINE_S_FOR, why);
        self.refusals.machine_s.insert(key);
        self.vip.handle_able(now, key, false, false);
    }

    /// Parts of the cluster have met: who answered for an address before was one of them, if somebody has had it.
    pub(super) fn reconsider_refusals(&mut self, now: Instant) {
        let vip = &self.vip;
        if self.refusals.reconsider(|key| vip.is_known(key)) {
            self.interfaces_changed(now, &BTreeSet::new());
        }
    }

    /// What was refused long enough ago is tried again.
    pub(super) fn try_again(&mut self, now: Instant) {
        if self.refusals.forget(now) {
            self.interfaces_changed(now, &BTreeSet::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(3);

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn address() -> kernel::Address {
        kernel::Address { ip: [10, 0, 0, 1].into(), prefix: 32, interface: 2 }
    }

    #[test]
    fn an_address_whose_renewals_are_refused_is_given_up_before_it_runs_out() {
        let mut refusals = Refusals::default();
        let answers = (0..5).map(|step| refusals.renewal(at(step * 500), address(), LEASE));
        assert_eq!(answers.collect::<Vec<_>>(), [false, false, false, false, true]);
    }

    #[test]
    fn a_refusal_now_and_then_is_forgotten() {
        let mut refusals = Refusals::default();
        for step in 0..20 {
            assert!(!refusals.renewal(at(step * 1_600), address(), LEASE), "{step}");
        }
    }

    #[test]
    fn a_stranger_is_remembered_until_the_address_is_here_or_he_was_not_heard_for_long() {
        let key = |last: u8| vip::Set::new(&[[10, 0, 0, last].into()]).unwrap().key();
        let mut refusals = Refusals::default();
        let known = |refusals: &Refusals, millis| {
            refusals.strangers(at(millis)).map(|(key, _)| key).collect::<Vec<_>>()
        };
        refusals.of_a_stranger(at(0), key(1), "he has it".into());
        assert_eq!(known(&refusals, 29_999), [key(1)]);
        assert_eq!(known(&refusals, 30_000), []);
        refusals.of_a_stranger(at(40_000), key(2), "he has it".into());
        assert_eq!(known(&refusals, 40_000), [key(2)]);
        refusals.forget_stranger(key(2));
        assert_eq!(known(&refusals, 40_000), []);
    }

    #[test]
    fn a_set_that_could_not_be_kept_is_tried_again_after_a_while() {
        let key = vip::Set::new(&[address().ip]).unwrap().key();
        let mut refusals = Refusals::default();
        refusals.refuse(key, at(10_000), "no".into());
        assert_eq!(refusals.next_timeout(), Some(at(10_000)));
        assert!(!refusals.forget(at(9_999)));
        assert_eq!(refusals.of(key).map(String::as_str), Some("no"));
        assert!(refusals.forget(at(10_000)));
        assert_eq!((refusals.of(key), refusals.next_timeout()), (None, None));
        // Of one that the cluster is known to have had by now, nothing is refused because it answered.
        let other = vip::Set::new(&[[10, 0, 0, 9].into()]).unwrap().key();
        for one in [key, other] {
            refusals.refuse(one, at(60_000), "it is another machine's".into());
        }
        refusals.machine_s.insert(other);
        refusals.of_a_stranger(at(1), other, "a stranger has it".into());
        assert!(!refusals.reconsider(|_| false));
        assert!(refusals.reconsider(|_| true));
        assert_eq!((refusals.of(key).is_some(), refusals.of(other)), (true, None));
        assert_eq!(refusals.strangers(at(1)).count(), 0);
    }
}
