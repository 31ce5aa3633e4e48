//! What a daemon tells of the members of a group: views, transitional signals, and to a member that it has left
//! (protocol reference, 3.8 to 3.10).
//!
//! Daemons of version 3 wrote another body; it is not read here.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::header::{Header, Hint, Order};
use crate::limits::{GROUP_ID_BYTES, NAME_FIELD_BYTES};
use crate::name::GroupName;
use crate::names::Names;
use crate::regular::begin;
use crate::service::{Cause, ServiceType};

/// Bytes before the vs sets: the group id, their number, the offset of the receiver's own.
const BEFORE_SETS: usize = GROUP_ID_BYTES + 8;

/// What tells one membership of a group from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId {
    /// The id of the daemon that formed the membership of the daemons.
    pub proc: i32,
    /// When it did, in Unix seconds or later.
    pub time: i32,
    /// How many changes of the group there were within that membership.
    pub index: i32,
}

impl GroupId {
    fn encode(self, order: Order) -> [u8; GROUP_ID_BYTES] {
        let mut bytes = [0; GROUP_ID_BYTES];
        for (place, value) in bytes.chunks_exact_mut(4).zip([self.proc, self.time, self.index]) {
            place.copy_from_slice(&order.i32(value));
        }
        bytes
    }

    fn decode(body: &mut Bytes, order: Order) -> Option<Self> {
        let mut next = || number(body, order);
        Some(Self { proc: next()? as i32, time: next()? as i32, index: next()? as i32 })
    }
}

/// The members of a group after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: GroupName,
    /// Why it changed.
    pub cause: Cause,
    /// Which membership of the group this is.
    pub id: GroupId,
    /// All members, in the order of their daemons and then bytewise by name.
    pub members: Names,
    /// Who came together: for a change of the daemons one set for each membership that they came from; otherwise one
    /// set with the one member that joined, left or was disconnected.
    pub sets: VsSets,
    /// Which of the sets, from 0, the receiver's daemon is in. `None` if the daemon told an offset at which no set
    /// begins.
    pub own: Option<usize>,
}

impl Membership {
    /// A change by one member: a join, a leave or the end of a session.
    pub fn of_one(
        group: GroupName,
        cause: Cause,
        id: GroupId,
        members: Names,
        changed: GroupName,
    ) -> Self {
        let sets = VsSets::new(&[Names::new([&changed])]);
        Self { group, cause, id, members, sets, own: Some(0) }
    }

    /// A change of the daemons; `own` is the set of the daemon that will send it.
    pub fn of_network(
        group: GroupName,
        id: GroupId,
        members: Names,
        sets: &[Names],
        own: usize,
    ) -> Self {
        let sets = VsSets::new(sets);
        Self { group, cause: Cause::Network, id, members, sets, own: Some(own) }
    }

    /// The one member that joined, left or was disconnected; `None` for a change of the daemons.
    pub fn changed(&self) -> Option<GroupName> {
        match self.cause {
            Cause::Network => None,
            Cause::Join | Cause::Leave | Cause::Disconnect => self.sets.iter().next()?.get(0),
        }
    }

    /// The members that came with the receiver's daemon.
    pub fn own_set(&self) -> Option<Names> {
        self.sets.iter().nth(self.own?)
    }

    /// The place of `member` among the members, from 0: what the original's library returns as the message's type.
    pub fn position(&self, member: &GroupName) -> Option<usize> {
        self.members.iter().position(|one| one == *member)
    }

    /// The whole message in `order`.
    pub fn encode(&self, order: Order) -> Bytes {
        let data = BEFORE_SETS + self.sets.encoded_len();
        let header = Header {
            service: ServiceType::REG_MEMB_MESS | self.cause.into(),
            name: Some(self.group),
            groups: self.members.len() as i32,
            hint: Hint::new(0, order),
            data_length: data as i32,
        };
        let mut bytes = begin(&header, order, &self.members, data);
        bytes.put_slice(&self.id.encode(order));
        bytes.put_slice(&order.u32(self.sets.len() as u32));
        bytes.put_slice(&order.u32(self.sets.offset(self.own.unwrap_or(0)) as u32));
        self.sets.encode_into(&mut bytes, order);
        bytes.freeze()
    }

    /// Reads what follows a header; `None` if the body contradicts itself.
    pub(crate) fn decode(
        header: &Header,
        order: Order,
        members: Names,
        mut body: Bytes,
    ) -> Option<Self> {
        let id = GroupId::decode(&mut body, order)?;
        let count = number(&mut body, order)?;
        let offset = number(&mut body, order)?;
        let sets = VsSets::decode(body, order, count)?;
        let own = sets.at_offset(offset as usize);
        let (group, cause) = (header.name?, header.service.cause()?);
        Some(Self { group, cause, id, members, sets, own })
    }
}

fn number(body: &mut Bytes, order: Order) -> Option<u32> {
    let value = order.read_u32(*body.first_chunk()?);
    body.advance(4);
    Some(value)
}

/// Lists of members, each with its length before it.
///
/// They stay as the bytes they came in, checked once, so a hostile daemon cannot make them take more memory than it sent.
#[derive(Clone)]
pub struct VsSets {
    bytes: Bytes,
    order: Order,
    count: usize,
}

impl VsSets {
    /// These sets.
    pub fn new(sets: &[Names]) -> Self {
        let order = Order::NATIVE;
        let mut bytes = BytesMut::new();
        sets.iter().for_each(|set| put(&mut bytes, order, set));
        Self { bytes: bytes.freeze(), order, count: sets.len() }
    }

    fn decode(bytes: Bytes, order: Order, count: u32) -> Option<Self> {
        let mut sets = Self { bytes, order, count: 0 };
        // As many as announced, and nothing behind them.
        let mut rest = sets.bytes.clone();
        while !rest.is_empty() {
            next(&mut rest, order)?;
            sets.count += 1;
        }
        (sets.count == count as usize).then_some(sets)
    }

    /// How many sets there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The sets in their order: by the membership their daemons came from.
    pub fn iter(&self) -> impl Iterator<Item = Names> + '_ {
        let mut rest = self.bytes.clone();
        core::iter::from_fn(move || next(&mut rest, self.order))
    }

    fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    /// Where a set begins, in bytes from the first.
    fn offset(&self, set: usize) -> usize {
        self.iter().take(set).map(|set| set_len(&set)).sum()
    }

    /// Which set begins there.
    fn at_offset(&self, offset: usize) -> Option<usize> {
        let mut begin = 0;
        self.iter().position(|set| {
            let here = begin == offset;
            begin += set_len(&set);
            here
        })
    }

    fn encode_into(&self, bytes: &mut BytesMut, order: Order) {
        if order == self.order {
            bytes.put_slice(&self.bytes);
        } else {
            self.iter().for_each(|set| put(bytes, order, &set));
        }
    }
}

fn set_len(set: &Names) -> usize {
    4 + set.as_bytes().len()
}

fn put(bytes: &mut BytesMut, order: Order, set: &Names) {
    bytes.put_slice(&order.u32(set.len() as u32));
    bytes.put_slice(set.as_bytes());
}

fn next(rest: &mut Bytes, order: Order) -> Option<Names> {
    let length = (number(rest, order)? as usize).checked_mul(NAME_FIELD_BYTES)?;
    (length <= rest.len()).then(|| Names::from_fields(rest.split_to(length)))
}

impl PartialEq for VsSets {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.iter().eq(other.iter())
    }
}

impl Eq for VsSets {}

impl core::fmt::Debug for VsSets {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The transitional signal: what follows it may not have been delivered to members of daemons that are cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transitional {
    /// The group.
    pub group: GroupName,
    /// The membership of the group that ends.
    pub id: GroupId,
}

impl Transitional {
    /// The whole message in `order`.
    pub fn encode(&self, order: Order) -> Bytes {
        let header = Header {
            service: ServiceType::TRANSITION_MESS,
            name: Some(self.group),
            groups: 0,
            hint: Hint::new(0, order),
            data_length: GROUP_ID_BYTES as i32,
        };
        let mut bytes = begin(&header, order, &Names::default(), GROUP_ID_BYTES);
        bytes.put_slice(&self.id.encode(order));
        bytes.freeze()
    }

    pub(crate) fn decode(header: &Header, order: Order, mut body: Bytes) -> Option<Self> {
        Some(Self { group: header.name?, id: GroupId::decode(&mut body, order)? })
    }
}

/// Tells a session that it has left `group`, in `order`.
pub fn encode_self_leave(group: GroupName, order: Order) -> Bytes {
    let header = Header {
        service: ServiceType::CAUSED_BY_LEAVE,
        name: Some(group),
        groups: 0,
        hint: Hint::new(0, order),
        data_length: 0,
    };
    Bytes::copy_from_slice(&header.encode_in(order))
}
