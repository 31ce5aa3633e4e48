//! What others do: strangers on the network, other programs on this machine, interfaces that come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use base::{Instant, MachineId};
use vip::SetKey;
use vip::neighbours::Mac;

use super::air::Claimed;
use super::answering::Asked;
use super::holding::{Holding, State};
use super::places::Place;
use super::run::Service;
use super::setup::kernel_addresses;
use super::worker::Job;
use crate::kernel::{self, Held};

/// An address that somebody else takes off again and again is given up after so many times.
const PUT_BACK_MAX: u32 = 5;
/// Once it has stayed for so long, that is forgotten.
const PUT_BACK_FORGOTTEN: Duration = Duration::from_secs(60);
/// After so long what was put back is told of.
const SETTLED: Duration = Duration::from_millis(100);
/// The smallest largest packet with which the kernel has IPv6 on an interface (RFC 8200 section 5).
const LEAST_MTU_OF_SIX: u32 = 1_280;

/// Why the kernel has no IPv6 on an interface whose packets are too small for it.
fn too_narrow_for_six(link: &kernel::Link) -> Option<String> {
    // Nothing is an interface of which it is not known.
    let narrow = (1..LEAST_MTU_OF_SIX).contains(&link.mtu);
    narrow.then(|| {
        format!(
            "interface {} has an MTU of {}, and IPv6 needs {LEAST_MTU_OF_SIX}",
            link.name, link.mtu
        )
    })
}

/// Why an address that this machine has for itself is no other's to hold.
fn is_own(ip: IpAddr, interface: &str) -> String {
    format!(
        "{ip} is an address of this machine itself, at {interface}, where this program has not put it; take it out of the list of all machines, or, if it was put on by another program, take it off there"
    )
}

impl Service {
    /// What is listed and is an address of this machine itself is not managed: it is never touched, and it says what networks there are, as
    /// any other does. Those with their interfaces.
    pub(super) fn look_what_is_managed(&mut self) -> BTreeMap<IpAddr, String> {
        let listed: BTreeSet<IpAddr> = kernel_addresses(&self.config).collect();
        // What is held here, and was put on once more by somebody else, goes on being held.
        let own = self.places.own(&listed).filter(|(ip, _)| self.head_of_held(*ip).is_none());
        let own: BTreeMap<IpAddr, String> = own.map(|(ip, name)| (ip, name.to_owned())).collect();
        self.managed = listed.into_iter().filter(|ip| !own.contains_key(ip)).collect();
        own
    }

    /// The head of the set that has this address on an interface here, or is about to.
    fn head_of_held(&self, ip: IpAddr) -> Option<IpAddr> {
        let (_, holding) = self.holdings.by_ip(ip)?;
        (!matches!(holding.state, State::Asking(_))).then(|| holding.set.head())
    }

    /// Why an address that was to come here is not to be had: somebody has it, and nobody of the group has given it to him.
    pub(super) fn is_anothers(&self, ip: IpAddr, mac: Mac, machine: Option<MachineId>) -> String {
        match machine.map(|id| self.machine_of(id)) {
            None => {
                format!("{ip} is in use by a stranger at {mac}; give that machine another address")
            }
            Some(machine) if self.air.is_member(mac) => format!(
                "{ip} is an address of {machine} itself, at {mac}, and not the cluster's; take it out of the list of all machines, or give {machine} another"
            ),
            Some(machine) => format!(
                "{ip} is in use by {machine} at {mac}, which is not in the group now; if it is an address of that machine itself, take it out of the list of all machines"
            ),
        }
    }

    /// Somebody else uses an address of ours.
    pub(super) fn claimed(&mut self, claim: Claimed) {
        match claim {
            Claimed::Apart(address, id) => {
                let machine = self.machine_of(id);
                let head = self.head_of_held(address.ip);
                if head.is_some() && self.seldom(format!("apart {}", address.ip)) {
                    // The daemon of the bus, where it is a program of its own, looks by itself and cannot be told to.
                    let what = if self.seek.is_some() { "; looking for it" } else { "" };
                    self.alarm(head, format!("{} is held by {machine} too: the network connects us and the bus does not{what}", address.ip));
                }
                if let Some(seek) = &self.seek {
                    seek();
                }
            }
            Claimed::Stranger { address, mac, defended } => {
                // What is only asked for is not kept: it is told of when it is not taken.
                let Some(head) = self.head_of_held(address.ip) else { return };
                if defended || self.seldom(format!("stranger {}", address.ip)) {
                    let what = if defended { "; told so, and kept" } else { "; kept" };
                    // After an upgrade of all at once each is a stranger to the others until they meet.
                    let unless = if self.machines.len() > 1 {
                        ""
                    } else {
                        ", unless it is one of the cluster that was not met yet"
                    };
                    self.alarm(Some(head), format!("{} is used by a stranger at {mac}{what}; give that machine another address{unless}", address.ip));
                    self.decisions.of_a_stranger();
                }
            }
        }
    }

    /// The kernel says that an address is there.
    pub(super) fn address_came(&mut self, now: Instant, held: &Held) {
        if held.address.ip.is_ipv6() && held.works() && self.managed.contains(&held.address.ip) {
            self.proven.insert(held.address);
            if self.unproven.remove(&held.address).is_some() {
                self.settled(now, held.address, None);
            }
        }
        if !self.managed.contains(&held.address.ip) {
            self.relist_soon(now);
            return;
        }
        let ours = !self.holdings.with(&held.address).is_empty();
        if ours && self.missing.remove(&held.address) {
            // A renewal has put it back.
            let said =
                vip::announce::Address { interface: held.address.interface, ip: held.address.ip };
            self.air.won(now, said);
        }
        if !ours && !held.is_ours() {
            // Whether it is this machine's own from now on is seen when the interfaces are listed.
            self.relist_soon(now);
            if !held.is_anothers() {
                self.tell_of_other(held.address.ip);
            }
        }
    }

    /// The kernel says that an address has gone.
    pub(super) fn address_went(&mut self, now: Instant, held: &Held) {
        self.proven.remove(&held.address);
        if !self.managed.contains(&held.address.ip) {
            self.relist_soon(now);
            return;
        }
        for key in self.holdings.with(&held.address) {
            let Some(holding) = self.holdings.sets.get_mut(&key) else { continue };
            // What goes is not missed.
            if !matches!(holding.state, State::Up) {
                continue;
            }
            let passes = self.places.link(held.address.interface).is_some_and(kernel::Link::passes);
            let (_, _, bus) = self.shared.read();
            if !passes || bus.ring.is_none() || now.since(bus.since) > self.config.lease {
                // Its lease ran out, or its link is down: what follows is decided elsewhere.
                self.missing.insert(held.address);
                continue;
            }
            // Whether it is still away, and the interface still there, is seen when both are listed: this word may be older than the
            // address that is there by now.
            self.taken_off.insert(held.address);
        }
        if !self.taken_off.is_empty() {
            self.ask_kernel(Job::Links);
        }
    }

    /// The interfaces were listed: what somebody has taken off is put back.
    pub(super) fn put_back(&mut self, now: Instant) {
        for address in std::mem::take(&mut self.taken_off) {
            let Some(link) = self.places.link(address.interface).filter(|link| link.passes())
            else {
                self.missing.insert(address);
                continue;
            };
            if link.addresses.iter().any(|held| held.address == address) {
                continue;
            }
            if address.ip.is_ipv6() && too_narrow_for_six(link).is_some() {
                // The kernel itself has taken it off, and would not have it again.
                self.missing.insert(address);
                continue;
            }
            for key in self.holdings.with(&address) {
                // What goes because of the same is not put back before.
                if !self.unable.contains_key(&key) {
                    self.put_back_of(now, key, address);
                }
            }
        }
    }

    pub(super) fn put_back_of(&mut self, now: Instant, key: SetKey, address: kernel::Address) {
        let Some(holding) = self.holdings.sets.get_mut(&key) else { return };
        let of = holding.placed.iter().find(|placed| placed.address == address);
        let (State::Up, Some(terms)) = (&holding.state, of.map(|placed| placed.terms)) else {
            return;
        };
        if now.since(holding.since) > PUT_BACK_FORGOTTEN {
            holding.put_back = 0;
            holding.since = now;
        }
        holding.put_back += 1;
        // Each address of the set may be taken off as often.
        let most = PUT_BACK_MAX * u32::try_from(holding.placed.len()).unwrap_or(u32::MAX);
        if holding.put_back > most {
            let why = "another program takes it off again and again";
            self.cannot_keep(now, key, why.into());
            return;
        }
        self.counters.put_back += 1;
        self.came_back.insert(address.ip, (key, now + SETTLED));
        self.relist_soon(now);
        self.ask_kernel(Job::Add(vec![(address, terms)]));
    }

    /// Says what was put back. Whoever takes everything off an interface does so one by one, and what is let go because of that is not
    /// told of as if it stayed.
    pub(super) fn tell_of_put_back(&mut self, now: Instant) {
        let all = std::mem::take(&mut self.came_back);
        let (due, rest): (BTreeMap<_, _>, BTreeMap<_, _>) =
            all.into_iter().partition(|(_, (_, at))| *at <= now);
        if !rest.is_empty() {
            self.relist_soon(now);
        }
        self.came_back = rest;
        for (ip, (key, _)) in due {
            let stays = !self.unable.contains_key(&key);
            let head = self.holdings.sets.get(&key).map(|holding| holding.set.head());
            if let Some(head) = head.filter(|_| stays) {
                let what = format!("{ip} was taken off by another program and is put back");
                self.alarm(Some(head), what);
            }
        }
    }

    /// Everything that was here is off, and not because it was to be.
    pub(super) fn all_gone(&mut self) {
        self.gone(|_| true);
    }

    /// The same of these.
    pub(super) fn gone(&mut self, which: impl Fn(&Holding) -> bool) {
        let of = self.holdings.sets.iter().filter(|(_, holding)| which(holding));
        let keys: Vec<SetKey> = of.map(|(key, _)| *key).collect();
        for key in keys {
            let Some(holding) = self.holdings.sets.get(&key) else { continue };
            let off: Vec<kernel::Address> =
                holding.placed.iter().map(|placed| placed.address).collect();
            for placed in &holding.placed {
                self.air.released(placed.said());
            }
            // What the kernel's thread still renews would come back.
            self.ask_kernel(Job::Remove(off));
            self.is_down(key);
        }
    }

    /// Which sets can be had here has to be looked at again. `back` are interfaces whose carrier has come back.
    pub(super) fn interfaces_changed(&mut self, now: Instant, back: &BTreeSet<u32>) {
        let mut used = BTreeSet::new();
        let mut asked = Vec::new();
        let mut verdicts = Vec::new();
        let own = self.look_what_is_managed();
        for (key, set) in &self.sets {
            let mut ips = set.addresses.iter().filter(|_| set.kernel).map(|address| address.ip);
            let mut why = ips.find_map(|ip| Some(is_own(ip, own.get(&ip)?)));
            let mut new = false;
            for address in set.addresses.iter().filter(|_| set.kernel) {
                match self.places.of(address, &self.managed) {
                    Place::On(index) => {
                        let link = self.places.link(index).filter(|_| address.ip.is_ipv6());
                        why = why.or_else(|| link.and_then(too_narrow_for_six));
                        new |= back.contains(&index);
                        used.insert((index, address.ip.is_ipv4()));
                        if address.ip.is_ipv4() {
                            let host = address.prefix == 32 && !address.source;
                            asked.push(Asked { key: *key, interface: index, host });
                        }
                    }
                    Place::NotNow(reason) => why = why.or(Some(reason)),
                }
            }
            why = why.or_else(|| self.refusals.of(*key).cloned());
            // Under quorum nobody else may have it either.
            if !set.quorum && self.stopping.is_certain(*key) {
                why = why.or_else(|| Some("the guardian is still stopping it".to_owned()));
            }
            verdicts.push((*key, set.head(), why, new));
        }
        self.look_who_answers(now, &asked);
        self.put_program(used.iter().map(|(interface, _)| *interface).collect());
        for trouble in self.air.know(&self.places, &used, &self.config) {
            self.alarm(None, trouble);
        }
        for index in back {
            self.air.link_up(now, *index);
        }
        let mut able = Vec::with_capacity(verdicts.len());
        for (key, head, why, new) in verdicts {
            let before = self.unable.get(&key);
            if before != why.as_ref() {
                match &why {
                    Some(why) => {
                        let why = format!("{head} cannot be held here: {why}");
                        self.alarm(Some(head), why);
                    }
                    None => self.note(Some(head), format!("{head} can be held here again")),
                }
            }
            able.push((key, why.is_none(), new));
            match why {
                Some(why) => drop(self.unable.insert(key, why)),
                None => drop(self.unable.remove(&key)),
            }
        }
        self.vip.handle_all_able(now, able);
        self.tell_of_others();
    }

    /// Addresses that somebody has put on interfaces here for ever, and that are the cluster's to give.
    pub(super) fn tell_of_others(&mut self) {
        let all = self.places.links().flat_map(|link| &link.addresses);
        let others =
            all.filter(|held| self.managed.contains(&held.address.ip) && held.is_anothers());
        let others: Vec<kernel::Address> = others.map(|held| held.address).collect();
        for address in others {
            if self.holdings.with(&address).is_empty() {
                self.tell_of_other(address.ip);
            }
        }
    }

    pub(super) fn tell_of_other(&mut self, ip: IpAddr) {
        if self.seldom(format!("other {ip}")) {
            self.alarm(Some(ip), format!("{ip} was put on an interface here by another program; it is held by the cluster, so take it off there"));
        }
    }
}
