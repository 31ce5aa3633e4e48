//! What the core wants done.

use std::collections::BTreeSet;
use std::time::Duration;

use base::Instant;
use vip::{Action, After, Reason, Set, SetKey};

use super::holding::{Holding, Placed, State};
use super::places::Place;
use super::run::Service;
use super::worker::{Job, Terms};
use crate::config::{self};
use crate::kernel::{self};

/// How long those who are being served have to finish before connections are reset, when another machine has the address already and
/// nothing is passed on: most requests take less, and what comes later reaches the other machine in any case.
const LINGER: Duration = Duration::from_millis(20);

/// What came and went in one round of decisions, for `post up` and `post down`.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) up: BTreeSet<SetKey>,
    pub(super) down: BTreeSet<SetKey>,
    pub(super) up_sets: Vec<config::Set>,
    pub(super) down_sets: Vec<config::Set>,
    pub(super) up_reasons: BTreeSet<Reason>,
    pub(super) down_reasons: BTreeSet<Reason>,
}

/// The reason that all sets of a round have in common.
pub(super) fn common(reasons: &BTreeSet<Reason>) -> Option<Reason> {
    reasons.first().copied().filter(|_| reasons.len() == 1)
}

impl Service {
    /// Does what the core wants, says what is due, and lets sets go that have lingered long enough. Whether anything was done.
    pub(super) fn act(&mut self, now: Instant) -> bool {
        let mut acted = self.look_after_lingering(now);
        let mut adds = Vec::new();
        while let Some(action) = self.vip.poll_action() {
            acted = true;
            match action {
                Action::Add { set, after, reason } => self.add(now, &set, after, reason, &mut adds),
                Action::Announce(key) => {
                    for placed in
                        self.holdings.sets.get(&key).iter().flat_map(|holding| &holding.placed)
                    {
                        self.air.again(now, placed.said());
                    }
                }
                Action::Remove { set, reason } => self.remove(now, &set, reason),
                Action::Rejoin => self.rejoin_next = true,
            }
        }
        if !adds.is_empty() {
            self.ask_kernel(Job::Add(adds));
        }
        let over: Vec<SetKey> = self
            .holdings
            .sets
            .iter()
            .filter(|(_, holding)| holding.lingers_until().is_some_and(|until| until <= now))
            .map(|(key, _)| *key)
            .collect();
        for key in over {
            acted = true;
            self.take_off(key);
        }
        let mut adds = Vec::new();
        for asked in self.air.speak(now) {
            acted = true;
            self.asked(now, asked, &mut adds);
        }
        if !adds.is_empty() {
            self.ask_kernel(Job::Add(adds));
        }
        self.end_round();
        acted
    }

    pub(super) fn add(
        &mut self,
        now: Instant,
        set: &Set,
        after: After,
        reason: Reason,
        adds: &mut Vec<(kernel::Address, Terms)>,
    ) {
        let key = set.key();
        if self.stopping.is_at_guardian(key) {
            // The guardian still runs programs that stop it. Then the core hears that it is off, and asks for it anew.
            return;
        }
        let contested = match after {
            After::Lost { until } => Some(until),
            _ => None,
        };
        if let Some(holding) = self.holdings.sets.get_mut(&key) {
            if holding.is_aside() {
                // It was not taken off yet, but is not answered for any more.
                (holding.reason, holding.contested) = (reason, contested);
                self.put_on(now, key, adds);
                return;
            }
            if matches!(holding.state, State::Lingering { .. }) {
                // It is there, and is answered for again. Of what is another's nothing is announced: it begins anew.
                holding.state = State::Up;
                (holding.reason, holding.contested) = (reason, contested);
                for placed in &holding.placed {
                    self.air.acquired(now, placed.said(), placed.net, contested);
                }
                self.to_confirm.push(key);
                return;
            }
            if matches!(holding.state, State::Up) {
                // It is there: everybody is told again, and that is all.
                for placed in &holding.placed {
                    self.air.won(now, placed.said());
                }
                self.to_confirm.push(key);
                return;
            }
            tracing::error!(head = %set.head(), "asked to be added while it is being added or taken off");
        }
        let Some(config) = self.sets.get(&key).cloned() else {
            self.failed(now, key, set.head(), "it is not in the configuration any more".into());
            return;
        };
        let placed = match self.place(&config) {
            Ok(placed) => placed,
            Err(why) => {
                self.failed(now, key, set.head(), why);
                return;
            }
        };
        let asks = after == After::Nobody && config.kernel;
        let state = if asks {
            State::Asking(placed.len())
        } else {
            State::Adding { left: placed.len(), refused: None }
        };
        if asks {
            placed.iter().for_each(|one| self.air.ask(now, one.said()));
        }
        let holding =
            Holding { set: config, placed, state, reason, contested, since: now, put_back: 0 };
        self.holdings.sets.insert(key, holding);
        self.stopping.comes_back(key);
        if !asks {
            self.put_on(now, key, adds);
        }
    }

    /// Where each address of a set goes, and what that takes.
    pub(super) fn place(&self, set: &config::Set) -> Result<Vec<Placed>, String> {
        if !set.kernel {
            return Ok(Vec::new());
        }
        let one = |address: &config::Address| {
            let interface = match self.places.of(address, &self.managed) {
                Place::On(interface) => interface,
                Place::NotNow(why) => return Err(why),
            };
            let single = if address.ip.is_ipv4() { 32 } else { 128 };
            if address.prefix < single
                && address.ip.is_ipv4()
                && let Some(link) = self.places.link(interface)
            {
                kernel::sysctl::promote_secondaries(&link.name)
                    .map_err(|error| error.to_string())?;
            }
            Ok(Placed {
                address: kernel::Address { ip: address.ip, prefix: address.prefix, interface },
                net: address.net,
                terms: Terms { source: address.source, quorum: set.quorum },
            })
        };
        set.addresses.iter().map(one).collect()
    }

    /// The guardian is told, then the kernel.
    pub(super) fn put_on(
        &mut self,
        now: Instant,
        key: SetKey,
        adds: &mut Vec<(kernel::Address, Terms)>,
    ) {
        if let Err(why) = self.tell_guardian(key) {
            let head = self.holdings.sets.get(&key).map(|holding| holding.set.head());
            // One that does not know would leave it there after our death, for a lease: it is told again in a moment.
            if self.seldom("guardian".to_owned()) {
                let what = format!("the guardian could not be told: {why}; it is told again");
                self.alarm(head, what);
            }
            self.untold.push(key);
            self.withhold();
        }
        let Some(holding) = self.holdings.sets.get_mut(&key) else { return };
        holding.state = State::Adding { left: holding.placed.len(), refused: None };
        adds.extend(holding.placed.iter().map(|placed| (placed.address, placed.terms)));
        if holding.placed.is_empty() {
            self.is_up(now, key);
        }
    }

    pub(super) fn remove(&mut self, now: Instant, set: &Set, reason: Reason) {
        let key = set.key();
        let has_time = self.vip.stands().is_some();
        let (passed, by_plan) = (self.is_passed_on(key), self.moves_by_plan(key));
        let Some(holding) = self.holdings.sets.get_mut(&key) else {
            // Off, because the bus or this program was not fresh, is not stopped: its programs say when it is.
            if !self.stopping.withholds(key) {
                self.vip.handle_removed(now, key);
            }
            return;
        };
        holding.reason = reason;
        let planned = matches!(
            reason,
            Reason::Balance
                | Reason::Preference
                | Reason::Drain
                | Reason::Operator
                | Reason::Leaving
                | Reason::Conflict
                | Reason::Full
        );
        match holding.state {
            State::Asking(_) => {
                holding.placed.iter().for_each(|placed| self.air.cancel(placed.said()));
                self.holdings.sets.remove(&key);
                self.vip.handle_removed(now, key);
            }
            State::Up if planned && !holding.set.quorum && has_time => {
                // Nothing is said of it any more, but what is being answered is answered to the end. After a merge the other
                // machine has connections of its own: two owners are to be one soon. Not so where the view has changed in the middle of a move.
                let passes = passed && (by_plan || reason != Reason::Conflict);
                let lasts = if passes { self.config.grace } else { LINGER };
                holding.state = State::Lingering { until: now + lasts, passes };
                for placed in &holding.placed {
                    self.air.released(placed.said());
                }
                // Where packets are passed on, questions for it do not come through any more; else it has to go out of the way.
                if !passes {
                    self.set_aside(key);
                }
            }
            State::Removing(_) => {}
            State::Failing(left) => holding.state = State::Removing(left),
            State::Adding { .. } | State::Up | State::Lingering { .. } => self.take_off(key),
        }
    }

    /// Of what lingers, the addresses of version 6 are answered for no longer, but for those that are in another set that stays.
    fn set_aside(&self, key: SetKey) {
        let Some(holding) = self.holdings.sets.get(&key) else { return };
        let all = holding.placed.iter().map(|placed| placed.address);
        let six = all.filter(|one| one.ip.is_ipv6() && !self.holdings.stays(one, key));
        let aside: Vec<kernel::Address> = six.collect();
        if !aside.is_empty() {
            self.ask_kernel(Job::Aside(aside));
        }
    }

    /// What lingers so that packets are passed on does so for as long as they are: without that the kernel here would answer for what is
    /// another's, and reset what was begun there. If the other machine has gone, somebody else has it soon, or this machine again.
    /// Whether anything was done.
    fn look_after_lingering(&mut self, now: Instant) -> bool {
        let passes =
            |holding: &Holding| matches!(holding.state, State::Lingering { passes: true, .. });
        let some = self.holdings.sets.iter().filter(|(_, holding)| passes(holding));
        let some: Vec<SetKey> = some.map(|(key, _)| *key).collect();
        // Whose it is without the other machine is known in a moment; until then it is best answered for here.
        if some.is_empty() || self.vip.is_gathering() {
            return false;
        }
        if self.vip.stands().is_none() {
            some.into_iter().for_each(|key| self.take_off(key));
            return true;
        }
        let returning: BTreeSet<SetKey> = self.vip.returning().collect();
        let mut acted = false;
        for key in some {
            if returning.contains(&key) {
                // It need not be taken off before it is added: that is all that the core waits for.
                self.vip.handle_removed(now, key);
            } else if !self.is_passed_on(key) {
                self.pass_no_longer(now, key);
            } else {
                continue;
            }
            acted = true;
        }
        acted
    }

    /// What is being answered has a moment left.
    fn pass_no_longer(&mut self, now: Instant, key: SetKey) {
        let Some(holding) = self.holdings.sets.get_mut(&key) else { return };
        let State::Lingering { until, .. } = holding.state else { return };
        holding.state = State::Lingering { until: until.min(now + LINGER), passes: false };
        self.set_aside(key);
    }

    /// Takes a set's addresses off, but for those that are in another set that stays.
    pub(super) fn take_off(&mut self, key: SetKey) {
        let Some(holding) = self.holdings.sets.get(&key) else { return };
        let go: Vec<Placed> = holding
            .placed
            .iter()
            .filter(|placed| !self.holdings.stays(&placed.address, key))
            .cloned()
            .collect();
        for placed in &go {
            self.air.released(placed.said());
            self.unproven.remove(&placed.address);
        }
        if let Some(holding) = self.holdings.sets.get_mut(&key) {
            holding.placed.clone_from(&go);
            holding.state = State::Removing(go.len());
        }
        if go.is_empty() {
            self.is_down(key);
        } else {
            self.ask_kernel(Job::Remove(go.into_iter().map(|placed| placed.address).collect()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_a_reason_if_all_its_sets_have_it() {
        let lost = Round { up_reasons: BTreeSet::from([Reason::Lost]), ..Round::default() };
        assert_eq!(common(&lost.up_reasons), Some(Reason::Lost));
        assert_eq!(common(&lost.down_reasons), None);
        assert_eq!(common(&BTreeSet::from([Reason::Lost, Reason::Balance])), None);
    }
}
