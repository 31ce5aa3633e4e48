//! Daemons find each other through a third that hears both.

use alloc::vec::Vec;
use core::time::Duration;

use base::Instant;

use crate::bits::Bits;
use crate::ring::Ring;
use crate::settings::ADDRESS_MAX;
use crate::wire::{Message, Tag};

/// A silent daemon that another member hears is greeted so often at most.
const GREETED: Duration = Duration::from_millis(50);
/// Unknown daemons asked for after one beacon.
const WHERE_MAX: usize = 8;

impl Ring {
    /// A member of our view hears somebody whom we do not hear: perhaps a wire is whole again, and who asks knows at once.
    pub(crate) fn greet(&mut self, now: Instant, place: usize) {
        if !self.ring_places().has(place) || !self.is_intact() {
            return;
        }
        let Some(peer) = self.peers.at(place) else { return };
        let silent: Bits = peer
            .statement
            .hears
            .iter()
            .filter_map(|heard| self.peers.place(heard.tag))
            .filter(|at| self.peers.at(*at).is_some_and(|other| !other.heard && !other.left))
            .collect();
        for at in silent.iter() {
            if let Some(other) = self.peers.at_mut(at)
                && now.since(other.greeted) >= GREETED
            {
                other.greeted = now;
                self.send_heartbeat(now, at, true);
            }
        }
    }

    /// A beacon says again what was said before: whom the speaker hears, and who is still not known here, it can introduce.
    pub(crate) fn ask_where(&mut self, place: usize) {
        let Some(peer) = self.peers.at(place) else { return };
        let unknown = |tag: &Tag| *tag != self.tag && self.peers.place(*tag).is_none();
        let tags = peer.statement.hears.iter().map(|heard| heard.tag).filter(unknown);
        let tags: Vec<Tag> = tags.take(WHERE_MAX).collect();
        let to = peer.tag;
        tags.into_iter().for_each(|tag| self.outbox.send(to, &Message::Where { tag }));
    }

    pub(crate) fn handle_where(&mut self, from: Tag, tag: Tag) {
        if self.peers.place(tag).is_none() {
            return;
        }
        let address = self.surroundings.address(tag);
        if !address.is_empty() && address.len() <= ADDRESS_MAX {
            self.outbox.send(from, &Message::Introduce { tag, address: &address });
        }
    }

    pub(crate) fn handle_introduce(
        &mut self,
        now: Instant,
        place: usize,
        tag: Tag,
        address: &[u8],
    ) {
        let heard = self.peers.at(place).is_some_and(|peer| peer.statement.heard(tag).is_some());
        if heard && tag != self.tag && self.peers.place(tag).is_none() {
            self.surroundings.introduce(tag, address);
            let card = self.card(now);
            self.outbox.send(tag, &Message::Hello { card, to_group: false });
        }
    }
}
