//! What goes wrong, done to the world.

use std::time::Duration;

use base::Instant;
use vip::{Order, Set};

use super::driver::address;
use super::machine::sets;
use super::plan::Fault;
use super::world::{Action, World};
use crate::bus::plan::Fault as Cut;

/// A guardian acts within this time of the end of its program.
const GUARDED: Duration = Duration::from_millis(20);
/// A program that has stood still for so long hangs.
const HANGS: Duration = Duration::from_millis(500);
/// A program that goes waits so long for others to take what it has.
const FAREWELL: Duration = Duration::from_secs(5);

impl World {
    /// Does it now.
    pub(super) fn fault(&mut self, fault: Fault) {
        let now = self.now;
        match fault {
            Fault::Wires(cut) => self.bus.inject(now, cut),
            Fault::Kill(i, guardian, back) => self.kill(i, guardian, back),
            Fault::Loop(i, apart, times) => {
                self.kill(i, false, apart / 2);
                let at = now + apart;
                if times > 1 && at < self.plan.calm {
                    self.agenda.plan(at, Action::Fault(Fault::Loop(i, apart, times - 1)));
                }
            }
            Fault::Reboot(i, back) => {
                self.kill(i, true, back);
                self.machines[i].kernel.clear();
            }
            Fault::Freeze(i, only_program, time) => self.freeze(i, only_program, time),
            Fault::Hang(i, time) => {
                let stands =
                    self.machines[i].frozen.is_none() && self.machines[i].program.is_some();
                if stands {
                    self.stand_still(i, time);
                }
            }
            Fault::Mute(i, time) => {
                self.bus.wires_mut().set_port(i, false);
                self.agenda.plan(now + time, Action::Port { machine: i, carrier: false });
            }
            Fault::Carrier(i, time) => {
                self.bus.wires_mut().set_port(i, false);
                self.machines[i].carrier = false;
                self.tell_able(i, false);
                self.agenda.plan(now + time, Action::Port { machine: i, carrier: true });
            }
            Fault::Session(i) => self.lose_session(i),
            Fault::Health(i, healthy) => {
                self.machines[i].healthy = healthy;
                self.of_program(i, |machine, life| Action::Health { machine, life });
            }
            Fault::Drain(by, whom, drain) => {
                self.order(by, whom, if drain { Order::Drain } else { Order::Undrain });
            }
            Fault::Move(by, whom, set) => {
                let list = sets(&self.plan, self.machines[by].list);
                if let Some(set) = list.get(set) {
                    self.order(by, whom, Order::Take(set.head()));
                }
            }
            Fault::Reload(i, list) => {
                self.machines[i].list = list;
                self.of_program(i, |machine, life| Action::Reread { machine, life });
            }
            Fault::Leave(i, promises, back) => {
                let Some(program) = self.machines[i].awake().filter(|p| p.leaving.is_none()) else {
                    return;
                };
                program.leaving = Some((now, back));
                let life = program.life;
                program.vip.leave(now, promises.then(|| back + Duration::from_millis(500)));
                self.agenda.plan(now, Action::Gone { machine: i, life });
                self.finish(i);
            }
            Fault::Guardian(i) => self.machines[i].guardian = false,
        }
    }

    fn order(&mut self, by: usize, whom: usize, order: Order) {
        let name = self.machines[whom].name.clone();
        if let Some(program) = self.machines[by].awake() {
            // An operator at a machine that is in no group is told so.
            drop(program.vip.order(&name, order));
        }
        self.finish(by);
    }

    /// Something that the program is told of now, or when it goes on.
    fn of_program(&mut self, i: usize, what: impl FnOnce(usize, usize) -> Action) {
        if let Some(life) = self.machines[i].program.as_ref().map(|program| program.life) {
            self.act(what(i, life));
        }
    }

    fn tell_able(&mut self, i: usize, able: bool) {
        self.of_program(i, |machine, life| Action::Link { machine, life, able });
    }

    pub(super) fn link(&mut self, i: usize, able: bool) {
        let now = self.now;
        let list = sets(&self.plan, self.machines[i].list);
        if let Some(program) = self.machines[i].awake() {
            for set in list {
                program.vip.handle_able(now, set.key(), able, able);
            }
        }
        self.finish(i);
    }

    pub(super) fn reread(&mut self, i: usize) {
        let now = self.now;
        let settings = self.machines[i].settings(&self.plan, i);
        let (new, carrier) = (sets(&self.plan, self.machines[i].list), self.machines[i].carrier);
        if let Some(program) = self.machines[i].awake() {
            for set in new {
                program.vip.handle_able(now, set.key(), carrier, false);
            }
            program.vip.reload(now, settings);
        }
        self.finish(i);
    }

    pub(super) fn feel(&mut self, i: usize) {
        let (now, healthy) = (self.now, self.machines[i].healthy);
        if let Some(program) = self.machines[i].awake() {
            program.vip.handle_health(now, healthy);
        }
        self.finish(i);
    }

    /// The port is as it was: with a carrier again, or open again without anybody having been told.
    pub(super) fn open_port(&mut self, i: usize, carrier: bool) {
        self.happened.push((self.now, true));
        self.dirty = true;
        self.bus.wires_mut().set_port(i, true);
        if carrier && !self.machines[i].carrier {
            self.machines[i].carrier = true;
            self.machines[i].carrier_since = self.now;
            self.tell_able(i, true);
        }
    }

    fn kill(&mut self, i: usize, guardian: bool, back: Duration) {
        self.end(i, Cut::Crash(i, back));
        if guardian {
            self.machines[i].guardian = false;
        }
    }

    /// The run of the program is over, and so is its daemon's, in this way.
    fn end(&mut self, i: usize, how: Cut) {
        let now = self.now;
        if let Some(program) = self.machines[i].program.take() {
            let at = now.max(self.machines[i].stopped) + self.up_to(GUARDED.as_micros() as u32);
            self.machines[i].ended = Some(program.boot);
            self.agenda.plan(at, Action::Guard { machine: i, boot: program.boot, freeze: None });
        }
        self.machines[i].frozen = None;
        self.machines[i].stalled.clear();
        self.bus.inject(now, how);
    }

    /// The guardian clears the addresses of a run that is over, or that hangs.
    pub(super) fn guard(&mut self, i: usize, boot: u64, freeze: Option<u64>) {
        let machine = &mut self.machines[i];
        if !machine.guardian || machine.stopped > self.now {
            return;
        }
        let run = machine.program.as_ref().map(|program| program.boot);
        let due = match freeze {
            None => run.is_none(),
            Some(_) => run == Some(boot) && machine.frozen == freeze,
        };
        if due {
            machine.kernel.clear();
            self.dirty = true;
        }
        // Only of a run that is over, and whatever the bus does: it is another way, which reaches some sooner and some never.
        if due && freeze.is_none() && self.plan.fencing && self.plan.quorum {
            for other in (0..self.machines.len()).filter(|other| *other != i) {
                let draw = boot.wrapping_mul(0x9e37_79b9).rotate_left(other as u32 * 7) % 1_000;
                if draw < 700 {
                    let at = self.now + Duration::from_micros(200 + draw * draw);
                    self.agenda.plan(at, Action::Word { machine: other, boot });
                }
            }
        }
    }

    /// A guardian's word arrives.
    pub(super) fn word(&mut self, i: usize, boot: u64) {
        let now = self.now;
        let Some(program) = self.machines[i].awake() else { return };
        program.vip.handle_fenced(now, boot);
        self.finish(i);
    }

    /// It waits until others have taken what it had, and then goes.
    pub(super) fn go(&mut self, i: usize) {
        let now = self.now;
        let Some(program) = self.machines[i].awake() else { return };
        let Some((since, back)) = program.leaving else { return };
        let life = program.life;
        if program.vip.is_leaving_in_order() && now.since(since) < FAREWELL {
            let later = now + Duration::from_millis(10);
            return self.agenda.plan(later, Action::Gone { machine: i, life });
        }
        program.vip.abandon(now);
        self.machines[i].kernel.clear();
        self.end(i, Cut::Leave(i, back));
        self.dirty = true;
    }

    fn freeze(&mut self, i: usize, only_program: bool, time: Duration) {
        let now = self.now;
        if self.bus.is_frozen(i) || self.bus.life(i).is_none() {
            return;
        }
        self.bus.inject(now, Cut::Freeze(i, time));
        if !only_program {
            self.machines[i].stopped = now + time;
        }
        self.stand_still(i, time);
    }

    /// The program does nothing for a time.
    fn stand_still(&mut self, i: usize, time: Duration) {
        let now = self.now;
        self.freezes += 1;
        let freeze = self.freezes;
        self.machines[i].frozen = Some(freeze);
        self.machines[i].stands_since = now;
        let after = now + time + Duration::from_nanos(1);
        self.agenda.plan(after, Action::Thaw { machine: i, freeze });
        if let Some(boot) = self.machines[i].program.as_ref().map(|program| program.boot) {
            let hangs = now + HANGS + self.up_to(GUARDED.as_micros() as u32);
            self.agenda.plan(hangs, Action::Guard { machine: i, boot, freeze: Some(freeze) });
        }
    }

    /// The program goes on with all that it would have done.
    pub(super) fn thaw(&mut self, i: usize, freeze: u64) {
        if self.machines[i].frozen != Some(freeze) {
            return;
        }
        self.happened.push((self.now, true));
        self.dirty = true;
        let machine = &mut self.machines[i];
        machine.frozen = None;
        machine.woken_since = self.now;
        let now = self.now;
        let stood_still = now.since(machine.stands_since);
        let held = |program: &super::machine::Program| {
            program.up.values().flat_map(|set| set.addresses().to_vec()).collect::<Vec<_>>()
        };
        if let Some(program) = machine.program.as_mut() {
            program.timer = Instant::ORIGIN;
            program.bell = Instant::ORIGIN;
            if program.vip.handle_stood_still(now, stood_still) {
                let up = core::mem::take(&mut program.up);
                for ip in up.values().flat_map(Set::addresses) {
                    machine.kernel.remove(*ip);
                    program.announcer.released(address(*ip));
                }
                program.vip.handle_all_removed(now, up.into_keys());
            }
            // The kernel has told of addresses that somebody else took away.
            if held(program).iter().any(|ip| !machine.kernel.holds(*ip)) {
                program.lease.rest(now);
            }
        }
        let stalled = core::mem::take(&mut machine.stalled);
        stalled.into_iter().for_each(|action| self.agenda.plan(now, action));
        self.read_mail(i);
    }

    /// Addresses run out.
    pub(super) fn expire(&mut self, i: usize) {
        let before = self.machines[i].kernel.all().count();
        let next = self.machines[i].kernel.expire(self.now);
        self.dirty |= self.machines[i].kernel.all().count() != before;
        let alarm = &mut self.machines[i].alarm;
        if let Some(next) = next.filter(|next| *alarm <= self.now || next < alarm) {
            *alarm = next;
            self.agenda.plan(next, Action::Expire(i));
        }
    }
}
