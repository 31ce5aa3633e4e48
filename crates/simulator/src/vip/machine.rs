//! One machine of a history: its kernel, its guardian, and the program with the real `Vip` in it.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use base::Instant;
use spread_wire::GroupName;
use vip::announce::{self, Announcer};
use vip::lease::Lease;
use vip::settings::{Listed, PerRound};
use vip::{After, Identity, Set, SetKey, Settings, Vip};

use super::checks::Place;
use super::kernel::Kernel;
use super::plan::Plan;
use super::world::Action;

/// Something that is done to the kernel, one after the other.
#[derive(Clone, Debug)]
pub(super) enum Job {
    Add(Set, After),
    Announce(SetKey),
    Remove(Set),
    Renew,
}

impl Job {
    /// The set that it is about.
    fn key(&self) -> Option<SetKey> {
        match self {
            Self::Add(set, _) | Self::Remove(set) => Some(set.key()),
            Self::Announce(key) => Some(*key),
            Self::Renew => None,
        }
    }
}

/// What is being done.
#[derive(Clone, Debug)]
pub(super) struct Busy {
    pub(super) job: Job,
    pub(super) begun: Instant,
    /// The bus was fresh up to then when it was begun.
    pub(super) word: Instant,
    /// The kernel has done it.
    pub(super) applied: bool,
    pub(super) fails: bool,
}

/// A run of the program.
pub(super) struct Program {
    /// The life of the daemon in it.
    pub(super) life: usize,
    pub(super) boot: u64,
    pub(super) vip: Vip,
    pub(super) lease: Lease,
    pub(super) announcer: Announcer,
    /// Its name in the group, while it has a session.
    pub(super) private: Option<GroupName>,
    pub(super) sessions: u32,
    pub(super) jobs: VecDeque<Job>,
    pub(super) busy: Option<Busy>,
    /// What may not be added yet, because the bus is not fresh.
    pub(super) parked: Vec<(Set, After)>,
    /// What is on the interfaces, as far as it knows.
    pub(super) up: BTreeMap<SetKey, Set>,
    /// When each of its timers is set to ring.
    pub(super) timer: Instant,
    pub(super) bell: Instant,
    /// How often in a row it wanted to be woken at once.
    pub(super) spins: u32,
    /// The view, and what was heard in it.
    pub(super) words: Option<Place>,
    /// It goes: when it began to, and when it is to be back.
    pub(super) leaving: Option<(Instant, Duration)>,
}

/// The machine.
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) kernel: Kernel,
    pub(super) program: Option<Program>,
    /// When the kernel looks again for what has run out.
    pub(super) alarm: Instant,
    pub(super) list: usize,
    pub(super) carrier: bool,
    /// It has had its carrier since then.
    pub(super) carrier_since: Instant,
    pub(super) healthy: bool,
    pub(super) guardian: bool,
    /// The program stands still. Counts freezes, so that each ends itself only.
    pub(super) frozen: Option<u64>,
    /// When it last began to stand still.
    pub(super) stands_since: Instant,
    /// When it last went on after that.
    pub(super) woken_since: Instant,
    /// The guardian stands still until then.
    pub(super) stopped: Instant,
    /// What the program would have done while it stood still.
    pub(super) stalled: Vec<Action>,
    /// The run whose addresses have certainly been cleared, to be told of.
    pub(super) fenced: Option<u64>,
    /// The last run that has ended.
    pub(super) ended: Option<u64>,
    /// Sets that could not be added, and until when that counts.
    pub(super) failed: BTreeMap<SetKey, Instant>,
    pub(super) bystander: bool,
}

impl Machine {
    pub(super) fn new(plan: &Plan, i: usize) -> Self {
        Self {
            name: format!("m{}", i + 1),
            kernel: Kernel::default(),
            program: None,
            alarm: Instant::ORIGIN,
            list: 0,
            carrier: true,
            carrier_since: Instant::ORIGIN,
            healthy: true,
            guardian: true,
            frozen: None,
            stands_since: Instant::ORIGIN,
            woken_since: Instant::ORIGIN,
            stopped: Instant::ORIGIN,
            stalled: Vec::new(),
            fenced: None,
            ended: None,
            failed: BTreeMap::new(),
            bystander: plan.bystanders.contains(&i),
        }
    }

    /// What is configured on it now.
    pub(super) fn settings(&self, plan: &Plan, i: usize) -> Settings {
        let prefers = plan.prefers[i % plan.prefers.len()];
        let sets = sets(plan, self.list).into_iter().enumerate();
        let all = (0..plan.bus.machines).filter(|at| !plan.bystanders.contains(at));
        let votes = |at: usize| plan.votes[at % plan.votes.len()];
        let quorum: BTreeMap<String, u16> =
            all.map(|at| (format!("m{}", at + 1), votes(at))).collect();
        Settings {
            mature: plan.mature,
            balance_every: plan.balance_every,
            per_round: PerRound::All,
            prefer_after: Duration::from_secs(1),
            weight: plan.weights[i % plan.weights.len()],
            quorum: if plan.quorum { quorum } else { BTreeMap::new() },
            sets: sets
                .map(|(at, set)| Listed {
                    set,
                    preferred: prefers == Some(at),
                    quorum: plan.quorum,
                })
                .collect(),
            ..Settings::default()
        }
    }

    /// The program starts, as the daemon in it did.
    pub(super) fn start(&mut self, now: Instant, plan: &Plan, i: usize, life: usize, boot: u64) {
        let settings = self.settings(plan, i);
        let identity = Identity { machine: self.name.clone(), boot, shown: None, macs: Vec::new() };
        let lease = Lease::new(settings.valid, settings.fresh, now);
        let mut vip = Vip::new(identity, settings, now);
        vip.handle_health(now, self.healthy);
        for set in sets(plan, self.list) {
            vip.handle_able(now, set.key(), self.carrier, false);
        }
        // What a run before it left behind is removed first.
        self.kernel.clear();
        self.failed.clear();
        self.guardian = true;
        self.fenced = self.ended.filter(|_| plan.fencing);
        let announcer = Announcer::new(announce::Settings { seed: boot, ..Default::default() });
        self.program = Some(Program {
            life,
            boot,
            vip,
            lease,
            announcer,
            private: None,
            sessions: 0,
            jobs: VecDeque::new(),
            busy: None,
            parked: Vec::new(),
            up: BTreeMap::new(),
            timer: Instant::ORIGIN,
            bell: Instant::ORIGIN,
            spins: 0,
            words: None,
            leaving: None,
        });
    }

    /// Its program, if it is there and does not stand still.
    pub(super) fn awake(&mut self) -> Option<&mut Program> {
        self.program.as_mut().filter(|_| self.frozen.is_none())
    }
}

impl Program {
    /// What may not be added now waits, unless it is to go anyway: it must never be added after that.
    pub(super) fn park(&mut self, set: Set, after: After) {
        let goes = |job: &Job| matches!(job, Job::Remove(other) if other.key() == set.key());
        if !self.jobs.iter().any(goes) {
            self.parked.push((set, after));
        }
    }

    /// What is done next. What is to go goes before what is to come, however long that takes, but for jobs of one set.
    pub(super) fn next_job(&mut self) -> Option<Job> {
        let goes = |at: &usize| {
            let Job::Remove(set) = &self.jobs[*at] else { return false };
            !self.jobs.range(..*at).any(|job| job.key() == Some(set.key()))
        };
        let next = (0..self.jobs.len()).find(goes).unwrap_or(0);
        self.jobs.remove(next)
    }

    /// Whether a set is there, and nothing is being done about it.
    pub(super) fn is_at_rest(&self, key: SetKey) -> bool {
        let about = |job: &Job| job.key() == Some(key);
        let busy = self.busy.as_ref().is_some_and(|busy| about(&busy.job));
        self.up.contains_key(&key) && !busy && !self.jobs.iter().any(about)
    }

    /// The addresses of a set that no other set needs which is there.
    pub(super) fn own(&self, set: &Set) -> Vec<IpAddr> {
        let others = || self.up.values().filter(|other| other.key() != set.key());
        let shared = |ip: &IpAddr| others().any(|other| other.addresses().contains(ip));
        set.addresses().iter().copied().filter(|ip| !shared(ip)).collect()
    }
}

/// Address number `last`.
pub(super) fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

/// The sets of a list.
pub(super) fn sets(plan: &Plan, list: usize) -> Vec<Set> {
    let list = plan.lists.get(list).or(plan.lists.first()).into_iter().flatten();
    list.filter_map(|set| Set::new(&set.iter().map(|last| ip(*last)).collect::<Vec<_>>())).collect()
}
