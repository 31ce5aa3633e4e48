//! What goes over the wires: who gets a datagram, when, and what the network says where nobody is.

use base::Boot;
use bytes::{Bytes, BytesMut};
use ring::{Tag, To};

use super::agenda::Action;
use super::trace::seconds;
use super::world::World;

/// Datagrams recorded for replays.
const RECORDED: usize = 2000;

/// A datagram in its envelope.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    /// Who sent it.
    pub(super) boot: Boot,
    /// For whom it is, which stands under the seal; none: for everybody.
    pub(super) whom: Option<Tag>,
    pub(super) datagram: Bytes,
}

impl World {
    /// Nobody listens here: the network tells whoever sent this.
    pub(super) fn refuse(&mut self, here: usize, boot: Boot) {
        let from = self.machines.iter().position(|machine| machine.boot == boot);
        if let Some(from) =
            from.filter(|&from| self.plan.unreachable && self.wires.reaches(here, from, false))
        {
            let (life, about) = (self.machines[from].life, Tag::from(&self.machines[here].boot));
            let arrivals = self.weather.arrivals(&mut self.dice);
            for after in arrivals {
                self.schedule(self.now + after, Action::Unreachable { machine: from, life, about });
            }
        }
    }

    /// The network says at machine `i` that nobody is where this daemon was.
    pub(super) fn deny(&mut self, i: usize, about: Tag) {
        let now = self.machines[i].clock(self.now);
        if let Some(ring) = self.machines[i].awake() {
            ring.handle_unreachable(now, about);
            self.collect(i);
        }
    }

    pub(super) fn receive(&mut self, i: usize, letter: &Letter) {
        let machine = &mut self.machines[i];
        let now = machine.clock(self.now);
        if letter.whom.is_some_and(|whom| whom != Tag::from(&machine.boot)) {
            return;
        }
        machine.met(Tag::from(&letter.boot));
        if let Some(ring) = &mut machine.ring {
            ring.handle_datagram(now, &letter.boot, &letter.datagram);
            self.collect(i);
        }
    }

    pub(super) fn transmit(&mut self, i: usize, to: &To, datagram: &Bytes) {
        let boot = self.machines[i].boot;
        let whom = match to {
            To::Peer(tag) => Some(*tag),
            To::Door(_) | To::Group | To::Seeds => None,
        };
        let letter = Letter { boot, whom, datagram: datagram.clone() };
        if self.records && self.recorded.len() < RECORDED && self.dice.below(10) == 0 {
            self.recorded.push(letter.clone());
        }
        match to {
            To::Peer(tag) | To::Door(tag) => {
                let known = self.machines[i].knows(*tag);
                if let Some(&to) = self.boots.get(tag).filter(|_| known) {
                    self.carry(i, to, &letter, false);
                }
            }
            To::Group => {
                let sites = self.plan.sites;
                let near = (0..self.machines.len()).filter(|to| to % sites == i % sites);
                near.for_each(|to| self.carry(i, to, &letter, true));
            }
            To::Seeds if self.plan.group && self.plan.sites == 1 => {}
            To::Seeds => {
                (0..self.machines.len()).for_each(|to| self.carry(i, to, &letter, false));
            }
        }
    }

    fn carry(&mut self, from: usize, to: usize, letter: &Letter, multicast: bool) {
        self.datagrams += 1;
        let crosses = from % self.plan.sites != to % self.plan.sites;
        self.crossing += u64::from(crosses && kind(&letter.datagram) == "data");
        if from == to || !self.wires.reaches(from, to, multicast) {
            return;
        }
        let mut letter = letter.clone();
        if let Some(foreign) = self.plan.foreign
            && (from == foreign) != (to == foreign)
        {
            let mut other = BytesMut::from(&letter.datagram[..]);
            other[1] = ring::settings::MAJOR + 1;
            letter.datagram = other.freeze();
        }
        if self.loud {
            let (from, to) = (self.machines[from].name, self.machines[to].name);
            println!("{:.6} {from} to {to} {}", seconds(self.now), kind(&letter.datagram));
        }
        for after in self.weather.arrivals(&mut self.dice) {
            let letter = letter.clone();
            self.schedule(self.now + after, Action::Arrive { to, letter });
        }
    }
}

/// The kind of a datagram, by its first byte.
fn kind(datagram: &[u8]) -> &'static str {
    datagram.first().and_then(|&kind| ring::KINDS.get(usize::from(kind))).unwrap_or(&"?")
}
