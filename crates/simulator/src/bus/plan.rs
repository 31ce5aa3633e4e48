//! One history, drawn from its seed.

use std::time::Duration;

use base::{Instant, Random};

use super::net::Weather;

/// What goes wrong, at a machine or between two.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The daemon dies at once; a new one starts after this time.
    Crash(usize, Duration),
    /// The daemon says that it goes; a new one starts after this time.
    Leave(usize, Duration),
    /// Nothing runs on the machine for this time; datagrams wait at its door.
    Freeze(usize, Duration),
    /// As a freeze, but of a virtual machine whose clock stands still as well.
    Pause(usize, Duration),
    /// One side reaches the other no more: machines by side.
    Partition(Vec<bool>),
    /// From the first to the second nothing passes.
    OneWay(usize, usize),
    /// Each pair is cut with this chance, each direction for itself if the flag says so.
    Random(f64, bool),
    /// All wires are whole again.
    Heal,
    /// Multicast from this machine reaches nobody.
    NoMulticast(usize),
    /// The wall clock of a machine jumps by so many seconds.
    Clock(usize, i64),
    /// Recorded datagrams of all times are sent again to this machine.
    Replay(usize),
    /// The network tells this machine falsely that the other is not there.
    Lie(usize, usize),
}

/// One history.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed it comes from.
    pub seed: u64,
    /// Machines, with one daemon each.
    pub machines: usize,
    /// The weather until the faults end.
    pub weather: Weather,
    /// The faults, by time.
    pub faults: Vec<(Instant, Fault)>,
    /// When faults end and calm begins. Wires stay as they are then unless a heal is among the faults.
    pub calm: Instant,
    /// Mean time between two messages of one daemon.
    pub pace: Duration,
    /// Share of safe messages.
    pub safe: f64,
    /// The longest message in bytes.
    pub longest: usize,
    /// The accelerated ring's window.
    pub accelerated: u16,
    /// There is a multicast address.
    pub group: bool,
}

impl Plan {
    /// The history of a seed.
    pub fn new(seed: u64) -> Self {
        let mut dice = Random::new(seed);
        let machines = match dice.below(20) {
            0 => 1,
            1..=3 => 2,
            4..=8 => 3,
            9..=12 => 4,
            13..=16 => 5,
            17..=18 => 6 + dice.below(3) as usize,
            _ => 9 + dice.below(8) as usize,
        };
        let quiet = dice.unit() < 0.3;
        let weather = Weather {
            loss: if quiet { 0.0 } else { 0.2 * dice.unit() * dice.unit() },
            doubled: if quiet { 0.0 } else { 0.1 * dice.unit() },
            delay: Duration::from_micros(20 + u64::from(dice.below(200))),
            jitter: Duration::from_micros(if quiet { 5 } else { 5 + dice.below(1000) }.into()),
        };
        let span = Duration::from_millis(500 + u64::from(dice.below(2500)));
        let calm = Instant::from_millis(100) + span;
        let large = dice.below(10) == 0;
        let count = dice.below(9);
        let mut faults: Vec<(Instant, Fault)> = (0..count)
            .map(|_| {
                let at = Instant::from_millis(50) + span.mul_f64(dice.unit());
                (at, Self::fault(&mut dice, machines))
            })
            .collect();
        // Often the second fault comes in the middle of what the first one set off.
        if dice.unit() < 0.5
            && let Some((at, _)) = faults.first().cloned()
        {
            let soon = Duration::from_micros(dice.below(200_000).into());
            faults.push((at + soon, Self::fault(&mut dice, machines)));
        }
        if dice.unit() < 0.6 {
            faults.push((calm, Fault::Heal));
        }
        faults.retain(|(at, _)| *at <= calm);
        faults.sort_by_key(|(at, _)| *at);
        Self {
            seed,
            machines,
            weather,
            faults,
            calm,
            pace: Duration::from_micros(u64::from(1000 + dice.below(20_000)) * if large { 20 } else { 1 }),
            safe: dice.unit() * 0.6,
            longest: if large { 30_000 } else { 600 },
            accelerated: [0, 16, 16, 4][dice.below(4) as usize],
            group: dice.unit() < 0.7,
        }
    }

    fn fault(dice: &mut Random, machines: usize) -> Fault {
        let one = dice.below(machines as u32) as usize;
        let other = dice.below(machines as u32) as usize;
        let back = Duration::from_millis(match dice.below(3) {
            0 => u64::from(dice.below(60)),
            1 => u64::from(dice.below(600)),
            _ => 20_000,
        });
        let sleep = Duration::from_millis(u64::from(20 + dice.below(900)));
        match dice.below(17) {
            0..=2 => Fault::Crash(one, back),
            3 => Fault::Leave(one, back),
            4 => Fault::Freeze(one, sleep),
            5 => Fault::Pause(one, sleep),
            6..=8 => Fault::Partition((0..machines).map(|_| dice.below(2) == 0).collect()),
            9 => Fault::OneWay(one, other),
            10 => Fault::Random(dice.unit() * 0.5, dice.below(2) == 0),
            11..=12 => Fault::Heal,
            13 => Fault::NoMulticast(one),
            14 => Fault::Clock(one, i64::from(dice.below(2_000_000)) - 1_000_000),
            15 => Fault::Replay(one),
            _ => Fault::Lie(one, other),
        }
    }

    /// The history in a few words.
    pub fn kind(&self) -> String {
        format!(
            "{} machines, loss {:.1} %, {} faults, calm from {:.3} s",
            self.machines,
            self.weather.loss * 100.0,
            self.faults.len(),
            super::trace::seconds(self.calm)
        )
    }
}
