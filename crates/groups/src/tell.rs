//! Telling the members here what has become of their group.

use alloc::vec::Vec;

use bytes::Bytes;
use spread_wire::Cause;

use crate::group::{GroupId, Member};
use crate::groups::Groups;
use crate::notice;
use crate::table::Handle;

impl Groups {
    /// Tells the members here of one that came or went.
    pub(crate) fn tell_single(&mut self, handle: Handle, cause: Cause, member: &Member) {
        let Some(group) = self.table.get(handle) else { return };
        if self.any_wants_notices(&group.local) {
            let message = notice::single(&self.roster, group, cause, member);
            self.tell(handle, &message, None);
        }
    }

    /// Tells the members here of a change in a group that is in transition: those that go on together are one set, those
    /// at each lost daemon another, and one that has just come is alone and last.
    pub(crate) fn tell_change(
        &mut self,
        handle: Handle,
        joiner: Option<&Member>,
        joiner_slot: Option<u32>,
    ) {
        let Some(group) = self.table.get(handle) else { return };
        if !self.any_wants_notices(&group.local) {
            return;
        }
        let others = group.members.iter().copied().filter(|member| Some(member) != joiner);
        let (lost, together): (Vec<Member>, Vec<Member>) =
            others.partition(|member| self.roster.is_lost(member.place));
        let mut sets: Vec<&[Member]> = Vec::new();
        sets.extend((!together.is_empty()).then_some(&together[..]));
        sets.extend(lost.chunk_by(|a, b| a.place == b.place));
        sets.extend(joiner.map(core::slice::from_ref));
        let message = notice::network(&self.roster, group, &sets, 0);
        let own = joiner_slot.map(|_| notice::network(&self.roster, group, &sets, sets.len() - 1));
        self.tell(handle, &message, joiner_slot);
        if let (Some(slot), Some(own)) = (joiner_slot, own) {
            self.give(slot, &own, true);
        }
    }

    pub(crate) fn tell_transition(&mut self, handle: Handle) {
        if let Some(group) = self.table.get(handle) {
            self.signal(handle, group.id);
        }
    }

    /// Says that the view that members know is over, if it is and they do not know it.
    pub(crate) fn tell_late(&mut self, handle: Handle) {
        if let Some(id) = self.table.get_mut(handle).and_then(|group| group.unsignalled.take()) {
            self.signal(handle, id);
        }
    }

    fn signal(&mut self, handle: Handle, id: GroupId) {
        let Some(group) = self.table.get(handle) else { return };
        if self.any_wants_notices(&group.local) {
            let message = notice::transition(&group.name, id);
            self.tell(handle, &message, None);
        }
    }

    /// Gives a notice to the members here, but for one.
    pub(crate) fn tell(&mut self, handle: Handle, message: &Bytes, except: Option<u32>) {
        let local = self.take_local(handle);
        for slot in local.iter().filter(|slot| Some(**slot) != except) {
            self.give(*slot, message, true);
        }
        self.put_local(handle, local);
    }

    /// Whether a notice would be given to anyone of `slots`.
    pub(crate) fn any_wants_notices(&self, slots: &[u32]) -> bool {
        let sessions = slots.iter().filter_map(|slot| self.sessions.at(*slot));
        sessions.into_iter().any(|session| session.alive && session.wants_membership)
    }

    pub(crate) fn take_local(&mut self, handle: Handle) -> Vec<u32> {
        let group = self.table.get_mut(handle);
        group.map(|group| core::mem::take(&mut group.local)).unwrap_or_default()
    }

    pub(crate) fn put_local(&mut self, handle: Handle, local: Vec<u32>) {
        if let Some(group) = self.table.get_mut(handle) {
            group.local = local;
        }
    }
}
