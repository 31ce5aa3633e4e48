//! The events in order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use base::{Boot, Instant, Random};
use bytes::Bytes;
use ring::{Daemon, DaemonName, Ring, Service, Settings, Surroundings, Tag, To};

use super::net::{Weather, Wires};
use super::plan::{Fault, Plan};
use super::trace::{Content, HEAD, Item, MessageId, Trace, seconds};

/// Datagrams that wait at the door of a frozen machine, as a socket's buffer holds them.
const DOOR: usize = 300;
/// After the faults, everybody must be in a view to stay within this time. The issue says five seconds; daemons that
/// are kept out for a while come in later, which is not counted against it.
pub const CALM_WITHIN: Duration = Duration::from_secs(5);
/// How long everything is left running after the last message was taken from a queue, so that it is delivered.
const DRAIN: Duration = Duration::from_secs(1);
/// What waits must have been sent by then.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);
/// Datagrams recorded for replays.
const RECORDED: usize = 2000;

struct Around {
    dice: Random,
    wall: Arc<AtomicI64>,
}

impl Surroundings for Around {
    fn random(&mut self, out: &mut [u8]) {
        out.iter_mut().for_each(|byte| *byte = self.dice.next_u64() as u8);
    }

    fn unix_seconds(&mut self) -> u32 {
        self.wall.load(Relaxed) as u32
    }
}

enum Action {
    Arrive { to: usize, boot: Boot, datagram: Bytes },
    Timer { machine: usize, life: usize },
    Send { machine: usize, life: usize },
    Fault(Fault),
    Start(usize),
    Thaw(usize),
    Judge,
}

struct Machine {
    name: DaemonName,
    ring: Option<Ring>,
    boot: Boot,
    life: usize,
    timer: Instant,
    frozen: bool,
    door: Vec<(Boot, Bytes)>,
    /// How far its monotonic clock is behind the world's, after pauses of a virtual machine.
    behind: Duration,
    frozen_at: Instant,
    pausing: bool,
    wall: Arc<AtomicI64>,
}

impl Machine {
    /// Its daemon, if there is one and the machine is not frozen.
    fn awake(&mut self) -> Option<&mut Ring> {
        self.ring.as_mut().filter(|_| !self.frozen)
    }
}

/// One history under way.
pub struct World {
    plan: Plan,
    dice: Random,
    now: Instant,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    actions: std::collections::BTreeMap<u64, Action>,
    next: u64,
    machines: Vec<Machine>,
    wires: Wires,
    weather: Weather,
    boots: std::collections::BTreeMap<Tag, usize>,
    recorded: Vec<(Boot, Bytes)>,
    /// What each life did and saw.
    pub traces: Vec<Trace>,
    sending: bool,
    /// Events handled.
    pub steps: u64,
    /// Whether to print what happens.
    pub loud: bool,
}

impl World {
    /// The beginning.
    pub fn new(plan: &Plan) -> Self {
        let mut dice = Random::new(plan.seed ^ 0x5eed);
        let names = ["ann", "bob", "cat", "dan", "eve", "fay", "gus", "hal"];
        let machines = (0..plan.machines)
            .map(|i| Machine {
                name: DaemonName::new(format!("{}{}", names[i % 8], i / 8).as_bytes())
                    .unwrap_or_else(|_| DaemonName::of_host("x")),
                ring: None,
                boot: Boot([0; 16]),
                life: 0,
                timer: Instant::ORIGIN,
                frozen: false,
                door: Vec::new(),
                behind: Duration::ZERO,
                frozen_at: Instant::ORIGIN,
                pausing: false,
                wall: Arc::new(AtomicI64::new(1_700_000_000)),
            })
            .collect();
        let mut world = Self {
            plan: plan.clone(),
            now: Instant::from_millis(1),
            queue: BinaryHeap::new(),
            actions: std::collections::BTreeMap::new(),
            next: 0,
            machines,
            wires: Wires::new(plan.machines),
            weather: plan.weather,
            boots: std::collections::BTreeMap::new(),
            recorded: Vec::new(),
            traces: Vec::new(),
            sending: true,
            steps: 0,
            loud: false,
            dice: dice.clone(),
        };
        for machine in 0..plan.machines {
            let at = Instant::from_millis(2) + Duration::from_micros(dice.below(80_000).into());
            world.schedule(at, Action::Start(machine));
        }
        for (at, fault) in plan.faults.clone() {
            world.schedule(at, Action::Fault(fault));
        }
        world
    }

    fn schedule(&mut self, at: Instant, action: Action) {
        self.next += 1;
        self.queue.push(Reverse((at, self.next)));
        self.actions.insert(self.next, action);
    }

    /// Runs to the end; how long calm took to come.
    ///
    /// # Errors
    /// What is not at rest when it should be.
    pub fn run(&mut self) -> Result<Duration, String> {
        let deadline = self.plan.calm + CALM_WITHIN;
        let step = Duration::from_millis(50);
        let mut rested: Option<Instant> = None;
        let mut judge = self.plan.calm;
        self.schedule(judge, Action::Judge);
        while let Some(Reverse((at, id))) = self.queue.pop() {
            let Some(action) = self.actions.remove(&id) else { continue };
            self.now = at;
            self.steps += 1;
            if let Action::Judge = action {
                let unrest = self.unrest();
                if unrest.is_none() {
                    rested = rested.or(Some(at));
                } else if let Some(what) = unrest {
                    rested = None;
                    if at > deadline {
                        return Err(format!("not at rest: {what}"));
                    }
                }
                // At rest for half a second: stop sending, let everything be delivered, end.
                if rested.is_some_and(|since| at.since(since) >= Duration::from_millis(500)) {
                    self.sending = false;
                    self.drain()?;
                    return Ok(rested.map_or(Duration::ZERO, |since| since.since(self.plan.calm)));
                }
                judge += step;
                self.schedule(judge, Action::Judge);
                continue;
            }
            self.act(action);
        }
        Ok(Duration::ZERO)
    }

    /// Traffic has stopped: everything that was sent is to arrive.
    fn drain(&mut self) -> Result<(), String> {
        let latest = self.now + DRAIN_WITHIN;
        let mut end = self.now + DRAIN;
        while let Some(Reverse((at, id))) = self.queue.pop() {
            if at > end {
                break;
            }
            let Some(action) = self.actions.remove(&id) else { continue };
            self.now = at;
            self.steps += 1;
            self.act(action);
            let waits = |m: &Machine| m.ring.as_ref().is_some_and(|ring| ring.queued() > 0);
            if self.machines.iter().any(waits) {
                end = at + DRAIN;
                if at > latest {
                    return Err("what was sent is still waiting long after the last message".into());
                }
            }
        }
        for machine in &self.machines {
            if self.loud {
                println!("{:?}", machine.ring);
            }
            if machine.ring.is_some() && !machine.frozen {
                self.traces[machine.life].ended = false;
            }
        }
        Ok(())
    }

    /// What is not as it should be once calm has come.
    fn unrest(&self) -> Option<String> {
        let alive: Vec<usize> =
            (0..self.machines.len()).filter(|&i| self.machines[i].ring.is_some()).collect();
        let mut views: Vec<(ring::RingId, Vec<usize>)> = Vec::new();
        for &i in &alive {
            let Some(ring) = &self.machines[i].ring else { continue };
            if self.machines[i].frozen {
                return Some(format!("{} is frozen", self.machines[i].name));
            }
            let Some(view) = ring.view().filter(|_| ring.stands()) else {
                return Some(format!("{} has no standing view: {ring:?}", self.machines[i].name));
            };
            let members: Vec<usize> = view
                .members
                .iter()
                .map(|m| self.machines.iter().position(|x| x.name == m.name).unwrap_or(usize::MAX))
                .collect();
            for (&m, daemon) in members.iter().zip(view.members.iter()) {
                let same = self.machines.get(m).is_some_and(|x| {
                    x.boot == daemon.boot
                        && x.ring.as_ref().and_then(Ring::view).map(|v| v.id) == Some(view.id)
                });
                if !same {
                    return Some(format!("{} believes in {daemon:?}", self.machines[i].name));
                }
                if !members.iter().all(|&o| self.wires.mutual(m, o)) {
                    return Some(format!("{:?} is no clique", view.members));
                }
            }
            if !views.iter().any(|(id, _)| *id == view.id) {
                views.push((view.id, members));
            }
        }
        for (a, (_, one)) in views.iter().enumerate() {
            for (_, two) in &views[a + 1..] {
                let whole = one.iter().all(|&x| two.iter().all(|&y| self.wires.mutual(x, y)));
                let excused = one.iter().chain(two).any(|&m| {
                    self.machines[m].ring.as_ref().is_some_and(|r| r.excluded_by().is_some())
                });
                if whole && !excused {
                    return Some(format!("{one:?} and {two:?} could be one view and are not"));
                }
            }
        }
        None
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Arrive { to, boot, datagram } => {
                let machine = &mut self.machines[to];
                if machine.frozen {
                    if machine.door.len() < DOOR {
                        machine.door.push((boot, datagram));
                    }
                } else {
                    let now = self.clock(to);
                    if let Some(ring) = &mut self.machines[to].ring {
                        ring.handle_datagram(now, &boot, &datagram);
                    }
                    self.collect(to);
                }
            }
            Action::Timer { machine, life } => {
                let current = self.machines[machine].life == life && !self.machines[machine].frozen;
                if current && self.machines[machine].timer <= self.now {
                    let now = self.clock(machine);
                    if let Some(ring) = &mut self.machines[machine].ring {
                        ring.handle_timeout(now);
                    }
                    self.machines[machine].timer = Instant::ORIGIN;
                    self.collect(machine);
                }
            }
            Action::Send { machine, life } => self.send(machine, life),
            Action::Fault(fault) => self.fault(fault),
            Action::Start(machine) => self.start(machine),
            Action::Thaw(machine) => self.thaw(machine),
            Action::Judge => {}
        }
    }

    fn clock(&self, machine: usize) -> Instant {
        Instant::ORIGIN + self.now.since(Instant::ORIGIN + self.machines[machine].behind)
    }

    fn start(&mut self, i: usize) {
        if self.machines[i].ring.is_some() {
            return;
        }
        let mut boot = [0; 16];
        boot.iter_mut().for_each(|byte| *byte = self.dice.next_u64() as u8);
        let boot = Boot(boot);
        let me = Daemon { name: self.machines[i].name, boot };
        self.boots.insert(Tag::from(&me), i);
        let mut settings = Settings::new(me);
        settings.accelerated = self.plan.accelerated;
        settings.group = self.plan.group;
        let around =
            Around { dice: Random::new(self.dice.next_u64()), wall: self.machines[i].wall.clone() };
        let seed = self.dice.next_u64();
        let now = self.clock(i);
        let machine = &mut self.machines[i];
        machine.ring = Some(Ring::new(now, settings, Box::new(around), seed));
        machine.boot = boot;
        machine.life = self.traces.len();
        machine.timer = Instant::ORIGIN;
        machine.door.clear();
        machine.frozen = false;
        let life = machine.life;
        self.traces.push(Trace::new(me));
        self.traces[life].ended = true; // Until it is found alive at the end.
        let first = self.now + self.plan.pace.mul_f64(self.dice.unit());
        self.schedule(first, Action::Send { machine: i, life });
        self.collect(i);
    }

    fn send(&mut self, i: usize, life: usize) {
        if self.machines[i].life != life || self.machines[i].ring.is_none() || !self.sending {
            return;
        }
        let burst = if self.dice.below(50) == 0 { 40 } else { 1 + self.dice.below(3) };
        if !self.machines[i].frozen {
            for _ in 0..burst {
                let safe = self.dice.unit() < self.plan.safe;
                let service = if safe { Service::Safe } else { Service::Agreed };
                let number = self.traces[life].sent as u32 + 1;
                let room = (self.plan.longest - HEAD) as f64;
                let length = HEAD + (room * self.dice.unit().powi(4)) as usize;
                let id = MessageId { life: life as u32, number };
                let content = Content { id, seen: self.traces[life].seen, service, length };
                if let Some(ring) = &mut self.machines[i].ring
                    && ring.submit(content.encode().into(), service).is_ok()
                {
                    self.traces[life].sent += 1;
                }
            }
            let now = self.clock(i);
            if let Some(ring) = &mut self.machines[i].ring {
                ring.handle_submitted(now);
            }
            self.collect(i);
        }
        let next = self.now + self.plan.pace.mul_f64(0.2 + 1.6 * self.dice.unit());
        self.schedule(next, Action::Send { machine: i, life });
    }

    fn fault(&mut self, fault: Fault) {
        if self.loud {
            println!("{:.6} {fault:?}", seconds(self.now));
        }
        match fault {
            Fault::Crash(i, back) => {
                self.machines[i].ring = None;
                self.schedule(self.now + back, Action::Start(i));
            }
            Fault::Leave(i, back) => {
                if let Some(ring) =
                    self.machines[i].awake()
                {
                    ring.leave();
                    self.collect(i);
                }
                self.machines[i].ring = None;
                self.schedule(self.now + back, Action::Start(i));
            }
            Fault::Freeze(i, time) | Fault::Pause(i, time) => {
                if !self.machines[i].frozen {
                    self.machines[i].frozen = true;
                    self.machines[i].frozen_at = self.now;
                    self.machines[i].pausing = matches!(fault, Fault::Pause(..));
                    self.schedule(self.now + time, Action::Thaw(i));
                }
            }
            Fault::Partition(sides) => {
                for a in 0..sides.len() {
                    for b in 0..sides.len() {
                        self.wires.set(a, b, sides[a] == sides[b]);
                    }
                }
            }
            Fault::OneWay(a, b) => {
                if a != b {
                    self.wires.set(a, b, false);
                }
            }
            Fault::Random(chance, directed) => {
                let n = self.machines.len();
                for a in 0..n {
                    for b in a + 1..n {
                        let cut = self.dice.unit() < chance;
                        let back = if directed { self.dice.unit() < chance } else { cut };
                        self.wires.set(a, b, !cut);
                        self.wires.set(b, a, !back);
                    }
                }
            }
            Fault::Heal => self.wires.mend(),
            Fault::NoMulticast(i) => {
                (0..self.machines.len()).for_each(|to| self.wires.set_multicast(i, to, false));
            }
            Fault::Clock(i, by) => {
                self.machines[i].wall.fetch_add(by, Relaxed);
            }
            Fault::Replay(to) => {
                // What a living boot sealed is refused by the driver's replay window.
                let dead = |boot: &Boot| !self.machines.iter().any(|m| m.boot == *boot);
                let recorded: Vec<_> =
                    self.recorded.iter().filter(|(boot, _)| dead(boot)).cloned().collect();
                for (boot, datagram) in recorded {
                    self.schedule(self.now, Action::Arrive { to, boot, datagram });
                }
            }
            Fault::Lie(i, about) => {
                let tag = Tag::from(&self.machines[about].boot);
                let now = self.clock(i);
                if let Some(ring) =
                    self.machines[i].awake()
                {
                    ring.handle_unreachable(now, tag);
                    self.collect(i);
                }
            }
        }
    }

    fn thaw(&mut self, i: usize) {
        let machine = &mut self.machines[i];
        if !machine.frozen {
            return;
        }
        machine.frozen = false;
        if machine.pausing {
            machine.behind += self.now.since(machine.frozen_at);
        }
        let door = core::mem::take(&mut machine.door);
        let now = self.clock(i);
        for (boot, datagram) in door {
            if let Some(ring) = &mut self.machines[i].ring {
                ring.handle_datagram(now, &boot, &datagram);
            }
            self.collect(i);
        }
        if let Some(ring) = &mut self.machines[i].ring {
            ring.handle_timeout(now);
        }
        self.machines[i].timer = Instant::ORIGIN;
        self.collect(i);
    }

    /// Fetches what a daemon has to send and to tell.
    fn collect(&mut self, i: usize) {
        let life = self.machines[i].life;
        let boot = self.machines[i].boot;
        let Some(mut ring) = self.machines[i].ring.take() else { return };
        while let Some(event) = ring.poll_event() {
            if self.loud {
                println!("{:.6} {} {}", seconds(self.now), self.machines[i].name, brief(&event));
            }
            self.traces[life].record(self.now, event);
        }
        while let Some(notice) = ring.poll_notice() {
            if self.loud {
                println!("{:.6} {} says: {notice}", seconds(self.now), self.machines[i].name);
            }
        }
        while let Some(transmit) = ring.poll_transmit() {
            let multicast = transmit.to == To::Group;
            let targets: Vec<usize> = match transmit.to {
                To::Peer(tag) => self.boots.get(&tag).copied().into_iter().collect(),
                To::Group => (0..self.machines.len()).collect(),
                To::Seeds if self.plan.group => Vec::new(),
                To::Seeds => (0..self.machines.len()).collect(),
            };
            if self.recorded.len() < RECORDED && self.dice.below(10) == 0 {
                self.recorded.push((boot, transmit.datagram.clone()));
            }
            for to in targets.into_iter().filter(|&to| to != i) {
                if self.wires.reaches(i, to, multicast) {
                    let arrivals = self.weather.arrivals(&mut self.dice);
                    for after in arrivals {
                        let datagram = transmit.datagram.clone();
                        self.schedule(self.now + after, Action::Arrive { to, boot, datagram });
                    }
                }
            }
        }
        let local = Instant::ORIGIN + self.now.since(Instant::ORIGIN + self.machines[i].behind);
        if let Some(at) = ring.next_timeout(local) {
            let at = (at + self.machines[i].behind).max(self.now + Duration::from_nanos(1));
            let timer = self.machines[i].timer;
            if timer == Instant::ORIGIN || at < timer || timer < self.now {
                self.machines[i].timer = at;
                self.schedule(at, Action::Timer { machine: i, life });
            }
        }
        self.machines[i].ring = Some(ring);
    }
}

fn brief(event: &ring::Event) -> String {
    match event {
        ring::Event::Delivered { sender, service, message } => {
            let id = Content::decode(message).map(|content| content.id);
            format!("delivers {id:?} of {sender} {service:?}")
        }
        other => format!("{other:?}"),
    }
}

/// The last view a trace installed.
pub fn last_view(trace: &Trace) -> Option<&ring::View> {
    trace.items.iter().rev().find_map(|(_, item)| match item {
        Item::Installed(view) => Some(view),
        _ => None,
    })
}
