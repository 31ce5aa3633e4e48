//! What a worker learns of machines by using them, and what it asks of the matrix.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use base::Instant;
use candidacy::hot::{Condition, Standing};
use candidacy::{Report, Slot, Snapshot, failures};
use crypto::Ring;
use resources::Evidence;
use seal::Speaker;
use seal::peer::PeerKey;

use super::{Shared, Worker};
use crate::config::PeerListen;
use crate::peers::Way;
use crate::relay::outcome::{Ended, Failure};

/// How a machine is reached now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    pub(crate) epoch: u32,
    whom: Speaker,
    peer: Option<SocketAddr>,
    service: SocketAddr,
}

impl Reach {
    /// Whether marks are believed there.
    pub(crate) fn is_marked(&self) -> bool {
        self.peer.is_some()
    }

    /// By its peer listener, or as any client would if it has none.
    pub(crate) fn way(&self) -> Way<'static> {
        match self.peer {
            Some(address) => Way::Peer(address, self.whom),
            None => Way::Plain(self.service),
        }
    }
}

impl Shared {
    pub(crate) fn me(&self) -> Speaker {
        self.resources.me()
    }

    pub(crate) fn peer_key(&self) -> &PeerKey<Ring> {
        &self.peer_key
    }

    /// The local service failed a request: is it well?
    pub(crate) fn check_health(&self) {
        if let Some(health) = &self.health {
            health.check_now();
        }
    }

    /// The end of a resting connection speaks against its machine.
    pub(crate) fn evidence(&self, slot: Slot, epoch: u32, evidence: Evidence) {
        self.resources.evidence(slot, epoch, evidence);
    }

    /// Machines with a peer listener that may be chosen now.
    pub(crate) fn machines_to_connect_to(&self, now: Instant) -> Vec<u16> {
        let matrix = self.resources.matrix();
        let snapshot = matrix.slow.load();
        let usable = |slot: &Slot| {
            *slot != snapshot.this()
                && matrix.hot.standing(*slot, now) == Standing::Usable
                && snapshot.machine(*slot).is_some_and(|m| m.peer.is_some() && !m.plain)
        };
        snapshot.present().iter().copied().filter(usable).map(|slot| slot.0).collect()
    }
}

/// A request of ours at a machine, counted until dropped.
pub(crate) struct Sent {
    w: Rc<Worker>,
    slot: Slot,
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.w.shared.resources.matrix().hot.end(self.slot);
    }
}

/// A request being relayed, counted until dropped.
pub(crate) struct Relaying(Rc<Worker>);

impl Drop for Relaying {
    fn drop(&mut self) {
        self.0.shared.resources.local().end_relay();
        self.0.stats.counters.relaying.sub(1);
    }
}

/// A request of a route in the local service, counted until dropped.
pub(crate) struct Busy {
    w: Rc<Worker>,
    route: usize,
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(count) = self.w.stats.busy.get(self.route) {
            count.sub(1);
        }
    }
}

impl Worker {
    /// Counts a request of a route into the local service.
    pub(crate) fn busy_with(self: &Rc<Self>, route: usize) -> Busy {
        if let Some(count) = self.stats.busy.get(route) {
            count.bump();
        }
        Busy { w: self.clone(), route }
    }

    /// The slow figures of this moment. Not to be held across a wait.
    pub(crate) fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.shared.resources.matrix().slow.load()
    }

    /// Whether a request from this address was passed on by another machine. Only where peers have no listener of
    /// their own do they come by the one for clients; without a look at who it is, two such machines could
    /// pass one request to and fro without end.
    pub(crate) fn is_relay(&self, remote: IpAddr) -> bool {
        if self.config.peers.listen != PeerListen::Off {
            return false;
        }
        let snapshot = self.snapshot();
        let this = snapshot.this();
        snapshot.present().iter().filter(|slot| **slot != this).any(|&slot| {
            snapshot.machine(slot).is_some_and(|machine| {
                let addresses = [Some(machine.service.addr), machine.peer, machine.exchange];
                addresses.iter().flatten().any(|at| at.ip().to_canonical() == remote)
            })
        })
    }

    /// Whether what this address says of the client of its requests is believed.
    pub(crate) fn believes(&self, remote: IpAddr) -> bool {
        self.config.http.trusted.contains(remote) || self.is_relay(remote)
    }

    /// How the machine in this row is reached.
    pub(crate) fn machine(&self, slot: u16) -> Option<Reach> {
        let snapshot = self.snapshot();
        let machine = snapshot.machine(Slot(slot))?;
        Some(Reach {
            epoch: machine.epoch,
            whom: Speaker { machine: machine.id, boot: machine.boot },
            peer: machine.peer.filter(|_| !machine.plain),
            service: machine.service.addr,
        })
    }

    /// The name of the machine in this row, or of this one.
    pub(crate) fn name_of(&self, slot: Option<u16>) -> String {
        let snapshot = self.snapshot();
        let slot = slot.map_or(snapshot.this(), Slot);
        snapshot.machine(slot).map_or_else(String::new, |m| m.name.clone())
    }

    /// Counts a request on its way to a machine.
    pub(crate) fn begin_at(self: &Rc<Self>, slot: u16) -> Sent {
        let slot = Slot(slot);
        self.shared.resources.matrix().hot.begin(slot);
        self.usage.count(slot.0);
        Sent { w: self.clone(), slot }
    }

    /// Counts a request that is relayed, unless too many are.
    pub(crate) fn begin_relay(self: &Rc<Self>) -> Option<Relaying> {
        self.shared.resources.local().try_begin_relay().then(|| {
            self.stats.counters.relaying.bump();
            Relaying(self.clone())
        })
    }

    /// Takes the report that came back inside a response.
    pub(crate) fn hear(&self, slot: u16, epoch: u32, report: Report) {
        self.stats.counters.reports.bump();
        self.shared.resources.matrix().hot.hear(Slot(slot), epoch, report, self.now());
    }

    /// Draws another attempt on suspicion from the budget.
    pub(crate) fn spend_retry(&self) -> bool {
        self.deciding.borrow_mut().budget.draw()
    }

    /// Gives back what was drawn for an attempt that nobody was left for.
    pub(crate) fn refund_retry(&self) {
        self.deciding.borrow_mut().budget.refund();
    }

    /// Learns from how an exchange with a machine ended; of one that `lasts` not how long it took.
    pub(crate) fn judge(&self, slot: u16, epoch: u32, ended: &Ended, begun: Instant, lasts: bool) {
        let now = self.now();
        let hot = &self.shared.resources.matrix().hot;
        let slot = Slot(slot);
        let evidence = match ended {
            Ended::Done { .. } => {
                failures::succeeded(hot, slot, now);
                if let Some(histogram) = self.stats.peer(slot.index()).filter(|_| !lasts) {
                    histogram.record(now.since(begun));
                }
                return;
            }
            Ended::Failed(Failure::Connect { refused: true }) => Evidence::Refused,
            Ended::Failed(Failure::Connect { refused: false }) => Evidence::Silent,
            // It may just have been too old, but then asking costs one probe.
            Ended::Failed(Failure::Reset { rested: true }) => Evidence::Reset,
            Ended::Failed(Failure::Reset { rested: false }) | Ended::Cut { .. } => {
                self.suspect(slot, now);
                Evidence::Reset
            }
            Ended::Failed(Failure::Timeout) => {
                self.suspect(slot, now);
                Evidence::Silent
            }
            Ended::Failed(Failure::Malformed | Failure::Behind { .. }) => {
                return self.suspect(slot, now);
            }
            _ => return,
        };
        self.shared.evidence(slot, epoch, evidence);
    }

    fn suspect(&self, slot: Slot, now: Instant) {
        let hot = &self.shared.resources.matrix().hot;
        // More is known of it than suspicion could say.
        if hot.condition(slot) == Condition::Dead {
            return;
        }
        let rules = self.deciding.borrow().failure_rules;
        match failures::failed(hot, &self.snapshot(), slot, &rules, now) {
            failures::Consequence::Ejected(_) => {
                self.stats.counters.ejections.bump();
                tracing::info!(
                    machine = self.name_of(Some(slot.0)),
                    "kept out for a while after failures"
                );
            }
            failures::Consequence::Penalised | failures::Consequence::Floor => {}
        }
    }
}
