//! The second half of a change of view: members give each other what is missing of their old ring, and go.

use alloc::vec::Vec;

use base::Instant;

use super::form::AGAIN;
use crate::order::ranges;
use crate::ring::Ring;
use crate::settings::UNSTABLE_MAX;
use crate::view::RingId;
use crate::wire::{Data, Message, Missing, Tag, short};

/// Packets asked for at once while recovering.
const FETCH: usize = 64;

impl Ring {
    /// Asks companions for what is missing, or says that nothing is.
    pub(super) fn fetch(&mut self, now: Instant) {
        let Some(bound) = &mut self.bound else { return };
        let complete = bound.target.as_ref().is_some_and(|t| t.infos.iter().all(Option::is_some));
        if !complete {
            return;
        }
        bound.again = now + AGAIN;
        if !bound.recovered
            && let Some(order) = &self.order
        {
            let (aru, high) = (order.store.aru(), bound.high());
            if high > aru + 2 * UNSTABLE_MAX {
                return; // No honest companion is so far ahead; the change is given up in time.
            }
            let wanted = (aru + 1..=high).filter(|&seq| !order.store.has(seq));
            let mut asked: Vec<(Tag, Vec<u64>)> = Vec::new();
            for seq in wanted.filter(|&seq| bound.exists(seq)).take(FETCH) {
                let Some(holder) = bound.holders(seq) else { continue };
                match asked.iter_mut().find(|(tag, _)| *tag == holder) {
                    Some((_, list)) => list.push(seq),
                    None => asked.push((holder, Vec::from([seq]))),
                }
            }
            if !asked.is_empty() {
                let ring = order.short;
                for (holder, list) in asked {
                    let ranges = ranges(list.into_iter());
                    self.outbox
                        .send(holder, &Message::Missing(Missing { ring, from: aru, ranges }));
                }
                return;
            }
        }
        if !bound.recovered {
            bound.recovered = true;
            bound.progress = now;
            // From here on companions may count on us: what they sent must be delivered here even if this change fails.
            let owed = bound.together();
            let tags = bound.tags.clone();
            let infos = bound.target.as_ref().map(|target| target.infos.clone());
            if let (Some(order), Some(infos)) = (&self.order, infos) {
                for at in owed {
                    if let Some(place) = order.members.iter().position(|tag| *tag == tags[at]) {
                        self.obligations.insert(place);
                    }
                    self.obligations |=
                        infos[at].as_ref().map(|info| info.obligations).unwrap_or_default();
                }
            }
        }
        self.say_recovered(now);
    }

    fn say_recovered(&mut self, now: Instant) {
        let Some(bound) = &self.bound else { return };
        let (leader, proposal) = (bound.leader, bound.number);
        if leader == self.tag {
            self.handle_recovered(now, leader, proposal);
        } else {
            self.outbox.send(leader, &Message::Recovered { proposal });
        }
    }

    pub(crate) fn handle_missing(&mut self, from: Tag, missing: &Missing) {
        let Some(order) = &self.order else { return };
        if order.short != missing.ring || self.bound.is_none() {
            return;
        }
        let wanted = missing.ranges.iter().flat_map(|&(first, count)| first..first + count);
        for seq in wanted.take(FETCH) {
            if let Some(packet) = order.store.get(seq) {
                let data = Data {
                    ring: order.short,
                    seq,
                    token: 0,
                    sender: packet.sender,
                    keeps: false,
                    recovery: true,
                    relay: false,
                    body: &packet.body,
                };
                self.outbox.send(from, &Message::Data(data));
            }
        }
    }

    /// A packet of our old ring that we asked for.
    pub(crate) fn handle_recovery(&mut self, now: Instant, data: &Data<'_>) {
        let (Some(bound), Some(order)) = (&mut self.bound, &mut self.order) else { return };
        if bound.recovered || data.ring != order.short || !bound.exists(data.seq) {
            return;
        }
        if usize::from(data.sender) < order.members.len()
            && order.take(data.seq, data.sender, data.body)
        {
            bound.progress = now;
            let open = (order.store.aru() + 1..=bound.high())
                .any(|seq| bound.exists(seq) && !order.store.has(seq));
            // The next batch is asked for when this one is complete, or when the time to repeat has come.
            if !open || bound.again <= now {
                self.fetch(now);
            }
        }
    }

    pub(crate) fn handle_recovered(&mut self, now: Instant, from: Tag, proposal: u64) {
        let Some(bound) = &mut self.bound else {
            // It did not hear that the view is installed.
            let mine = self.order.as_ref().is_some_and(|order| {
                order.ring.founder == self.tag.0 && order.members.contains(&from)
            });
            if mine && self.installed_number == proposal {
                self.outbox.send(from, &Message::Go { ring: self.ring_id() });
            }
            return;
        };
        let Some(rank) = bound.tags.iter().position(|tag| *tag == from) else { return };
        let Some(lead) = &mut bound.lead else { return };
        if proposal != bound.number || bound.target.is_none() {
            return;
        }
        if !lead.recovered.has(rank) {
            lead.recovered.insert(rank);
            bound.progress = now;
        }
        if lead.recovered.len() == bound.tags.len()
            && let Some(target) = &bound.target
        {
            let (ring, tags) = (target.ring, bound.tags.clone());
            for tag in tags.into_iter().filter(|tag| *tag != self.tag) {
                self.outbox.send(tag, &Message::Go { ring });
            }
            self.install(now);
        }
    }

    /// Somebody is in the ring that we wait for: then everybody had recovered.
    pub(crate) fn handle_go(&mut self, now: Instant, ring: RingId) {
        let waits = self.bound.as_ref().is_some_and(|bound| {
            bound.recovered && bound.target.as_ref().is_some_and(|target| target.ring == ring)
        });
        if waits {
            self.install(now);
        }
    }

    /// The short form of the ring that is about to be installed here.
    pub(crate) fn awaited(&self) -> Option<(u64, RingId)> {
        let bound = self.bound.as_ref().filter(|bound| bound.recovered)?;
        bound.target.as_ref().map(|target| (short(target.ring), target.ring))
    }
}
