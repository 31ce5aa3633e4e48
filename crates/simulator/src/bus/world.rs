//! The events in order of time.

use std::collections::BTreeMap;
use std::time::Duration;

use base::{Instant, Random};
use ring::{Ring, Service, Tag};

use super::agenda::{Action, Agenda};
use super::groups::{Client, Desk, desk::Digests};
use super::machine::Machine;
use super::net::{Weather, Wires};
use super::plan::{Fault, Plan};
use super::post::Letter;
use super::trace::{Content, HEAD, MessageId, Trace, seconds};

/// After the faults, everybody must be in a view to stay within this time. The issue says five seconds; daemons that
/// are kept out for a while come in later, which is not counted against it.
pub const CALM_WITHIN: Duration = Duration::from_secs(5);
/// Rest that lasts so long counts.
const REST: Duration = Duration::from_millis(300);
/// How often rest is looked for.
const JUDGED: Duration = Duration::from_millis(20);
/// What waits must have been delivered everywhere by then.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);
/// A daemon that wants to be woken at once so often in a row does nothing when it is.
const SPINS: u32 = 100;

/// One history under way.
pub struct World {
    pub(super) plan: Plan,
    pub(super) dice: Random,
    pub(super) now: Instant,
    pub(super) agenda: Agenda<Action>,
    pub(super) machines: Vec<Machine>,
    pub(super) wires: Wires,
    pub(super) weather: Weather,
    pub(super) boots: BTreeMap<Tag, usize>,
    /// Who sent it, and to whom if not to all.
    pub(super) recorded: Vec<Letter>,
    pub(super) records: bool,
    /// What each life did and saw.
    pub traces: Vec<Trace>,
    /// The second storey of each machine that runs, if the plan has one.
    pub(super) desks: Vec<Option<Desk>>,
    /// What each client did and was told.
    pub clients: Vec<Client>,
    digests: Digests,
    pub(super) sending: bool,
    /// Machines whose guests were told something.
    pub(super) called: Vec<usize>,
    /// Events handled.
    pub steps: u64,
    /// Datagrams sent, each copy counted.
    pub datagrams: u64,
    /// Of these, numbered packets from one site to another.
    pub crossing: u64,
    /// Whether to print what happens.
    pub loud: bool,
}

impl World {
    /// The beginning.
    pub fn new(plan: &Plan) -> Self {
        let mut dice = Random::new(plan.seed ^ 0x5eed);
        let mut world = Self {
            now: Instant::from_millis(1),
            agenda: Agenda::new(),
            machines: (0..plan.machines).map(|i| Machine::new(plan, i)).collect(),
            wires: Wires::new(plan.machines),
            weather: plan.weather,
            boots: BTreeMap::new(),
            recorded: Vec::new(),
            records: plan.faults.iter().any(|(_, fault)| matches!(fault, Fault::Replay(_))),
            traces: Vec::new(),
            desks: (0..plan.machines).map(|_| None).collect(),
            clients: Vec::new(),
            digests: Digests::new(),
            sending: !plan.pace.is_zero(),
            called: Vec::new(),
            steps: 0,
            datagrams: 0,
            crossing: 0,
            loud: false,
            dice: dice.clone(),
            plan: plan.clone(),
        };
        let gathering = plan.gathering.as_micros() as u32 + 1;
        for machine in 0..plan.machines {
            let at = Instant::from_millis(2) + Duration::from_micros(dice.below(gathering).into());
            world.schedule(at, Action::Start(machine));
        }
        for (at, fault) in plan.faults.clone() {
            world.schedule(at, Action::Fault(fault));
        }
        world
    }

    /// The time now.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Numbered packets that living daemons have sent.
    pub fn packets(&self) -> u64 {
        let sent = |ring: &Ring| ring.status(self.now).counters.sent;
        self.machines.iter().filter_map(|machine| machine.ring.as_ref().map(sent)).sum()
    }

    /// If all daemons that live stand in one view of so many: when the last of them installed it.
    pub fn all_in_one(&self, members: usize) -> Option<Instant> {
        let living = || self.machines.iter().filter(|machine| machine.ring.is_some());
        let first = living().next()?.ring.as_ref()?.view()?;
        let same = |ring: &Ring| ring.stands() && ring.view().is_some_and(|v| v.id == first.id);
        let all = living().all(|machine| machine.ring.as_ref().is_some_and(same));
        let last = living().filter_map(|machine| self.traces[machine.life].last_install()).max();
        last.filter(|_| all && living().count() == members && first.members.len() == members)
    }

    pub(super) fn schedule(&mut self, at: Instant, action: Action) {
        self.agenda.plan(at, action);
    }

    /// Runs to the end; how long calm took to come.
    ///
    /// # Errors
    /// What is not at rest when it should be.
    pub fn run(&mut self) -> Result<Duration, String> {
        self.run_until(self.plan.calm);
        let deadline = self.plan.calm + CALM_WITHIN;
        let mut rested: Option<Instant> = None;
        loop {
            match self.unrest() {
                None => rested = rested.or(Some(self.now)),
                Some(what) if self.now > deadline => return Err(format!("not at rest: {what}")),
                Some(_) => rested = None,
            }
            if let Some(since) = rested.filter(|since| self.now.since(*since) >= REST) {
                self.sending = false;
                self.hush_clients();
                self.drain()?;
                self.truth()?;
                return Ok(since.since(self.plan.calm));
            }
            self.run_until(self.now + JUDGED);
        }
    }

    /// Lets everything happen that happens until then.
    pub fn run_until(&mut self, end: Instant) {
        self.schedule(end, Action::Judge);
        while let Some((at, action)) = self.agenda.next() {
            self.now = at;
            self.steps += 1;
            if matches!(action, Action::Judge) {
                return;
            }
            self.act(action);
        }
    }

    /// Traffic has stopped: everything that was sent is to arrive, and everybody is to know it.
    fn drain(&mut self) -> Result<(), String> {
        let latest = self.now + DRAIN_WITHIN;
        while let Some(what) = self.undelivered() {
            if self.now > latest {
                return Err(format!("long after the last message {what}"));
            }
            self.run_until(self.now + JUDGED);
        }
        for (i, machine) in self.machines.iter().enumerate() {
            if self.loud {
                println!("{:?}", machine.ring);
            }
            if machine.ring.as_ref().is_some_and(|ring| !self.gave_way(i, ring)) {
                self.traces[machine.life].ended = false;
            }
        }
        Ok(())
    }

    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Arrive { to, letter } => {
                let machine = &mut self.machines[to];
                if machine.ring.is_none() {
                    self.refuse(to, letter.boot);
                } else if machine.frozen {
                    machine.leave_at_door(letter);
                } else {
                    self.receive(to, &letter);
                }
            }
            Action::Timer { machine: i, life } => {
                let machine = &mut self.machines[i];
                if machine.life == life && !machine.frozen && machine.timer <= self.now {
                    self.wake(i);
                }
            }
            Action::Send { machine, life } => self.send(machine, life),
            Action::Fault(fault) => self.fault(fault),
            Action::Start(machine) => self.start(machine),
            Action::Thaw(machine) => {
                let waiting = self.machines[machine].thaw(self.now);
                for letter in &waiting {
                    self.receive(machine, letter);
                }
                self.wake(machine);
            }
            Action::Reread(machine) => self.reread(machine),
            Action::Judge => {}
            Action::Unreachable { machine, life, about } => {
                if self.machines[machine].life == life {
                    self.deny(machine, about);
                }
            }
        }
    }

    fn wake(&mut self, i: usize) {
        let machine = &mut self.machines[i];
        let now = machine.clock(self.now);
        machine.timer = Instant::ORIGIN;
        if machine.woken(self.now) > SPINS {
            let life = machine.life;
            self.traces[life].corrupt = Some("to be woken at once, without end".into());
        }
        if let Some(ring) = self.machines[i].awake() {
            ring.handle_timeout(now);
            self.collect(i);
        }
    }

    fn start(&mut self, i: usize) {
        if self.machines[i].ring.is_some() {
            return;
        }
        let me = self.machines[i].start(self.now, &self.plan, &mut self.dice);
        self.boots.insert(Tag::from(&me), i);
        let life = self.traces.len();
        self.machines[i].life = life;
        self.traces.push(Trace::new(me, i, self.now));
        self.desks[i] = self.plan.crowd.as_ref().map(|crowd| Desk::new(me, crowd));
        if self.sending {
            let first = self.now + self.plan.pace.mul_f64(self.dice.unit());
            self.schedule(first, Action::Send { machine: i, life });
        }
        self.collect(i);
    }

    fn send(&mut self, i: usize, life: usize) {
        if self.machines[i].life != life || self.machines[i].ring.is_none() || !self.sending {
            return;
        }
        let burst = if self.dice.below(50) == 0 { 40 } else { 1 + self.dice.below(3) };
        let now = self.machines[i].clock(self.now);
        if self.desks[i].is_some() {
            if self.machines[i].awake().is_some() {
                self.act_as_clients(i, burst as usize);
                self.collect(i);
            }
        } else if let Some(ring) = self.machines[i].awake() {
            let trace = &mut self.traces[life];
            for _ in 0..burst {
                let safe = self.dice.unit() < self.plan.safe;
                let service = if safe { Service::Safe } else { Service::Agreed };
                let room = self.plan.longest.saturating_sub(HEAD) as f64;
                let length = HEAD + (room * self.dice.unit().powi(4)) as usize;
                let id = MessageId { life: life as u32, number: trace.sent as u32 + 1 };
                let content = Content { id, seen: trace.seen, service, length };
                if ring.submit(content.encode().into(), service).is_ok() {
                    trace.sent += 1;
                }
            }
            ring.handle_submitted(now);
            self.collect(i);
        }
        let next = self.now + self.plan.pace.mul_f64(0.2 + 1.6 * self.dice.unit());
        self.schedule(next, Action::Send { machine: i, life });
    }

    /// Fetches what a daemon has to send and to tell.
    pub(super) fn collect(&mut self, i: usize) {
        let life = self.machines[i].life;
        let Some(mut ring) = self.machines[i].ring.take() else { return };
        let mut desk = self.desks[i].take();
        loop {
            while let Some(event) = ring.poll_event() {
                if self.loud {
                    println!(
                        "{:.6} {} {}",
                        seconds(self.now),
                        self.machines[i].name,
                        brief(&event)
                    );
                }
                let trace = &mut self.traces[life];
                match &mut desk {
                    Some(desk) => {
                        if let Err(what) = desk.handle(&event, &mut self.digests) {
                            trace.corrupt.get_or_insert(what);
                        }
                        trace.record_view(self.now, event);
                        if desk.groups.counters().cut_off > trace.cut_off.len() as u64 {
                            trace.cut_off.push(self.now);
                        }
                    }
                    None => trace.record(self.now, event),
                }
            }
            if !desk.as_mut().is_some_and(|desk| desk.submit(&mut ring)) {
                break;
            }
            ring.handle_submitted(self.machines[i].clock(self.now));
        }
        if let Some(desk) = &mut desk {
            desk.deliver(self.now, &mut self.clients);
            ring.set_held_up(desk.held_up());
            if desk.guest.as_ref().is_some_and(|guest| !guest.mail.is_empty()) {
                self.called.push(i);
            }
        }
        self.desks[i] = desk;
        while let Some(notice) = ring.poll_notice() {
            if self.loud {
                println!("{:.6} {} says: {notice}", seconds(self.now), self.machines[i].name);
            }
            self.traces[life].notices.push((self.now, notice));
        }
        while let Some(transmit) = ring.poll_transmit() {
            self.transmit(i, &transmit.to, &transmit.datagram);
        }
        self.set_timer(i, life, &ring);
        self.machines[i].ring = Some(ring);
    }

    fn set_timer(&mut self, i: usize, life: usize, ring: &Ring) {
        let machine = &mut self.machines[i];
        if let Some(at) = ring.next_timeout(machine.clock(self.now)) {
            let at = machine.world_time(at).max(self.now + Duration::from_nanos(1));
            let timer = machine.timer;
            if timer == Instant::ORIGIN || at < timer || timer < self.now {
                machine.timer = at;
                self.schedule(at, Action::Timer { machine: i, life });
            }
        }
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
