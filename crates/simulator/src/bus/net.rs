//! The wires: who reaches whom, and what happens on the way.

use std::time::Duration;

use base::Random;

/// The weather on all wires.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Share of datagrams lost.
    pub loss: f64,
    /// Share of datagrams that come twice.
    pub doubled: f64,
    /// The least time on the way.
    pub delay: Duration,
    /// The mean of what is added to it, so that datagrams overtake each other.
    pub jitter: Duration,
}

/// Which machines reach each other, by a figure.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Each reaches its neighbours in a row.
    Path,
    /// Each reaches its neighbours in a circle.
    Circle,
    /// All reach this one, and no two others each other.
    Star(usize),
    /// Two groups that share this one only.
    Bridge(usize, Vec<bool>),
    /// In a circle each reaches the next, which does not reach it.
    OneWayCircle,
    /// From the first to the second nothing passes, by pairs.
    Without(Vec<(usize, usize)>),
}

impl Shape {
    /// Some figure for so many machines.
    pub fn draw(dice: &mut Random, machines: usize) -> Self {
        let n = machines as u32;
        let one = dice.below(n) as usize;
        match dice.below(8) {
            0 => Self::Path,
            1 => Self::Circle,
            2 => Self::Star(one),
            3 => Self::Bridge(one, (0..n).map(|_| dice.below(2) == 0).collect()),
            4 => Self::OneWayCircle,
            pairs => {
                let chance = dice.unit();
                let directed = pairs == 5;
                let mut cut = Vec::new();
                for a in 0..machines {
                    for b in (0..machines).filter(|&b| b > a || directed && b != a) {
                        if dice.unit() < chance {
                            cut.push((a, b));
                            cut.extend((!directed).then_some((b, a)));
                        }
                    }
                }
                Self::Without(cut)
            }
        }
    }

    fn reaches(&self, n: usize, from: usize, to: usize) -> bool {
        match self {
            Self::Path => from.abs_diff(to) == 1,
            Self::Circle => [1, n - 1].contains(&from.abs_diff(to)),
            Self::Star(center) => [from, to].contains(center),
            Self::Bridge(shared, sides) => {
                [from, to].contains(shared) || sides.get(from) == sides.get(to)
            }
            Self::OneWayCircle => (from + 1) % n == to,
            Self::Without(cut) => !cut.contains(&(from, to)),
        }
    }
}

/// Which wires are whole. `from` reaches `to`, by unicast and by multicast.
#[derive(Clone, Debug)]
pub struct Wires {
    machines: usize,
    /// Machines whose port passes nothing, whatever the wires are.
    dead: Vec<bool>,
    unicast: Vec<bool>,
    multicast: Vec<bool>,
}

impl Wires {
    /// All whole.
    pub fn new(machines: usize) -> Self {
        let all = vec![true; machines * machines];
        Self { machines, dead: vec![false; machines], unicast: all.clone(), multicast: all }
    }

    /// Whether a datagram gets from one to the other.
    pub fn reaches(&self, from: usize, to: usize, multicast: bool) -> bool {
        let at = from * self.machines + to;
        let open = from == to || !self.dead[from] && !self.dead[to];
        open && self.unicast[at] && (!multicast || self.multicast[at])
    }

    /// Cuts or mends one direction.
    pub fn set(&mut self, from: usize, to: usize, whole: bool) {
        self.unicast[from * self.machines + to] = whole;
    }

    /// Opens or closes a machine's port.
    pub fn set_port(&mut self, machine: usize, open: bool) {
        self.dead[machine] = !open;
    }

    /// Whether a machine's port passes anything.
    pub fn is_open(&self, machine: usize) -> bool {
        !self.dead[machine]
    }

    /// Lets multicast through in one direction, or not.
    pub fn set_multicast(&mut self, from: usize, to: usize, whole: bool) {
        self.multicast[from * self.machines + to] = whole;
    }

    /// Makes the wires a figure.
    pub fn shape(&mut self, shape: &Shape) {
        for from in 0..self.machines {
            for to in (0..self.machines).filter(|to| *to != from) {
                self.set(from, to, shape.reaches(self.machines, from, to));
            }
        }
    }

    /// Mends everything but multicast.
    pub fn mend(&mut self) {
        self.unicast.fill(true);
    }

    /// Whether each hears the other.
    pub fn mutual(&self, a: usize, b: usize) -> bool {
        a == b || self.reaches(a, b, false) && self.reaches(b, a, false)
    }
}

impl Weather {
    /// When copies of a datagram arrive: none, one or two times from now.
    pub fn arrivals(&self, dice: &mut Random) -> impl Iterator<Item = Duration> + use<> {
        let lost = self.loss > 0.0 && dice.unit() < self.loss;
        let doubled = self.doubled > 0.0 && dice.unit() < self.doubled;
        let late = |dice: &mut Random| self.delay + self.jitter.mul_f64(-(1.0 - dice.unit()).ln());
        let first = (!lost).then(|| late(dice));
        let second = (!lost && doubled).then(|| late(dice));
        first.into_iter().chain(second)
    }
}
