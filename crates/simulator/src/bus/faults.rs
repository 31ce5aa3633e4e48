//! What goes wrong, done to the world.

use std::time::Duration;

use ring::Tag;

use super::agenda::Action;
use super::plan::Fault;
use super::trace::seconds;
use super::world::World;

impl World {
    /// Does it now.
    pub(super) fn fault(&mut self, fault: Fault) {
        if self.loud {
            println!("{:.6} {fault:?}", seconds(self.now));
        }
        let n = self.machines.len();
        match fault {
            Fault::Crash(i, back) => self.crash(i, back),
            Fault::Leave(i, back) => {
                if let Some(ring) = self.machines[i].awake() {
                    ring.leave();
                    self.collect(i);
                }
                self.crash(i, back);
            }
            Fault::Loop(i, apart, times) => {
                self.crash(i, apart / 2);
                self.again(apart, times, |times| Fault::Loop(i, apart, times));
            }
            Fault::Freeze(i, time) => self.freeze(i, time, false),
            Fault::Pause(i, time) => self.freeze(i, time, true),
            Fault::Partition(sides) => {
                for a in 0..n {
                    (0..n).for_each(|b| self.wires.set(a, b, sides[a] == sides[b]));
                }
            }
            Fault::OneWay(a, b) => self.wires.set(a, b, a == b),
            Fault::Flap(a, b, apart, times) => {
                let whole = times % 2 == 0 || a == b;
                self.wires.set(a, b, whole);
                self.wires.set(b, a, whole);
                self.again(apart, times, |times| Fault::Flap(a, b, apart, times));
            }
            Fault::Random(chance, directed) => {
                for a in 0..n {
                    for b in a + 1..n {
                        let cut = self.dice.unit() < chance;
                        let back = if directed { self.dice.unit() < chance } else { cut };
                        self.wires.set(a, b, !cut);
                        self.wires.set(b, a, !back);
                    }
                }
            }
            Fault::Shape(shape) => self.wires.shape(&shape),
            Fault::Heal => self.wires.mend(),
            Fault::NoMulticast(i) => (0..n).for_each(|to| self.wires.set_multicast(i, to, false)),
            Fault::Clock(i, by) => self.machines[i].jump(by),
            Fault::Replay(to) => {
                // What a living boot sealed is refused by the driver's replay window, and what is for another by the envelope.
                let recorded = self.recorded.clone();
                let me = Tag::from(&self.machines[to].boot);
                for letter in recorded {
                    let mine = letter.whom.is_none_or(|whom| whom == me);
                    if mine && !self.machines.iter().any(|m| m.boot == letter.boot) {
                        self.schedule(self.now, Action::Arrive { to, letter });
                    }
                }
            }
            Fault::Relist(i, list) => self.relist(i, list),
            Fault::Lie(i, about) => {
                self.deny(i, Tag::from(&self.machines[about].boot));
            }
        }
    }

    /// Once more after a while; what repeats itself ends with the faults at the latest.
    fn again(&mut self, apart: Duration, times: u8, fault: impl Fn(u8) -> Fault) {
        let at = self.now + apart;
        if times > 1 && at < self.plan.calm {
            self.schedule(at, Action::Fault(fault(times - 1)));
        }
    }

    fn crash(&mut self, i: usize, back: Duration) {
        if self.machines[i].ring.take().is_some() {
            self.traces[self.machines[i].life].end = Some(self.now);
            if let Some(desk) = self.desks[i].take() {
                desk.die(&mut self.clients);
            }
        }
        self.schedule(self.now + back, Action::Start(i));
    }

    fn freeze(&mut self, i: usize, time: Duration, pausing: bool) {
        if self.machines[i].freeze(self.now, pausing) {
            self.schedule(self.now + time, Action::Thaw(i));
        }
    }
}
