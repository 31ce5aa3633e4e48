//! The events of a run, in order of time and then of making.

mod control;
mod requests;
mod weather;

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap};
use std::rc::Rc;

use announce::liveness::{Action, Evidence, Look};
use base::{Instant, Random};
use candidacy::asking::Round;
use candidacy::request::Plain;
use candidacy::{
    Chain, Condition, Decision, Flags, Report, Slot, Tried, Verdict, View, decide, failures,
};

use crate::checks::Checks;
use crate::machine::Machine;
use crate::measure::{End, Outcome};
use crate::node::{self, Node, Words};
use crate::rivals::Rivals;
use crate::scenario::{CORES, Fault, Policy, Scenario};

/// Simulated clocks start here, so that zero can mean never.
const START: u64 = 10_000_000_000;
/// How often each machine looks round and settles its debts, in seconds.
const TICK: f64 = 0.05;

#[derive(Clone, Debug)]
enum Event {
    Arrive,
    /// A request reaches the machine it was sent to.
    Reach {
        request: u32,
        attempt: u8,
    },
    /// The next request of a machine ends, if nothing changed since.
    Ends {
        machine: u16,
        stamp: u64,
    },
    /// A response is back at the entry.
    Return {
        request: u32,
        attempt: u8,
        report: Report,
        boot: u32,
        refused: bool,
    },
    /// A connection broke, or was refused.
    Broken {
        request: u32,
        attempt: u8,
        evidence: Evidence,
    },
    Question {
        asker: u16,
        asker_boot: u32,
        to: u16,
        about: About,
        sent: u64,
    },
    Answer {
        asker: u16,
        asker_boot: u32,
        from: u16,
        boot: u32,
        about: About,
        sent: u64,
        report: Report,
        reservation: u32,
    },
    Deadline {
        request: u32,
        attempt: u8,
    },
    Announce {
        machine: u16,
    },
    Heard {
        to: u16,
        from: u16,
        words: Rc<Words>,
    },
    Tick {
        machine: u16,
        count: u32,
    },
    Burn {
        machine: u16,
        begins: bool,
    },
    Fault {
        index: usize,
    },
}

/// What a datagram was sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Freshness,
    Life,
    Admission,
    Round { request: u32, attempt: u8 },
}

#[derive(Clone, Debug)]
struct Posted {
    at: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Posted {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Posted {}

impl PartialOrd for Posted {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Posted {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

#[derive(Clone, Debug)]
struct Request {
    entry: u16,
    born: u64,
    demand: f64,
    target: u16,
    attempt: u8,
    tried: Tried,
    round: Option<Box<Round>>,
    asked_at: u64,
    sent: u64,
    reservation: u32,
    measured: bool,
    done: bool,
}

/// One run. See the module's text.
pub struct World {
    scenario: Scenario,
    chain: Option<Chain>,
    now: u64,
    posted: u64,
    queue: BinaryHeap<Reverse<Posted>>,
    machines: Vec<Machine>,
    nodes: Vec<Node>,
    rivals: Rivals,
    requests: Vec<Request>,
    /// Open requests by entry, those at other machines.
    away: Vec<BTreeSet<u32>>,
    /// What reaches a frozen machine waits for its thaw.
    deferred: Vec<Vec<Event>>,
    next_announcement: Vec<u64>,
    busy_before: Vec<f64>,
    /// Arrivals and demands: the same for all policies.
    work: Random,
    /// Burners: also the same for all.
    weather: Random,
    /// Everything else.
    chance: Random,
    checks: Option<Checks>,
    outcome: Outcome,
}

fn nanos(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e9) as u64
}

fn exponential(random: &mut Random, mean: f64) -> f64 {
    -mean * (1.0 - random.unit()).ln()
}

impl World {
    /// A world at rest, everybody known to everybody.
    pub fn new(scenario: Scenario) -> Self {
        let n = scenario.machines;
        let mut chance = Random::new(scenario.seed ^ 0x6368_616e_6365);
        let chain = scenario.policy.chain().map(|texts| {
            Chain::parse(texts).unwrap_or_else(|error| panic!("a policy's own chain: {error}"))
        });
        let now = Instant::from_nanos(START);
        let facts: Vec<_> = (0..n).map(|m| node::facts(&scenario, m, &mut chance)).collect();
        let mut nodes: Vec<Node> = (0..n)
            .map(|m| Node::new(&scenario, Slot(m), 1, facts[usize::from(m)].clone(), now))
            .collect();
        for node in &mut nodes {
            for (other, facts) in facts.iter().enumerate().filter(|_| chain.is_some()) {
                let slot = Slot(other as u16);
                if slot != node.slot {
                    node.admit(now, slot, 1, facts.clone());
                }
            }
            node.swap();
        }
        let count = usize::from(n);
        let mut world = Self {
            chain,
            now: START,
            posted: 0,
            queue: BinaryHeap::new(),
            machines: (0..n).map(|m| Machine::new(CORES, scenario.speed(m))).collect(),
            nodes,
            rivals: Rivals::new(scenario.policy, n),
            requests: Vec::new(),
            away: vec![BTreeSet::new(); count],
            deferred: vec![Vec::new(); count],
            next_announcement: vec![u64::MAX; count],
            busy_before: vec![0.0; count],
            work: Random::new(scenario.seed),
            weather: Random::new(scenario.seed ^ 0x0077_6561_7468_6572),
            chance,
            checks: scenario.checked.then(|| Checks::new(&scenario)),
            outcome: Outcome::default(),
            scenario,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.post(0.0, Event::Arrive);
        for machine in 0..self.scenario.machines {
            let offset = self.weather.unit();
            self.post(offset * TICK, Event::Tick { machine, count: 0 });
            if self.scenario.uneven {
                self.post(offset * 5.0, Event::Burn { machine, begins: true });
            }
            if self.chain.is_some() {
                self.post(offset, Event::Announce { machine });
            }
        }
        for index in 0..self.scenario.faults.len() {
            self.post(self.scenario.faults[index].0, Event::Fault { index });
        }
    }

    /// Runs to the end; measured requests by the machine that served them.
    pub fn run_and_count(mut self) -> Vec<u64> {
        self.run_to_end();
        let mut counts = vec![0; usize::from(self.scenario.machines)];
        let served = self.requests.iter().filter(|r| r.measured);
        served.for_each(|r| counts[usize::from(r.target)] += 1);
        counts
    }

    /// Runs to the end.
    pub fn run(mut self) -> Outcome {
        self.run_to_end();
        self.outcome
    }

    fn run_to_end(&mut self) {
        let last = self.scenario.warm_up + self.scenario.seconds + self.scenario.patience;
        let end = START + nanos(last);
        while let Some(Reverse(posted)) = self.queue.pop() {
            if posted.at >= end {
                break;
            }
            self.now = posted.at;
            self.handle(posted.event);
        }
        for at in 0..self.requests.len() {
            if !self.requests[at].done {
                self.finish(at as u32, End::Late);
            }
        }
        self.outcome.cpu = self.machines.iter().map(Machine::busy).sum();
    }

    fn seconds(&self) -> f64 {
        self.now as f64 * 1e-9
    }

    fn instant(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    fn measuring(&self) -> bool {
        let since = (self.now - START) as f64 * 1e-9 - self.scenario.warm_up;
        (0.0..self.scenario.seconds).contains(&since)
    }

    fn post(&mut self, after: f64, event: Event) {
        self.post_at(self.now + nanos(after), event);
    }

    fn post_at(&mut self, at: u64, event: Event) {
        self.posted += 1;
        self.queue.push(Reverse(Posted { at, number: self.posted, event }));
    }

    fn handle(&mut self, event: Event) {
        if let Some(machine) = self.belongs_to(&event)
            && self.nodes[usize::from(machine)].frozen
        {
            self.deferred[usize::from(machine)].push(event);
            return;
        }
        match event {
            Event::Arrive => self.arrive(),
            Event::Reach { request, attempt } => self.reach(request, attempt),
            Event::Ends { machine, stamp } => self.ends(machine, stamp),
            Event::Return { request, attempt, report, boot, refused } => {
                self.returned(request, attempt, report, boot, refused);
            }
            Event::Broken { request, attempt, evidence } => self.broken(request, attempt, evidence),
            Event::Question { asker, asker_boot, to, about, sent } => {
                self.question(asker, asker_boot, to, about, sent);
            }
            Event::Answer { asker, asker_boot, from, boot, about, sent, report, reservation } => {
                if self.nodes[usize::from(asker)].boot == asker_boot {
                    self.answer(asker, from, boot, about, sent, report, reservation);
                }
            }
            Event::Deadline { request, attempt } => self.deadline(request, attempt),
            Event::Announce { machine } => self.announce(machine),
            Event::Heard { to, from, words } => self.heard(to, from, &words),
            Event::Tick { machine, count } => self.tick(machine, count),
            Event::Burn { machine, begins } => self.burn(machine, begins),
            Event::Fault { index } => {
                let (_, machine, fault) = self.scenario.faults[index];
                self.fault(machine, fault);
            }
        }
    }

    /// Whose process has to run for an event to happen; ticks are skipped instead.
    fn belongs_to(&self, event: &Event) -> Option<u16> {
        let entry = |request: &u32| self.requests[*request as usize].entry;
        match event {
            Event::Reach { request, .. } => Some(self.requests[*request as usize].target),
            Event::Return { request, .. }
            | Event::Broken { request, .. }
            | Event::Deadline { request, .. } => Some(entry(request)),
            Event::Question { to, .. } | Event::Heard { to, .. } => Some(*to),
            Event::Answer { asker, .. } => Some(*asker),
            Event::Announce { machine } => Some(*machine),
            _ => None,
        }
    }

    // ---- wires ----

    /// One way through the network.
    fn wire(&mut self) -> f64 {
        2.0 * self.scenario.jitter + exponential(&mut self.chance, self.scenario.jitter)
    }

    /// Until a thread that was woken runs: longer, and now and then much longer, when the CPUs are busy.
    fn wake(&mut self, machine: u16) -> f64 {
        let machine = &self.machines[usize::from(machine)];
        if (machine.len() as f64) < machine.free_cores() {
            return exponential(&mut self.chance, 15e-6);
        }
        let often = exponential(&mut self.chance, 60e-6);
        if self.chance.unit() < 0.05 { often + exponential(&mut self.chance, 1e-3) } else { often }
    }

    /// Whether a datagram arrives.
    fn passes(&mut self) -> bool {
        self.outcome.datagrams += u64::from(self.measuring());
        self.chance.unit() >= self.scenario.loss
    }

    /// Charges a machine for the network work of balancing.
    fn charge(&mut self, machine: u16, micros: f64) {
        self.nodes[usize::from(machine)].debt += micros;
        if self.measuring() {
            self.outcome.overhead += micros * 1e-6;
        }
    }
}
