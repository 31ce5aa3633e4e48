//! What a daemon says of itself and of whom it hears. The newest replaces all before.

use alloc::vec::Vec;

use super::bytes::{Put, Reader};
use super::{Tag, put_ring_id, ring_id};
use crate::settings::PEERS_MAX;
use crate::view::RingId;

/// One daemon that the speaker hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) tag: Tag,
    /// It is heard by multicast as well.
    pub(crate) multicast: bool,
    /// It is in the view that the speaker proposes.
    pub(crate) proposed: bool,
    /// It is kept out because views with it did not last.
    pub(crate) kept_out: bool,
    /// It is not in the speaker's list of daemons.
    pub(crate) unlisted: bool,
}

/// See the file's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Statement {
    /// Grows with each statement of a boot.
    pub(crate) number: u64,
    /// The view the speaker is in, or was in last; zero before the first.
    pub(crate) ring: RingId,
    /// How many members that has.
    pub(crate) size: u8,
    /// As far as the speaker knows, all of them hear each other and the token goes round.
    pub(crate) intact: bool,
    /// The speaker gave way to an older daemon of its name.
    pub(crate) refused: bool,
    /// The speaker has just started and waits to be invited.
    pub(crate) fresh: bool,
    /// How many daemons the speaker hears that hear it.
    pub(crate) degree: u8,
    /// Whose proposal the speaker follows, and its number; its own if it proposes.
    pub(crate) follows: Option<(Tag, u64)>,
    /// Whom it hears, in the order of the tags.
    pub(crate) hears: Vec<Heard>,
}

impl Statement {
    /// Whether the speaker hears `tag`.
    pub(crate) fn heard(&self, tag: Tag) -> Option<&Heard> {
        self.hears.binary_search_by_key(&tag, |heard| heard.tag).ok().map(|at| &self.hears[at])
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_var(self.number);
        put_ring_id(out, self.ring);
        out.push(self.size);
        let bits = [self.intact, self.refused, self.fresh, self.follows.is_some()];
        out.push(bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit)));
        out.push(self.degree);
        if let Some((leader, number)) = self.follows {
            out.put_u64(leader.0);
            out.put_var(number);
        }
        out.put_var(self.hears.len() as u64);
        for heard in &self.hears {
            out.put_u64(heard.tag.0);
            let bits = [heard.multicast, heard.proposed, heard.kept_out, heard.unlisted];
            out.push(bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit)));
        }
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Option<Self> {
        let (number, ring, size, bits, degree) = (r.var()?, ring_id(r)?, r.u8()?, r.u8()?, r.u8()?);
        let follows = if bits & 8 == 0 { None } else { Some((Tag(r.u64()?), r.var()?)) };
        let count = r.count(9, PEERS_MAX)?;
        let mut hears = Vec::with_capacity(count);
        for _ in 0..count {
            let (tag, bits) = (Tag(r.u64()?), r.u8()?);
            hears.push(Heard {
                tag,
                multicast: bits & 1 != 0,
                proposed: bits & 2 != 0,
                kept_out: bits & 4 != 0,
                unlisted: bits & 8 != 0,
            });
        }
        if !hears.is_sorted_by(|a, b| a.tag < b.tag) {
            return None;
        }
        Some(Self {
            number,
            ring,
            size,
            intact: bits & 1 != 0,
            refused: bits & 2 != 0,
            fresh: bits & 4 != 0,
            degree,
            follows,
            hears,
        })
    }
}
