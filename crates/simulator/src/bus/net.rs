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

/// Which wires are whole. `from` reaches `to`, by unicast and by multicast.
#[derive(Clone, Debug)]
pub struct Wires {
    machines: usize,
    unicast: Vec<bool>,
    multicast: Vec<bool>,
}

impl Wires {
    /// All whole.
    pub fn new(machines: usize) -> Self {
        let all = vec![true; machines * machines];
        Self { machines, unicast: all.clone(), multicast: all }
    }

    /// Whether a datagram gets from one to the other.
    pub fn reaches(&self, from: usize, to: usize, multicast: bool) -> bool {
        let at = from * self.machines + to;
        self.unicast[at] && (!multicast || self.multicast[at])
    }

    /// Cuts or mends one direction.
    pub fn set(&mut self, from: usize, to: usize, whole: bool) {
        self.unicast[from * self.machines + to] = whole;
    }

    /// Lets multicast through in one direction, or not.
    pub fn set_multicast(&mut self, from: usize, to: usize, whole: bool) {
        self.multicast[from * self.machines + to] = whole;
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
        let lost = dice.unit() < self.loss;
        let doubled = dice.unit() < self.doubled;
        let count = if lost { 0 } else { 1 + usize::from(doubled) };
        let times: Vec<Duration> = (0..count)
            .map(|_| self.delay + self.jitter.mul_f64(-(1.0 - dice.unit()).ln()))
            .collect();
        times.into_iter()
    }
}
