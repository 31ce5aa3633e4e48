//! Fixed lists of daemons that change while the daemons run, and so differ while an operator goes from machine to machine.
//!
//! Everybody states of each daemon it hears whether its list has it. Two that do not list each other count as not hearing each
//! other, so a view is formed only of daemons that all list each other; in which order, its leader's list says, and all take that
//! from its commit. A view that stands is no reason to hurry: a member whom some lists have lost stays, until none of
//! the other members' lists has it. So there is no view change while lists are brought, one for those taken away, and one for those
//! who come.
//!
//! What clients see as the id of a daemon is what that daemon says of itself; whoever has it with another id in the list
//! does not list it. So all members of a view have the same ids.

use alloc::vec::Vec;

use base::Instant;

use super::{Graph, ME, Peer};
use crate::bits::Bits;
use crate::notice::Notice;
use crate::outbox::To;
use crate::ring::Ring;
use crate::settings::{Settings, UNSTABLE_MAX};
use crate::view::{Daemon, RingId};
use crate::wire::{Card, Message, Tag};

/// For so many beacons after the group has changed nobody counts as hearing it: so old can be what was said, and a little more.
const REGROUPED: u32 = 6;

impl Ring {
    /// Takes what can change while the daemon runs: the fixed list and its ids, the site, whether there is a group, heartbeat,
    /// timeouts, windows. `other_group` says that the group's address is another one now. This daemon's own name and id
    /// stay; whether there is a fixed list at all stays, too, and if that is to change nothing is taken.
    ///
    /// A standing view goes on. See the head of `membership/lists.rs` for what happens while lists differ.
    pub fn reload(&mut self, now: Instant, new: Settings, other_group: bool) {
        if new.fixed.is_some() != self.settings.fixed.is_some() {
            return;
        }
        if other_group {
            self.regrouped = now + self.settings.beacon * REGROUPED;
        }
        let mine = &mut self.settings;
        (mine.fixed, mine.ids) = (new.fixed, new.ids);
        (mine.configuration, mine.site, mine.group) = (new.configuration, new.site, new.group);
        mine.heartbeat = new.heartbeat;
        (mine.timeout_floor, mine.timeout_ceiling) = (new.timeout_floor, new.timeout_ceiling);
        mine.window = new.window.clamp(1, UNSTABLE_MAX as u16);
        mine.accelerated = new.accelerated;
        for place in 1..self.peers.end() {
            let listed = self.peers.at(place).map(|peer| self.lists(&peer.card));
            if let (Some(peer), Some(listed)) = (self.peers.at_mut(place), listed) {
                peer.listed = listed;
            }
        }
        // Everybody learns at once what we say of ourselves now, and who is new is looked for.
        let hello = Message::Hello { card: self.card(now), to_group: false };
        let tags: Vec<Tag> = self.peers.iter().map(|(_, peer)| peer.tag).collect();
        let datagram = bytes::Bytes::from(hello.encode());
        tags.into_iter().for_each(|tag| self.outbox.put(To::Peer(tag), datagram.clone()));
        self.beacon_at = now;
        (self.unlisted_by, self.struck_by) = (None, None);
        self.dirty = true;
    }

    /// What clients see as the id of a daemon.
    pub fn virtual_id(&self, daemon: &Daemon) -> u32 {
        if *daemon == self.settings.me {
            return self.id;
        }
        let place = self.peers.place(daemon.into());
        let peer = place.and_then(|at| self.peers.at(at));
        peer.map_or_else(|| self.settings.ids.of(&daemon.name), |peer| peer.card.id)
    }

    /// Whether a daemon goes by a fixed list if and only if this one does.
    pub(super) fn has_same_kind_of_list(&self, card: &Card) -> bool {
        let (mine, its) = (self.settings.configuration, card.configuration);
        its == mine || self.settings.fixed.is_some() && (its == 0) == (mine == 0)
    }

    /// Whether our list has this daemon. Without a list everybody is in it.
    pub(super) fn lists(&self, card: &Card) -> bool {
        let listed = |list: &Vec<_>| list.contains(&card.name);
        self.settings.fixed.as_ref().is_none_or(listed)
            && (self.settings.fixed.is_none() || self.settings.ids.of(&card.name) == card.id)
    }

    /// What a daemon says of itself may change with its list.
    pub(crate) fn note_card(&mut self, place: usize, card: Card) {
        let Some(peer) = self.peers.at_mut(place) else { return };
        // Words may overtake each other; ages grow.
        if card.name != peer.card.name || card.age < peer.card.age {
            return;
        }
        let new = (card.configuration, card.site);
        self.dirty |= new != (peer.card.configuration, peer.card.site);
        (peer.card.configuration, peer.card.site) = new;
        peer.card.age = card.age;
    }

    /// Takes out of the graph who hears whom without listing it, but not within a view that stands.
    pub(super) fn mind_lists(&self, graph: &mut Graph) {
        if self.peers.iter().all(|(_, peer)| peer.listed && peer.unlists.len() == 0) {
            return;
        }
        let mine = self.ring_places() | Bits::one(ME);
        let intact = self.is_intact();
        let stands: Vec<Option<RingId>> = graph
            .nodes
            .iter()
            .map(|node| node.as_ref().filter(|node| node.intact.is_some()).map(|node| node.ring))
            .collect();
        for (at, node) in graph.nodes.iter_mut().enumerate() {
            let Some(node) = node else { continue };
            let unlists: Bits = match self.peers.at(at) {
                Some(peer) => peer.unlists,
                None => self.peers.iter().filter(|(_, p)| !p.listed).map(|(at, _)| at).collect(),
            };
            // Not all members may have said by now that they are in our view; we know it.
            let ours = intact && mine.has(at);
            let companion = |other: &usize| {
                ours && mine.has(*other)
                    || node.intact.is_some() && stands.get(*other) == Some(&Some(node.ring))
            };
            node.hears = node.hears.iter().filter(|b| !unlists.has(*b) || companion(b)).collect();
        }
    }

    /// A member of our view whom no list of the others has any more.
    pub(super) fn struck(&self) -> Option<Daemon> {
        let ring = self.ring_places();
        let lost = |at: &usize| self.peers.at(*at).is_some_and(|peer| !peer.listed);
        let unlisted: Bits = ring.iter().filter(lost).collect();
        let others = || ring.iter().filter(|at| !unlisted.has(*at));
        let by_all = |at: &usize| {
            let says = |other: usize| self.peers.at(other).is_some_and(|p| p.unlists.has(*at));
            others().all(says)
        };
        let struck = unlisted.iter().find(by_all)?;
        self.peers.at(struck).map(|peer| peer.daemon)
    }

    /// Whether members may be in this order: by name, or as the list of whoever leads has them. What all take from one word is the
    /// same for all. Nobody is in it twice, or without being in our list or our view.
    pub(super) fn is_possible_order(&self, members: &[(usize, Daemon)]) -> bool {
        let mut names: Vec<_> = members.iter().map(|(_, daemon)| daemon.name).collect();
        let by_name = names.is_sorted();
        names.sort_unstable();
        let once = names.is_sorted_by(|a, b| a < b);
        let base = self.base();
        let ours = |at: usize| self.peers.at(at).is_none_or(|peer| peer.listed) || base.has(at);
        once && (by_name || self.settings.fixed.is_some())
            && members.iter().all(|(at, _)| ours(*at))
    }

    /// Whether all have the same list, and whether it has us.
    pub(super) fn note_lists(&mut self, notices: &mut Vec<Notice>) {
        if self.settings.fixed.is_none() {
            return;
        }
        let mine = self.settings.configuration;
        let ours = |peer: &&Peer| peer.heard && peer.listed;
        let heard = || self.peers.iter().map(|(_, peer)| peer).filter(ours);
        let mut other = heard().filter(|peer| peer.card.configuration != mine);
        match other.next() {
            Some(first) if !self.lists_differ => notices
                .push(Notice::ListsDiffer { name: first.daemon.name, count: other.count() + 1 }),
            None if self.lists_differ => notices.push(Notice::ListsAgree),
            _ => {}
        }
        let ring = self.ring_places();
        let unlists = |peer: &Peer| {
            let me = peer.statement.heard(self.tag);
            peer.heard && peer.listed && me.is_some_and(|me| me.unlisted)
        };
        let by = |outside: bool| {
            let mut by = self.peers.iter().filter(|(_, peer)| unlists(peer));
            by.find(|(at, _)| !outside || !ring.has(*at)).map(|(_, peer)| peer.daemon)
        };
        // Whoever struck us may not even look at our words any more: we stay struck until somebody lists us.
        let listed = self.peers.iter().any(|(_, peer)| {
            let me = peer.statement.heard(self.tag);
            peer.heard && me.is_some_and(|me| !me.unlisted)
        });
        let before = self.unlisted_by.filter(|_| !listed);
        let (unlisted_by, struck_by) = (by(false).or(before), by(true).or(before));
        if let (Some(by), None) = (unlisted_by, self.unlisted_by) {
            notices.push(Notice::Unlisted { by });
        }
        self.lists_differ = heard().any(|peer| peer.card.configuration != mine);
        (self.unlisted_by, self.struck_by) = (unlisted_by, struck_by);
    }

    /// A daemon with the right key and version sends something that is no message.
    pub(crate) fn note_malformed(&mut self, tag: Tag) {
        self.malformed = self.malformed.saturating_add(1);
        match self.peers.tagged(tag) {
            Some(peer) if peer.told_malformed => {}
            Some(peer) => {
                peer.told_malformed = true;
                let daemon = peer.daemon;
                self.tell(Notice::Malformed { daemon });
            }
            // Once: what is there of them all says the same.
            None if !self.told_unreadable => {
                self.told_unreadable = true;
                self.tell(Notice::Unreadable);
            }
            None => {}
        }
    }
}
