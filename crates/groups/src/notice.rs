//! The messages by which clients learn of members, ready to be written (`spread-client-protocol.md`, 3.8 to 3.11).
//!
//! Memberships are written straight from the table, without lists of names in between: a group of a hundred thousand
//! members is written once for all who get it.

use alloc::vec::Vec;

use bytes::Bytes;
use spread_wire::limits::{GROUP_ID_BYTES, HEADER_BYTES, NAME_FIELD_BYTES};
use spread_wire::{
    Cause, GroupName, Header, Hint, Order, PrivateGroup, Reject, ServiceType, Transitional,
};

use crate::group::{Group, GroupId, Member};
use crate::roster::Roster;

/// Bytes before the first vs set: group id, number of sets, offset of the receiver's own.
const BEFORE_SETS: usize = GROUP_ID_BYTES + 8;

/// A join, leave or end: the one set names the member it is about.
pub(crate) fn single(roster: &Roster, group: &Group, cause: Cause, subject: &Member) -> Bytes {
    membership(roster, group, cause, &[&[*subject]], 0)
}

/// A change by the network; a receiver came here with the members of the set `own`.
pub(crate) fn network(roster: &Roster, group: &Group, sets: &[&[Member]], own: usize) -> Bytes {
    membership(roster, group, Cause::Network, sets, own)
}

fn membership(
    roster: &Roster,
    group: &Group,
    cause: Cause,
    sets: &[&[Member]],
    own: usize,
) -> Bytes {
    let set_bytes = |set: &&[Member]| 4 + set.len() * NAME_FIELD_BYTES;
    let sets_bytes: usize = sets.iter().map(set_bytes).sum();
    let offset: usize = sets[..own.min(sets.len())].iter().map(set_bytes).sum();
    let names = group.members.len() * NAME_FIELD_BYTES;
    let header = Header {
        service: ServiceType::REG_MEMB_MESS | cause.into(),
        name: Some(group.name),
        groups: group.members.len() as i32,
        hint: Hint::default(),
        data_length: (BEFORE_SETS + sets_bytes) as i32,
    };
    let mut out = Vec::with_capacity(HEADER_BYTES + names + BEFORE_SETS + sets_bytes);
    out.extend_from_slice(&header.encode());
    write_members(&mut out, roster, &group.members);
    for word in [group.id.view.leader, group.id.view.time, group.id.index] {
        out.extend_from_slice(&Order::NATIVE.i32(word));
    }
    write_u32(&mut out, sets.len());
    write_u32(&mut out, offset);
    for set in sets {
        write_u32(&mut out, set.len());
        write_members(&mut out, roster, set);
    }
    out.into()
}

/// Some members may be lost; `id` is that of the view that ends.
pub(crate) fn transition(group: &GroupName, id: GroupId) -> Bytes {
    Transitional { group: *group, id: id.into() }.encode(Order::NATIVE)
}

/// The receiver has left `group`.
pub(crate) fn self_leave(group: &GroupName) -> Bytes {
    spread_wire::encode_self_leave(*group, Order::NATIVE)
}

/// The receiver, `session`, could not join `group`.
pub(crate) fn join_rejected(session: &PrivateGroup, group: &GroupName) -> Bytes {
    Reject::of_join(session, *group, Order::NATIVE).encode(Order::NATIVE)
}

fn write_u32(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&Order::NATIVE.u32(value as u32));
}

/// The private groups of `members`, each in a field of 32 bytes.
fn write_members(out: &mut Vec<u8>, roster: &Roster, members: &[Member]) {
    for member in members {
        let daemon = roster.daemon(member.place).map_or(&b""[..], |daemon| daemon.name.as_bytes());
        let end = out.len() + NAME_FIELD_BYTES;
        out.push(b'#');
        out.extend_from_slice(member.name.as_bytes());
        out.push(b'#');
        out.extend_from_slice(daemon);
        out.resize(end, 0);
    }
}
