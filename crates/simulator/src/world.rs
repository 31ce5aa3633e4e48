//! The events of a run, in order of time and then of making.

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

    // ---- requests ----

    fn arrive(&mut self) {
        let gap = exponential(&mut self.work, 1.0 / self.scenario.rate());
        self.post(gap, Event::Arrive);
        let mean = self.scenario.demand * if self.work.unit() < 0.9 { 0.5 } else { 5.5 };
        let demand = exponential(&mut self.work, mean);
        let n = self.scenario.machines;
        let drawn = self.work.below(n.into()) as u16;
        // A client whose address does not answer tries the next.
        let tries = (drawn..n).chain(0..drawn);
        let Some(entry) = tries.into_iter().find(|&m| self.nodes[usize::from(m)].runs()) else {
            return;
        };
        let request = self.requests.len() as u32;
        self.requests.push(Request {
            entry,
            born: self.now,
            demand,
            target: entry,
            attempt: 0,
            tried: Tried::NONE,
            round: None,
            asked_at: 0,
            sent: self.now,
            reservation: 0,
            measured: self.measuring(),
            done: false,
        });
        self.dispatch(request);
    }

    /// Decides about a request, the first time or again.
    fn dispatch(&mut self, request: u32) {
        let entry = self.requests[request as usize].entry;
        let Some(chain) = self.chain.clone() else {
            let target = self.rivals.choose(entry, &self.machines, &mut self.chance);
            let central = self.scenario.policy == Policy::CentralLeastConn;
            return self.send(request, target, target == entry && !central);
        };
        let now = self.instant();
        let node = &mut self.nodes[usize::from(entry)];
        let Request { tried, .. } = self.requests[request as usize];
        let service = node.service;
        let view = View { hot: &node.hot, snapshot: &node.snapshot, now, service };
        let seen = Plain { host: "www", target: "/", method: "GET", headers: &[] };
        let (random, scratch) = (&mut node.random, &mut node.scratch);
        let decision = decide(&chain, &view, &seen, &tried, random, scratch, None);
        let rules = &self.scenario.asking;
        let asks = self.scenario.policy == Policy::Asking
            && chain.asks()
            && tried.is_empty()
            && node.switch.worth(service, &node.times, rules);
        let round = asks
            .then(|| Round::plan(&decision, &view, scratch, random, &node.times, rules))
            .flatten();
        if let Some(checks) = &self.checks {
            checks.decision(node, &decision, &tried, now);
        }
        match round {
            Some(round) => self.ask(request, round),
            None => {
                self.act(request, &decision);
                if let Some(slot) = decision.probe {
                    self.send_question(entry, slot.0, About::Freshness);
                }
            }
        }
    }

    fn ask(&mut self, request: u32, round: Round) {
        let r = &mut self.requests[request as usize];
        let (entry, attempt, measured) = (r.entry, r.attempt, r.measured);
        let whom: Vec<Slot> = round.asked().collect();
        let deadline = round.deadline().as_nanos();
        r.round = Some(Box::new(round));
        r.asked_at = self.now;
        if measured {
            self.outcome.asked += 1;
            self.outcome.questions += whom.len() as u64;
        }
        for slot in whom {
            self.send_question(entry, slot.0, About::Round { request, attempt });
        }
        self.post_at(deadline, Event::Deadline { request, attempt });
    }

    fn deadline(&mut self, request: u32, attempt: u8) {
        let r = &mut self.requests[request as usize];
        if r.done || r.attempt != attempt {
            return;
        }
        let Some(round) = r.round.take() else { return };
        let (entry, tried, measured, asked_at) = (r.entry, r.tried, r.measured, r.asked_at);
        let now = Instant::from_nanos(self.now);
        let node = &mut self.nodes[usize::from(entry)];
        let view = View { hot: &node.hot, snapshot: &node.snapshot, now, service: node.service };
        let decision = round.decide(&view, &mut node.random, &mut node.scratch, None);
        if let Verdict::Proxy(slot) = decision.verdict {
            self.requests[request as usize].reservation = round.reservation(slot);
        }
        if measured {
            let (asked, answered) = round.counts();
            self.outcome.silent += (asked - answered) as u64;
            self.outcome.waited += (self.now - asked_at) as f64 * 1e-9;
        }
        if let Some(checks) = &self.checks {
            checks.decision(&self.nodes[usize::from(entry)], &decision, &tried, now);
        }
        self.act(request, &decision);
    }

    fn act(&mut self, request: u32, decision: &Decision) {
        let r = &self.requests[request as usize];
        let (entry, measured) = (r.entry, r.measured);
        match decision.verdict {
            Verdict::Here => self.send(request, entry, true),
            Verdict::Proxy(slot) => {
                if let Some(age) = decision.age.filter(|_| measured) {
                    self.outcome.ages.push(age.as_secs_f32());
                }
                self.send(request, slot.0, false);
            }
            _ => self.finish(request, End::Refused),
        }
    }

    fn send(&mut self, request: u32, target: u16, here: bool) {
        let r = &mut self.requests[request as usize];
        (r.target, r.sent) = (target, self.now);
        let (entry, attempt) = (r.entry, r.attempt);
        if here {
            return self.reach(request, attempt);
        }
        self.outcome.relayed += u64::from(r.measured);
        if self.scenario.policy != Policy::CentralLeastConn {
            self.nodes[usize::from(entry)].debt += self.scenario.prices.relay;
        }
        if self.chain.is_some() {
            let node = &self.nodes[usize::from(entry)];
            node.hot.begin(Slot(target));
            node.hot.begin_relay();
            self.away[usize::from(entry)].insert(request);
            if let Some(checks) = &mut self.checks {
                checks.opened(entry, target);
            }
        }
        let after = self.wire() + self.wake(target);
        self.post(after, Event::Reach { request, attempt });
    }

    /// A request is at the machine that shall serve it.
    fn reach(&mut self, request: u32, attempt: u8) {
        let r = &self.requests[request as usize];
        let (entry, target, demand) = (r.entry, r.target, r.demand);
        let (remote, measured) = (target != entry, r.measured);
        let over = r.done || r.attempt != attempt;
        self.rivals.arrived(target);
        if over {
            return;
        }
        if !self.nodes[usize::from(target)].up {
            let after = self.wire();
            return self
                .post(after, Event::Broken { request, attempt, evidence: Evidence::Refused });
        }
        if remote {
            self.nodes[usize::from(target)].debt += self.scenario.prices.from_peer;
        }
        if measured {
            self.outcome.found.push(self.machines[usize::from(target)].len() as u16);
        }
        let node = &mut self.nodes[usize::from(target)];
        let reservation = self.requests[request as usize].reservation;
        node.promises.consume(reservation);
        if node.hot.serving() >= self.scenario.limit {
            let (report, boot) = (node.hot.report_here(0), node.boot);
            let answer = Event::Return { request, attempt, report, boot, refused: true };
            let after = if remote { self.wire() } else { 0.0 };
            return self.post(after, answer);
        }
        node.hot.begin_service();
        let now = self.seconds();
        self.machines[usize::from(target)].start(now, request, demand);
        self.service_changed(target);
    }

    /// The next request of a machine is done.
    fn ends(&mut self, machine: u16, stamp: u64) {
        let now = self.seconds();
        let Some(request) = self.machines[usize::from(machine)].end(now, stamp) else { return };
        let node = &self.nodes[usize::from(machine)];
        // The report goes out with the response, so this request is still in it.
        let (report, boot) = (node.hot.report_here(0), node.boot);
        node.hot.end_service();
        self.service_changed(machine);
        let r = &self.requests[request as usize];
        let (attempt, entry) = (r.attempt, r.entry);
        if r.done || r.target != machine {
            return;
        }
        let central = self.scenario.policy == Policy::CentralLeastConn;
        let after = if entry == machine && !central { 0.0 } else { self.wire() + self.wake(entry) };
        self.post(after, Event::Return { request, attempt, report, boot, refused: false });
    }

    fn service_changed(&mut self, machine: u16) {
        let at = usize::from(machine);
        if let Some((end, stamp)) = self.machines[at].next_end() {
            self.post_at(nanos(end).max(self.now), Event::Ends { machine, stamp });
        }
        let node = &mut self.nodes[at];
        let full = node.hot.serving() >= self.scenario.limit;
        if full {
            node.hot.set_flags_here(Flags::OVER_LIMIT);
        } else {
            node.hot.clear_flags_here(Flags::OVER_LIMIT);
        }
        node.herald.handle_in_flight(node.hot.serving());
        self.schedule_announcement(machine);
    }

    /// A response, or a refusal, is back where the client is.
    fn returned(&mut self, request: u32, attempt: u8, report: Report, boot: u32, refused: bool) {
        let r = &self.requests[request as usize];
        if r.done || r.attempt != attempt {
            return;
        }
        let (entry, target, sent) = (r.entry, r.target, r.sent);
        let now = self.instant();
        let node = &mut self.nodes[usize::from(entry)];
        if self.chain.is_some() && target != entry {
            node.hot.hear(Slot(target), boot, report, now);
            if !refused {
                failures::succeeded(&node.hot, Slot(target), now);
            }
        }
        if !refused {
            node.served.record(std::time::Duration::from_nanos(self.now - sent));
        }
        self.leave(request);
        if !refused {
            self.finish(request, End::Served);
        } else if self.chain.is_some() && target != entry {
            // Its own word: the next candidate is tried, on no budget.
            self.again(request, target);
        } else {
            self.finish(request, End::Refused);
        }
    }

    /// A connection of a request broke.
    fn broken(&mut self, request: u32, attempt: u8, evidence: Evidence) {
        let r = &self.requests[request as usize];
        if r.done || r.attempt != attempt {
            return;
        }
        let (entry, target) = (r.entry, r.target);
        if self.chain.is_none() || entry == target {
            self.leave(request);
            return self.finish(request, End::Failed);
        }
        let now = self.instant();
        let node = &mut self.nodes[usize::from(entry)];
        failures::failed(
            &node.hot,
            &node.snapshot,
            Slot(target),
            &failures::FailureRules::default(),
            now,
        );
        self.move_away(request);
        self.nodes[usize::from(entry)].liveness.handle_evidence(now, Slot(target), evidence);
        self.follow_liveness(entry);
    }

    /// Takes a request off its machine and tries another.
    fn move_away(&mut self, request: u32) {
        let target = self.requests[request as usize].target;
        self.leave(request);
        self.again(request, target);
    }

    fn again(&mut self, request: u32, failed: u16) {
        let r = &mut self.requests[request as usize];
        r.attempt += 1;
        (r.round, r.reservation) = (None, 0);
        self.outcome.moves += u64::from(r.measured);
        if !r.tried.add(Slot(failed)) {
            return self.finish(request, End::Failed);
        }
        self.dispatch(request);
    }

    /// The entry counts the request off.
    fn leave(&mut self, request: u32) {
        let r = &self.requests[request as usize];
        let (entry, target) = (r.entry, r.target);
        self.rivals.ended(entry, target);
        if self.chain.is_some() && self.away[usize::from(entry)].remove(&request) {
            let node = &self.nodes[usize::from(entry)];
            node.hot.end(Slot(target));
            node.hot.end_relay();
            if let Some(checks) = &mut self.checks {
                checks.closed(entry, target);
            }
        }
    }

    fn finish(&mut self, request: u32, end: End) {
        let r = &mut self.requests[request as usize];
        assert!(!r.done, "seed {}: request {request} ended twice", self.scenario.seed);
        r.done = true;
        r.round = None;
        if !r.measured {
            return;
        }
        let took = (self.now - r.born) as f64 * 1e-9;
        let late = took > self.scenario.patience && end == End::Served;
        let end = if late { End::Late } else { end };
        self.outcome.count_end(end);
        if end == End::EntryLost {
            return;
        }
        // A refusal costs the client what waiting in vain costs: it did not get its page.
        let clipped = if end == End::Served { took } else { self.scenario.patience };
        self.outcome.times.push(clipped as f32);
    }

    // ---- questions, announcements, lives ----

    fn send_question(&mut self, asker: u16, to: u16, about: About) {
        self.charge(asker, self.scenario.prices.ask);
        let (asker_boot, sent) = (self.nodes[usize::from(asker)].boot, self.now);
        if self.passes() {
            let after = self.wire() + self.wake(to);
            self.post(after, Event::Question { asker, asker_boot, to, about, sent });
        }
    }

    fn question(&mut self, asker: u16, asker_boot: u32, to: u16, about: About, sent: u64) {
        if !self.nodes[usize::from(to)].up {
            return;
        }
        self.charge(to, self.scenario.prices.answer);
        let now = self.instant();
        let wait = self.nodes[usize::from(asker)].times.wait(&self.scenario.asking);
        let node = &mut self.nodes[usize::from(to)];
        node.granter.expire(now);
        let report = node.hot.report_here(node.granter.expected());
        let reserves = matches!(about, About::Round { .. }) && report.flags.is_none();
        let asker_is = node::speaker(asker, asker_boot);
        let reservation = reserves.then(|| node.granter.grant(now, asker_is, 2 * wait)).flatten();
        let (from, boot, reservation) = (to, node.boot, reservation.unwrap_or(0));
        if self.passes() {
            let after = self.wire() + self.wake(asker);
            let answer =
                Event::Answer { asker, asker_boot, from, boot, about, sent, report, reservation };
            self.post(after, answer);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one event")]
    fn answer(
        &mut self,
        asker: u16,
        from: u16,
        boot: u32,
        about: About,
        sent: u64,
        report: Report,
        reservation: u32,
    ) {
        self.charge(asker, self.scenario.prices.hear_answer);
        let now = self.instant();
        let slot = Slot(from);
        if !self.nodes[usize::from(asker)].up {
            return;
        }
        if about == About::Admission {
            if self.nodes[usize::from(asker)].hot.epoch(slot) != boot {
                let facts = node::facts(&self.scenario, from, &mut self.chance);
                self.nodes[usize::from(asker)].admit(now, slot, boot, facts);
                self.nodes[usize::from(asker)].hot.hear(slot, boot, report, now);
            }
            return;
        }
        let node = &mut self.nodes[usize::from(asker)];
        let took = std::time::Duration::from_nanos(self.now - sent);
        node.hot.hear(slot, boot, report, now);
        node.hot.observe_hop(slot, took);
        node.times.observe(took);
        if about == About::Life && node.hot.epoch(slot) == boot {
            node.liveness.handle_answer(now, slot);
            self.follow_liveness(asker);
        }
        if let About::Round { request, attempt } = about {
            let r = &mut self.requests[request as usize];
            let open = r.attempt == attempt && !r.done;
            if open && r.round.as_mut().is_some_and(|round| round.answer(slot, reservation)) {
                self.deadline(request, attempt);
            }
        }
    }

    fn schedule_announcement(&mut self, machine: u16) {
        let at = usize::from(machine);
        if self.chain.is_none() || !self.nodes[at].runs() {
            return;
        }
        let due = self.nodes[at].herald.poll_timeout().as_nanos().max(self.now);
        if due < self.next_announcement[at] {
            self.next_announcement[at] = due;
            self.post_at(due, Event::Announce { machine });
        }
    }

    fn announce(&mut self, machine: u16) {
        let at = usize::from(machine);
        self.next_announcement[at] = u64::MAX;
        if !self.nodes[at].up {
            return;
        }
        let now = self.instant();
        if self.nodes[at].herald.handle_timeout(now) {
            let words = Rc::new(self.nodes[at].words());
            self.charge(machine, self.scenario.prices.announce);
            self.outcome.datagrams += u64::from(self.measuring());
            for to in (0..self.scenario.machines).filter(|&to| to != machine) {
                if self.chance.unit() >= self.scenario.loss {
                    let after = self.wire() + self.wake(to);
                    self.post(after, Event::Heard { to, from: machine, words: words.clone() });
                }
            }
        }
        self.schedule_announcement(machine);
    }

    fn heard(&mut self, to: u16, from: u16, words: &Words) {
        if !self.nodes[usize::from(to)].up {
            return;
        }
        self.charge(to, self.scenario.prices.hear_announcement);
        let now = self.instant();
        let node = &mut self.nodes[usize::from(to)];
        if node.hot.epoch(Slot(from)) == words.boot {
            node.hear(now, Slot(from), words);
        } else {
            // An unknown boot counts only after it has answered.
            self.send_question(to, from, About::Admission);
        }
    }

    fn tick(&mut self, machine: u16, count: u32) {
        self.post(TICK, Event::Tick { machine, count: count.wrapping_add(1) });
        let at = usize::from(machine);
        if !self.nodes[at].runs() {
            return;
        }
        let now = self.seconds();
        self.settle(machine, now);
        if count % 20 == 19 {
            let busy = self.machines[at].busy();
            let since = busy - std::mem::replace(&mut self.busy_before[at], busy);
            let running = self.machines[at].len();
            self.nodes[at].measure(running, since);
        }
        if self.chain.is_some() {
            if count % 4 == 3 {
                self.nodes[at].swap();
            }
            self.look(machine);
        }
        if let (Some(checks), Some(_)) = (&self.checks, &self.chain) {
            checks.counts(&self.nodes[at], self.machines[at].len());
        }
    }

    /// Turns what balancing has cost into CPUs that requests do not get.
    fn settle(&mut self, machine: u16, now: f64) {
        let at = usize::from(machine);
        let node = &mut self.nodes[at];
        let debt = std::mem::take(&mut node.debt) * 1e-6;
        if debt == 0.0 && node.overhead == 0.0 {
            return;
        }
        node.overhead = debt / TICK / self.machines[at].speed();
        self.machines[at].set_overhead(now, node.overhead);
        self.reschedule(machine);
    }

    fn reschedule(&mut self, machine: u16) {
        if let Some((end, stamp)) = self.machines[usize::from(machine)].next_end() {
            self.post_at(nanos(end).max(self.now), Event::Ends { machine, stamp });
        }
    }

    fn look(&mut self, machine: u16) {
        let now = self.instant();
        let Node { liveness, hot, .. } = &mut self.nodes[usize::from(machine)];
        liveness.handle_timeout(now, |slot| Look {
            heard: hot.heard(slot).map(|heard| heard.at),
            in_use: hot.mine(slot) > 0,
        });
        self.follow_liveness(machine);
    }

    fn follow_liveness(&mut self, machine: u16) {
        while let Some(action) = self.nodes[usize::from(machine)].liveness.poll_action() {
            match action {
                Action::Probe(slot) => self.send_question(machine, slot.0, About::Life),
                Action::Set(slot, condition, _) => {
                    self.nodes[usize::from(machine)].hot.set_condition(slot, condition);
                    if condition == Condition::Dead {
                        self.rescue(machine, slot.0);
                    }
                }
                Action::Forget(slot) => self.nodes[usize::from(machine)].hot.vacate(slot),
            }
        }
    }

    /// Moves what waits at a machine that is dead now.
    fn rescue(&mut self, entry: u16, dead: u16) {
        let at_it = |request: &&u32| self.requests[**request as usize].target == dead;
        let waiting: Vec<u32> =
            self.away[usize::from(entry)].iter().filter(at_it).copied().collect();
        waiting.into_iter().for_each(|request| self.move_away(request));
    }

    // ---- weather ----

    fn burn(&mut self, machine: u16, begins: bool) {
        let share = if begins { 0.3 + 0.3 * self.weather.unit() } else { 0.0 };
        let now = self.seconds();
        self.machines[usize::from(machine)].burn(now, share);
        self.reschedule(machine);
        self.post(if begins { 1.0 } else { 4.0 }, Event::Burn { machine, begins: !begins });
    }

    fn fault(&mut self, machine: u16, fault: Fault) {
        let at = usize::from(machine);
        let (now, moment) = (self.seconds(), self.instant());
        match fault {
            Fault::Crash => self.crash(machine, now),
            Fault::Restart => {
                let boot = self.nodes[at].boot + 1;
                let own = node::facts(&self.scenario, machine, &mut self.chance);
                self.nodes[at] = Node::new(&self.scenario, Slot(machine), boot, own, moment);
                self.schedule_announcement(machine);
            }
            Fault::Freeze | Fault::Thaw => {
                let frozen = fault == Fault::Freeze;
                self.nodes[at].frozen = frozen;
                self.machines[at].stop(now, frozen);
                if !frozen {
                    self.reschedule(machine);
                    let waiting = std::mem::take(&mut self.deferred[at]);
                    waiting.into_iter().for_each(|event| self.post(0.0, event));
                    self.schedule_announcement(machine);
                }
            }
            Fault::Drain => {
                self.nodes[at].hot.set_flags_here(Flags::DRAINING);
                self.nodes[at].herald.hurry();
                self.schedule_announcement(machine);
            }
            Fault::Undrain => self.nodes[at].hot.clear_flags_here(Flags::DRAINING),
        }
    }

    fn crash(&mut self, machine: u16, now: f64) {
        let at = usize::from(machine);
        self.nodes[at].up = false;
        self.nodes[at].frozen = false;
        self.machines[at].stop(now, false);
        let mut lost = self.machines[at].crash(now);
        for event in std::mem::take(&mut self.deferred[at]) {
            // The kernel had accepted these connections for a process that did not read them.
            if let Event::Reach { request, attempt } = event
                && self.requests[request as usize].attempt == attempt
            {
                lost.push(request);
            }
        }
        self.away[at].clear();
        if let Some(checks) = &mut self.checks {
            checks.forget(machine);
        }
        for request in 0..self.requests.len() as u32 {
            let r = &self.requests[request as usize];
            if r.entry == machine && !r.done {
                self.finish(request, End::EntryLost);
            }
        }
        for request in lost {
            let r = &self.requests[request as usize];
            let attempt = r.attempt;
            if !r.done && r.target == machine {
                let after = self.wire();
                self.post(after, Event::Broken { request, attempt, evidence: Evidence::Reset });
            }
        }
    }
}
