//! One history, drawn from its seed.

use std::time::Duration;

use base::{Instant, Random};

use super::groups::Crowd;
use super::net::{Shape, Weather};

/// What goes wrong, at a machine or between two.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The daemon dies at once; a new one starts after this time.
    Crash(usize, Duration),
    /// The daemon says that it goes; a new one starts after this time.
    Leave(usize, Duration),
    /// The daemon dies and starts again, so many times, so far apart.
    Loop(usize, Duration, u8),
    /// Nothing runs on the machine for this time; datagrams wait at its door.
    Freeze(usize, Duration),
    /// As a freeze, but of a virtual machine whose clock stands still as well.
    Pause(usize, Duration),
    /// One side reaches the other no more: machines by side.
    Partition(Vec<bool>),
    /// From the first to the second nothing passes.
    OneWay(usize, usize),
    /// The wire between two is cut and mended by turns, so many times, so far apart.
    Flap(usize, usize, Duration, u8),
    /// Each pair is cut with this chance, each direction for itself if the flag says so.
    Random(f64, bool),
    /// Exactly these wires are whole.
    Shape(Shape),
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
    /// The operator brings this machine the list of this number, and its daemon reads it if it lives. A list without the
    /// machine is not taken there.
    Relist(usize, usize),
}

/// One history.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed it comes from.
    pub seed: u64,
    /// Machines, with one daemon each.
    pub machines: usize,
    /// The second has the name of the first.
    pub twins: Option<(usize, usize)>,
    /// The newest minor wire version of each machine, by turns.
    pub minors: Vec<u8>,
    /// This machine speaks another major version.
    pub foreign: Option<usize>,
    /// There is a fixed list of all daemons, in the opposite of the order of names.
    pub fixed: bool,
    /// The lists of daemons there are, each the machines in order; all begin with the first. Without any, what `fixed` says.
    pub lists: Vec<Vec<usize>>,
    /// The daemons start within this time.
    pub gathering: Duration,
    /// The weather until the faults end.
    pub weather: Weather,
    /// The faults, by time.
    pub faults: Vec<(Instant, Fault)>,
    /// When faults end and calm begins. Wires stay as they are then unless a heal is among the faults.
    pub calm: Instant,
    /// Mean time between two messages of one daemon; zero for no messages.
    pub pace: Duration,
    /// Share of safe messages.
    pub safe: f64,
    /// The longest message in bytes.
    pub longest: usize,
    /// Bytes of a datagram.
    pub datagram: usize,
    /// Packets in a rotation.
    pub window: u16,
    /// The accelerated ring's window.
    pub accelerated: u16,
    /// The network says at once when nobody listens at an address.
    pub unreachable: bool,
    /// There is a multicast address.
    pub group: bool,
    /// This machine has another configuration than all others.
    pub other_configuration: Option<usize>,
    /// Sites far from each other, 1 to 255; machine `i` is at site `i` modulo this. Multicast stays at a site.
    pub sites: usize,
    /// Clients, who talk instead of the daemons; none: the ring alone.
    pub crowd: Option<Crowd>,
}

impl Plan {
    /// So many machines on a good network, where nothing happens.
    pub fn still(seed: u64, machines: usize) -> Self {
        Self {
            seed,
            machines,
            twins: None,
            minors: vec![ring::settings::MINOR_MAX],
            foreign: None,
            fixed: false,
            lists: Vec::new(),
            gathering: Duration::from_millis(80),
            weather: Weather {
                loss: 0.0,
                doubled: 0.0,
                delay: Duration::from_micros(100),
                jitter: Duration::from_micros(5),
            },
            faults: Vec::new(),
            calm: Instant::from_millis(1000),
            pace: Duration::from_millis(20) * machines as u32,
            safe: 0.3,
            longest: 600,
            datagram: 1400,
            window: 256,
            accelerated: 16,
            unreachable: false,
            group: true,
            sites: 1,
            other_configuration: None,
            crowd: None,
        }
    }

    /// The history of a seed.
    pub fn new(seed: u64) -> Self {
        let mut dice = Random::new(seed);
        let mut plan = Self::still(seed, machines(&mut dice));
        let n = plan.machines;
        let some = |dice: &mut Random| dice.below(n as u32) as usize;
        let quiet = dice.unit() < 0.3;
        plan.weather = Weather {
            loss: if quiet { 0.0 } else { 0.2 * dice.unit() * dice.unit() },
            doubled: if quiet { 0.0 } else { 0.1 * dice.unit() },
            delay: Duration::from_micros(20 + u64::from(dice.below(200))),
            jitter: Duration::from_micros(if quiet { 5 } else { 5 + dice.below(1000) }.into()),
        };
        let span = Duration::from_millis(500 + u64::from(dice.below(2500)));
        plan.calm = Instant::from_millis(100) + span;
        let count = dice.below(9);
        let mut faults: Vec<(Instant, Fault)> = (0..count)
            .map(|_| (Instant::from_millis(50) + span.mul_f64(dice.unit()), fault(&mut dice, n)))
            .collect();
        // Often the second fault comes in the middle of what the first one set off.
        if dice.unit() < 0.5
            && let Some((at, _)) = faults.first().cloned()
        {
            let soon = Duration::from_micros(dice.below(200_000).into());
            faults.push((at + soon, fault(&mut dice, n)));
        }
        match dice.below(20) {
            0..=11 => faults.push((plan.calm, Fault::Heal)),
            12..=16 => faults.push((plan.calm, Fault::Shape(Shape::draw(&mut dice, n)))),
            _ => {}
        }
        faults.retain(|(at, _)| *at <= plan.calm);
        faults.sort_by_key(|(at, _)| *at);
        plan.faults = faults;

        let pace = 3.0 * 40_f64.powf(dice.unit()) * (n as f64 / 4.0).max(1.0);
        let (longest, slower) = match dice.below(40) {
            0..=3 => (30_000, 10),
            4 => (140_000, 100),
            _ => (600, 1),
        };
        plan.pace = Duration::from_secs_f64(pace / 1000.0) * slower;
        plan.longest = longest;
        plan.safe = dice.unit() * 0.6;
        plan.accelerated = [0, 16, 16, 4][dice.below(4) as usize];
        plan.group = dice.unit() < 0.7;
        plan.datagram = [1400, 1400, 1400, 300, 8900][dice.below(5) as usize];
        plan.window = [256, 256, 20, 3][dice.below(4) as usize];
        if longest > 10_000 {
            // So much to send, on a network that loses a fifth, would tell about patience only.
            plan.weather.loss /= 4.0;
            (plan.datagram, plan.window) = (plan.datagram.max(1400), 256);
        }
        if n > 12 {
            // Nor would three packets for each turn of a token that is lost twice on its way.
            plan.window = plan.window.max(20);
        }
        plan.unreachable = dice.below(3) == 0;
        plan.fixed = dice.below(8) == 0;
        if dice.below(4) == 0 {
            plan.minors = (0..n).map(|_| dice.below(2) as u8).collect();
        }
        if n > 1 && dice.below(12) == 0 {
            let one = some(&mut dice);
            plan.twins = Some((one, (one + 1 + dice.below(n as u32 - 1) as usize) % n));
        }
        if n > 1 && dice.below(40) == 0 {
            plan.foreign = Some(some(&mut dice));
        }
        if dice.below(6) == 0 {
            plan.sites = 2 + dice.below(2) as usize;
        }
        plan
    }

    /// The history of a seed, with clients.
    pub fn with_clients(seed: u64) -> Self {
        let mut plan = Self::new(seed);
        plan.crowd = Some(Crowd::draw(&mut Random::new(seed ^ 0xc11e_4775)));
        plan
    }

    /// The history in a few words.
    pub fn kind(&self) -> String {
        format!(
            "{} machines, loss {:.1} %, windows of {}, {} faults, calm from {:.3} s",
            self.machines,
            self.weather.loss * 100.0,
            self.window,
            self.faults.len(),
            super::trace::seconds(self.calm)
        )
    }
}

fn machines(dice: &mut Random) -> usize {
    match dice.below(40) {
        0..=1 => 1,
        2..=7 => 2,
        8..=17 => 3,
        18..=25 => 4,
        26..=33 => 5,
        34..=37 => 6 + dice.below(3) as usize,
        38 => 9 + dice.below(8) as usize,
        _ => 9 + dice.below(16) as usize,
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
    let apart = Duration::from_millis(u64::from(10 + dice.below(300)));
    let times = 2 + dice.below(6) as u8;
    match dice.below(20) {
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
        16 => Fault::Lie(one, other),
        17 => Fault::Loop(one, apart, times),
        18 => Fault::Flap(one, other, apart, times),
        _ => Fault::Shape(Shape::draw(dice, machines)),
    }
}
