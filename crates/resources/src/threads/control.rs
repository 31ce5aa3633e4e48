//! The control thread: one loop that measures, announces, hears, and keeps the matrix.
//!
//! All deciding is done by cores: [`Reception`] says which datagram counts, [`Liveness`] who is alive,
//! [`Herald`] when to speak. The loop feeds them and does what they ask. Nothing here may wait for
//! anything but the loop's own `poll`.
//!
//! **Waking late.** A process that was stopped, or whose clock has jumped, would find everyone silent
//! for as long. Whoever wakes more than [`LATE`] after the time it meant to wake gives everyone the
//! benefit of having been heard just now; who is really gone is found out by the next probes.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use announce::herald::{Herald, first_level};
use announce::liveness::{self, Liveness, Look};
use announce::packet::Announcement;
use announce::reception::{Reception, Settings};
use base::Instant;
use candidacy::{Flags, MAX_MACHINES};
use seal::{Purpose, Sealer};
use tracing::info;

use super::cluster::Cluster;
use super::own;
use super::resolver::Resolver;
use super::table::{Table, Who};
use super::wait::wait;
use crate::handle::Shared;
use crate::matrix::THIS;
use crate::measure::{Figures, Meter};
use crate::net::announcer::Announcer;
use crate::net::pair::Pair;
use crate::stats::{count, count_many};
use crypto::Ring;

/// The channel of announcements, and that of this thread's probes.
const ANNOUNCING: u16 = 0;
const PROBING: u16 = 1;
/// Time between two measurements.
const SECOND: Duration = Duration::from_secs(1);
/// How often marks of the load are looked at, however often they are crossed.
const MARKS: Duration = Duration::from_millis(25);
/// Waking this much later than meant is an absence, not a busy machine.
const LATE: Duration = Duration::from_millis(500);
/// Datagrams taken from one socket before the others have their turn.
const TURN: usize = 256;
/// This machine's own epoch in its own row.
const OWN_EPOCH: u32 = 1;

/// The sockets of this thread.
pub(crate) struct Sockets {
    pub(crate) announcer: Announcer,
    pub(crate) probes: Pair,
}

/// The state of the loop.
pub(crate) struct Control {
    shared: Arc<Shared>,
    sockets: Sockets,
    sealer: Sealer<Ring>,
    meter: Meter,
    figures: Figures,
    herald: Herald,
    cluster: Cluster,
    liveness: Liveness,
    /// Announcements made so far.
    sequence: u64,
    /// When the last one was made.
    spoken: Instant,
    measure_at: Instant,
    marks_at: Instant,
    told: (Flags, u32),
    buffer: Vec<u8>,
}

impl Control {
    pub(crate) fn new(shared: Arc<Shared>, sockets: Sockets, meter: Meter) -> Self {
        let now = shared.setup.clock.now();
        let settings = Settings {
            me: shared.me,
            accept: shared.config.accept.clone(),
            channel: PROBING,
            capacity: MAX_MACHINES,
        };
        let cpus = meter.facts().cpus_milli;
        shared.local.set_marks_from(first_level(cpus));
        let cluster = Cluster {
            reception: Reception::new(&Ring, &shared.key, settings),
            table: Table::new(1),
            resolver: Resolver::new(Arc::clone(&shared.bell)),
            gates: Default::default(),
            unanswered: BTreeMap::new(),
        };
        Self {
            sealer: Sealer::new(&Ring, &shared.key, Purpose::Announce, shared.me, ANNOUNCING),
            figures: Figures::default(),
            herald: Herald::new(now, shared.config.interval, cpus, crypto::seed()),
            cluster,
            liveness: Liveness::new(),
            sequence: 0,
            spoken: now,
            measure_at: now,
            marks_at: now,
            told: (Flags::NONE, 0),
            buffer: vec![0; seal::MAX_DATAGRAM + 1],
            meter,
            sockets,
            shared,
        }
    }

    /// Works until told to stop, then says good-bye.
    pub(crate) fn run(mut self) {
        let mut meant = self.now();
        while !self.shared.stopping.load(SeqCst) {
            let now = self.now();
            self.turn(now, now.since(meant) >= LATE);
            // Counted from when the turn began, so that an absence within the turn is one as well.
            meant = self.next(now);
            self.wait(self.now(), meant);
        }
        self.shared.local.set_draining(true);
        self.announce(self.now());
    }

    fn now(&self) -> Instant {
        self.shared.setup.clock.now()
    }

    /// Everything that is due, in an order that hears before it judges.
    fn turn(&mut self, now: Instant, late: bool) {
        self.shared.bell.hear();
        self.sockets.announcer.refresh(now);
        self.receive(now);
        self.take_evidence(now);
        let names = self.cluster.resolver.take();
        self.cluster.table.resolved(&names, now, &mut self.cluster.resolver);
        if now >= self.measure_at {
            self.measure(now);
        }
        self.cluster.reception.handle_timeout(now, &mut crypto::random);
        self.follow(now);
        if late {
            info!(
                "woke up late, by a stop of this program or a jump of its clock; everyone gets time to be heard"
            );
        }
        if late || self.liveness.poll_timeout().is_some_and(|due| now >= due) {
            let hot = &self.shared.matrix.hot;
            self.liveness.handle_timeout(now, |slot| Look {
                heard: if late {
                    Some(now)
                } else {
                    hot.heard(slot).map(|heard| heard.at).max(hot.announced_at(slot))
                },
                in_use: hot.mine(slot) > 0,
            });
        }
        self.follow(now);
        self.speak(now);
        self.shared.counters.copy(self.cluster.reception.counters());
        let served = self.shared.served.load();
        if self.cluster.table.publish(now, &self.shared.matrix, &***served) {
            self.shared.tell_snapshot();
        }
    }

    /// Does what the state machines ask until they ask no more.
    fn follow(&mut self, now: Instant) {
        loop {
            while let Some(action) = self.liveness.poll_action() {
                self.cluster.act(now, action, &mut self.liveness, &self.shared);
            }
            while let Some(datagram) = self.cluster.reception.poll_transmit() {
                count(&self.shared.counters.probes_sent);
                self.cluster.note_probe(now, datagram.to);
                let udp = self.sockets.probes.for_address(datagram.to);
                // A probe that cannot be sent is a probe that is not answered.
                let _ = udp.map(|udp| udp.send(&datagram.bytes, datagram.to));
            }
            let Some(event) = self.cluster.reception.poll_event() else { break };
            self.cluster.hear(now, event, &mut self.liveness, &self.shared);
        }
    }

    fn receive(&mut self, now: Instant) {
        let Sockets { announcer, probes } = &self.sockets;
        for udp in announcer.sockets().chain(probes.each()) {
            for _ in 0..TURN {
                match udp.receive(&mut self.buffer) {
                    Ok(Some((length, from))) => {
                        if let Some(datagram) = self.buffer.get_mut(..length) {
                            self.cluster.receive(now, from, datagram);
                        }
                    }
                    Ok(None) => break,
                    // The news that an earlier datagram was not delivered; told in full below.
                    Err(_) => {}
                }
            }
        }
        let unreachable =
            probes.each().flat_map(|udp| std::iter::from_fn(|| udp.unreachable()).take(TURN));
        for address in unreachable.collect::<Vec<_>>() {
            if let Some(slot) = self.cluster.at_exchange(address) {
                // Anyone could forge the message, so it is verified by probes.
                self.liveness.handle_evidence(now, slot, liveness::Evidence::Unreachable);
            }
        }
    }

    fn take_evidence(&mut self, now: Instant) {
        let waiting = std::mem::take(&mut *crate::handle::lock(&self.shared.evidence));
        for (slot, epoch, evidence) in waiting {
            if self.shared.matrix.hot.epoch(slot) == epoch && slot != THIS {
                self.liveness.handle_evidence(now, slot, evidence.for_liveness());
            }
        }
    }

    fn measure(&mut self, now: Instant) {
        let before = self.meter.facts().cpus_milli;
        self.figures = self.meter.read(now);
        let cpus = self.meter.facts().cpus_milli;
        if cpus != before {
            tracing::info!(
                before = f64::from(before) / 1000.0,
                now = f64::from(cpus) / 1000.0,
                "this machine has another number of CPUs"
            );
            self.shared.local.set_marks_from(first_level(cpus));
            self.herald.set_cpus(cpus);
        }
        // After an absence the next second counts from here.
        self.measure_at = (self.measure_at + SECOND).max(now);
        if self.measure_at == now {
            self.measure_at = now + SECOND;
        }
        let waiting = self.figures.pressure.cpu.map_or(0, |stall| stall.some);
        let pressure = u32::from(waiting) * 255 / 10_000;
        self.shared.matrix.hot.set_pressure_here(u8::try_from(pressure).unwrap_or(u8::MAX));
        self.note_own(now, &self.say());
    }

    /// What this machine has to say of itself now.
    fn say(&self) -> Announcement {
        let arriba = self.shared.arriba.load(Relaxed);
        own::announcement(&self.shared, self.meter.facts(), &self.figures, arriba, self.sequence)
    }

    /// Puts what this machine says of itself into its own row.
    fn note_own(&mut self, now: Instant, said: &Announcement) {
        let hot = &self.shared.matrix.hot;
        hot.announced(THIS, now);
        hot.hear(THIS, OWN_EPOCH, said.report, now);
        let from = self.sockets.announcer.own_address();
        let who = Who { slot: THIS, epoch: OWN_EPOCH, speaker: self.shared.me, from };
        self.cluster.table.set(who, said, now, &mut self.cluster.resolver);
    }

    /// Announces if it is time, or if something has happened that the others should know now.
    fn speak(&mut self, now: Instant) {
        if now >= self.marks_at && self.shared.marks.hear() {
            self.marks_at = now + MARKS;
        }
        self.herald.handle_in_flight(self.shared.local.in_flight());
        // Being at the limit comes and goes with single requests; the reports in responses say it.
        let state = (
            self.shared.local.flags().without(Flags::OVER_LIMIT),
            self.shared.arriba.load(Relaxed),
        );
        if state != self.told && self.sequence > 0 {
            self.herald.hurry();
        }
        if self.herald.handle_timeout(now) {
            self.told = state;
            // Jitter alone never takes more than a tenth off the interval.
            if self.sequence > 0 && now.since(self.spoken) < self.shared.config.interval * 9 / 10 {
                count(&self.shared.counters.announcements_early);
            }
            self.announce(now);
        }
    }

    fn announce(&mut self, now: Instant) {
        self.sequence += 1;
        self.spoken = now;
        let said = self.say();
        self.note_own(now, &said);
        if self.shared.config.protection.is_alone() {
            return;
        }
        let mut text = Vec::new();
        said.encode(&mut text);
        let sealer = &mut self.sealer;
        let (sent, unsent) = self.sockets.announcer.send(now, || {
            let mut datagram = Vec::new();
            sealer.seal(&text, &mut datagram);
            datagram
        });
        let counters = &self.shared.counters;
        count(&counters.announcements);
        count_many(&counters.announcement_packets_sent, sent);
        count_many(&counters.announcement_packets_unsent, unsent);
    }

    /// The next moment at which something is due.
    fn next(&self, now: Instant) -> Instant {
        let due = [
            Some(self.measure_at),
            Some(self.herald.poll_timeout()),
            self.cluster.reception.poll_timeout(),
            self.liveness.poll_timeout(),
            self.cluster.table.due(),
        ];
        due.into_iter().flatten().min().unwrap_or(now).max(now)
    }

    fn wait(&self, now: Instant, until: Instant) {
        let mut fds = vec![self.shared.bell.as_fd()];
        let mut patience = until.since(now);
        if now >= self.marks_at {
            fds.push(self.shared.marks.as_fd());
        } else {
            patience = patience.min(self.marks_at.since(now));
        }
        fds.extend(
            self.sockets.announcer.sockets().chain(self.sockets.probes.each()).map(AsFd::as_fd),
        );
        fds.extend(self.sockets.announcer.changes().map(AsFd::as_fd));
        wait(&fds, Some(patience));
    }
}
