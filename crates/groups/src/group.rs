//! One group: its id, its members in member order, and those of them that are here.

use alloc::vec::Vec;

use spread_wire::{GroupName, PrivateName};

/// A daemon's place in the roster.
pub(crate) type Place = u16;

/// The first index of groups in a transitional view. Regular views count from 1 and do not get this far.
pub(crate) const TRANSITIONAL_INDEX: i32 = 1 << 30;
/// Changes of a group in one transitional view before its index could be one of another.
pub(crate) const TRANSITIONAL_CHANGES: i32 = 1 << 10;

/// What clients see of a view of daemons: the first two words of a group id. Ordered as sets of members are
/// (`spread-client-protocol.md`, 3.8): by the leader's id as a signed number, then the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ViewId {
    /// The virtual id of the view's first daemon.
    pub(crate) leader: i32,
    /// The view's time, seconds since 1970.
    pub(crate) time: i32,
}

/// What clients see as the id of a group's view. Equal ids mean the same view at all members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupId {
    /// The view of daemons in which the group was last changed by the network, or created.
    pub(crate) view: ViewId,
    /// From 1; one more with each join, leave and end of a session.
    pub(crate) index: i32,
}

impl From<GroupId> for spread_wire::GroupId {
    fn from(id: GroupId) -> Self {
        Self { proc: id.view.leader, time: id.view.time, index: id.index }
    }
}

/// A session somewhere: its daemon's place and its name there. Ordered as members of a group are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Member {
    pub(crate) place: Place,
    pub(crate) name: PrivateName,
}

/// A group with at least one member.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) name: GroupName,
    pub(crate) id: GroupId,
    /// It has or had members at lost daemons, so its view is not over yet.
    pub(crate) changed: bool,
    /// The id that members know, of a view that is over without their knowing it.
    pub(crate) unsignalled: Option<GroupId>,
    /// In member order.
    pub(crate) members: Vec<Member>,
    /// The slots of the members that are sessions of this daemon, in no order.
    pub(crate) local: Vec<u32>,
}

impl Group {
    /// The members at one daemon.
    pub(crate) fn members_at(&self, place: Place) -> &[Member] {
        let from = self.members.partition_point(|member| member.place < place);
        let to = self.members.partition_point(|member| member.place <= place);
        &self.members[from..to]
    }

    /// Moves the id into the transitional view that begins with `first`, to a value it never had.
    pub(crate) fn enter_transition(&mut self, first: GroupId) {
        let last = first.index.saturating_add(TRANSITIONAL_CHANGES);
        let again = self.id.view == first.view && (first.index..last).contains(&self.id.index);
        let index = if again { self.id.index.saturating_add(1) } else { first.index };
        self.id = GroupId { index, ..first };
        self.changed = true;
    }
}
