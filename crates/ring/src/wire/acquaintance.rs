//! Getting known, and staying heard.

use alloc::vec::Vec;

use super::bytes::{NUMBERS, Put, Reader};
use super::{Message, Tag, put_ring_id, ring_id};
use crate::name::{DaemonName, NAME_MAX};
use crate::settings::ADDRESS_MAX;
use crate::view::RingId;

/// 128 bits that nobody can guess.
pub(crate) type Nonce = [u8; 16];

/// Who a daemon says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Card {
    pub(crate) name: DaemonName,
    /// The minor wire versions it speaks.
    pub(crate) minor_min: u8,
    pub(crate) minor_max: u8,
    /// What must be equal everywhere.
    pub(crate) configuration: u32,
    /// Where it is.
    pub(crate) site: u32,
    /// What clients see as its id.
    pub(crate) id: u32,
    /// How long it has been running, in milliseconds. Of two daemons with one name the younger gives way.
    pub(crate) age: u64,
}

impl Card {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.name.as_bytes().len() as u8);
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(&[self.minor_min, self.minor_max]);
        out.put_u32(self.configuration);
        out.put_var(self.age);
        out.put_u32(self.site);
        out.put_u32(self.id);
    }

    fn decode(r: &mut Reader<'_>) -> Option<Self> {
        let length = usize::from(r.u8()?);
        let name = DaemonName::new(r.take(length.min(NAME_MAX + 1))?).ok()?;
        let (minor_min, minor_max) = (r.u8()?, r.u8()?);
        (minor_min <= minor_max).then_some(())?;
        Some(Self {
            name,
            minor_min,
            minor_max,
            configuration: r.u32()?,
            age: r.var()?,
            site: r.u32()?,
            id: r.u32()?,
        })
    }
}

pub(super) fn hello(r: &mut Reader<'_>) -> Option<Message<'static>> {
    let to_group = r.u8()? & 1 == 1;
    Some(Message::Hello { card: Card::decode(r)?, to_group })
}

pub(super) fn proof(r: &mut Reader<'_>) -> Option<Message<'static>> {
    Some(Message::Proof { nonce: r.array16()?, card: Card::decode(r)? })
}

pub(super) fn introduce<'a>(r: &mut Reader<'a>) -> Option<Message<'a>> {
    let tag = Tag(r.u64()?);
    let length = r.count(1, ADDRESS_MAX)?;
    Some(Message::Introduce { tag, address: r.take(length)? })
}

/// A sign of life, always to one daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    /// The ring the sender is in.
    pub(crate) ring: RingId,
    /// The highest token it has seen there.
    pub(crate) token: u64,
    /// What it knows to be with all members there.
    pub(crate) stable: u64,
    /// Whether it holds the token now.
    pub(crate) holds: bool,
    /// Whether it wants an answer at once.
    pub(crate) ping: bool,
    /// The number of the sender's newest statement.
    pub(crate) statement: u64,
    /// The number of the receiver's newest statement that the sender has.
    pub(crate) has: u64,
    /// The sender's clock, in microseconds.
    pub(crate) stamp: u64,
    /// The newest stamp of the receiver, 0 for none, and how many microseconds ago it came.
    pub(crate) echo: u64,
    pub(crate) held: u64,
}

impl Heartbeat {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.holds) | u8::from(self.ping) << 1);
        put_ring_id(out, self.ring);
        out.put_var(self.token);
        out.put_var(self.stable);
        out.put_var(self.statement);
        out.put_var(self.has);
        out.put_var(self.stamp);
        out.put_var(self.echo);
        out.put_var(self.held);
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Option<Self> {
        let bits = r.u8()?;
        Some(Self {
            holds: bits & 1 != 0,
            ping: bits & 2 != 0,
            ring: ring_id(r)?,
            token: r.var().filter(|number| *number < NUMBERS)?,
            stable: r.var().filter(|number| *number < NUMBERS)?,
            statement: r.var()?,
            has: r.var()?,
            stamp: r.var()?,
            echo: r.var()?,
            held: r.var()?,
        })
    }
}
