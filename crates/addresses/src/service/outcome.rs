//! What became of what was asked of the kernel, and of asking whether an address is free.

use std::net::IpAddr;
use std::time::Duration;

use base::Instant;
use vip::SetKey;

use super::air::Asked;
use super::clock;
use super::holding::{Placed, State};
use super::programs::set_name;
use super::run::Service;
use super::worker::{Done, Job, Terms};
use crate::config::HookEvent;
use crate::kernel::{self};

/// How long the kernel may take to say that an address of version 6 works.
const PROOF: Duration = Duration::from_millis(200);

impl Service {
    /// The kernel's thread has done something.
    pub(super) fn kernel_did(&mut self, done: Done) {
        let now = clock::now();
        match done {
            Done::Added(outcomes) => {
                for (address, outcome) in outcomes {
                    self.added(now, address, outcome);
                }
            }
            Done::Removed(addresses) => {
                for address in addresses {
                    for key in self.holdings.with(&address) {
                        let Some(holding) = self.holdings.sets.get_mut(&key) else { continue };
                        match &mut holding.state {
                            State::Removing(left) | State::Failing(left) if *left > 1 => *left -= 1,
                            State::Removing(_) => self.is_down(key),
                            State::Failing(_) => self.has_failed(now, key),
                            _ => {}
                        }
                    }
                }
            }
            Done::Reset(count) => self.counters.reset += count,
            Done::Renewed { count, took } => {
                tracing::trace!(count, ?took, "renewed");
                self.look_at_secondaries(now);
            }
            Done::NotRenewed(refused) => {
                for (address, why) in refused {
                    self.not_renewed(now, address, why);
                }
            }
            Done::Gap(addresses) => {
                // If this program stood still, the guardian may have done that already, and runs the programs.
                self.hear_guardian();
                self.counters.gaps += 1;
                if !addresses.is_empty() {
                    self.alarm(None, "the bus was not fresh after a renewal: this machine or its bus was stopped, so every address is taken off".into());
                }
                self.all_gone();
            }
            Done::Doubt(addresses) => {
                self.hear_guardian();
                self.counters.gaps += 1;
                self.alarm(None, "the machines came together anew while addresses under quorum were renewed, and that took so long that a majority may have gone on without this one: they are taken off".into());
                self.gone(|holding| {
                    holding.placed.iter().any(|placed| addresses.contains(&placed.address))
                });
            }
            Done::Links(links) => {
                self.watch.know(&links);
                let other = self.with_another_mac(&links);
                let back = self.places.know(links);
                self.vip.handle_macs(now, self.places.macs());
                self.interfaces_changed(now, &back);
                self.announce_another_mac(now, &other);
                self.put_back(now);
                self.tell_of_put_back(now);
            }
            Done::Neighbours(neighbours) => {
                self.air.meet(neighbours.iter().map(|one| (one.interface, one.mac)));
                if self.config.share_neighbours_every.is_none() {
                    return;
                }
                let managed = &self.managed;
                let known = neighbours.into_iter().filter(|one| !managed.contains(&one.ip));
                let known = known.map(|one| (one.ip, vip::neighbours::Mac(one.mac)));
                self.air.neighbours.sampled(now, known);
            }
            Done::Passing(at, refused) => self.passes_at(at, refused),
            Done::Trouble(why) => self.alarm(None, why),
            Done::Counters { missed, late } => {
                self.counters.renewals_missed = missed;
                self.counters.renewals_late = late;
            }
        }
    }

    /// The loop comes round. Who was away for long does not take what others may have by now; and for most of a lease, has nothing.
    pub(super) fn look_whether_it_stood_still(&mut self, now: Instant) {
        let stood_still = self.shared.beat(now);
        if self.vip.handle_stood_still(now, stood_still) {
            self.has_run_out(stood_still);
        }
    }

    /// Nothing was renewed for about a lease. The kernel has let go what was here, or does in a moment; others are not to be told
    /// any more that this machine has it.
    fn has_run_out(&mut self, after: Duration) {
        // It may have done that already, and runs the programs.
        self.hear_guardian();
        if self.holdings.sets.is_empty() {
            return;
        }
        self.counters.gaps += 1;
        self.alarm(None, format!("this program stood still for {:.1} s, so long that its leases have run out or are about to: what was here is off", after.as_secs_f64()));
        self.all_gone();
    }

    /// The kernel has taken an address, or not.
    pub(super) fn added(
        &mut self,
        now: Instant,
        address: kernel::Address,
        outcome: Result<(), String>,
    ) {
        if outcome.is_ok() && address.ip.is_ipv6() && !self.proven.contains(&address) {
            // It works a moment later, and the kernel says when.
            self.unproven.insert(address, now + PROOF);
            return;
        }
        self.settled(now, address, outcome.err());
    }

    /// An address works, or was refused.
    pub(super) fn settled(
        &mut self,
        now: Instant,
        address: kernel::Address,
        refusal: Option<String>,
    ) {
        for key in self.holdings.with(&address) {
            let Some(holding) = self.holdings.sets.get_mut(&key) else { continue };
            match &mut holding.state {
                State::Adding { left, refused } => {
                    *left = left.saturating_sub(1);
                    if let (Some(why), None) = (&refusal, &refused) {
                        *refused = Some(format!("{}: {why}", address.ip));
                    }
                    if *left == 0 {
                        match refused.take() {
                            None => self.is_up(now, key),
                            Some(why) => self.could_not(now, key, why),
                        }
                    }
                }
                // Put back after somebody had taken it off.
                State::Up => match &refusal {
                    Some(why) => self.cannot_keep(now, key, format!("{}: {why}", address.ip)),
                    None => {
                        let placed = holding.placed.iter().find(|one| one.address == address);
                        if let Some(placed) = placed {
                            self.air.won(now, placed.said());
                        }
                    }
                },
                _ => {}
            }
        }
    }

    /// Addresses of version 6 that the kernel has not called usable in time are believed to be.
    pub(super) fn prove(&mut self, now: Instant) {
        let over: Vec<kernel::Address> = self
            .unproven
            .iter()
            .filter(|(_, until)| **until <= now)
            .map(|(address, _)| *address)
            .collect();
        for address in over {
            self.unproven.remove(&address);
            self.settled(now, address, None);
        }
    }

    /// A part of a set may be there: nobody else is to have it before that is off.
    pub(super) fn could_not(&mut self, now: Instant, key: SetKey, why: String) {
        let Some(holding) = self.holdings.sets.get(&key) else { return };
        let head = holding.set.head();
        let stays = |placed: &Placed| self.holdings.stays(&placed.address, key);
        let off: Vec<Placed> =
            holding.placed.iter().filter(|placed| !stays(placed)).cloned().collect();
        self.cannot_be_had(head, &why);
        let Some(holding) = self.holdings.sets.get_mut(&key) else { return };
        holding.placed.clone_from(&off);
        holding.state = State::Failing(off.len());
        if off.is_empty() {
            self.has_failed(now, key);
        } else {
            self.ask_kernel(Job::Remove(off.iter().map(|placed| placed.address).collect()));
        }
    }

    /// Nothing is left of what could not be added.
    fn has_failed(&mut self, now: Instant, key: SetKey) {
        self.holdings.sets.remove(&key);
        self.let_guardian_go(key);
        self.vip.handle_failed(now, key);
    }

    fn cannot_be_had(&mut self, head: IpAddr, why: &str) {
        self.alarm(Some(head), format!("{head} cannot be had here: {why}"));
    }

    pub(super) fn failed(&mut self, now: Instant, key: SetKey, head: IpAddr, why: String) {
        self.cannot_be_had(head, &why);
        self.vip.handle_failed(now, key);
    }

    /// All addresses of a set are there: everybody is told, then the group.
    pub(super) fn is_up(&mut self, now: Instant, key: SetKey) {
        let Some(holding) = self.holdings.sets.get_mut(&key) else { return };
        holding.state = State::Up;
        self.refusals.forget_stranger(key);
        let (contested, reason) = (holding.contested, holding.reason);
        for placed in &holding.placed {
            self.air.acquired(now, placed.said(), placed.net, contested);
        }
        *self.counters.came.entry(reason).or_default() += 1;
        let (set, took) = (holding.set.clone(), now.since(holding.since));
        let head = set.head();
        self.note(
            Some(head),
            format!("{head} is up here ({reason}, {:.1} ms)", took.as_secs_f64() * 1e3),
        );
        if self.config.historical {
            self.tell_historically("  UP", &set);
        }
        self.call(HookEvent::OnUp, &set, reason);
        self.round.up.insert(key);
        self.round.up_sets.push(set);
        self.round.up_reasons.insert(reason);
        self.to_confirm.push(key);
    }

    /// All addresses of a set are off.
    pub(super) fn is_down(&mut self, key: SetKey) {
        let Some(holding) = self.holdings.sets.remove(&key) else { return };
        *self.counters.went.entry(holding.reason).or_default() += 1;
        let head = holding.set.head();
        self.note(Some(head), format!("{head} is gone from here ({})", holding.reason));
        if self.config.historical {
            self.tell_historically("DOWN", &holding.set);
        }
        // After a fencing the guardian runs what was left with it, and what follows from the end of that is done then.
        let at_guardian = self.stopping.is_at_guardian(key);
        // But a program that starts it may still run here, or be about to: what stops it comes after that once more.
        let starts = self.hooks.is_busy(&set_name(&holding.set));
        let called = match at_guardian && !starts {
            true => None,
            false => self.call(HookEvent::OnDown, &holding.set, holding.reason),
        };
        self.round.down.insert(key);
        self.round.down_sets.push(holding.set.clone());
        self.round.down_reasons.insert(holding.reason);
        if at_guardian {
            // It is off, and another machine can have it, if only under quorum not before it is stopped.
            if !holding.set.quorum {
                self.to_release.push(key);
            }
            if let Some(called) = called {
                self.stopping.begin(key, holding, called);
            }
            return;
        }
        // What may never be there twice is released when its programs have ended.
        if called.is_none() || !holding.set.quorum {
            self.to_release.push(key);
        }
        match called {
            // Of a set that is let go the guardian does not know that its programs are to be run.
            Some(called) => self.stopping.begin(key, holding, called),
            None => self.let_guardian_go(key),
        }
    }

    /// The announcements are out, and what had to go is off: the group is told, of all in one word.
    pub(super) fn confirm(&mut self, now: Instant) -> bool {
        let up = std::mem::take(&mut self.to_confirm);
        let off = std::mem::take(&mut self.to_release);
        let any = !(up.is_empty() && off.is_empty());
        if !up.is_empty() {
            self.vip.handle_all_added(now, up);
        }
        if !off.is_empty() {
            self.vip.handle_all_removed(now, off);
        }
        any
    }

    pub(super) fn asked(
        &mut self,
        now: Instant,
        asked: Asked,
        adds: &mut Vec<(kernel::Address, Terms)>,
    ) {
        let (Asked::Free(address) | Asked::Taken(address, ..)) = asked;
        let Some((key, _)) = self.holdings.by_ip(address.ip) else { return };
        let is_new = self.vip.is_new_here(key);
        let Some(holding) = self.holdings.sets.get_mut(&key) else { return };
        let State::Asking(left) = &mut holding.state else { return };
        match asked {
            // A machine of the cluster may have been given it since, which is known when all have spoken.
            Asked::Taken(_, _, Some(_)) if is_new.is_none() => self.air.ask(now, address),
            Asked::Taken(_, mac, machine) if machine.is_none() || is_new == Some(true) => {
                let Some(holding) = self.holdings.sets.remove(&key) else { return };
                holding.placed.iter().for_each(|placed| self.air.cancel(placed.said()));
                let why = self.is_anothers(address.ip, mac, machine);
                self.failed(now, key, holding.set.head(), why.clone());
                if machine.is_some() {
                    self.is_a_machine_s(now, key, why);
                } else {
                    self.decisions.of_a_stranger();
                    self.refusals.of_a_stranger(now, key, why);
                }
            }
            // A take-over does not wait for the one that has it.
            Asked::Free(_) | Asked::Taken(..) => {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    self.put_on(now, key, adds);
                }
            }
        }
    }
}
