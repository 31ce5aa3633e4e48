//! The token, and the word that it rests.

use alloc::vec::Vec;

use super::bytes::{Put, Reader};
use super::forming::{put_ranges, take_ranges};
use crate::settings::{MEMBERS_MAX, UNSTABLE_MAX};

/// The right to send, and what everybody has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Token {
    /// The ring, in short.
    pub(crate) ring: u64,
    /// Grows by one each time the token is passed on.
    pub(crate) number: u64,
    /// The highest packet numbered so far.
    pub(crate) seq: u64,
    /// By place: everything up to here was received. None is above `seq`, nor more than [`UNSTABLE_MAX`] below it.
    pub(crate) arus: Vec<u64>,
    /// Packets sent in the last rotation, new and again.
    pub(crate) sent: u32,
    /// Packets that the member which lost most has asked for again since the first member had the token.
    pub(crate) lost: u32,
    /// Members that could not send all they had in the last rotation.
    pub(crate) backlogged: u8,
    /// Most packets for one rotation.
    pub(crate) window: u16,
    /// The timeout in force, in milliseconds.
    pub(crate) timeout: u16,
    /// Visits in a row at which there was nothing to do.
    pub(crate) idle: u8,
    /// The place of the member that sent last.
    pub(crate) last_sender: u8,
    /// Packets that somebody misses, as (first, count), above the least of `arus`.
    pub(crate) missing: Vec<(u64, u64)>,
}

impl Token {
    /// What everybody has.
    pub(crate) fn stable(&self) -> u64 {
        self.arus.iter().copied().min().unwrap_or(self.seq)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.ring);
        out.put_u64(self.number);
        out.put_u64(self.seq);
        out.put_var(self.arus.len() as u64);
        self.arus.iter().for_each(|aru| out.put_var(self.seq - aru.min(&self.seq)));
        out.put_var(self.sent.into());
        out.put_var(self.lost.into());
        out.extend_from_slice(&[self.backlogged, self.idle, self.last_sender]);
        out.put_u16(self.window);
        out.put_u16(self.timeout);
        put_ranges(out, self.stable(), &self.missing);
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Option<Self> {
        let (ring, number, seq) = (r.u64()?, r.number()?, r.number()?);
        let count = r.count(1, MEMBERS_MAX)?;
        let mut arus = Vec::with_capacity(count);
        for _ in 0..count {
            let behind = r.var().filter(|behind| *behind <= UNSTABLE_MAX)?;
            arus.push(seq.checked_sub(behind)?);
        }
        let sent = u32::try_from(r.var()?).ok()?;
        let lost = u32::try_from(r.var()?).ok()?;
        let (backlogged, idle, last_sender) = (r.u8()?, r.u8()?, r.u8()?);
        let (window, timeout) = (r.u16()?, r.u16()?);
        let mut token = Self {
            ring,
            number,
            seq,
            arus,
            sent,
            lost,
            backlogged,
            window,
            timeout,
            idle,
            last_sender,
            missing: Vec::new(),
        };
        token.missing = take_ranges(r, token.stable())?;
        Some(token)
    }
}

/// The token rests, and everybody has everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    pub(crate) ring: u64,
    pub(crate) number: u64,
    pub(crate) seq: u64,
    /// The place of the member it rests with.
    pub(crate) holder: u8,
    /// The receiver is to pass it on to the others at its site.
    pub(crate) relay: bool,
}

impl Rest {
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        out.put_u64(self.ring);
        out.put_u64(self.number);
        out.put_u64(self.seq);
        out.extend_from_slice(&[self.holder, self.relay.into()]);
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            ring: r.u64()?,
            number: r.number()?,
            seq: r.number()?,
            holder: r.u8()?,
            relay: r.u8()? & 1 == 1,
        })
    }
}
