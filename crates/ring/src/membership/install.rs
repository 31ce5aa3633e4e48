//! The moment of change: what is left of the old view is delivered, and the new one begins.
//!
//! Every companion (a member that comes from the same old view) computes the same from the same infos: up to the first hole
//! that nobody can fill, or the first safe message not known to be everywhere, messages belong to the old view; then
//! comes the transitional signal; then the rest, of which behind a hole only what companions, and those whom an earlier
//! attempt obliged us to, have sent (Totem, section "Recovery"; extended virtual synchrony, properties 4, 6 and 7).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use base::Instant;

use super::ME;
use crate::bits::Bits;
use crate::event::Event;
use crate::notice::Notice;
use crate::order::{Order, Step};
use crate::ring::Ring;
use crate::view::{Daemon, RingId, View};

/// Views that break one after the other within this time count together.
const IN_A_ROW: Duration = Duration::from_secs(60);
/// From so many broken views in a row on a daemon is kept out, for a second first, then twice as long each time.
const TOO_OFTEN: u8 = 4;
/// The longest time to keep somebody out.
const OUT_MAX: Duration = Duration::from_secs(16);

impl Ring {
    pub(crate) fn install(&mut self, now: Instant) {
        let Some(bound) = self.bound.take() else { return };
        let Some(target) = &bound.target else { return };
        let Some(infos) = target.infos.iter().cloned().collect::<Option<Vec<_>>>() else { return };

        if let Some(order) = &mut self.order {
            let together = bound.together();
            let of = |at: &usize| &infos[*at];
            let stable = together.iter().map(of).map(|info| info.stable).max().unwrap_or(0);
            let owed: Bits = together.iter().map(of).map(|info| info.obligations).collect();
            let ranks = together.iter().map(|at| bound.tags()[*at]);
            let ranks = ranks.filter_map(|tag| order.members.iter().position(|m| *m == tag));
            let trusted = ranks.collect::<Bits>() | owed | self.obligations;
            order.stable = order.stable.max(stable);
            order.delivery.advance(&order.store, order.stable, &mut self.events);
            let companions: Vec<Daemon> = together.iter().map(|at| bound.members[*at]).collect();
            self.events.push_back(Event::Transitional { together: companions.into() });
            order.delivery.finish(&order.store, bound.high(), trusted, &mut self.events);
            self.past.add(&order.counters);
        }
        self.count_breaks(now, &bound.members);

        let view = View {
            id: target.ring,
            members: bound.members.iter().copied().collect(),
            previous: infos.iter().map(|info| info.ring).collect::<Arc<[RingId]>>(),
            time: target.time,
        };
        self.events.push_back(Event::Installed(view.clone()));
        self.queue.restart();
        let timeout = Duration::from_millis(target.timeout.into())
            .clamp(self.settings.timeout_floor, self.settings.timeout_ceiling);
        self.order = Some(Order::new(
            now,
            target.ring,
            bound.tags().to_vec(),
            bound.my_rank(),
            timeout,
            bound.leader == self.tag,
            bound.minor(),
            &self.settings,
        ));
        for (_, peer) in self.peers.iter_mut() {
            (peer.confirmed, peer.regular) = (None, false);
        }
        self.members_at = bound.places().iter().filter(|at| *at != ME).collect();
        self.counter = self.counter.max(target.ring.counter);
        self.time = self.time.max(target.time);
        self.installed = now;
        self.installed_number = bound.number;
        self.view = Some(view);
        self.broken = None;
        self.obligations = Bits::default();
        (self.proposal, self.follows) = (None, None);
        self.views += 1;
        self.dirty = true;
        self.evaluate(now);
        self.with_order(now, Order::start);
    }

    /// Remembers who did not come along, and keeps those out with whom views do not last.
    fn count_breaks(&mut self, now: Instant, members: &[Daemon]) {
        let Some(old) = &self.view else { return };
        let (stayed, lost): (Vec<Daemon>, Vec<Daemon>) =
            old.members.iter().partition(|member| members.contains(member));
        // The greater part keeps the smaller one out, not each the other: somebody has to go on.
        if (stayed.len(), stayed.contains(old.leader())) < (lost.len(), true) {
            return;
        }
        let mut notices = Vec::new();
        for daemon in lost {
            let peer = self.peers.tagged((&daemon).into());
            // Whoever was taken off the list did nothing wrong.
            let Some(peer) = peer.filter(|peer| !peer.left && peer.listed) else { continue };
            let row = now.since(peer.broke) < IN_A_ROW && peer.breaks > 0;
            peer.breaks = if row { peer.breaks.saturating_add(1) } else { 1 };
            peer.broke = now;
            if peer.breaks >= TOO_OFTEN {
                let seconds = 1 << (peer.breaks - TOO_OFTEN).min(4);
                peer.kept_out = now + Duration::from_secs(seconds).min(OUT_MAX);
                notices.push(Notice::KeepsOut { daemon, seconds, breaks: peer.breaks });
            }
        }
        notices.into_iter().for_each(|notice| self.tell(notice));
    }

    /// Lets the order do something with all it needs.
    pub(crate) fn with_order<R>(
        &mut self,
        now: Instant,
        f: impl FnOnce(&mut Order, &mut Step<'_>) -> R,
    ) -> Option<R> {
        let order = self.order.as_mut()?;
        let mut step = Step {
            now,
            settings: &self.settings,
            queue: &mut self.queue,
            outbox: &mut self.outbox,
            events: &mut self.events,
            fan: &self.fan,
            held_up: self.held_up,
        };
        Some(f(order, &mut step))
    }
}
