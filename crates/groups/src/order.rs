//! What each event of the ring does.
//!
//! The table speaks of the last completed view (the *roster*). From the ring's transitional event until the next view is
//! complete, groups that lost members keep them, marked as lost, so that their members are told the truth: they are in
//! transition. What happens then follows the table of `spread-semantics.md`, 3:
//!
//! - A group that lost members gets a TRANSITION with its old id; joins, leaves and ends in it are changes by the network,
//!   each followed by another TRANSITION. In other groups everything is as always.
//! - A view that brings nobody new is complete at once. Otherwise states are exchanged, and messages of the new view wait.
//! - If the new view ends before that, its messages are handled in the old one, in which the members still are: by all
//!   that go on together alike. Joins, leaves and ends of sessions of other synced sets are left out then, since those
//!   sets tell of them in the next exchange. A further loss is signalled only if something comes after it, in that view or in
//!   the next ones that end so.

use alloc::vec::Vec;

use bytes::Bytes;
use ring::{Daemon, Event, View};
use spread_wire::limits::NAME_FIELD_BYTES;
use spread_wire::{Cause, GroupName, PrivateName};

use crate::exchange::{self, Exchange, Waiting};
use crate::group::{Member, Place};
use crate::groups::{Groups, Output};
use crate::limits::{LOCAL_MEMBERS_MAX, MEMBERSHIPS_PER_DAEMON, MEMBERSHIPS_PER_SESSION};
use crate::notice;
use crate::payload::{self, Malformed, Payload, Regular};
use crate::table::Handle;

impl Groups {
    /// Takes the next event of the ring.
    pub fn handle_event(&mut self, event: &Event) {
        match event {
            Event::Installed(view) => self.installed(view),
            Event::Transitional { together } => {
                self.transitional = true;
                match &mut self.exchange {
                    Some(exchange) => {
                        exchange.waiting.push_back(Waiting::Transitional(together.clone()));
                    }
                    None => self.lose(together, true),
                }
            }
            Event::Delivered { sender, message, .. } => self.delivered(*sender, message),
        }
    }

    fn delivered(&mut self, sender: usize, message: &Bytes) {
        let Some(daemon) = self.view.as_ref().and_then(|view| view.members.get(sender)).copied()
        else {
            self.counters.malformed += 1;
            return;
        };
        let Some(exchange) = &mut self.exchange else {
            if payload::is_state(message) {
                self.counters.stale += 1;
            } else {
                self.handle(daemon, sender as Place, message);
            }
            return;
        };
        if !payload::is_state(message) {
            let regular = payload::is_regular(message);
            if !exchange.wait(daemon, message.clone(), regular) {
                self.counters.dropped += 1;
            }
            return;
        }
        match exchange.part(sender as Place, message) {
            Ok(None) => self.counters.stale += 1,
            Ok(Some(())) if exchange.is_complete() => self.exchanged(),
            Ok(Some(())) => {}
            Err(Malformed) => self.counters.malformed += 1,
        }
    }

    /// A new view of the ring.
    fn installed(&mut self, view: &View) {
        let Some(mine) = view.position(&self.me) else {
            self.counters.malformed += 1;
            return;
        };
        let mine = mine as Place;
        if !self.transitional && self.view.is_some() {
            // The ring says who goes on together before each new view but the first; this is for one that does not.
            let together = view.together_with(mine.into());
            self.handle_event(&Event::Transitional { together: together.into() });
        }
        self.parts.clear();
        if let Some(exchange) = self.exchange.take() {
            self.counters.cut_off += 1;
            self.handle_waiting(exchange, false);
        }
        self.view = Some(view.clone());
        self.transitional = false;
        let set: Vec<Place> = self
            .roster
            .synced()
            .filter_map(|daemon| view.position(daemon))
            .map(|at| at as Place)
            .collect();
        if set.len() == view.members.len() {
            self.complete(view, mine, Vec::new());
        } else {
            self.begin_exchange(view, mine, set);
        }
        self.update_pause();
    }

    fn begin_exchange(&mut self, view: &View, mine: Place, mut set: Vec<Place>) {
        set.sort_unstable();
        self.roster.begin(view);
        if set.first() == Some(&mine) {
            let state = crate::state::encode(&self.own_state(view), &set);
            self.parts = exchange::parts(view.id, &set, &state).into();
        }
        self.exchange = Some(Exchange::new(view.clone(), mine));
    }

    /// Everybody has told everything.
    fn exchanged(&mut self) {
        let Some(mut exchange) = self.exchange.take() else { return };
        let (others, wrong) = exchange.states();
        self.counters.malformed_states += wrong;
        self.counters.exchanges += 1;
        let view = exchange.view().clone();
        self.complete(&view, exchange.mine(), others);
        self.handle_waiting(exchange, true);
        self.update_pause();
    }

    /// Handles what came during an exchange, in its order; `completed` if that was not cut off.
    fn handle_waiting(&mut self, mut exchange: Exchange, completed: bool) {
        let last = exchange.waiting.iter().rposition(|one| matches!(one, Waiting::Message(..)));
        for (at, one) in exchange.waiting.drain(..).enumerate() {
            match one {
                Waiting::Message(daemon, message) => {
                    self.signal_late();
                    self.handle(daemon, Place::MAX, &message);
                }
                Waiting::Transitional(together) => {
                    // If nothing comes between this loss and the next view, and the one before was not completed either,
                    // one word about both is enough.
                    let followed = last.is_some_and(|last| last > at);
                    self.lose(&together, completed || followed);
                }
            }
        }
    }

    /// A loss at the end of an exchange that was cut off was not worth a word, but now something comes after it.
    fn signal_late(&mut self) {
        if !core::mem::take(&mut self.unsignalled) {
            return;
        }
        for handle in self.table.handles() {
            self.tell_late(handle);
        }
    }

    /// Those that are not among `together` are lost. Groups that have members there are in transition from now on.
    fn lose(&mut self, together: &[Daemon], tell: bool) {
        let newly = self.roster.lose_all_but(together);
        if newly.is_empty() {
            return;
        }
        self.unsignalled |= !tell;
        let first = self.roster.transitional_id();
        for handle in self.table.groups_at(&newly) {
            let Some(group) = self.table.get_mut(handle) else { continue };
            if !group.changed {
                group.unsignalled = Some(group.id);
            }
            if tell {
                self.tell_late(handle);
            }
            if let Some(group) = self.table.get_mut(handle) {
                group.enter_transition(first);
            }
        }
    }

    /// Handles one message in its order; `guess` is where its sender probably is in the roster.
    fn handle(&mut self, daemon: Daemon, guess: Place, message: &Bytes) {
        let place = match self.roster.daemon(guess) {
            Some(found) if *found == daemon => Some(guess),
            _ => self.roster.place(&daemon),
        };
        match (payload::parse(message), place) {
            (Ok(Payload::Regular(regular)), _) => self.multicast(&daemon, &regular, message),
            (Ok(Payload::Join(name, group)), Some(place)) => {
                self.join(Member { place, name }, group)
            }
            (Ok(Payload::Leave(name, group)), Some(place)) => {
                self.leave(Member { place, name }, &group);
            }
            (Ok(Payload::End(name)), Some(place)) => self.end(Member { place, name }),
            // Of another synced set, which tells of it itself.
            (Ok(Payload::Join(..) | Payload::Leave(..) | Payload::End(..)), None) => {}
            (Ok(Payload::Unknown), _) => self.counters.unknown += 1,
            (Err(Malformed), _) => self.counters.malformed += 1,
        }
    }

    /// Gives a message to the sessions here that it is for, once to each.
    fn multicast(&mut self, daemon: &Daemon, regular: &Regular<'_>, message: &Bytes) {
        let Some(sender) = session_at(&regular.sender, daemon) else {
            self.counters.malformed += 1;
            return;
        };
        let message = payload::in_native_order(message);
        self.mark += 1;
        if regular.discards_self
            && *daemon == self.me
            && let Ok(sender) = PrivateName::new(sender)
            && let Some(slot) = self.sessions.slot_of(&sender)
        {
            // As if it had the message already.
            self.first_time(slot);
        }
        for field in regular.groups.chunks_exact(NAME_FIELD_BYTES) {
            let Some(name) = field.first_chunk().and_then(GroupName::from_field) else { continue };
            if field[0] == b'#' {
                let to = session_at(&name, &self.me).and_then(|to| PrivateName::new(to).ok());
                let slot = to.and_then(|to| self.sessions.slot_of(&to));
                slot.into_iter().for_each(|slot| self.give_once(slot, &message));
            } else if let Some(handle) = self.table.find(&name) {
                // The list is taken out while it is gone through, which costs nothing.
                let local = self.take_local(handle);
                local.iter().for_each(|slot| self.give_once(*slot, &message));
                self.put_local(handle, local);
            }
        }
    }

    fn give_once(&mut self, slot: u32, message: &Bytes) {
        if self.first_time(slot) {
            self.give(slot, message, false);
        }
    }

    /// Whether the session in `slot` has not been given the present message yet; from now on it has.
    fn first_time(&mut self, slot: u32) -> bool {
        let mark = self.mark;
        self.sessions
            .at_mut(slot)
            .is_some_and(|session| core::mem::replace(&mut session.mark, mark) != mark)
    }

    fn join(&mut self, member: Member, name: GroupName) {
        let handle = self.table.find(&name);
        let group = handle.and_then(|handle| self.table.get(handle));
        if group.is_some_and(|group| group.members.binary_search(&member).is_ok()) {
            return;
        }
        let there = group.map_or(0, |group| group.members_at(member.place).len());
        let all = self.table.memberships_at(member.place);
        let own = self.table.memberships_of(&member);
        if there >= LOCAL_MEMBERS_MAX
            || all >= MEMBERSHIPS_PER_DAEMON
            || own >= MEMBERSHIPS_PER_SESSION
        {
            self.reject(&member, &name);
            return;
        }
        let local = self.local_slot(&member);
        let handle = self.table.find_or_create(name, self.roster.fresh_id());
        self.table.join(handle, member, local);
        let (lost, first) = (self.roster.is_lost(member.place), self.roster.transitional_id());
        let Some(group) = self.table.get_mut(handle) else { return };
        if lost && !group.changed {
            // The part of the network that the member is in may count on from the same id in its own way.
            group.enter_transition(first);
        } else {
            group.id.index = group.id.index.wrapping_add(1);
        }
        if group.changed {
            self.tell_change(handle, Some(&member), local);
            self.tell_transition(handle);
        } else {
            self.tell_single(handle, Cause::Join, &member);
        }
    }

    fn leave(&mut self, member: Member, name: &GroupName) {
        let Some(handle) = self.table.find(name) else { return };
        let local = self.local_slot(&member);
        if !self.table.leave(handle, &member, local) {
            return;
        }
        if let Some(slot) = local {
            self.give(slot, &notice::self_leave(name), true);
        }
        self.left(handle, Cause::Leave, &member);
    }

    /// The session is over: it leaves all its groups, and its name is free.
    fn end(&mut self, member: Member) {
        let local = self.local_slot(&member);
        for handle in self.table.take_groups_of(&member) {
            self.table.leave(handle, &member, local);
            self.left(handle, Cause::Disconnect, &member);
        }
        if local.is_some()
            && let Some(session) = self.sessions.release(&member.name)
            && session.alive
        {
            self.push_output(Output::Close { session: session.id });
        }
    }

    /// A member is gone from a group.
    fn left(&mut self, handle: Handle, cause: Cause, member: &Member) {
        if self.table.remove_if_empty(handle) {
            return;
        }
        let Some(group) = self.table.get_mut(handle) else { return };
        group.id.index = group.id.index.wrapping_add(1);
        if group.changed {
            self.tell_change(handle, None, None);
            self.tell_transition(handle);
        } else {
            self.tell_single(handle, cause, member);
        }
    }

    fn reject(&mut self, member: &Member, name: &GroupName) {
        self.counters.rejected += 1;
        if let Some(slot) = self.local_slot(member) {
            let message = notice::join_rejected(&self.private_group(&member.name), name);
            self.give(slot, &message, false);
        }
    }

    /// The slot of a member that is a session of this daemon.
    fn local_slot(&self, member: &Member) -> Option<u32> {
        let here = member.place == self.roster.mine();
        here.then(|| self.sessions.slot_of(&member.name)).flatten()
    }
}

/// The name of the session whose private group is `group`, if it is one of `daemon`. Cheaper than taking the group apart:
/// this is done for every message.
fn session_at<'a>(group: &'a GroupName, daemon: &Daemon) -> Option<&'a [u8]> {
    let name = group.as_bytes().strip_suffix(daemon.name.as_bytes())?;
    name.strip_prefix(b"#")?.strip_suffix(b"#").filter(|name| !name.is_empty())
}
