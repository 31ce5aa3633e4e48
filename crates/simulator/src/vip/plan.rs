//! One history of addresses, drawn from its seed.

use std::time::Duration;

use base::{Instant, Random};

use crate::bus::groups::Crowd;
use crate::bus::net::Shape;
use crate::bus::plan::Fault as Cut;

/// What happens, at a machine or between two.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Something of the wires, done by the bus.
    Wires(Cut),
    /// The program dies; its guardian too if the flag says so. It starts again after this time.
    Kill(usize, bool, Duration),
    /// The program dies and starts again, so many times, so far apart.
    Loop(usize, Duration, u8),
    /// The machine is switched off; it is there again after this time.
    Reboot(usize, Duration),
    /// For this time nothing runs on the machine but its kernel; if the flag says so, its guardian does, too.
    Freeze(usize, bool, Duration),
    /// For this time only the part of the program that decides stands still: the daemon in it goes on.
    Hang(usize, Duration),
    /// For this time nothing passes the machine's port, and nobody tells it.
    Mute(usize, Duration),
    /// For this time the machine's port has no carrier.
    Carrier(usize, Duration),
    /// The program's connection to its daemon is lost.
    Session(usize),
    /// Its checks pass, or not.
    Health(usize, bool),
    /// An operator at the first machine says that the second is drained, or not.
    Drain(usize, usize, bool),
    /// An operator at the first machine moves the set of this number to the second.
    Move(usize, usize, usize),
    /// The machine gets the list of this number.
    Reload(usize, usize),
    /// The program says that it goes, waits until all has moved, and is there again after this time; the flag says whether it
    /// promises that.
    Leave(usize, bool, Duration),
    /// The guardian is killed. It comes back with the program.
    Guardian(usize),
}

impl Fault {
    /// Whether addresses may be without a holder for a while because of it. What an operator plans may do no such thing, and
    /// neither may a network that grows together.
    pub fn is_hard(&self) -> bool {
        match self {
            Self::Wires(cut) => !matches!(cut, Cut::Heal | Cut::Clock(..)),
            Self::Kill(..)
            | Self::Loop(..)
            | Self::Reboot(..)
            | Self::Freeze(..)
            | Self::Hang(..)
            | Self::Mute(..)
            | Self::Carrier(..)
            | Self::Session(..)
            | Self::Guardian(..) => true,
            // Another list is another set of addresses.
            Self::Reload(..) => true,
            Self::Health(..) | Self::Drain(..) | Self::Move(..) | Self::Leave(..) => false,
        }
    }
}

/// How long things take on one machine, and how often they fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// The share of additions that take 1.8 s.
    pub slow: f64,
    /// The share of additions that fail.
    pub fails: f64,
    /// The share of announcements that reach a client not.
    pub deaf: f64,
}

/// One history.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed it comes from.
    pub seed: u64,
    /// The bus below, without faults of its own.
    pub bus: crate::bus::Plan,
    /// What happens, by time.
    pub faults: Vec<(Instant, Fault)>,
    /// When the faults end.
    pub calm: Instant,
    /// How long calm is watched when all is settled.
    pub watched: Duration,
    /// The lists of sets there are; each set is addresses by number. All machines begin with the first.
    pub lists: Vec<Vec<Vec<u8>>>,
    /// Sets under quorum of all machines.
    pub quorum: bool,
    /// Machines that run a daemon and take no part.
    pub bystanders: Vec<usize>,
    /// They have a client in the group that only looks on.
    pub onlookers: bool,
    /// Share of each machine, by turns.
    pub weights: Vec<u16>,
    /// How much each machine counts for a majority, by turns.
    pub votes: Vec<u16>,
    /// How things are done.
    pub work: Work,
    /// Guardians say when they have cleared what a dead program had.
    pub fencing: bool,
    /// The time to maturity.
    pub mature: Duration,
    /// Between two rounds of balancing.
    pub balance_every: Duration,
    /// Clients next to the ports of these machines.
    pub clients: Vec<usize>,
    /// The address that each machine prefers, by number.
    pub prefers: Vec<Option<usize>>,
}

impl Plan {
    /// So many machines and addresses on a good network, where nothing happens.
    pub fn still(seed: u64, machines: usize, addresses: u8) -> Self {
        let mut bus = crate::bus::Plan::still(seed, machines);
        bus.pace = Duration::ZERO;
        bus.crowd = Some(Crowd::calm());
        bus.calm = Instant::from_millis(u64::MAX / 2_000_000);
        Self {
            seed,
            bus,
            faults: Vec::new(),
            calm: Instant::from_millis(2_000),
            watched: Duration::from_secs(3),
            lists: vec![(1..=addresses).map(|last| vec![last]).collect()],
            quorum: false,
            bystanders: Vec::new(),
            onlookers: false,
            weights: vec![100],
            votes: vec![1],
            work: Work { slow: 0.0, fails: 0.0, deaf: 0.0 },
            fencing: true,
            mature: Duration::from_millis(400),
            balance_every: Duration::from_millis(1_000),
            clients: vec![0],
            prefers: vec![None],
        }
    }

    /// The history of a seed; a third of them are under quorum.
    pub fn new(seed: u64) -> Self {
        Self::draw(seed, seed.is_multiple_of(3))
    }

    /// The history of a seed, under quorum or not.
    pub fn draw(seed: u64, quorum: bool) -> Self {
        let mut dice = Random::new(seed ^ 0x0076_6970);
        let dice = &mut dice;
        let machines = [1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6][dice.below(12) as usize];
        let mut plan = Self::still(seed, machines, 1 + dice.below(6) as u8);
        plan.quorum = quorum;
        let quiet = dice.unit() < 0.4;
        plan.bus.weather.loss = if quiet { 0.0 } else { 0.1 * dice.unit() * dice.unit() };
        plan.bus.weather.doubled = if quiet { 0.0 } else { 0.1 * dice.unit() };
        plan.bus.weather.jitter =
            Duration::from_micros(if quiet { 5 } else { 5 + dice.below(500) }.into());
        plan.bus.gathering = Duration::from_millis([80, 80, 2_000][dice.below(3) as usize]);
        plan.bus.accelerated = [0, 16][dice.below(2) as usize];
        plan.bus.unreachable = dice.below(3) == 0;
        plan.bus.group = dice.unit() < 0.8;
        plan.mature = Duration::from_millis([200, 400, 1_000, 5_000][dice.below(4) as usize]);
        plan.balance_every = Duration::from_millis([300, 1_000, 4_000][dice.below(3) as usize]);
        plan.fencing = dice.below(2) == 0;
        plan.work = Work {
            slow: [0.0, 0.0, 0.05][dice.below(3) as usize],
            fails: [0.0, 0.0, 0.02][dice.below(3) as usize],
            deaf: [0.0, 0.02, 0.3][dice.below(3) as usize],
        };
        plan.clients = (0..1 + dice.below(3)).map(|_| below(dice, machines)).collect();
        if dice.below(4) == 0 {
            plan.weights = (0..machines).map(|_| 50 + dice.below(3) as u16 * 50).collect();
        }
        if dice.below(4) == 0 {
            let sets = plan.lists[0].len();
            plan.prefers =
                (0..machines).map(|_| (dice.below(2) == 0).then(|| below(dice, sets))).collect();
        }
        if machines > 2 && dice.below(5) == 0 {
            plan.bystanders = vec![below(dice, machines)];
        }
        plan.draw_lists(dice);
        plan.draw_faults(dice);
        if dice.below(50) == 0 {
            plan.watched = Duration::from_secs(60);
        }
        plan.draw_silence(seed);
        plan.draw_votes(seed);
        plan
    }

    /// Majorities in which machines count unequally. Drawn apart like silence.
    fn draw_votes(&mut self, seed: u64) {
        let dice = &mut Random::new(seed ^ 0x766f_7465);
        if self.quorum && dice.below(4) == 0 {
            self.votes = (0..self.bus.machines).map(|_| 1 + dice.below(3) as u16).collect();
        }
    }

    /// Members that say nothing. Drawn apart, so that the other histories are what they were.
    fn draw_silence(&mut self, seed: u64) {
        let dice = &mut Random::new(seed ^ 0x6861_6e67);
        self.onlookers = dice.below(2) == 0;
        if dice.below(4) > 0 {
            return;
        }
        let span = self.calm.since(Instant::from_millis(600));
        for _ in 0..1 + dice.below(2) {
            let at = Instant::from_millis(600) + span.mul_f64(dice.unit());
            let left = self.calm.since(at).saturating_sub(Duration::from_millis(50));
            let long = [1_000, 6_000, 12_000][below(dice, 3)];
            let time = Duration::from_millis(u64::from(50 + dice.below(long))).min(left);
            self.faults.push((at, Fault::Hang(below(dice, self.bus.machines), time)));
        }
        self.faults.sort_by_key(|(at, _)| *at);
    }

    /// Sets of several addresses, and other lists to come.
    fn draw_lists(&mut self, dice: &mut Random) {
        if dice.below(3) == 0 {
            for (at, set) in self.lists[0].iter_mut().enumerate() {
                set.extend((0..dice.below(3) as u8).map(|more| 100 + 3 * at as u8 + more));
            }
        }
        if dice.below(5) == 0 {
            let mut list = self.lists[0].clone();
            match dice.below(6) {
                0 if list.len() > 1 => _ = list.pop(),
                1 => list.push(vec![50]),
                // The same addresses, cut otherwise.
                2 if list.len() > 1 => {
                    let last = list.pop().unwrap_or_default();
                    list[0].extend(last);
                }
                3 if list[0].len() > 1 => {
                    let rest = list[0].split_off(1);
                    list.push(rest);
                }
                4 => list.reverse(),
                _ => list[0].push(60),
            }
            self.lists.push(list);
        }
    }

    fn draw_faults(&mut self, dice: &mut Random) {
        let span = Duration::from_millis(1_500 + u64::from(dice.below(6_000)));
        let begin = Instant::from_millis(600) + self.mature.min(Duration::from_secs(1));
        self.calm = begin + span + Duration::from_millis(500);
        let n = self.bus.machines;
        let isolated = dice.below(4) == 0;
        let count = if isolated { 1 } else { dice.below(8) };
        let mut faults = Vec::new();
        for _ in 0..count {
            let at = begin + span.mul_f64(dice.unit());
            faults.push((at, self.fault(dice, at)));
        }
        if let Some((at, _)) = faults.first().cloned()
            && !isolated
            && dice.below(2) == 0
        {
            // In the middle of what the first one set off.
            let soon = at + Duration::from_micros(dice.below(400_000).into());
            faults.push((soon, self.fault(dice, soon)));
        }
        if self.lists.len() > 1 {
            for machine in 0..n {
                let at = begin + span.mul_f64(dice.unit());
                faults.push((at, Fault::Reload(machine, 1)));
            }
        }
        faults.retain(|(at, _)| *at < self.calm);
        match dice.below(10) {
            0..=7 => faults.push((self.calm, Fault::Wires(Cut::Heal))),
            _ => {
                // Parts that stay apart.
                let sides: Vec<bool> = (0..n).map(|_| dice.below(2) == 0).collect();
                faults.push((self.calm, Fault::Wires(Cut::Partition(sides))));
            }
        }
        faults.sort_by_key(|(at, _)| *at);
        self.faults = faults;
    }

    fn fault(&self, dice: &mut Random, at: Instant) -> Fault {
        let n = self.bus.machines;
        let (one, other) = (below(dice, n), below(dice, n));
        // Everything that lasts is over when calm comes.
        let left = self.calm.since(at).saturating_sub(Duration::from_millis(50));
        let long = [100, 600, 3_000, 9_000][below(dice, 4)];
        let time = Duration::from_millis(u64::from(5 + dice.below(long))).min(left);
        let apart = Duration::from_millis(u64::from(20 + dice.below(700)));
        let times = 2 + dice.below(5) as u8;
        match dice.below(32) {
            0..=3 => Fault::Kill(one, dice.below(4) == 0, time),
            4 => Fault::Loop(one, apart, times),
            5..=6 => Fault::Reboot(one, time.max(Duration::from_millis(500)).min(left)),
            7..=8 => Fault::Freeze(one, false, time),
            9..=10 => Fault::Freeze(one, true, time),
            11 => Fault::Mute(one, time),
            12..=13 => Fault::Carrier(one, time),
            14 => Fault::Session(one),
            15 => Fault::Health(one, dice.below(2) == 0),
            16..=17 => Fault::Drain(one, other, dice.below(3) > 0),
            18..=19 => Fault::Move(one, other, below(dice, self.lists[0].len())),
            20..=21 => Fault::Leave(one, dice.below(2) == 0, time),
            22 => Fault::Guardian(one),
            23..=26 => Fault::Wires(Cut::Partition((0..n).map(|_| dice.below(2) == 0).collect())),
            27 => Fault::Wires(Cut::OneWay(one, other)),
            28 => Fault::Wires(Cut::Flap(one, other, apart, times)),
            29 => Fault::Wires(Cut::Random(dice.unit() * 0.5, dice.below(2) == 0)),
            30 => Fault::Wires(Cut::Shape(Shape::draw(dice, n))),
            _ => Fault::Wires(Cut::Heal),
        }
    }

    /// The history in a few words.
    pub fn kind(&self) -> String {
        format!(
            "{} machines, {} sets{}, loss {:.1} %, {} faults, calm from {:.3} s",
            self.bus.machines,
            self.lists[0].len(),
            match (self.quorum, self.votes.len()) {
                (false, _) => "",
                (true, 0..=1) => " under quorum",
                (true, _) => " under quorum with unequal votes",
            },
            self.bus.weather.loss * 100.0,
            self.faults.len(),
            crate::bus::trace::seconds(self.calm)
        )
    }

    /// The same history with as few faults as still make it fail, as `fails` says.
    #[must_use]
    pub fn shrunk(&self, fails: impl Fn(&Self) -> bool) -> Self {
        let mut plan = self.clone();
        let mut at = 0;
        while at < plan.faults.len() {
            let mut fewer = plan.clone();
            fewer.faults.remove(at);
            if fails(&fewer) { plan = fewer } else { at += 1 }
        }
        plan
    }
}

fn below(dice: &mut Random, n: usize) -> usize {
    dice.below(n.max(1) as u32) as usize
}
