//! The table of a synced set as bytes, for daemons that do not know it.
//!
//! ```text
//! sessions   for each daemon of the set, in member order: number, then length and bytes of each private name, ascending
//! view ids   number, then leader and time of each, 4 bytes each, ascending
//! groups     number, then for each, in ascending order of names:
//!              bytes in common with the name before, length of the rest, the rest
//!              which view id, index; twice the number of members, plus 1 if the view of the group is not over
//!              the members, ascending: which session, as the distance to the one before
//! ```
//!
//! Numbers have 7 bits in each byte, lowest first, and the highest bit in all but the last. Every name stands once: ten
//! thousand groups of ten members are some 350,000 bytes. Bytes behind the groups are for newer versions.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use spread_wire::{GroupName, PrivateName};

use crate::group::{Group, GroupId, Member, Place, ViewId};
use crate::limits::{LOCAL_MEMBERS_MAX, MEMBERSHIPS_PER_DAEMON};
use crate::payload::Malformed;

/// Writes `groups`, which are in ascending order of names and have members at daemons of `set` only.
pub(crate) fn encode(groups: &[Group], set: &[Place]) -> Vec<u8> {
    let mut out = Vec::new();
    let members = groups.iter().flat_map(|group| group.members.iter().copied());
    let mut sessions: Vec<Member> = members.collect();
    sessions.sort_unstable();
    sessions.dedup();
    for place in set {
        let from = sessions.partition_point(|session| session.place < *place);
        let to = sessions.partition_point(|session| session.place <= *place);
        write_number(&mut out, to - from);
        for session in &sessions[from..to] {
            write_name(&mut out, session.name.as_bytes());
        }
    }
    let views: BTreeSet<ViewId> = groups.iter().map(|group| group.id.view).collect();
    let views: Vec<ViewId> = views.into_iter().collect();
    write_number(&mut out, views.len());
    for view in &views {
        out.extend_from_slice(&view.leader.to_le_bytes());
        out.extend_from_slice(&view.time.to_le_bytes());
    }
    write_number(&mut out, groups.len());
    let mut before: &[u8] = b"";
    for group in groups {
        let name = group.name.as_bytes();
        let common = name.iter().zip(before).take_while(|(a, b)| a == b).count();
        write_number(&mut out, common);
        write_name(&mut out, &name[common..]);
        before = name;
        let view = views.binary_search(&group.id.view).unwrap_or_default();
        write_number(&mut out, view);
        write_number(&mut out, group.id.index as u32 as usize);
        write_number(&mut out, group.members.len() * 2 + usize::from(group.changed));
        let mut next = 0;
        for member in &group.members {
            let at = sessions.binary_search(member).unwrap_or_default();
            write_number(&mut out, at.saturating_sub(next));
            next = at + 1;
        }
    }
    out
}

fn write_number(out: &mut Vec<u8>, mut number: usize) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn write_name(out: &mut Vec<u8>, name: &[u8]) {
    out.push(name.len() as u8);
    out.extend_from_slice(name);
}

/// Reads what the synced set `set` says. Groups come in ascending order, each with at least one member.
pub(crate) fn decode(bytes: &[u8], set: &[Place]) -> Result<Vec<Group>, Malformed> {
    let mut reader = Reader(bytes);
    let sessions = reader.sessions(set)?;
    let count = reader.count()?;
    let mut views = Vec::with_capacity(count);
    for _ in 0..count {
        views.push(ViewId { leader: reader.i32()?, time: reader.i32()? });
    }
    let count = reader.count()?;
    let mut groups: Vec<Group> = Vec::with_capacity(count.min(MEMBERSHIPS_PER_DAEMON));
    let mut budget = Budget { memberships: set.iter().map(|place| (*place, 0)).collect() };
    for _ in 0..count {
        let before = groups.last().map(|group| group.name);
        let name = reader.group_name(before.as_ref())?;
        let view = *views.get(reader.number()?).ok_or(Malformed)?;
        let index = u32::try_from(reader.number()?).map_err(|_| Malformed)? as i32;
        let number = reader.number()?;
        let members = reader.members(number / 2, &sessions)?;
        budget.spend(&members)?;
        groups.push(Group {
            name,
            id: GroupId { view, index },
            changed: number % 2 == 1,
            unsignalled: None,
            members,
            local: Vec::new(),
        });
    }
    Ok(groups)
}

/// The limits that hold for all daemons hold for what is told of them too.
struct Budget {
    memberships: Vec<(Place, usize)>,
}

impl Budget {
    fn spend(&mut self, members: &[Member]) -> Result<(), Malformed> {
        for here in members.chunk_by(|a, b| a.place == b.place) {
            let place = here.first().map(|member| member.place);
            let entry = self.memberships.iter_mut().find(|(other, _)| Some(*other) == place);
            let (_, memberships) = entry.ok_or(Malformed)?;
            *memberships += here.len();
            if here.len() > LOCAL_MEMBERS_MAX || *memberships > MEMBERSHIPS_PER_DAEMON {
                return Err(Malformed);
            }
        }
        Ok(())
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, Malformed> {
        let (&byte, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(byte)
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn i32(&mut self) -> Result<i32, Malformed> {
        let bytes = self.bytes(4)?.try_into().map_err(|_| Malformed)?;
        Ok(i32::from_le_bytes(bytes))
    }

    fn number(&mut self) -> Result<usize, Malformed> {
        let mut number = 0u64;
        // Five bytes hold 35 bits: enough for anything that is counted here.
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return usize::try_from(number).map_err(|_| Malformed);
            }
        }
        Err(Malformed)
    }

    /// The number of things that follow, each of at least one byte: what cannot be there is not believed, so that a few
    /// bytes cannot ask for much memory.
    fn count(&mut self) -> Result<usize, Malformed> {
        self.number().ok().filter(|count| *count <= self.0.len()).ok_or(Malformed)
    }

    fn name(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.byte()?;
        self.bytes(length.into())
    }

    fn sessions(&mut self, set: &[Place]) -> Result<Vec<Member>, Malformed> {
        let mut sessions: Vec<Member> = Vec::new();
        for place in set {
            for _ in 0..self.count()? {
                let name = PrivateName::new(self.name()?).map_err(|_| Malformed)?;
                sessions.push(Member { place: *place, name });
            }
        }
        if sessions.is_sorted_by(|a, b| a < b) { Ok(sessions) } else { Err(Malformed) }
    }

    fn group_name(&mut self, before: Option<&GroupName>) -> Result<GroupName, Malformed> {
        let common = self.number()?;
        let rest = self.name()?;
        let start = before.map_or(&b""[..], GroupName::as_bytes).get(..common).ok_or(Malformed)?;
        let mut name = Vec::with_capacity(common + rest.len());
        name.extend_from_slice(start);
        name.extend_from_slice(rest);
        let name = GroupName::new(&name).map_err(|_| Malformed)?;
        if before.is_none_or(|before| *before < name) { Ok(name) } else { Err(Malformed) }
    }

    fn members(&mut self, count: usize, sessions: &[Member]) -> Result<Vec<Member>, Malformed> {
        if count == 0 || count > sessions.len().min(self.0.len()) {
            return Err(Malformed);
        }
        let mut members = Vec::with_capacity(count);
        let mut next = 0;
        for _ in 0..count {
            let at = self.number()? + next;
            members.push(*sessions.get(at).ok_or(Malformed)?);
            next = at + 1;
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use proptest::prelude::*;

    fn member(place: Place, name: &str) -> Member {
        Member { place, name: PrivateName::new(name.as_bytes()).unwrap() }
    }

    fn group(name: &str, index: i32, changed: bool, members: &[Member]) -> Group {
        let name = GroupName::new(name.as_bytes()).unwrap();
        let id = GroupId { view: ViewId { leader: index - 7, time: 1_700_000_000 }, index };
        Group { name, id, changed, unsignalled: None, members: members.to_vec(), local: Vec::new() }
    }

    fn same(a: &[Group], b: &[Group]) -> bool {
        let parts = |groups: &[Group]| -> Vec<_> {
            groups.iter().map(|g| (g.name, g.id, g.changed, g.members.clone())).collect()
        };
        parts(a) == parts(b)
    }

    #[test]
    fn a_state_survives_its_bytes() {
        let (ann, ben, cat) = (member(1, "ann"), member(1, "ben"), member(4, "cat"));
        let groups = [
            group("net", 3, false, &[ann, ben, cat]),
            group("net1", -5, true, &[ben]),
            group("room", 1 << 30, false, &[cat]),
        ];
        let bytes = encode(&groups, &[1, 4]);
        assert!(same(&decode(&bytes, &[1, 4]).unwrap(), &groups));
        assert!(decode(&bytes, &[1]).is_err());
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length], &[1, 4]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn ten_thousand_groups_of_ten_share_their_names() {
        let sessions: Vec<Member> =
            (0..100).map(|i| member(i as Place % 3, &format!("session{i:02}"))).collect();
        let groups: Vec<Group> = (0..10_000)
            .map(|i| {
                let mut members: Vec<Member> =
                    (0..10).map(|k| sessions[(i * 7 + k * 11) % 100]).collect();
                members.sort_unstable();
                members.dedup();
                group(&format!("group-{i:06}"), 10, false, &members)
            })
            .collect();
        let bytes = encode(&groups, &[0, 1, 2]);
        assert!(bytes.len() < 250_000, "{} bytes", bytes.len());
        assert!(same(&decode(&bytes, &[0, 1, 2]).unwrap(), &groups));
    }

    #[test]
    fn a_group_without_members_and_names_out_of_order_are_refused() {
        let ann = member(0, "ann");
        let empty = [group("a", 1, false, &[]), group("b", 1, false, &[ann])];
        assert!(decode(&encode(&empty, &[0]), &[0]).is_err());
        let turned = [group("b", 1, false, &[ann]), group("a", 1, false, &[ann])];
        assert!(decode(&encode(&turned, &[0]), &[0]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes: Vec<u8>) {
            let _ = decode(&bytes, &[0, 1, 5]);
        }

        #[test]
        fn a_flipped_bit_is_no_panic(at in 0..1000usize, bit in 0..8u8) {
            let (ann, cat) = (member(1, "ann"), member(4, "cat"));
            let groups = [group("net", 3, false, &[ann, cat]), group("netz", 1, true, &[cat])];
            let mut bytes = encode(&groups, &[1, 4]);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = decode(&bytes, &[1, 4]);
        }
    }
}
