//! The kernel's thread: addresses are added, renewed and taken off here, and nowhere else.
//!
//! The kernel may take seconds for some hundred IPv6 addresses. So all of it is done in small parts, and between two parts
//! what is more urgent goes first: taking off, then adding IPv4, then renewing, then adding IPv6, then looking.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use base::Instant;
use tokio::sync::mpsc::UnboundedSender;
use vip::lease::Lease;

use super::basis::Shared;
use super::clock;
use crate::kernel::{self, Address, Connections, Held, Kernel, Reset};
use crate::passing::Program;

mod job;
mod renew;

pub(super) use job::{Done, Job, Terms};

/// With nothing to do it looks so often whether it has become time to renew.
const IDLE: Duration = Duration::from_secs(60);

/// How long the connections of addresses that go may take to be reset; those that are left hear of it when they next send.
const RESETTING: Duration = Duration::from_millis(50);

/// So often it looks whether what may not be added yet may be now.
const AGAIN: Duration = Duration::from_millis(2);
/// What has waited for so long is told of.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// The thread's own.
pub(super) struct Worker {
    kernel: Kernel,
    connections: Option<Connections>,
    program: Option<Program>,
    lease: Lease,
    seconds: NonZeroU32,
    shared: Arc<Shared>,
    held: BTreeMap<Address, Terms>,
    adding_v4: VecDeque<(Address, Terms)>,
    adding_v6: VecDeque<(Address, Terms)>,
    /// What is to be added of version 4, and of version 6, waits until then: the bus was not fresh.
    again: [Option<Instant>; 2],
    /// Since when something waits, and whether that was told.
    waiting: Option<(Instant, bool)>,
    removing: VecDeque<Address>,
    setting_aside: Vec<Address>,
    /// Those that are on the loopback interface now.
    aside: BTreeSet<IpAddr>,
    /// Of the round of renewals that is under way.
    renewing: VecDeque<Vec<Address>>,
    round: Option<Instant>,
    renewed: usize,
    looks: BTreeSet<Look>,
    ends: bool,
    /// The lease that is left behind, if anything is to be left.
    leaves: Option<NonZeroU32>,
    to: UnboundedSender<Done>,
}

/// The loopback interface has the number 1 in every network namespace.
fn on_loopback(ip: IpAddr) -> Address {
    Address { ip, prefix: if ip.is_ipv4() { 32 } else { 128 }, interface: 1 }
}

/// Whether an address at the start is what another run of this program has left behind.
///
/// Our mark alone does not say so: another program of this machine, with another list, has the same. What a run that is dead has left
/// of an earlier list runs out by its lease. But the image before this one may have left what this list does not name, and for longer.
fn is_left_behind(held: &Held, wanted: &BTreeSet<IpAddr>, handed_over: bool) -> bool {
    if wanted.contains(&held.address.ip) {
        // One that is there for ever, or for long, is an operator's, unless it bears our mark.
        !held.is_anothers()
    } else {
        handed_over && held.is_ours()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Look {
    Links,
    Neighbours,
}

impl Worker {
    pub(super) fn new(
        valid: Duration,
        fresh: Duration,
        shared: Arc<Shared>,
        program: Option<Program>,
        to: UnboundedSender<Done>,
    ) -> Result<Self, kernel::Error> {
        let seconds = u32::try_from(valid.as_secs()).ok().and_then(NonZeroU32::new);
        Ok(Self {
            kernel: Kernel::open()?,
            connections: Connections::open().ok(),
            program,
            lease: Lease::new(valid, fresh, clock::now()),
            seconds: seconds.unwrap_or(NonZeroU32::MIN),
            shared,
            held: BTreeMap::new(),
            adding_v4: VecDeque::new(),
            adding_v6: VecDeque::new(),
            again: [None; 2],
            waiting: None,
            removing: VecDeque::new(),
            setting_aside: Vec::new(),
            aside: BTreeSet::new(),
            renewing: VecDeque::new(),
            round: None,
            renewed: 0,
            looks: BTreeSet::new(),
            ends: false,
            leaves: None,
            to,
        })
    }

    /// Takes off what another run of this program has left behind; `handed_over` where that was the image before.
    pub(super) fn remove_leftovers(
        &mut self,
        wanted: &BTreeSet<IpAddr>,
        adopted: &BTreeSet<Address>,
        handed_over: bool,
    ) -> Result<Vec<Address>, kernel::Error> {
        let ours = |held: &Held| is_left_behind(held, wanted, handed_over);
        let left = self.kernel.list()?.into_iter().filter(ours).map(|held| held.address);
        let left: Vec<Address> = left.filter(|address| !adopted.contains(address)).collect();
        if !left.is_empty() {
            self.kernel.delete(&left)?;
        }
        Ok(left)
    }

    /// Works until it is told to end, or nobody is there any more to tell it anything.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        if let Err(error) = kernel::capabilities::drop_to_net_admin_and_raw(false) {
            self.tell(Done::Trouble(error.to_string()));
        }
        loop {
            if !self.take(jobs) {
                break;
            }
            self.step();
        }
        if let Some(seconds) = self.leaves {
            // What was to go before is another's.
            while !self.removing.is_empty() {
                self.remove();
            }
            self.leave_behind(seconds);
            return;
        }
        let all: Vec<Address> = self.held.keys().copied().collect();
        self.removing.extend(all);
        let aside: Vec<IpAddr> = self.aside.iter().copied().collect();
        self.end_aside(aside.iter());
        self.adding_v4.clear();
        self.adding_v6.clear();
        while !self.removing.is_empty() {
            self.remove();
        }
    }

    /// The last renewal, for the time in which nobody renews anything.
    fn leave_behind(&mut self, seconds: NonZeroU32) {
        for source in [false, true] {
            let some = self.held.iter().filter(|(_, terms)| terms.source == source);
            let some: Vec<Address> = some.map(|(address, _)| *address).collect();
            if !some.is_empty()
                && let Err(error) = self.kernel.add(&some, kernel::Lease { seconds, source })
            {
                self.tell(Done::Trouble(error.to_string()));
            }
        }
    }

    /// Goes on with what another image of this program has left, with the usual lease.
    pub(super) fn adopt(&mut self, address: Address, terms: Terms) {
        self.held.insert(address, terms);
    }

    /// The addresses that are there and bear our mark.
    pub(super) fn ours(&mut self) -> Result<BTreeSet<Address>, kernel::Error> {
        let all = self.kernel.list()?.into_iter();
        Ok(all.filter(Held::is_ours).map(|held| held.address).collect())
    }

    fn has_work(&self) -> bool {
        !(self.removing.is_empty()
            && self.setting_aside.is_empty()
            && !self.adds_v4()
            && !self.adds_v6()
            && self.renewing.is_empty()
            && self.looks.is_empty())
    }

    fn adds_v4(&self) -> bool {
        !self.adding_v4.is_empty() && self.waits(true).is_none()
    }

    /// Whether addresses of version 6 are to be added now. That may be slow, so what is there is renewed before.
    fn adds_v6(&self) -> bool {
        let pressed = !self.held.is_empty() && self.lease.is_pressed(clock::now());
        !self.adding_v6.is_empty() && !pressed && self.waits(false).is_none()
    }

    /// Until when what is to be added waits for the bus, if it does.
    fn waits(&self, v4: bool) -> Option<Instant> {
        let queue = if v4 { &self.adding_v4 } else { &self.adding_v6 };
        let again = self.again[usize::from(!v4)].filter(|_| !queue.is_empty());
        again.filter(|again| clock::now() < *again)
    }

    /// Takes all jobs; waits for one if there is nothing to do. False at the end.
    fn take(&mut self, jobs: &Receiver<Job>) -> bool {
        if !self.has_work() {
            let now = clock::now();
            let due = self.lease.next_timeout().since(now);
            let due = if self.held.is_empty() { IDLE } else { due };
            let again = [true, false].into_iter().filter_map(|v4| self.waits(v4)).min();
            let wait = due.min(again.map_or(IDLE, |again| again.since(now)));
            match jobs.recv_timeout(wait) {
                Ok(job) => self.enter(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        loop {
            match jobs.try_recv() {
                Ok(job) => self.enter(job),
                Err(TryRecvError::Empty) => return !self.ends,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn enter(&mut self, job: Job) {
        match job {
            Job::Add(all) => {
                let comes = |one: &Address| all.iter().any(|(address, _)| address == one);
                self.removing.retain(|one| !comes(one));
                self.setting_aside.retain(|one| !comes(one));
                self.again = [None; 2];
                for one in all {
                    let queue =
                        if one.0.ip.is_ipv4() { &mut self.adding_v4 } else { &mut self.adding_v6 };
                    queue.push_back(one);
                }
            }
            Job::Terms(all) => {
                for (address, terms) in all {
                    let adding = self.adding_v4.iter_mut().chain(&mut self.adding_v6);
                    let adding = adding.filter(|(one, _)| *one == address).map(|(_, terms)| terms);
                    adding.chain(self.held.get_mut(&address)).for_each(|held| *held = terms);
                }
            }
            Job::Aside(all) => self.setting_aside.extend(all),
            Job::Remove(all) => {
                let waits = |one: &(Address, Terms)| !all.contains(&one.0);
                self.adding_v4.retain(waits);
                self.adding_v6.retain(waits);
                if self.adding_v4.is_empty() && self.adding_v6.is_empty() {
                    self.waiting = None;
                }
                // What goes is off before the rest is set aside, and nobody would take it from there again.
                self.setting_aside.retain(|one| !all.contains(one));
                self.removing.extend(all);
            }
            Job::Links => drop(self.looks.insert(Look::Links)),
            Job::Neighbours => drop(self.looks.insert(Look::Neighbours)),
            // At once: it is quick, and what is added next is to find it there.
            Job::Pass(interfaces) => {
                if let Some(program) = &mut self.program {
                    let (at, refused) = program.put(&interfaces);
                    let refused = refused.into_iter().map(|(at, error)| (at, error.to_string()));
                    let refused = refused.collect();
                    self.tell(Done::Passing(at, refused));
                }
            }
            Job::End => self.ends = true,
            Job::HandOver(seconds) => {
                self.leaves = Some(seconds);
                self.ends = true;
            }
        }
    }

    /// The most urgent part of what there is to do.
    fn step(&mut self) {
        if !self.removing.is_empty() {
            self.remove();
        } else if !self.setting_aside.is_empty() {
            self.set_aside();
        } else if self.adds_v4() {
            self.add(true);
        } else if self.renews() {
            self.renew();
        } else if self.adds_v6() {
            self.add(false);
        } else if let Some(look) = self.looks.pop_first() {
            self.look(look);
        }
    }

    fn tell(&self, done: Done) {
        // Nobody hears it any more only when everything ends.
        let _ = self.to.send(done);
    }

    /// Adds one part, with the bus asked before and after, as for renewals: what was decided in a view that is long over, by a machine
    /// that has stood still, is another's by now. What may not be added waits; the core takes it back when there is a new view.
    fn add(&mut self, v4: bool) {
        let (queue, most) = if v4 { (&mut self.adding_v4, 100) } else { (&mut self.adding_v6, 50) };
        let part: Vec<(Address, Terms)> = queue.drain(..queue.len().min(most)).collect();
        let begun = clock::now();
        let mut outcomes: Vec<(Address, Result<(), String>)> = Vec::new();
        let mut waits: Vec<(Address, Terms)> = Vec::new();
        for (source, quorum) in [(false, false), (true, false), (false, true), (true, true)] {
            let terms = Terms { source, quorum };
            let some: Vec<Address> =
                part.iter().filter(|(_, of)| *of == terms).map(|(address, _)| *address).collect();
            if some.is_empty() {
                continue;
            }
            let word = self.shared.read().2.since;
            if !self.may_hold(quorum) {
                waits.extend(some.into_iter().map(|address| (address, terms)));
                continue;
            }
            let lease = kernel::Lease { seconds: self.seconds, source };
            let added = self.kernel.add(&some, lease);
            if !(self.lease.covers(clock::now(), word) || self.may_hold(quorum)) {
                // Nobody has been told of them.
                self.forfeit(&some);
                waits.extend(some.into_iter().map(|address| (address, terms)));
                continue;
            }
            match added {
                Ok(results) => {
                    for (address, result) in some.into_iter().zip(results) {
                        if result.is_ok() {
                            self.held.insert(address, terms);
                        }
                        outcomes.push((address, result.map_err(|error| error.to_string())));
                    }
                }
                Err(error) => {
                    let why = error.to_string();
                    // Nothing is known of them: off is safe.
                    let _ = self.kernel.delete(&some);
                    outcomes.extend(some.into_iter().map(|address| (address, Err(why.clone()))));
                }
            }
        }
        // Behind the others, of which some may be allowed.
        let queue = if v4 { &mut self.adding_v4 } else { &mut self.adding_v6 };
        queue.extend(waits);
        if outcomes.is_empty() {
            self.wait_for_bus(v4);
            return;
        }
        self.waiting = None;
        if !v4 {
            let ips: Vec<IpAddr> = outcomes.iter().map(|(address, _)| address.ip).collect();
            self.end_aside(ips.iter());
        }
        if self.round.is_none()
            && self.held.len() == outcomes.iter().filter(|(_, ok)| ok.is_ok()).count()
        {
            // The first ones.
            self.lease.began(begun);
        }
        self.tell(Done::Added(outcomes));
    }

    /// Nothing of a part may be added now. What waits for long is told of, once.
    fn wait_for_bus(&mut self, v4: bool) {
        let now = clock::now();
        self.again[usize::from(!v4)] = Some(now + AGAIN);
        let (since, told) = self.waiting.get_or_insert((now, false));
        if !*told && now.since(*since) >= TOLD_AFTER {
            *told = true;
            let why =
                "addresses that are to be here wait for a fresh word of the bus, or for a majority";
            self.tell(Done::Trouble(why.into()));
        }
    }

    /// Whether the bus is fresh enough to hold more, and there is a majority where that is needed.
    fn may_hold(&self, under_quorum: bool) -> bool {
        let (basis, quorum, bus) = self.shared.read();
        (quorum || !under_quorum) && self.lease.allows(clock::now(), basis, bus)
    }

    /// Onto the loopback interface first, so that nothing that comes finds nobody.
    fn set_aside(&mut self) {
        let all = std::mem::take(&mut self.setting_aside);
        let there: Vec<Address> = all.iter().map(|one| on_loopback(one.ip)).collect();
        // What nobody takes off runs out by itself.
        let lease = kernel::Lease { seconds: self.seconds, source: false };
        let Ok(results) = self.kernel.add(&there, lease) else { return };
        let taken = all.into_iter().zip(results).filter(|(_, result)| result.is_ok());
        let taken: Vec<Address> = taken.map(|(address, _)| address).collect();
        self.aside.extend(taken.iter().map(|address| address.ip));
        self.held.retain(|address, _| !taken.contains(address));
        for family in &mut self.renewing {
            family.retain(|address| !taken.contains(address));
        }
        if let Err(error) = self.kernel.delete(&taken) {
            self.tell(Done::Trouble(error.to_string()));
        }
    }

    /// Takes off what was set aside of these.
    fn end_aside<'a>(&mut self, ips: impl Iterator<Item = &'a IpAddr>) {
        let there: Vec<Address> =
            ips.filter(|ip| self.aside.remove(*ip)).map(|ip| on_loopback(*ip)).collect();
        if !there.is_empty()
            && let Err(error) = self.kernel.delete(&there)
        {
            self.tell(Done::Trouble(error.to_string()));
        }
    }

    fn remove(&mut self) {
        let part: Vec<Address> = self.removing.drain(..self.removing.len().min(200)).collect();
        self.reset(&part);
        self.forfeit(&part);
        self.tell(Done::Removed(part));
    }

    /// Resets what is connected to these, while they are there: a reset needs the address that it comes from.
    fn reset(&mut self, part: &[Address]) {
        let ips: BTreeSet<IpAddr> = part.iter().map(|address| address.ip).collect();
        if let Some(connections) = &mut self.connections {
            match connections.reset(&ips, RESETTING) {
                Ok(Reset::Done(count) | Reset::Partly { reset: count, .. }) if count > 0 => {
                    self.tell(Done::Reset(count as u64));
                }
                Ok(_) => {}
                Err(error) => self.tell(Done::Trouble(error.to_string())),
            }
        }
    }

    /// Takes these off at once and forgets them: what may be another's already has no time for connections.
    fn forfeit(&mut self, part: &[Address]) {
        let ips: BTreeSet<IpAddr> = part.iter().map(|address| address.ip).collect();
        self.held.retain(|address, _| !part.contains(address));
        match self.kernel.delete(part) {
            Ok(results) => {
                for result in results.into_iter().filter_map(Result::err) {
                    self.tell(Done::Trouble(result.to_string()));
                }
            }
            Err(error) => self.tell(Done::Trouble(error.to_string())),
        }
        self.end_aside(ips.iter());
        for family in &mut self.renewing {
            family.retain(|address| !part.contains(address));
        }
    }

    fn look(&mut self, look: Look) {
        let told = match look {
            Look::Links => self.kernel.links().map(Done::Links),
            Look::Neighbours => self.kernel.neighbours().map(Done::Neighbours),
        };
        self.tell(told.unwrap_or_else(|error| Done::Trouble(error.to_string())));
    }
}

#[cfg(test)]
mod tests;
