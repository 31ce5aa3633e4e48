//! What a member says of itself.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use super::read::{Malformed, Reader};
use super::write::Writer;
use super::{MEMBERS_MAX, SETS_MAX};
use crate::peer::Peer;
use crate::set::{ADDRESSES_PER_SET_MAX, Set};
use crate::vip::ViewId;

/// The most hardware addresses of a machine that others are told.
pub(crate) const MACS_MAX: usize = 64;
/// The most lost runs of one set: more never had it at a time.
pub(crate) const LOST_MAX: usize = 64;

/// What a member is, holds, and may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) view: ViewId,
    pub(crate) peer: Peer,
    pub(crate) sets: Vec<Said>,
    /// Members that were silent before this view, by name.
    pub(crate) silent: Vec<String>,
}

/// What a member says of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) set: Set,
    /// It lists it; otherwise it only remembers or still holds it.
    pub(crate) listed: bool,
    /// Its interfaces are there and up.
    pub(crate) able: bool,
    /// The addresses are, or may be, on its interfaces.
    pub(crate) held: bool,
    /// Somebody has held it before, as far as it knows.
    pub(crate) known: bool,
    pub(crate) preferred: bool,
    pub(crate) quorum: bool,
    /// An operator moved it to the holder.
    pub(crate) pinned: bool,
    /// It is being taken off, and may still be there.
    pub(crate) going: bool,
    /// Runs of the program that were lost with it, each by its boot, and for how long each may still answer for it.
    pub(crate) lost: Vec<(u64, Duration)>,
}

impl State {
    pub(super) fn write(&self, out: &mut Writer) {
        out.view(&self.view);
        let peer = &self.peer;
        out.text(&peer.machine);
        out.bytes(&peer.boot.to_le_bytes());
        match peer.shown {
            Some(ip) => out.ip(ip),
            None => out.byte(0),
        }
        out.number(peer.macs.len() as u64);
        peer.macs.iter().for_each(|mac| out.bytes(mac));
        out.byte(flags([
            peer.mature,
            peer.healthy,
            peer.drained,
            peer.leaving,
            peer.keep_unhealthy,
            peer.back_within.is_some(),
            peer.aside,
            peer.keeps,
        ]));
        out.number(u64::from(peer.weight));
        out.number(u64::from(peer.capacity));
        out.time(peer.lease);
        out.time(peer.prefer_after);
        out.time(peer.back_within.unwrap_or_default());
        out.number(peer.epoch);
        out.time(peer.uncertain);
        out.number(peer.quorum.len() as u64);
        for (machine, weight) in &peer.quorum {
            out.text(machine);
            out.number(u64::from(*weight));
        }
        out.number(self.sets.len() as u64);
        self.sets.iter().for_each(|said| said.write(out));
        out.number(self.silent.len() as u64);
        self.silent.iter().for_each(|name| out.text(name));
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let view = from.view()?;
        let machine = from.text()?;
        let boot = u64::from_le_bytes(from.array()?);
        let shown = match from.byte()? {
            0 => None,
            4 => Some(IpAddr::from(from.array::<4>()?)),
            6 => Some(IpAddr::from(from.array::<16>()?)),
            _ => return Err(Malformed::Wrong("an address")),
        };
        let count = from.count(MACS_MAX)?;
        let macs = (0..count).map(|_| from.array()).collect::<Result<_, _>>()?;
        let [mature, healthy, drained, leaving, keep_unhealthy, back, aside, keeps] =
            bits(from.byte()?);
        let weight = from.count(1_000)?.max(1) as u16;
        let capacity = from.count(usize::from(u16::MAX))? as u16;
        let (lease, prefer_after, within) = (from.time()?, from.time()?, from.time()?);
        let (epoch, uncertain) = (from.number()?, from.time()?);
        let count = from.count(MEMBERS_MAX)?;
        let mut quorum = alloc::collections::BTreeMap::new();
        for _ in 0..count {
            let machine = from.text()?;
            quorum.insert(machine, from.count(usize::from(u16::MAX))? as u16);
        }
        let count = from.count(SETS_MAX)?;
        let sets = (0..count).map(|_| Said::read(from)).collect::<Result<_, _>>()?;
        let count = from.count(MEMBERS_MAX)?;
        let silent = (0..count).map(|_| from.text()).collect::<Result<_, _>>()?;
        let peer = Peer {
            machine,
            boot,
            shown,
            macs,
            mature,
            healthy,
            drained,
            leaving,
            keep_unhealthy,
            aside,
            keeps,
            back_within: back.then_some(within),
            weight,
            capacity,
            lease,
            prefer_after,
            epoch,
            uncertain,
            quorum,
        };
        Ok(Self { view, peer, sets, silent })
    }
}

/// Added to the number of its addresses where a set is on no interface.
const HOOKS_ONLY: usize = 128;

impl Said {
    fn write(&self, out: &mut Writer) {
        let set = &self.set;
        out.byte(flags([
            self.listed,
            self.able,
            self.held,
            self.known,
            self.preferred,
            self.quorum,
            self.pinned,
            self.going,
        ]));
        out.number(self.lost.len() as u64);
        for (boot, time) in &self.lost {
            out.bytes(&boot.to_le_bytes());
            out.time(*time);
        }
        out.number((set.addresses().len() + usize::from(set.is_hooks_only()) * HOOKS_ONLY) as u64);
        let head = set.head();
        out.ip(head);
        set.addresses().iter().filter(|ip| **ip != head).for_each(|ip| out.ip(*ip));
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let [listed, able, held, known, preferred, quorum, pinned, going] = bits(from.byte()?);
        let count = from.count(LOST_MAX)?;
        let lost = (0..count)
            .map(|_| Ok((u64::from_le_bytes(from.array()?), from.time()?)))
            .collect::<Result<_, Malformed>>()?;
        let count = from.count(HOOKS_ONLY + ADDRESSES_PER_SET_MAX)?;
        let (count, hooks_only) = match count.checked_sub(HOOKS_ONLY) {
            Some(count) => (count, true),
            None => (count, false),
        };
        let addresses = (0..count).map(|_| from.ip()).collect::<Result<Vec<_>, _>>()?;
        let set = Set::new(&addresses).ok_or(Malformed::Wrong("a set"))?;
        let set = if hooks_only { set.hooks_only() } else { set };
        Ok(Self { set, listed, able, held, known, preferred, quorum, pinned, going, lost })
    }
}

fn flags(all: [bool; 8]) -> u8 {
    all.iter().enumerate().fold(0, |byte, (at, on)| byte | u8::from(*on) << at)
}

fn bits(byte: u8) -> [bool; 8] {
    core::array::from_fn(|at| byte >> at & 1 == 1)
}
