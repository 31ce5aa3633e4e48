//! The sessions of this daemon's clients, and which names are taken.
//!
//! A name is taken from the moment a session is made until the end of the session was *delivered in order*, not until the
//! socket closed (`spread-client-protocol.md`, 2.5): until then messages from the old owner can still arrive, and others
//! still count it as a member.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use spread_wire::{PrivateGroup, PrivateName};

/// One session, never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    pub(crate) slot: u32,
    generation: u32,
}

/// Why there is no session for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A session has the name, or had it and its end is not yet delivered everywhere (reply -6, `REJECT_NOT_UNIQUE`).
    #[error(
        "the private name {0} is in use, or was until a moment ago; choose another or try again"
    )]
    Taken(PrivateName),
    /// As many sessions as allowed (reply -3, `REJECT_QUOTA`).
    #[error(
        "all {limit} sessions of this daemon are in use; wait until one ends, or raise the limit"
    )]
    Full {
        /// The limit of sessions.
        limit: usize,
    },
}

/// What is known of a session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) private: PrivateGroup,
    pub(crate) wants_membership: bool,
    /// False once its end was submitted: it gets nothing any more.
    pub(crate) alive: bool,
    /// The last message that was given to it, so that it gets one copy.
    pub(crate) mark: u64,
}

/// All sessions, by slot and by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    slots: Vec<Option<Session>>,
    generations: Vec<u32>,
    free: Vec<u32>,
    names: BTreeMap<PrivateName, u32>,
}

impl Sessions {
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Makes a session for `private`, of which there may be `limit`.
    pub(crate) fn open(
        &mut self,
        private: PrivateGroup,
        wants_membership: bool,
        limit: usize,
    ) -> Result<SessionId, Refusal> {
        let name = *private.private();
        if self.names.contains_key(&name) {
            return Err(Refusal::Taken(name));
        }
        if self.names.len() >= limit {
            return Err(Refusal::Full { limit });
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.generations.push(0);
            self.slots.len() as u32 - 1
        });
        let at = slot as usize;
        self.generations[at] = self.generations[at].wrapping_add(1);
        let id = SessionId { slot, generation: self.generations[at] };
        self.slots[at] = Some(Session { id, private, wants_membership, alive: true, mark: 0 });
        self.names.insert(name, slot);
        Ok(id)
    }

    /// The session, if it is still that one and not ended.
    pub(crate) fn alive(&self, id: SessionId) -> Option<&Session> {
        self.at(id.slot).filter(|session| session.id == id && session.alive)
    }

    /// The session in `slot`, ended or not.
    pub(crate) fn at(&self, slot: u32) -> Option<&Session> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// The session in `slot`, ended or not.
    pub(crate) fn at_mut(&mut self, slot: u32) -> Option<&mut Session> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// The slot of the session that has a name, ended or not.
    pub(crate) fn slot_of(&self, name: &PrivateName) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// Ends a session: its name stays taken until [`Sessions::release`]. Returns it, unless it had ended already.
    pub(crate) fn end(&mut self, id: SessionId) -> Option<PrivateName> {
        let session = self.at_mut(id.slot).filter(|session| session.id == id && session.alive)?;
        session.alive = false;
        Some(*session.private.private())
    }

    /// The end of the session was delivered: its name is free. Returns the session.
    pub(crate) fn release(&mut self, name: &PrivateName) -> Option<Session> {
        let slot = self.names.remove(name)?;
        self.free.push(slot);
        self.slots.get_mut(slot as usize)?.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private(name: &str) -> PrivateGroup {
        PrivateGroup::new(&PrivateName::new(name.as_bytes()).unwrap(), b"alpha").unwrap()
    }

    #[test]
    fn a_name_is_free_again_only_when_its_end_was_delivered() {
        let mut sessions = Sessions::default();
        let alice = private("alice");
        let first = sessions.open(alice, true, 10).unwrap();
        assert_eq!(sessions.end(first), Some(*alice.private()));
        assert_eq!(sessions.end(first), None);
        assert_eq!(sessions.open(alice, true, 10), Err(Refusal::Taken(*alice.private())));
        assert!(sessions.release(alice.private()).is_some());
        let second = sessions.open(alice, true, 10).unwrap();
        assert_ne!(first, second);
        assert!(sessions.alive(first).is_none());
        assert!(sessions.alive(second).is_some());
    }

    #[test]
    fn there_are_as_many_sessions_as_allowed() {
        let mut sessions = Sessions::default();
        sessions.open(private("a"), true, 2).unwrap();
        sessions.open(private("b"), true, 2).unwrap();
        assert_eq!(sessions.open(private("c"), true, 2), Err(Refusal::Full { limit: 2 }));
        sessions.release(private("a").private());
        assert!(sessions.open(private("c"), true, 2).is_ok());
    }
}
