//! What the other machines say, carried into the matrix.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use announce::liveness::{Action, Cause, Liveness};
use announce::packet::Announcement;
use announce::reception::{Event, Reception, Refused, TRIES};
use base::{Instant, MachineId, Seldom};
use candidacy::{Condition, Report, Slot};
use seal::Speaker;
use tracing::{error, info, warn};

use super::resolver::Resolver;
use super::table::{Table, Who};
use crate::handle::{Death, Shared};
use crate::stats::count;
use crypto::Ring;

/// Addresses remembered that have not answered.
const UNANSWERED_MAX: usize = 256;
/// Machines of newer versions remembered, so that each is told of once.
const NEWER_MAX: usize = 4096;

/// The other machines, as far as control knows them.
pub(super) struct Cluster {
    pub(super) reception: Reception<Ring>,
    pub(super) table: Table,
    pub(super) resolver: Resolver,
    pub(super) gates: Gates,
    /// Probes sent to addresses where no admitted machine is, since somebody answered there.
    pub(super) unanswered: BTreeMap<SocketAddr, u8>,
}

/// What is said at most once a minute, or once.
#[derive(Debug, Default)]
pub(super) struct Gates {
    twin: Seldom,
    two_boots: Seldom,
    full: Seldom,
    forged: Seldom,
    blocked: Seldom,
    mute: Seldom,
    newer: BTreeSet<(MachineId, u8)>,
}

impl Cluster {
    /// Takes a datagram, and says once a minute when somebody does not belong.
    pub(super) fn receive(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        let counts = |reception: &Reception<Ring>| {
            let counters = reception.counters();
            (counters.refused(Refused::Forged), counters.refused(Refused::Blocked))
        };
        let before = counts(&self.reception);
        self.reception.handle_datagram(now, from, datagram, &mut crypto::random);
        let after = counts(&self.reception);
        if after.0 != before.0
            && let Some(held) = self.gates.forged.pass(now)
        {
            warn!(
                %from, held,
                "a packet that our cluster key does not open: damaged, forged, or of a cluster with another key; ignored"
            );
        }
        if after.1 != before.1
            && let Some(held) = self.gates.blocked.pass(now)
        {
            warn!(%from, held, "a packet from outside of cluster.accept; ignored");
        }
    }

    /// Notes a probe that goes out. An unknown machine that never answers is told of once a minute: a
    /// firewall that lets announcements through but no probes is a common mistake.
    pub(super) fn note_probe(&mut self, now: Instant, to: SocketAddr) {
        if self.at_exchange(to).is_some() {
            return;
        }
        if self.unanswered.len() >= UNANSWERED_MAX {
            self.unanswered.clear();
        }
        let sent = self.unanswered.entry(to).or_default();
        *sent = sent.saturating_add(1);
        // A machine binds its exchange before it announces, so a whole round without answer says something.
        if *sent >= TRIES
            && let Some(held) = self.gates.mute.pass(now)
        {
            warn!(
                at = %to, held,
                "a machine announces itself but answers no probe at its exchange address, so it is not used; \
                 let UDP through to that port, or if nobody lives there, somebody replays old packets"
            );
        }
    }

    /// Acts on what a datagram brought about.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        event: Event,
        liveness: &mut Liveness,
        shared: &Shared,
    ) {
        let hot = &shared.matrix.hot;
        match event {
            Event::Admitted {
                slot,
                epoch,
                speaker,
                replaces,
                report,
                announcement,
                whereabouts,
            } => {
                self.bury(slot, liveness, shared);
                self.unanswered.remove(&whereabouts.exchange);
                hot.admit(slot, epoch, now);
                liveness.admit(now, slot, interval(&announcement));
                count(&shared.counters.admitted);
                info!(
                    name = announcement.name, machine = %speaker.machine, from = %whereabouts.from,
                    anew = replaces.is_some(), "machine admitted"
                );
                let who = Who { slot, epoch, speaker, from: whereabouts.from };
                self.note(now, who, &announcement, shared);
                hot.hear(slot, epoch, report, now);
            }
            Event::Heard { slot, epoch, announcement, whereabouts } => {
                let Some(machine) = self.table.machine(slot) else { return };
                let speaker = Speaker { machine: machine.id, boot: machine.boot };
                liveness.set_interval(slot, interval(&announcement));
                self.note(
                    now,
                    Who { slot, epoch, speaker, from: whereabouts.from },
                    &announcement,
                    shared,
                );
            }
            Event::Answered { slot, epoch, report, round_trip } => {
                self.answered(now, (slot, epoch), report, round_trip, shared);
                liveness.handle_answer(now, slot);
            }
            trouble => {
                if let Event::Full { .. } = trouble {
                    // It comes again, and then finds a row.
                    liveness.forget_longest_dead();
                }
                self.tell(now, trouble, shared);
            }
        }
    }

    /// Tells those who wait for the boot that had the row before that it is gone.
    fn bury(&self, slot: Slot, liveness: &Liveness, shared: &Shared) {
        let epoch = shared.matrix.hot.epoch(slot);
        if epoch != 0 && !liveness.is_dead(slot) {
            shared.tell_death(Death { slot, epoch });
        }
    }

    fn note(&mut self, now: Instant, who: Who, said: &Announcement, shared: &Shared) {
        let hot = &shared.matrix.hot;
        hot.announced(who.slot, now);
        hot.hear(who.slot, who.epoch, said.report, now);
        self.table.set(who, said, now, &mut self.resolver);
        count(&shared.counters.heard);
    }

    fn answered(
        &self,
        now: Instant,
        (slot, epoch): (Slot, u32),
        report: Report,
        round_trip: Duration,
        shared: &Shared,
    ) {
        let hot = &shared.matrix.hot;
        hot.hear(slot, epoch, report, now);
        hot.observe_hop(slot, round_trip);
        count(&shared.counters.probes_answered);
    }

    /// Says what an operator must know.
    fn tell(&mut self, now: Instant, event: Event, shared: &Shared) {
        match event {
            Event::TwinOfUs { boot, from } => {
                if let Some(held) = self.gates.twin.pass(now) {
                    error!(
                        name = shared.config.name, machine = %shared.me.machine, twin = %from, twin_boot = %boot, held,
                        "another live machine has this machine's identity, probably by a copied state directory; \
                         stop one of the two, remove the file `machine` from its cluster.state_dir ({}), and start it again",
                        shared.config.state_dir.display()
                    );
                }
            }
            Event::TwoBoots { machine, slot, admitted, refused } => {
                let name = self.table.machine(slot).map_or("?", |machine| machine.name.as_str());
                if let Some(held) = self.gates.two_boots.pass(now) {
                    error!(
                        name, %machine, at = %admitted.1, and_at = %refused.1, held,
                        "two live machines have one identity; the one heard first is used. Stop one of the two, remove \
                         the file `machine` from its cluster.state_dir, and start it again"
                    );
                }
            }
            Event::NewerVersion { speaker, from, version, understood } => {
                if self.gates.newer.len() < NEWER_MAX
                    && self.gates.newer.insert((speaker.machine, version))
                {
                    warn!(
                        machine = %speaker.machine, %from, version, understood,
                        ours = announce::packet::VERSION,
                        "a machine announces in a newer packet version; upgrade this machine"
                    );
                }
            }
            Event::Full { speaker, from } => {
                if let Some(held) = self.gates.full.pass(now) {
                    warn!(machine = %speaker.machine, %from, held, "no row is left in the matrix: the machine is used here once one of the dead has made room");
                }
            }
            Event::Admitted { .. } | Event::Heard { .. } | Event::Answered { .. } => {}
        }
    }

    /// Does what liveness asks.
    pub(super) fn act(
        &mut self,
        now: Instant,
        action: Action,
        liveness: &mut Liveness,
        shared: &Shared,
    ) {
        let hot = &shared.matrix.hot;
        match action {
            Action::Probe(slot) => {
                self.reception.probe(now, slot, &mut crypto::random);
            }
            Action::Set(slot, condition, cause) => {
                hot.set_condition(slot, condition);
                self.tell_condition(slot, condition, cause, shared);
                if condition == Condition::Dead {
                    shared.tell_death(Death { slot, epoch: hot.epoch(slot) });
                }
            }
            Action::Forget(slot) => {
                self.reception.release(slot);
                liveness.remove(slot);
                hot.vacate(slot);
                self.table.remove(slot);
            }
        }
    }

    fn tell_condition(&self, slot: Slot, condition: Condition, cause: Cause, shared: &Shared) {
        let (name, address) = match self.table.machine(slot) {
            Some(machine) => {
                (machine.name.as_str(), machine.exchange.unwrap_or(machine.service.addr))
            }
            None => return,
        };
        match condition {
            Condition::Dead => {
                count(&shared.counters.deaths);
                warn!(name, %address, ?cause, "machine is dead");
            }
            Condition::Alive if cause == Cause::Returned => {
                count(&shared.counters.returns);
                info!(name, %address, "machine is back");
            }
            _ => tracing::debug!(name, %address, ?condition, ?cause, "machine's condition"),
        }
    }

    /// The machine that answers probes at this address.
    pub(super) fn at_exchange(&self, address: SocketAddr) -> Option<Slot> {
        self.table.find(|machine| machine.exchange == Some(address))
    }
}

fn interval(announcement: &Announcement) -> Duration {
    // A sender without an interval is believed to announce each second.
    let millis =
        if announcement.interval_millis == 0 { 1000 } else { announcement.interval_millis };
    Duration::from_millis(millis.into()).clamp(Duration::from_millis(50), Duration::from_secs(60))
}
