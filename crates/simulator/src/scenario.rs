//! One run: the fleet, the load, the prices and the faults.
//!
//! The fleet and the load are those of the project's earlier study, so that figures can be compared:
//! two CPUs a machine, speeds 1, 1, ½, 2, 1, ¾ repeated, a burner on every machine that takes 30 to 60 %
//! of its CPUs one second in five, and requests of 20 ms on average (nine in ten 10 ms, one in ten
//! 110 ms, exponential), arriving as a Poisson stream at a machine drawn by lot.

use candidacy::asking::AskingRules;

/// Who decides, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Each machine deals to all in turn.
    RoundRobin,
    /// Each machine: fewest of its own connections.
    LeastConn,
    /// Each machine: the lesser of two drawn by lot, by its own connections.
    RandomTwo,
    /// One balancer in front of all: fewest connections, all of them known.
    CentralLeastConn,
    /// Each machine knows the true state of all and takes the least marginal cost.
    AllKnowing,
    /// Ours: `byAge byRandom byLogWindow byLoad`.
    Classic,
    /// Ours: `byAge byRandom byLogWindow byBusyChildren`.
    Busy,
    /// Ours: `byFresh`, never asking.
    Fresh,
    /// Ours: `byFresh`, asking first where it is worth it.
    Asking,
}

impl Policy {
    /// All, in the order of the tables.
    pub const ALL: [Self; 9] = [
        Self::RoundRobin,
        Self::LeastConn,
        Self::RandomTwo,
        Self::Classic,
        Self::Busy,
        Self::Fresh,
        Self::Asking,
        Self::CentralLeastConn,
        Self::AllKnowing,
    ];

    /// Its name in tables and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::LeastConn => "leastconn",
            Self::RandomTwo => "random-two",
            Self::CentralLeastConn => "central-leastconn",
            Self::AllKnowing => "all-knowing",
            Self::Classic => "classic",
            Self::Busy => "busy",
            Self::Fresh => "fresh",
            Self::Asking => "asking",
        }
    }

    /// The chain, for policies that are ours.
    pub const fn chain(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Classic => Some(&["byAge", "byRandom", "byLogWindow", "byLoad"]),
            Self::Busy => Some(&["byAge", "byRandom", "byLogWindow", "byBusyChildren"]),
            Self::Fresh | Self::Asking => Some(&["byFresh"]),
            _ => None,
        }
    }
}

/// What things cost, in microseconds of a CPU of speed 1. All are guesses from measured parts (a
/// sealed datagram is 0.1–0.2 µs of cipher and 3–8 µs of system call and wake-up on either side).
#[derive(Clone, Copy, Debug)]
pub struct Prices {
    /// Sending a question or a probe.
    pub ask: f64,
    /// Answering it.
    pub answer: f64,
    /// Taking the answer.
    pub hear_answer: f64,
    /// Sending an announcement.
    pub announce: f64,
    /// Hearing one.
    pub hear_announcement: f64,
    /// Relaying a request at the machine where it came in.
    pub relay: f64,
    /// Taking a request from a peer instead of from a client.
    pub from_peer: f64,
}

impl Prices {
    /// What is charged by default.
    pub const USUAL: Self = Self {
        ask: 6.0,
        answer: 12.0,
        hear_answer: 6.0,
        announce: 8.0,
        hear_announcement: 5.0,
        relay: 40.0,
        from_peer: 10.0,
    };

    /// Everything free.
    pub const NONE: Self = Self {
        ask: 0.0,
        answer: 0.0,
        hear_answer: 0.0,
        announce: 0.0,
        hear_announcement: 0.0,
        relay: 0.0,
        from_peer: 0.0,
    };
}

/// Something that happens to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies; its connections are reset.
    Crash,
    /// It starts again, as a new boot that knows nobody.
    Restart,
    /// It stops, connections stay.
    Freeze,
    /// It goes on.
    Thaw,
    /// It finishes what it has and takes nothing new.
    Drain,
    /// It takes requests again.
    Undrain,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// All chance follows from it.
    pub seed: u64,
    /// Machines.
    pub machines: u16,
    /// Share of the fleet's capacity (burners deducted) that is asked for.
    pub load: f64,
    /// Seconds measured.
    pub seconds: f64,
    /// Seconds before that.
    pub warm_up: f64,
    /// Who decides.
    pub policy: Policy,
    /// Whether machines differ in speed and have burners.
    pub uneven: bool,
    /// Mean demand of a request, in seconds on an idle CPU of speed 1.
    pub demand: f64,
    /// Share of datagrams lost on the way.
    pub loss: f64,
    /// Mean of the exponential part of a datagram's or message's way, in seconds; the fixed part is
    /// twice that.
    pub jitter: f64,
    /// Requests a machine's service holds; beyond, it refuses.
    pub limit: u32,
    /// A client gives up after so many seconds.
    pub patience: f64,
    /// What things cost.
    pub prices: Prices,
    /// How asking is bounded.
    pub asking: AskingRules,
    /// What happens when, in seconds; to which machine.
    pub faults: Vec<(f64, u16, Fault)>,
    /// Whether every step is checked. Costs time.
    pub checked: bool,
}

impl Scenario {
    /// The usual fleet under `policy`.
    pub fn new(policy: Policy, machines: u16, load: f64, seed: u64) -> Self {
        // About 24,000 requests or more, whatever the size of the fleet.
        let seconds = match machines {
            0..=9 => 40.0,
            10..=49 => 14.0,
            _ => 6.0,
        };
        Self {
            seed,
            machines,
            load,
            seconds,
            warm_up: 2.0,
            policy,
            uneven: true,
            demand: 0.020,
            loss: 0.005,
            jitter: 20e-6,
            limit: 256,
            patience: 2.0,
            prices: Prices::USUAL,
            asking: AskingRules::default(),
            faults: Vec::new(),
            checked: false,
        }
    }

    /// Speed of a machine's CPUs.
    pub fn speed(&self, machine: u16) -> f64 {
        const SPEEDS: [f64; 6] = [1.0, 1.0, 0.5, 2.0, 1.0, 0.75];
        if self.uneven { SPEEDS[usize::from(machine) % SPEEDS.len()] } else { 1.0 }
    }

    /// Requests a second in the whole fleet.
    pub fn rate(&self) -> f64 {
        let burned = if self.uneven { 0.45 * 0.2 } else { 0.0 };
        let capacity: f64 = (0..self.machines).map(|m| self.speed(m) * CORES).sum();
        capacity * (1.0 - burned) / self.demand * self.load
    }
}

/// CPUs of a machine.
pub const CORES: f64 = 2.0;
