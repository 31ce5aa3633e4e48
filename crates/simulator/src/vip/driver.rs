//! What the program does around its `Vip`: the session, the jobs for the kernel, the rule of the lease, announcements.

use base::Instant;
use bytes::BytesMut;
use spread_wire::client::{Decoder, Event as Told};
use spread_wire::{
    ClientMessage, GroupName, Hint, Names, Order, PrivateName, Regular, ServiceType,
};
use std::net::IpAddr;
use std::time::Duration;
use vip::announce::{Address, After as Until};
use vip::lease::{Basis, Freshness, Todo, Worth};
use vip::neighbours::Neighbours;
use vip::{Action as Do, After, Event, MESSAGE_TYPE, Service, Set, SetKey, View, ViewId};

use super::checks::Place;
use super::machine::{Busy, Job, Program};
use super::world::{Action, World};

/// The name of the session and the group that all join.
const SESSION: &[u8] = b"addr";
const GROUP: &[u8] = b"addresses";
/// A program that wants to be woken at once so often in a row does nothing when it is.
const SPINS: u32 = 200;
/// What may wait for the kernel, and for the bus, at most.
const JOBS: usize = 200;
const WORDS: usize = 500;
/// What could not be added is not said to be possible again before.
const FAILED_FOR: Duration = Duration::from_secs(10);
/// How long an addition takes that is slow.
pub(super) const SLOW: Duration = Duration::from_millis(1_800);
/// How soon is looked again whether the bus is fresh.
const AGAIN: Duration = Duration::from_millis(10);

fn group() -> Option<GroupName> {
    GroupName::new(GROUP).ok()
}

fn text(name: &GroupName) -> String {
    String::from_utf8_lossy(name.as_bytes()).into_owned()
}

pub(super) fn address(ip: IpAddr) -> Address {
    Address { interface: 1, ip }
}

impl World {
    /// What the bus says of its freshness at this moment, and on what the addresses of the machine are held.
    ///
    /// The ring is that up to which the session has been told everything. It is not taken from the id of the group's view, which stays
    /// what it was when a daemon comes or goes that has no member of the group.
    fn grounds(&self, i: usize) -> (Option<(Basis, bool)>, Freshness) {
        let (ring, since) = self.bus.fresh(self.now, i);
        let said = self.machines[i].program.as_ref().and_then(|program| program.vip.stands());
        let basis = said.zip(self.bus.told(i)).map(|(majority, ring)| (Basis { ring }, majority));
        (basis, Freshness { ring, since })
    }

    fn allowed(&self, i: usize, set: &Set) -> bool {
        let (basis, fresh) = self.grounds(i);
        let Some(program) = &self.machines[i].program else { return false };
        let majority = basis.is_some_and(|(_, majority)| majority);
        program.lease.allows(self.now, basis.map(|(basis, _)| basis), fresh)
            && (majority || !program.vip.is_under_quorum(set.key()))
    }

    pub(super) fn connect(&mut self, i: usize) {
        let now = self.now;
        let Some(program) = self.machines[i].awake() else { return };
        if program.private.is_some() {
            return;
        }
        let life = program.life;
        let opened = PrivateName::new(SESSION).ok().and_then(|name| self.bus.open(i, name));
        let (Some(private), Some(group)) = (opened, group()) else {
            let later = now + Duration::from_millis(10);
            return self.agenda.plan(later, Action::Connect { machine: i, life });
        };
        if let Some(program) = &mut self.machines[i].program {
            program.private = Some(private);
            program.sessions += 1;
            program.vip.handle_connected(now);
        }
        self.bus.write(now, i, vec![ClientMessage::Join(group)]);
        self.finish(i);
    }

    /// The session is lost; another is opened soon.
    pub(super) fn lose_session(&mut self, i: usize) {
        let Some(program) = self.machines[i].awake() else { return };
        if program.private.take().is_none() {
            return;
        }
        let life = program.life;
        program.vip.handle_lost(self.now);
        program.words = None;
        self.bus.close(self.now, i);
        let later = self.now + Duration::from_millis(20) + self.up_to(200_000);
        self.agenda.plan(later, Action::Connect { machine: i, life });
        self.finish(i);
    }

    pub(super) fn look_on(&mut self, i: usize) {
        let opened = PrivateName::new(b"look").ok().and_then(|name| self.bus.open(i, name));
        if let (Some(_), Some(group)) = (opened, group()) {
            self.bus.write(self.now, i, vec![ClientMessage::Join(group)]);
        }
    }

    pub(super) fn read_mail(&mut self, i: usize) {
        if self.machines[i].frozen.is_some() {
            return;
        }
        for message in self.bus.mail(i) {
            let mut buffer = BytesMut::from(&message[..]);
            let told = Decoder::default().decode(&mut buffer);
            match told {
                Ok(Some(told)) => self.hear(i, told),
                other => {
                    self.wrong.get_or_insert(format!("m{} was told {other:?}", i + 1));
                }
            }
        }
        self.finish(i);
    }

    fn hear(&mut self, i: usize, told: Told) {
        let (now, mut write) = (self.now, Vec::new());
        let Some(program) = &mut self.machines[i].program else { return };
        let Some(private) = program.private else { return };
        match told {
            Told::Regular(message) => {
                let Some(sender) = message.sender else { return };
                let kind = message.hint.kind();
                program.vip.handle_message(now, &text(&sender), kind, &message.body);
                // Byte 4 is the kind of word; those of kind 11 only say that somebody is there.
                if message.body.get(4) != Some(&11) {
                    self.compare(i, &text(&sender), &message.body);
                }
            }
            Told::Membership(told) => {
                let members: Vec<GroupName> = told.members.iter().collect();
                let Some(me) = members.iter().position(|member| *member == private) else { return };
                let mut id = [0; 12];
                id[..4].copy_from_slice(&told.id.proc.to_be_bytes());
                id[4..8].copy_from_slice(&told.id.time.to_be_bytes());
                id[8..].copy_from_slice(&told.id.index.to_be_bytes());
                let view = View { id: ViewId(id), members: members.iter().map(text).collect(), me };
                program.words = Some(Place::new(view.id));
                if view.members.len() == 1 {
                    self.tables.begin(view.id);
                }
                program.vip.handle_view(now, view);
                if let Some(boot) = self.machines[i].fenced.take()
                    && let Some(program) = &mut self.machines[i].program
                {
                    program.vip.handle_fenced(now, boot);
                }
                self.dirty = true;
            }
            // What comes until the next view need not be the same everywhere.
            Told::Transitional(_) => program.words = None,
            Told::SelfLeave(group) => {
                program.vip.handle_connected(now);
                write.push(ClientMessage::Join(group));
            }
            Told::Reject(what) => {
                self.wrong.get_or_insert(format!("m{} was refused: {what:?}", i + 1));
            }
        }
        if !write.is_empty() {
            self.bus.write(now, i, write);
        }
    }

    /// After one more word the table is that of all members who have heard the same.
    fn compare(&mut self, i: usize, sender: &str, body: &[u8]) {
        let Some(program) = &mut self.machines[i].program else { return };
        let Some(at) = &mut program.words else { return };
        at.hear(sender, body);
        let at = *at;
        let found = self.tables.compare(i, at, &program.vip.status(self.now));
        self.wrong = self.wrong.take().or(found.err());
        self.dirty = true;
    }

    pub(super) fn wake(&mut self, i: usize) {
        let now = self.now;
        let Some(program) = self.machines[i].awake() else { return };
        program.timer = Instant::ORIGIN;
        if program.vip.next_timeout().is_some_and(|at| at <= now) {
            program.vip.handle_timeout(now);
            let again = program.vip.next_timeout().is_some_and(|at| at <= now);
            program.spins = if again { program.spins + 1 } else { 0 };
            if program.spins > SPINS {
                self.wrong.get_or_insert(format!("m{} is to be woken at once, without end", i + 1));
            }
        }
        self.finish(i);
    }

    /// What all inputs end with: everything that the machine's `Vip` wants done and said, and its timers.
    pub(super) fn finish(&mut self, i: usize) {
        let (now, loud) = (self.now, self.loud);
        let Some(program) = self.machines[i].awake() else { return };
        let mut write = Vec::new();
        while let Some(event) = program.vip.poll_event() {
            self.moves += u64::from(matches!(event, Event::Moving { .. }));
            if loud {
                println!("{:.6} m{} {event:?}", crate::bus::trace::seconds(now), i + 1);
            }
        }
        while let Some(action) = program.vip.poll_action() {
            if loud {
                println!("{:.6} m{} is to {action:?}", crate::bus::trace::seconds(now), i + 1);
            }
            match action {
                Do::Add { set, .. } if program.is_at_rest(set.key()) => {
                    // It is there: everybody is told again, and that is all.
                    set.addresses().iter().for_each(|ip| program.announcer.won(now, address(*ip)));
                    program.vip.handle_added(now, set.key());
                }
                Do::Add { set, after, .. } => program.jobs.push_back(Job::Add(set, after)),
                Do::Announce(key) => program.jobs.push_back(Job::Announce(key)),
                Do::Remove { set, .. } => {
                    // What waits for a fresh bus is not to come after that.
                    program.parked.retain(|(other, _)| other.key() != set.key());
                    let waits =
                        |job: &Job| matches!(job, Job::Add(other, _) if other.key() == set.key());
                    program.jobs.retain(|job| !waits(job));
                    program.jobs.push_back(Job::Remove(set));
                }
                Do::Rejoin => write.extend(group().map(ClientMessage::Leave)),
            }
        }
        while let Some(transmit) = program.vip.poll_transmit() {
            let service = match transmit.service {
                Service::Agreed => ServiceType::AGREED_MESS,
                Service::Safe => ServiceType::SAFE_MESS,
            };
            write.extend(group().map(|group| {
                ClientMessage::Multicast(Regular {
                    service,
                    sender: None,
                    hint: Hint::new(MESSAGE_TYPE, Order::NATIVE),
                    groups: Names::new(&[group]),
                    body: transmit.body.into(),
                })
            }));
        }
        if program.jobs.len() > JOBS || program.parked.len() > JOBS {
            self.wrong.get_or_insert(format!("m{}: {} jobs wait", i + 1, program.jobs.len()));
        }
        if !write.is_empty() {
            self.bus.write(now, i, write);
        }
        if self.bus.backlog(i) > WORDS {
            self.wrong.get_or_insert(format!("m{}: {} words wait", i + 1, self.bus.backlog(i)));
        }
        self.unpark(i);
        self.begin(i);
        self.set_timers(i);
    }

    /// What could not be added because the bus was not fresh is tried again when it is.
    fn unpark(&mut self, i: usize) {
        let parked = |world: &Self| world.machines[i].program.as_ref().map(|p| p.parked.clone());
        for (set, after) in parked(self).unwrap_or_default() {
            if self.allowed(i, &set)
                && let Some(program) = self.machines[i].awake()
            {
                program.parked.retain(|(other, _)| other.key() != set.key());
                program.jobs.push_back(Job::Add(set, after));
            }
        }
    }

    /// Begins the next job: renewals go before everything else.
    fn begin(&mut self, i: usize) {
        let now = self.now;
        let (basis, fresh) = self.grounds(i);
        let Some(program) = self.machines[i].awake().filter(|program| program.busy.is_none())
        else {
            return;
        };
        if program.up.is_empty() {
            program.lease.rest(now);
        } else if program.lease.poll(now, basis.map(|(basis, _)| basis), fresh) == Todo::Renew {
            let time = Duration::from_micros(100) + self.up_to(4_000);
            return self.start_job(i, Job::Renew, time, false);
        }
        loop {
            let next = self.machines[i].awake().and_then(Program::next_job);
            let Some(job) = next else { return };
            let barred = matches!(&job, Job::Add(set, _) if !self.allowed(i, set));
            let Some(program) = self.machines[i].awake() else { return };
            if matches!(job, Job::Add(..)) && !barred && program.lease.is_pressed(now) {
                // It may be slow. The timer of the renewal goes on with it.
                program.jobs.push_front(job);
                return;
            }
            match job {
                Job::Announce(key) => {
                    if let Some(set) = program.up.get(&key) {
                        set.addresses()
                            .iter()
                            .for_each(|ip| program.announcer.again(now, address(*ip)));
                    }
                }
                Job::Add(set, after) if barred => program.park(set, after),
                Job::Add(..) => {
                    // What is there already is only renewed.
                    let there =
                        matches!(&job, Job::Add(set, _) if program.up.contains_key(&set.key()));
                    let slow = self.dice.unit() < self.plan.work.slow && !there;
                    let fails = self.dice.unit() < self.plan.work.fails;
                    let time = Duration::from_micros(100) + self.up_to(20_000);
                    let time = if slow { SLOW } else { time };
                    return self.start_job(i, job, time, fails);
                }
                Job::Remove(ref set) => {
                    program.parked.retain(|(other, _)| other.key() != set.key());
                    let time = Duration::from_micros(100) + self.up_to(6_000);
                    return self.start_job(i, job, time, false);
                }
                Job::Renew => {}
            }
        }
    }

    fn start_job(&mut self, i: usize, job: Job, time: Duration, fails: bool) {
        let (now, share) = (self.now, self.dice.unit());
        let word = self.grounds(i).1.since;
        let Some(program) = &mut self.machines[i].program else { return };
        program.busy = Some(Busy { job, begun: now, word, applied: false, fails });
        let (machine, life) = (i, program.life);
        self.agenda.plan(now + time.mul_f64(share), Action::Apply { machine, life });
        self.agenda.plan(now + time, Action::Done { machine, life });
    }

    /// The sets that are renewed now.
    fn renewed(&self, i: usize) -> Vec<Set> {
        let majority = self.grounds(i).0.is_some_and(|(_, majority)| majority);
        let Some(program) = &self.machines[i].program else { return Vec::new() };
        let may = |key: &SetKey| majority || !program.vip.is_under_quorum(*key);
        program.up.iter().filter(|(key, _)| may(key)).map(|(_, set)| set.clone()).collect()
    }

    /// The kernel does what it was asked for.
    pub(super) fn apply(&mut self, i: usize) {
        let now = self.now;
        let renewed = self.renewed(i);
        let machine = &mut self.machines[i];
        let Some(program) = machine.program.as_mut() else { return };
        let Some(busy) = program.busy.as_mut() else { return };
        busy.applied = true;
        let (job, fails, valid) = (busy.job.clone(), busy.fails, program.lease.valid());
        if self.loud {
            let fails = if fails { " in vain" } else { "" };
            println!("{:.6} m{} does {job:?}{fails}", crate::bus::trace::seconds(now), i + 1);
        }
        match job {
            Job::Add(set, _) if !fails => {
                machine.kernel.put(now, set.addresses(), valid, &mut self.dice);
            }
            Job::Renew => {
                for set in &renewed {
                    for ip in set.addresses().iter().filter(|ip| !machine.kernel.holds(**ip)) {
                        // It had run out or was taken away: whoever asked meanwhile knows another.
                        program.announcer.acquired(now, address(*ip), 24, Until::Released);
                    }
                    machine.kernel.put(now, set.addresses(), valid, &mut self.dice);
                }
            }
            Job::Remove(set) => {
                for ip in program.own(&set) {
                    machine.kernel.remove(ip);
                    program.announcer.released(address(ip));
                }
            }
            Job::Add(..) | Job::Announce(_) => {}
        }
        self.dirty = true;
        self.expire(i);
    }

    /// The program learns that it is done, and asks the bus once more.
    pub(super) fn done(&mut self, i: usize) {
        let now = self.now;
        let (basis, fresh) = self.grounds(i);
        let renewed = self.renewed(i);
        let machine = &mut self.machines[i];
        let Some(program) = machine.program.as_mut() else { return };
        if program.busy.as_ref().is_some_and(|busy| !busy.applied) {
            // Both were waiting for the same thaw.
            self.apply(i);
            return self.done(i);
        }
        let Some(busy) = program.busy.take() else { return };
        self.dirty = true;
        match busy.job {
            Job::Add(set, _) if busy.fails => {
                machine.failed.insert(set.key(), now + FAILED_FOR);
                for ip in program.own(&set) {
                    machine.kernel.remove(ip);
                    program.announcer.released(address(ip));
                }
                program.up.remove(&set.key());
                program.vip.handle_failed(now, set.key());
            }
            Job::Add(set, after) => self.added(i, set, after, busy.begun, busy.word),
            Job::Renew => {
                let worth =
                    program.lease.renewed(busy.begun, now, basis.map(|(basis, _)| basis), fresh);
                for set in &renewed {
                    match worth {
                        Worth::Good => machine.kernel.prove(set.addresses()),
                        Worth::Gap => {
                            set.addresses().iter().for_each(|ip| machine.kernel.remove(*ip));
                        }
                    }
                }
            }
            Job::Remove(set) => {
                program.up.remove(&set.key());
                program.vip.handle_removed(now, set.key());
            }
            Job::Announce(_) => {}
        }
        self.finish(i);
    }

    fn added(&mut self, i: usize, set: Set, after: After, begun: Instant, word: Instant) {
        let now = self.now;
        let in_time = |lease: &vip::lease::Lease| lease.covers(now, word);
        let allowed = self.allowed(i, &set)
            || self.machines[i].program.as_ref().is_some_and(|program| in_time(&program.lease));
        let machine = &mut self.machines[i];
        let Some(program) = machine.program.as_mut() else { return };
        if !allowed {
            program.own(&set).into_iter().for_each(|ip| machine.kernel.remove(ip));
            program.up.remove(&set.key());
            program.park(set, after);
            return;
        }
        machine.kernel.prove(set.addresses());
        for ip in set.addresses() {
            match after {
                After::Won => program.announcer.won(now, address(*ip)),
                After::Lost { until } => {
                    program.announcer.acquired(now, address(*ip), 24, Until::Lost { until });
                }
                After::Nobody | After::Asked | After::Released => {
                    program.announcer.acquired(now, address(*ip), 24, Until::Released);
                }
            }
        }
        let key = set.key();
        if program.up.is_empty() {
            program.lease.began(begun);
        }
        program.up.insert(key, set);
        program.vip.handle_added(now, key);
    }

    /// Sends the announcements that are due; only of what is there.
    pub(super) fn ring_the_bell(&mut self, i: usize) {
        let (now, nobody) = (self.now, Neighbours::new(Duration::from_secs(60)));
        let mut due = Vec::new();
        if let Some(program) = self.machines[i].awake() {
            program.bell = Instant::ORIGIN;
            while let Some(announcement) = program.announcer.poll(now, &nobody) {
                due.push(announcement.address.ip);
            }
        }
        for ip in due {
            if self.machines[i].kernel.holds(ip) {
                self.announce(i, ip);
            }
        }
        self.set_timers(i);
    }

    /// A client has asked for the address, and this machine has heard it.
    pub(super) fn asked(&mut self, i: usize, ip: IpAddr) {
        let now = self.now;
        if let Some(program) = self.machines[i].awake() {
            program.announcer.asked(now, address(ip));
        }
        self.set_timers(i);
    }

    fn set_timers(&mut self, i: usize) {
        let now = self.now;
        let Some(program) = self.machines[i].awake() else { return };
        let (machine, life) = (i, program.life);
        let renewal = (program.busy.is_none() && !program.up.is_empty())
            .then(|| program.lease.next_timeout());
        let parked = (!program.parked.is_empty()).then(|| now + AGAIN);
        let times = [program.vip.next_timeout(), renewal, parked];
        if let Some(at) = times.into_iter().flatten().min() {
            // What is due already comes a little later, so that time always passes.
            let at = at.max(now + Duration::from_micros(500));
            if program.timer <= now || at < program.timer {
                program.timer = at;
                self.agenda.plan(at, Action::Wake { machine, life });
            }
        }
        let Some(program) = self.machines[i].awake() else { return };
        if let Some(at) = program.announcer.next_timeout() {
            let at = at.max(now + Duration::from_micros(10));
            if program.bell <= now || at < program.bell {
                program.bell = at;
                self.agenda.plan(at, Action::Bell { machine, life });
            }
        }
    }
}
