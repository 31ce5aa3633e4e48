//! The events in order of time: those of the bus, and those of the addresses above it.

use std::net::IpAddr;
use std::time::Duration;

use base::{Instant, Random};

use super::checks::{Measured, Tables, Watch};
use super::lan::Client;
use super::machine::{Machine, sets};
use super::plan::{Fault, Plan};
use crate::bus::agenda::Agenda;
use crate::bus::trace::seconds;

/// Between two probes of a client.
const PROBED: Duration = Duration::from_millis(5);
/// How often everything is looked at although nothing has changed.
const JUDGED: Duration = Duration::from_millis(50);
/// After the last fault everything must be settled within this time: a view, a lease, a move that is given up, a set that
/// could not be added and is tried again after ten seconds, a client that goes on with a dead entry for up to 25.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// Something that happens above the bus. What names a life is of that run of the program only.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Fault(Fault),
    /// The program opens its session.
    Connect {
        machine: usize,
        life: usize,
    },
    /// A client of the daemon joins the group and says nothing.
    LookOn(usize),
    /// The program is told that its interfaces are there, or not.
    Link {
        machine: usize,
        life: usize,
        able: bool,
    },
    /// The program reads its configuration again.
    Reread {
        machine: usize,
        life: usize,
    },
    /// The program is told how it is.
    Health {
        machine: usize,
        life: usize,
    },
    /// A timer of the program.
    Wake {
        machine: usize,
        life: usize,
    },
    /// The kernel has done what was asked.
    Apply {
        machine: usize,
        life: usize,
    },
    /// The program knows that it has.
    Done {
        machine: usize,
        life: usize,
    },
    /// The timer of the announcements.
    Bell {
        machine: usize,
        life: usize,
    },
    /// The program asks itself whether it may go.
    Gone {
        machine: usize,
        life: usize,
    },
    /// Addresses run out.
    Expire(usize),
    /// The guardian of a run that has ended, or hangs in this freeze, clears what it had.
    Guard {
        machine: usize,
        boot: u64,
        freeze: Option<u64>,
    },
    /// The guardian's word about a run that is over reaches another machine.
    Word {
        machine: usize,
        boot: u64,
    },
    Thaw {
        machine: usize,
        freeze: u64,
    },
    /// The machine's port is as it was.
    Port {
        machine: usize,
        carrier: bool,
    },
    /// An announcement arrives.
    Hear {
        client: usize,
        machine: usize,
        address: IpAddr,
    },
    Probe(usize),
    Judge,
}

/// One history under way.
pub struct World {
    pub(super) plan: Plan,
    pub(super) dice: Random,
    pub(super) now: Instant,
    pub(super) bus: crate::bus::World,
    pub(super) agenda: Agenda<Action>,
    pub(super) machines: Vec<Machine>,
    pub(super) clients: Vec<Client>,
    lives: usize,
    pub(super) boots: u64,
    pub(super) freezes: u64,
    /// What has happened, and whether addresses may be without a holder because of it.
    pub(super) happened: Vec<(Instant, bool)>,
    /// Something has changed that the checks look at.
    pub(super) dirty: bool,
    watch: Watch,
    pub(super) tables: Tables,
    /// The first thing that was wrong.
    pub(super) wrong: Option<String>,
    /// Moves that have begun, as the machines told.
    pub(super) moves: u64,
    /// Calm has come: nobody may be without an address.
    pub(super) calm: bool,
    /// Events handled.
    pub steps: u64,
    /// Whether to print what happens.
    pub loud: bool,
}

impl World {
    /// The beginning.
    pub fn new(plan: &Plan) -> Self {
        let mut dice = Random::new(plan.seed ^ 0xadd1);
        let mut bus_plan = plan.bus.clone();
        bus_plan.calm = plan.calm;
        let clients = plan.clients.iter().map(|at| Client::new(*at, &mut dice)).collect();
        let mut world = Self {
            now: Instant::from_millis(1),
            bus: crate::bus::World::new(&bus_plan),
            agenda: Agenda::new(),
            machines: (0..plan.bus.machines).map(|i| Machine::new(plan, i)).collect(),
            clients,
            lives: 0,
            boots: 0,
            freezes: 0,
            happened: Vec::new(),
            dirty: true,
            watch: Watch::default(),
            tables: Tables::default(),
            wrong: None,
            moves: 0,
            calm: false,
            steps: 0,
            loud: false,
            dice,
            plan: plan.clone(),
        };
        for (at, fault) in plan.faults.clone() {
            world.agenda.plan(at, Action::Fault(fault));
        }
        for client in 0..plan.clients.len() {
            world.agenda.plan(Instant::from_millis(500), Action::Probe(client));
        }
        world.agenda.plan(Instant::from_millis(500), Action::Judge);
        world
    }

    /// Runs to the end; how long after the last fault everything was settled.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn run(&mut self) -> Result<Measured, String> {
        self.run_until(self.plan.calm + Duration::from_millis(1))?;
        loop {
            let last = self.happened.last().map_or(self.plan.calm, |(at, _)| *at);
            match self.unsettled() {
                None => break,
                Some(what) if self.now > last.max(self.plan.calm) + SETTLED_WITHIN => {
                    return Err(format!("long after the last fault {what}"));
                }
                Some(_) => self.run_until(self.now + Duration::from_millis(20))?,
            }
        }
        let settled = self.now.since(self.plan.calm);
        self.tell(|| "all is settled".to_owned());
        (self.calm, self.moves) = (true, 0);
        let since = self.now;
        self.run_until(since + self.plan.watched)?;
        let most = 2 * sets(&self.plan, 0).len() as u64 * self.machines.len() as u64;
        if self.moves > most {
            return Err(format!("{} moves while nothing happened", self.moves));
        }
        // What could not be added is tried again after a while, and may just be under way, as what balance moves may.
        let now = since..=self.now;
        let mut failures = self.machines.iter().flat_map(|machine| machine.failed.values());
        let something = self.moves > 0 || failures.any(|until| now.contains(until));
        let end = self.now + if something { SETTLED_WITHIN } else { Duration::ZERO };
        while let Some(what) = self.unsettled() {
            if self.now >= end {
                return Err(format!("it did not stay so: {what}"));
            }
            self.run_until(self.now + Duration::from_millis(20))?;
        }
        let clients = self.clients.iter();
        let (answered, lost) = clients.fold((0, 0), |(a, l), c| (a + c.answered, l + c.lost));
        Ok(Measured {
            settled,
            holes: core::mem::take(&mut self.watch.lengths),
            doubled: self.watch.doubled,
            answered,
            lost,
        })
    }

    /// Lets everything happen that happens until then.
    pub(super) fn run_until(&mut self, end: Instant) -> Result<(), String> {
        loop {
            let (below, above) = (self.bus.next_at(), self.agenda.first());
            let next = below.into_iter().chain(above).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return Ok(());
            };
            self.now = next;
            self.steps += 1;
            if below == Some(next) {
                let called = self.bus.step();
                self.meet_lives();
                called.into_iter().for_each(|i| self.read_mail(i));
            } else if let Some((_, action)) = self.agenda.next() {
                self.act(action);
            }
            loop {
                let called = self.bus.called();
                if called.is_empty() {
                    break;
                }
                called.into_iter().for_each(|i| self.read_mail(i));
            }
            if core::mem::take(&mut self.dirty) {
                let mut watch = core::mem::take(&mut self.watch);
                let found = watch.look(self);
                self.watch = watch;
                self.wrong = self.wrong.take().or(found.err());
            }
            if let Some(what) = self.wrong.take() {
                return Err(format!("at {:.6} s {what}", seconds(self.now)));
            }
        }
    }

    /// Daemons that have started, each with a program in it.
    fn meet_lives(&mut self) {
        while let Some(trace) = self.bus.traces.get(self.lives) {
            let (i, life) = (trace.machine, self.lives);
            self.lives += 1;
            self.boots += 1;
            self.happened.push((self.now, false));
            if !self.machines[i].bystander {
                self.machines[i].frozen = None;
                self.machines[i].stalled.clear();
                self.machines[i].start(self.now, &self.plan, i, life, self.boots);
                let soon = self.now + self.up_to(20_000);
                self.agenda.plan(soon, Action::Connect { machine: i, life });
            } else if self.plan.onlookers {
                let soon = self.now + self.up_to(2_000_000);
                self.agenda.plan(soon, Action::LookOn(i));
            }
            self.dirty = true;
        }
    }

    pub(super) fn act(&mut self, action: Action) {
        if let Some(i) = self.stalls(&action) {
            self.machines[i].stalled.push(action);
            return;
        }
        match action {
            Action::Fault(fault) => {
                self.tell(|| format!("{fault:?}"));
                self.happened.push((self.now, fault.is_hard()));
                self.fault(fault);
                self.dirty = true;
            }
            Action::Connect { machine, life } if self.lives_on(machine, life) => {
                self.connect(machine);
            }
            Action::LookOn(i) => self.look_on(i),
            Action::Link { machine, life, able } if self.lives_on(machine, life) => {
                self.link(machine, able);
            }
            Action::Reread { machine, life } if self.lives_on(machine, life) => {
                self.reread(machine);
            }
            Action::Health { machine, life } if self.lives_on(machine, life) => {
                self.feel(machine);
            }
            Action::Wake { machine, life } if self.lives_on(machine, life) => self.wake(machine),
            Action::Apply { machine, life } if self.lives_on(machine, life) => self.apply(machine),
            Action::Done { machine, life } if self.lives_on(machine, life) => self.done(machine),
            Action::Bell { machine, life } if self.lives_on(machine, life) => {
                self.ring_the_bell(machine);
            }
            Action::Gone { machine, life } if self.lives_on(machine, life) => self.go(machine),
            Action::Expire(i) => self.expire(i),
            Action::Guard { machine, boot, freeze } => self.guard(machine, boot, freeze),
            Action::Word { machine, boot } => self.word(machine, boot),
            Action::Thaw { machine, freeze } => self.thaw(machine, freeze),
            Action::Port { machine, carrier } => self.open_port(machine, carrier),
            Action::Hear { client, machine, address } => {
                self.clients[client].is_told(address, machine);
            }
            Action::Probe(client) => {
                self.probe(client);
                self.agenda.plan(self.now + PROBED, Action::Probe(client));
            }
            Action::Judge => {
                self.dirty = true;
                self.bus.tell_the_time(self.now);
                self.agenda.plan(self.now + JUDGED, Action::Judge);
            }
            // Of a run that is over.
            _ => {}
        }
    }

    /// The machine whose program would do it and stands still.
    fn stalls(&self, action: &Action) -> Option<usize> {
        match action {
            Action::Connect { machine, life }
            | Action::Link { machine, life, .. }
            | Action::Reread { machine, life }
            | Action::Health { machine, life }
            | Action::Wake { machine, life }
            | Action::Apply { machine, life }
            | Action::Done { machine, life }
            | Action::Bell { machine, life }
            | Action::Gone { machine, life } => (self.machines[*machine].frozen.is_some()
                && self.lives_on(*machine, *life))
            .then_some(*machine),
            _ => None,
        }
    }

    fn lives_on(&self, i: usize, life: usize) -> bool {
        self.machines[i].program.as_ref().is_some_and(|program| program.life == life)
    }

    /// A time of up to so many microseconds.
    pub(super) fn up_to(&mut self, micros: u32) -> Duration {
        Duration::from_micros(self.dice.below(micros).into())
    }

    /// Says what happens, if anybody wants to know.
    pub(super) fn tell(&self, what: impl FnOnce() -> String) {
        if self.loud {
            println!("{:.6} {}", seconds(self.now), what());
        }
    }

    /// A packet of a client to the next address, with the question whose it is before if it does not know.
    fn probe(&mut self, client: usize) {
        let all = super::checks::addresses(&self.plan);
        let at = self.clients[client].at;
        self.clients[client].turn += 1;
        let address = all[self.clients[client].turn % all.len()];
        let answers = |world: &Self, i: usize| {
            world.machines[i].kernel.holds(address) && world.hears(at, i) && world.hears(i, at)
        };
        if self.clients[client].knows(address).is_none() {
            let mut holders: Vec<usize> = Vec::new();
            for i in 0..self.machines.len() {
                if answers(self, i) {
                    holders.push(i);
                    self.asked(i, address);
                }
            }
            if !holders.is_empty() {
                let one = holders[self.dice.below(holders.len() as u32) as usize];
                self.clients[client].learn(address, one);
            }
        }
        let answered = self.clients[client].knows(address).is_some_and(|i| answers(self, i));
        self.clients[client].probed(self.now, address, answered);
    }

    /// Whether what machine `from` sends gets to `to`, or to a client next to its port.
    pub(super) fn hears(&self, from: usize, to: usize) -> bool {
        let open = |i: usize| self.bus.wires().is_open(i);
        open(from) && (from == to || self.bus.wires().reaches(from, to, false) && open(to))
    }

    /// An announcement goes out to all clients that hear the machine.
    pub(super) fn announce(&mut self, machine: usize, address: IpAddr) {
        for client in 0..self.clients.len() {
            let at = self.clients[client].at;
            let lost = self.plan.work.deaf + self.plan.bus.weather.loss;
            if self.hears(machine, at) && self.dice.unit() >= lost {
                let later = self.now + Duration::from_micros(50) + self.up_to(500);
                self.agenda.plan(later, Action::Hear { client, machine, address });
            }
        }
    }
}
