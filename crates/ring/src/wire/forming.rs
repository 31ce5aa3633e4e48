//! Agreeing on a new view, and giving each other what is missing of the old one.

use alloc::vec::Vec;

use super::bytes::{Put, Reader};
use super::{Tag, put_ring_id, ring_id};
use crate::bits::Bits;
use crate::settings::{MEMBERS_MAX, UNSTABLE_MAX};
use crate::view::RingId;

/// The leader's word that its proposal is accepted by all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) proposal: u64,
    /// The minor wire version of the new ring.
    pub(crate) minor: u8,
    /// The members, in member order.
    pub(crate) members: Vec<Tag>,
}

impl Commit {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.proposal);
        out.push(self.minor);
        out.put_var(self.members.len() as u64);
        self.members.iter().for_each(|tag| out.put_u64(tag.0));
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Option<Self> {
        let (proposal, minor) = (r.u64()?, r.u8()?);
        let count = r.count(8, MEMBERS_MAX)?;
        let members = (0..count).map(|_| r.u64().map(Tag)).collect::<Option<_>>()?;
        Some(Self { proposal, minor, members })
    }
}

/// What one member has of its old ring when it stopped it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Info {
    /// The old ring; zero if it never was in one.
    pub(crate) ring: RingId,
    /// Everything up to here was received.
    pub(crate) aru: u64,
    /// Everything up to here is known to be with all members of the old ring.
    pub(crate) stable: u64,
    /// What was received above `aru`, as (first, count), ascending and apart.
    pub(crate) above: Vec<(u64, u64)>,
    /// Members of the old ring, by place, whose messages must be delivered even behind a gap (Totem's obligation set).
    pub(crate) obligations: Bits,
    /// The greatest counter of any ring it knows of.
    pub(crate) counter: u64,
    /// The greatest time of any view it was in.
    pub(crate) time: u32,
    /// The timeout it would like, in milliseconds.
    pub(crate) timeout: u16,
}

impl Info {
    /// Whether it has packet `seq`.
    pub(crate) fn has(&self, seq: u64) -> bool {
        seq <= self.aru || self.above.iter().any(|&(first, n)| (first..first + n).contains(&seq))
    }

    /// The highest packet it has.
    pub(crate) fn high(&self) -> u64 {
        self.above.last().map_or(self.aru, |&(first, n)| first + n - 1)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_ring_id(out, self.ring);
        out.put_u64(self.aru);
        out.put_var(self.aru - self.stable.min(self.aru));
        ranges(out, self.aru, &self.above);
        let words = self.obligations.words();
        out.put_u64(words[0]);
        out.put_u64(words[1]);
        out.put_u64(self.counter);
        out.put_u32(self.time);
        out.put_u16(self.timeout);
    }

    fn decode(r: &mut Reader<'_>) -> Option<Self> {
        let (ring, aru) = (ring_id(r)?, r.number()?);
        let stable = aru.checked_sub(r.var()?)?;
        let above = read_ranges(r, aru)?;
        let obligations = Bits::from_words([r.u64()?, r.u64()?, 0, 0]);
        Some(Self {
            ring,
            aru,
            stable,
            above,
            obligations,
            counter: r.u64()?,
            time: r.u32()?,
            timeout: r.u16()?,
        })
    }
}

/// Ranges above `from`: gap and count, each at least 1.
fn ranges(out: &mut Vec<u8>, mut from: u64, ranges: &[(u64, u64)]) {
    out.put_var(ranges.len() as u64);
    for &(first, count) in ranges {
        out.put_var(first - from);
        out.put_var(count);
        from = first + count;
    }
}

fn read_ranges(r: &mut Reader<'_>, from: u64) -> Option<Vec<(u64, u64)>> {
    let ranges = r.count(2, UNSTABLE_MAX as usize)?;
    let mut next = from;
    let mut out = Vec::with_capacity(ranges);
    for _ in 0..ranges {
        let first = next.checked_add(r.var()?)?;
        let count = r.var()?;
        next = first.checked_add(count)?;
        if count == 0 || first <= from || next - from > 2 * UNSTABLE_MAX {
            return None;
        }
        out.push((first, count));
    }
    Some(out)
}

/// The answer to [`Commit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) proposal: u64,
    pub(crate) info: Info,
}

impl Ready {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.proposal);
        self.info.encode(out);
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Option<Self> {
        Some(Self { proposal: r.u64()?, info: Info::decode(r)? })
    }
}

/// A part of what everybody has, and what the new view will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Install {
    pub(crate) proposal: u64,
    pub(crate) ring: RingId,
    pub(crate) time: u32,
    /// The timeout of the new ring, in milliseconds.
    pub(crate) timeout: u16,
    /// The place of the first member told of here.
    pub(crate) first: u8,
    /// The members from there on.
    pub(crate) infos: Vec<Info>,
}

impl Install {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.proposal);
        put_ring_id(out, self.ring);
        out.put_u32(self.time);
        out.put_u16(self.timeout);
        out.push(self.first);
        out.put_var(self.infos.len() as u64);
        self.infos.iter().for_each(|info| info.encode(out));
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Option<Self> {
        let (proposal, ring, time, timeout, first) =
            (r.u64()?, ring_id(r)?, r.u32()?, r.u16()?, r.u8()?);
        let count = r.count(56, MEMBERS_MAX)?;
        let infos = (0..count).map(|_| Info::decode(r)).collect::<Option<_>>()?;
        Some(Self { proposal, ring, time, timeout, first, infos })
    }
}

/// Packets of the old ring that the sender needs from the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// The old ring, in short.
    pub(crate) ring: u64,
    pub(crate) from: u64,
    /// As (first, count), above `from`.
    pub(crate) ranges: Vec<(u64, u64)>,
}

impl Missing {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.ring);
        out.put_u64(self.from);
        ranges(out, self.from, &self.ranges);
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Option<Self> {
        let (ring, from) = (r.u64()?, r.number()?);
        Some(Self { ring, from, ranges: read_ranges(r, from)? })
    }
}

/// Requests in a token use the same form.
pub(super) fn put_ranges(out: &mut Vec<u8>, from: u64, list: &[(u64, u64)]) {
    ranges(out, from, list);
}

pub(super) fn take_ranges(r: &mut Reader<'_>, from: u64) -> Option<Vec<(u64, u64)>> {
    read_ranges(r, from)
}
