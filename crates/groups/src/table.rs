//! All groups: by name, and by member, so that the end of a session touches only its own groups.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use spread_wire::GroupName;

use crate::group::{Group, GroupId, Member, Place};

/// Where a group is in the table, until it is removed.
pub(crate) type Handle = u32;

/// The groups. A group without members does not exist.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    slots: Vec<Option<Group>>,
    free: Vec<Handle>,
    by_name: BTreeMap<GroupName, Handle>,
    by_member: BTreeMap<Member, Vec<Handle>>,
    /// How many memberships the sessions of each daemon have.
    memberships: Vec<usize>,
}

impl Table {
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn find(&self, name: &GroupName) -> Option<Handle> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn get(&self, handle: Handle) -> Option<&Group> {
        self.slots.get(handle as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, handle: Handle) -> Option<&mut Group> {
        self.slots.get_mut(handle as usize)?.as_mut()
    }

    /// In bytewise order of names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.by_name.values().filter_map(|handle| self.get(*handle))
    }

    /// All groups, in bytewise order of names.
    pub(crate) fn handles(&self) -> Vec<Handle> {
        self.by_name.values().copied().collect()
    }

    /// The groups of a member that is about to leave them all, in bytewise order of names.
    ///
    /// The member's own list is given away whole, so that leaving a hundred thousand groups is not a search each time.
    pub(crate) fn take_groups_of(&mut self, member: &Member) -> Vec<Handle> {
        let mut handles = self.by_member.remove(member).unwrap_or_default();
        handles.sort_unstable_by_key(|handle| self.get(*handle).map(|group| group.name));
        handles
    }

    /// The groups that have a member at one of `places`, in bytewise order of names.
    pub(crate) fn groups_at(&self, places: &[Place]) -> Vec<Handle> {
        let touched =
            |group: &Group| places.iter().any(|place| !group.members_at(*place).is_empty());
        let handles = self.by_name.values().copied();
        handles.filter(|handle| self.get(*handle).is_some_and(touched)).collect()
    }

    /// All memberships of one daemon's sessions.
    pub(crate) fn memberships_at(&self, place: Place) -> usize {
        self.memberships.get(usize::from(place)).copied().unwrap_or(0)
    }

    /// The memberships of one session.
    pub(crate) fn memberships_of(&self, member: &Member) -> usize {
        self.by_member.get(member).map_or(0, Vec::len)
    }

    /// Finds the group, or creates it with `id`, for a member that is to come.
    pub(crate) fn find_or_create(&mut self, name: GroupName, id: GroupId) -> Handle {
        if let Some(handle) = self.find(&name) {
            return handle;
        }
        self.put(Group {
            name,
            id,
            changed: false,
            unsignalled: None,
            members: Vec::new(),
            local: Vec::new(),
        })
    }

    /// Adds a group that is not there yet, with all its members.
    pub(crate) fn put(&mut self, group: Group) -> Handle {
        let handle = self.free.pop().unwrap_or(self.slots.len() as Handle);
        self.by_name.insert(group.name, handle);
        for member in &group.members {
            self.by_member.entry(*member).or_default().push(handle);
            count(&mut self.memberships, member.place, 1);
        }
        if handle as usize == self.slots.len() {
            self.slots.push(Some(group));
        } else {
            self.slots[handle as usize] = Some(group);
        }
        handle
    }

    /// Adds a member; false if it is there already.
    pub(crate) fn join(&mut self, handle: Handle, member: Member, local: Option<u32>) -> bool {
        let Some(group) = self.slots.get_mut(handle as usize).and_then(Option::as_mut) else {
            return false;
        };
        let Err(at) = group.members.binary_search(&member) else { return false };
        group.members.insert(at, member);
        group.local.extend(local);
        self.by_member.entry(member).or_default().push(handle);
        count(&mut self.memberships, member.place, 1);
        true
    }

    /// Removes a member; false if it is not there. Whoever calls looks whether the group is empty now.
    pub(crate) fn leave(&mut self, handle: Handle, member: &Member, local: Option<u32>) -> bool {
        let Some(group) = self.slots.get_mut(handle as usize).and_then(Option::as_mut) else {
            return false;
        };
        let Ok(at) = group.members.binary_search(member) else { return false };
        group.members.remove(at);
        if let Some(at) = group.local.iter().position(|slot| Some(*slot) == local) {
            group.local.swap_remove(at);
        }
        if let Some(handles) = self.by_member.get_mut(member) {
            handles.retain(|other| *other != handle);
            if handles.is_empty() {
                self.by_member.remove(member);
            }
        }
        count(&mut self.memberships, member.place, -1);
        true
    }

    /// Forgets the group if it has no members left; true if it had none.
    pub(crate) fn remove_if_empty(&mut self, handle: Handle) -> bool {
        let Some(group) = self.get(handle) else { return true };
        if !group.members.is_empty() {
            return false;
        }
        let name = group.name;
        self.by_name.remove(&name);
        self.slots[handle as usize] = None;
        self.free.push(handle);
        true
    }
}

fn count(memberships: &mut Vec<usize>, place: Place, change: isize) {
    let place = usize::from(place);
    if memberships.len() <= place {
        memberships.resize(place + 1, 0);
    }
    memberships[place] = memberships[place].saturating_add_signed(change);
}
