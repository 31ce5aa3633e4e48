//! Programs that are run when addresses come and go, and what the guardian has to know.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use base::Instant;
use vip::{Reason, SetKey};

use super::act::common;
use super::clock;
use super::holding::State;
use super::places::Place;
use super::run::Service;
use super::setup::{FRESH, FRESH_BY_ECHO, settings};
use super::stopping::Stopped;
use crate::config::{self, HookEvent, HookSets};
use crate::guardian::{Program, Running};
use crate::hooks::{Called, HookCall, HookDone, Located, Owner, event_name, for_guardian};
use crate::kernel::{self};

impl Service {
    pub(super) fn runs_hooks(&self, event: HookEvent, set: &config::Set) -> bool {
        self.config.hooks.iter().any(|hook| {
            hook.event == event
                && match &hook.sets {
                    HookSets::All => true,
                    HookSets::Heads(heads) => heads.contains(&set.head()),
                }
        })
    }

    /// Calls the programs that are configured for it, if there are any.
    pub(super) fn call(
        &mut self,
        event: HookEvent,
        set: &config::Set,
        reason: Reason,
    ) -> Option<Called> {
        if !self.runs_hooks(event, set) {
            return None;
        }
        if set.quorum {
            self.withhold();
        }
        let call = self.hook_call(event, std::slice::from_ref(set), reason);
        Some(self.hooks.queue(call)).filter(|called| called.hooks > 0)
    }

    pub(super) fn hook_call(
        &self,
        event: HookEvent,
        sets: &[config::Set],
        reason: impl Into<Option<Reason>>,
    ) -> HookCall {
        let reason: Option<Reason> = reason.into();
        let round = matches!(event, HookEvent::PostUp | HookEvent::PostDown);
        let located = |address: &config::Address| {
            let link = match self.places.of(address, &self.managed) {
                Place::On(index) => self.places.link(index),
                Place::NotNow(_) => {
                    address.interface.as_deref().and_then(|name| self.places.named(name))
                }
            };
            Located {
                interface: link
                    .map(|link| link.name.clone())
                    .or_else(|| address.interface.clone())
                    .unwrap_or_default(),
                address: address.ip,
                prefix: address.prefix,
                mac: link
                    .and_then(|link| link.mac)
                    .map(|mac| vip::neighbours::Mac(mac).to_string()),
            }
        };
        let status = self.vip.status(clock::now());
        let head = sets.first().map(config::Set::head);
        let owner = match event {
            HookEvent::OnUp | HookEvent::PostUp | HookEvent::PostDown => None,
            HookEvent::OnDown => status
                .sets
                .iter()
                .find(|set| Some(set.head) == head)
                .and_then(|set| set.moving_to.or(set.owner)),
        };
        let owner = match event {
            HookEvent::OnUp => Some(Owner {
                machine: self.config.machine.clone(),
                address: self.places.shown(&self.managed, &self.config.sets),
            }),
            _ => owner
                .and_then(|at| status.members.get(at))
                .map(|member| Owner { machine: member.machine.clone(), address: member.shown }),
        };
        HookCall {
            event,
            set: if round { String::new() } else { sets.first().map(set_name).unwrap_or_default() },
            sets: sets.iter().map(set_name).collect(),
            // As the original had it: a round is of no single set, and its addresses may be many.
            addresses: match round {
                true => Vec::new(),
                false => sets.iter().flat_map(|set| set.addresses.iter().map(located)).collect(),
            },
            machine: self.config.machine.clone(),
            owner,
            reason: reason.map_or("several", Reason::word).into(),
            view: status
                .view
                .map(|view| view.0.iter().map(|byte| format!("{byte:02x}")).collect())
                .unwrap_or_default(),
            at: SystemTime::now(),
        }
    }

    /// Once nothing comes or goes any more, `post up` and `post down` are run for what did.
    pub(super) fn end_round(&mut self) {
        let busy = self.holdings.sets.values().any(|holding| !matches!(holding.state, State::Up));
        // The programs that the guardian runs are among those that have to end before.
        let busy = busy || self.stopping.waits_for_guardian();
        if busy || self.round.up.is_empty() && self.round.down.is_empty() {
            return;
        }
        let round = std::mem::take(&mut self.round);
        for (event, sets, reasons) in [
            (HookEvent::PostDown, round.down_sets, round.down_reasons),
            (HookEvent::PostUp, round.up_sets, round.up_reasons),
        ] {
            let wanted = self.config.hooks.iter().any(|hook| hook.event == event);
            if wanted && !sets.is_empty() {
                if sets.iter().any(|set| set.quorum) {
                    self.withhold();
                }
                let call = self.hook_call(event, &sets, common(&reasons));
                self.hooks.queue(call);
            }
        }
    }

    pub(super) fn hook_ended(&mut self, done: HookDone) {
        // Its arguments may be nobody's business.
        let name = format!("{} {}", event_name(done.event), done.hook);
        let entry = self.counters.hooks.entry(name).or_default();
        entry.0 += 1;
        entry.1 += u64::from(!done.succeeded());
        entry.2 += done.took;
        if !done.succeeded() {
            // The hooks have logged it.
            self.remember(None, done.to_string());
        }
        let now = clock::now();
        let lease = self.whole_lease();
        let stopped = self.stopping.ended(now, done.call, done.succeeded(), lease);
        self.follow_stopped(stopped, lease);
    }

    /// What follows when a program that stops something has ended.
    pub(super) fn follow_stopped(&mut self, stopped: Stopped, lease: Duration) {
        match stopped {
            Stopped::NotYet => {}
            Stopped::Badly(head) => {
                let what = format!(
                    "{head} could not be stopped well here: others may have it in {:.1} s",
                    lease.as_secs_f64()
                );
                self.alarm(Some(head), what);
            }
            Stopped::All(key) => self.is_stopped(key),
        }
    }

    /// Sets that nobody may have for as long as something of them may still run here.
    pub(super) fn release_what_could_not_be_stopped(&mut self, now: Instant) {
        for key in self.stopping.due(now) {
            self.is_stopped(key);
        }
    }

    /// Nothing of a set that is off is waited for any more.
    pub(super) fn is_stopped(&mut self, key: SetKey) {
        if self.stopping.remove(key) {
            self.to_release.push(key);
        }
        self.let_guardian_go(key);
    }

    /// The oldest word of the ring on which leases are renewed.
    pub(super) fn fresh(&self) -> Duration {
        if self.echo_only { FRESH_BY_ECHO } else { FRESH }
    }

    /// How long others wait for this machine when it is lost ([`vip::Settings::lease`]).
    pub(super) fn whole_lease(&self) -> Duration {
        settings(&self.config, self.fresh()).lease()
    }

    /// What the guardian has to know of a set before the kernel gets it.
    pub(super) fn tell_guardian(&mut self, key: SetKey) -> Result<(), String> {
        if self.stopping.is_at_guardian(key) {
            // It is running these programs, and would run them once more.
            return Ok(());
        }
        let held = self.holdings.sets.get(&key).or_else(|| self.stopping.holding(key));
        let Some(holding) = held else { return Ok(()) };
        let addresses: Vec<kernel::Address> =
            holding.placed.iter().map(|placed| placed.address).collect();
        let set = holding.set.clone();
        let programs = if self.runs_hooks(HookEvent::OnDown, &set) {
            self.guardian_s_programs(&set)
        } else {
            Vec::new()
        };
        match &mut self.guardian {
            Some(guardian) => guardian
                .get_mut()
                .hold(&guardian_name(key), &addresses, &programs)
                .map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    /// The guardian hears which programs stop something here just now: it runs none for the same set beside them.
    pub(super) fn tell_guardian_what_runs(&mut self) {
        let mut running = Vec::new();
        for (set, pid, rest) in self.hooks.stopping() {
            let held = self.holdings.sets.iter().map(|(key, holding)| (*key, holding));
            let off = self.stopping.keys();
            let off = off.iter().filter_map(|key| Some((*key, self.stopping.holding(*key)?)));
            let named = held.chain(off).filter(|(_, holding)| set_name(&holding.set) == set);
            let keys: BTreeSet<SetKey> = named.map(|(key, _)| key).collect();
            let one = |key| Running { set: guardian_name(key), pid, rest };
            running.extend(keys.into_iter().map(one));
        }
        let all = running.iter().map(|one| (one.set.clone(), one.pid));
        let all: Vec<(String, u32)> = all.collect();
        if all == self.guarding.runs {
            return;
        }
        // One that does not take it is told in the next turn.
        if let Some(guardian) = &mut self.guardian
            && guardian.get_mut().runs(&running).is_ok()
        {
            self.guarding.runs = all;
        }
    }

    /// What the guardian runs for a set when this program is dead, in this order. Who has the set then nobody can know now.
    pub(super) fn guardian_s_programs(&self, set: &config::Set) -> Vec<Program> {
        let call = self.hook_call(HookEvent::OnDown, std::slice::from_ref(set), Reason::Lost);
        let call = HookCall { owner: None, ..call };
        let hooks = self.config.hooks.iter().filter(|hook| {
            hook.event == HookEvent::OnDown
                && match &hook.sets {
                    HookSets::All => true,
                    HookSets::Heads(heads) => heads.contains(&set.head()),
                }
        });
        hooks.filter_map(|hook| for_guardian(hook, &call)).collect()
    }

    /// A set that is neither here nor being stopped is none of the guardian's business any more.
    pub(super) fn let_guardian_go(&mut self, key: SetKey) {
        if self.holdings.sets.contains_key(&key) || self.stopping.has(key) {
            return;
        }
        if let Some(guardian) = &mut self.guardian {
            // One that does not know would take off once more what is off.
            let _ = guardian.get_mut().let_go(&guardian_name(key));
        }
    }

    /// What the guardian could not take when it was told of much at once.
    pub(super) fn tell_guardian_again(&mut self) {
        let mut untold = std::mem::take(&mut self.untold);
        untold.retain(|key| self.tell_guardian(*key).is_err());
        self.untold = untold;
    }

    pub(super) fn tell_guardian_all(&mut self) {
        let held = self.holdings.sets.keys().copied();
        self.untold = held.chain(self.stopping.keys()).collect();
        self.tell_guardian_again();
    }
}

/// How a set is called to the guardian: two forms of a set, as a changed configuration leaves them beside each other for a moment, may
/// have the same name.
pub(super) fn guardian_name(key: SetKey) -> String {
    format!("{key:?}")
}

/// How a set is called in hooks.
pub(super) fn set_name(set: &config::Set) -> String {
    set.name.clone().unwrap_or_else(|| set.head().to_string())
}
