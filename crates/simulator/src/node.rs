//! One machine's belongings as a balancer: the real matrix, the real cores, and their driver in
//! miniature.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use announce::{Granter, Herald, Liveness, Reservations};
use base::{Boot, Histogram, Instant, MachineId, Random};
use candidacy::asking::{AnswerTimes, Switch};
use candidacy::{Hot, Machine, Report, Scratch, Slot, Snapshot};
use seal::Speaker;

use crate::scenario::{CORES, Scenario};

/// How often a machine announces.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// How often new figures are swapped in.
pub const BATCH: f64 = 0.2;

/// What a machine announces.
#[derive(Clone, Debug)]
pub struct Words {
    /// Which of its lives speaks; also our epoch for it.
    pub boot: u32,
    /// Its report.
    pub report: Report,
    /// One-minute load, in thousandths.
    pub load_milli: u32,
    /// Power of two above any load.
    pub load_high_water: u32,
    /// Idle share of the CPUs, in thousandths.
    pub idle_permille: u16,
}

/// See the module's text.
pub struct Node {
    /// Its number: also its row everywhere.
    pub slot: Slot,
    /// Which of its lives this is, from 1.
    pub boot: u32,
    /// Whether the process runs (frozen counts as running).
    pub up: bool,
    /// Whether it is stopped.
    pub frozen: bool,
    /// The hot matrix.
    pub hot: Hot,
    /// The slow figures as swapped in last.
    pub snapshot: Arc<Snapshot>,
    /// The slow figures as heard.
    pub table: Vec<Option<Machine>>,
    /// Whether the table holds more than the snapshot.
    pub dirty: bool,
    version: u64,
    /// A worker's belongings.
    pub scratch: Scratch,
    /// Its dice.
    pub random: Random,
    /// How long answers take.
    pub times: AnswerTimes,
    /// Whether the one route asks.
    pub switch: Switch,
    /// Service times of requests decided here.
    pub served: Histogram,
    /// Their median.
    pub service: Duration,
    /// When to announce.
    pub herald: Herald,
    /// Who is alive.
    pub liveness: Liveness,
    /// What was promised to askers.
    pub promises: Arc<Reservations>,
    /// Who promises.
    pub granter: Granter,
    /// The one-minute load, sampled each second.
    pub load: f64,
    high_water: u32,
    idle_permille: u16,
    /// CPU microseconds of speed 1 that balancing took since the last settling.
    pub debt: f64,
    /// The rate of that, in CPUs.
    pub overhead: f64,
}

/// The identity of a machine.
pub fn id(machine: u16) -> MachineId {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&machine.to_be_bytes());
    MachineId(id)
}

/// The same machine in one of its lives.
pub fn speaker(machine: u16, boot: u32) -> Speaker {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&boot.to_be_bytes());
    Speaker { machine: id(machine), boot: Boot(bytes) }
}

/// One-time facts of a machine, as it would announce them.
pub fn facts(scenario: &Scenario, machine: u16, random: &mut Random) -> Machine {
    let addr = SocketAddr::from(([10, 0, (machine >> 8) as u8, machine as u8], 80));
    let mut facts = Machine::new(id(machine), format!("web{machine}"), addr);
    facts.exchange = Some(SocketAddr::new(addr.ip(), 4446));
    facts.peer = facts.exchange;
    facts.cpus_milli = (CORES * 1000.0) as u32;
    // The benchmark of a machine's speed is off by up to a tenth.
    facts.arriba = (scenario.speed(machine) * (0.9 + 0.2 * random.unit()) * 1e4) as u32;
    (facts.total_memory, facts.available_memory) = (8 << 30, 6 << 30);
    facts.limit = scenario.limit;
    facts
}

impl Node {
    /// A machine that starts and knows nobody but itself.
    pub fn new(scenario: &Scenario, slot: Slot, boot: u32, own: Machine, now: Instant) -> Self {
        let seed = scenario.seed ^ u64::from(slot.0) << 32 ^ u64::from(boot) << 48;
        let hot = Hot::new(scenario.machines.into());
        hot.admit(slot, boot, now);
        let mut table = vec![None; scenario.machines.into()];
        table[slot.index()] = Some(own);
        let (promises, granter) = Reservations::new();
        let cpus = (CORES * 1000.0) as u32;
        Self {
            slot,
            boot,
            up: true,
            frozen: false,
            hot,
            snapshot: Arc::new(Snapshot::new(1, slot, table.clone())),
            table,
            dirty: false,
            version: 1,
            scratch: Scratch::new(),
            random: Random::new(seed),
            times: AnswerTimes::default(),
            switch: Switch::default(),
            served: Histogram::new(),
            service: Duration::ZERO,
            herald: Herald::new(now, INTERVAL, cpus, seed),
            liveness: Liveness::new(),
            promises,
            granter,
            load: 0.0,
            high_water: 1,
            idle_permille: 1000,
            debt: 0.0,
            overhead: 0.0,
        }
    }

    /// Whether it does anything at all now.
    pub fn runs(&self) -> bool {
        self.up && !self.frozen
    }

    /// Takes a machine in.
    pub fn admit(&mut self, now: Instant, slot: Slot, boot: u32, facts: Machine) {
        self.hot.admit(slot, boot, now);
        self.liveness.admit(now, slot, INTERVAL);
        self.table[slot.index()] = Some(Machine { epoch: boot, ..facts });
        self.dirty = true;
    }

    /// Hears an announcement of an admitted boot.
    pub fn hear(&mut self, now: Instant, slot: Slot, words: &Words) {
        if self.hot.epoch(slot) != words.boot {
            return;
        }
        self.hot.hear(slot, words.boot, words.report, now);
        self.hot.announced(slot, now);
        if let Some(machine) = &mut self.table[slot.index()] {
            machine.load_milli = words.load_milli;
            machine.load_high_water = words.load_high_water;
            machine.cpu_idle_permille = words.idle_permille;
            machine.announced = now;
            self.dirty = true;
        }
    }

    /// Swaps in what was heard.
    pub fn swap(&mut self) {
        if std::mem::take(&mut self.dirty) {
            self.version += 1;
            self.snapshot = Arc::new(Snapshot::new(self.version, self.slot, self.table.clone()));
        }
    }

    /// What it announces now.
    pub fn words(&self) -> Words {
        Words {
            boot: self.boot,
            report: self.hot.report_here(0),
            load_milli: (self.load * 1000.0) as u32,
            load_high_water: self.high_water,
            idle_permille: self.idle_permille,
        }
    }

    /// Measures itself, once a second: `running` requests, `busy` CPUs on average since the last time.
    pub fn measure(&mut self, running: usize, busy: f64) {
        let fade = (-1.0f64 / 60.0).exp();
        self.load = self.load * fade + running as f64 * (1.0 - fade);
        while f64::from(self.high_water) <= self.load {
            self.high_water *= 2;
        }
        self.idle_permille = ((1.0 - busy / CORES).clamp(0.0, 1.0) * 1000.0) as u16;
        let own = self.words();
        self.hear(Instant::ORIGIN, self.slot, &own);
        let counts = self.served.snapshot();
        if counts.count() > 0 {
            self.service = counts.quantile(0.5).unwrap_or_default();
        }
    }
}
