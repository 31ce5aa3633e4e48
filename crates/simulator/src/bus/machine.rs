//! One machine of a history: its clocks, its door, and the daemon on it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Boot, Instant, Random};
use ring::{Daemon, DaemonName, Ring, Settings, Surroundings, Tag};

use super::plan::Plan;
use super::post::Letter;

/// Datagrams that wait at the door of a frozen machine, as a socket's buffer holds them.
const DOOR: usize = 300;
/// What wall clocks say at the beginning, in seconds since 1970.
const WALL: i64 = 1_700_000_000;

/// The daemons whose address is known.
type Known = Arc<Mutex<BTreeSet<Tag>>>;

struct Around {
    dice: Random,
    wall: Arc<AtomicI64>,
    known: Known,
}

impl Surroundings for Around {
    fn random(&mut self, out: &mut [u8]) {
        out.iter_mut().for_each(|byte| *byte = self.dice.next_u64() as u8);
    }

    fn unix_seconds(&mut self) -> u32 {
        self.wall.load(Relaxed) as u32
    }

    fn address(&mut self, daemon: Tag) -> Vec<u8> {
        let known = self.known.lock().is_ok_and(|known| known.contains(&daemon));
        if known { b"there".to_vec() } else { Vec::new() }
    }

    fn introduce(&mut self, daemon: Tag, _address: &[u8]) {
        if let Ok(mut known) = self.known.lock() {
            known.insert(daemon);
        }
    }
}

/// The machine.
pub(super) struct Machine {
    pub(super) name: DaemonName,
    /// Which machine of the plan it is.
    place: usize,
    pub(super) minor: u8,
    /// Which of the lists of the plan it has.
    pub(super) list: usize,
    pub(super) ring: Option<Ring>,
    pub(super) boot: Boot,
    /// Its trace.
    pub(super) life: usize,
    /// When its timer is set to ring; the origin if it is not set.
    pub(super) timer: Instant,
    pub(super) frozen: bool,
    /// When it was woken last, and how often in a row without time to speak of between.
    woken: (Instant, u32),
    door: Vec<Letter>,
    /// How far its monotonic clock is behind the world's, after pauses of a virtual machine.
    behind: Duration,
    frozen_at: Instant,
    pausing: bool,
    wall: Arc<AtomicI64>,
    known: Known,
}

/// What the daemon on machine `i` is called.
fn name(plan: &Plan, i: usize) -> DaemonName {
    const NAMES: [&str; 8] = ["ann", "bob", "cat", "dan", "eve", "fay", "gus", "hal"];
    let i = plan.twins.filter(|(_, second)| *second == i).map_or(i, |(first, _)| first);
    DaemonName::of_host(&format!("{}{}", NAMES[i % 8], i / 8))
}

impl Machine {
    pub(super) fn new(plan: &Plan, i: usize) -> Self {
        Self {
            name: name(plan, i),
            place: i,
            minor: plan.minors[i % plan.minors.len()],
            list: 0,
            ring: None,
            boot: Boot([0; 16]),
            life: 0,
            timer: Instant::ORIGIN,
            frozen: false,
            woken: (Instant::ORIGIN, 0),
            door: Vec::new(),
            behind: Duration::ZERO,
            frozen_at: Instant::ORIGIN,
            pausing: false,
            wall: Arc::new(AtomicI64::new(WALL)),
            known: Known::default(),
        }
    }

    /// A new daemon starts.
    pub(super) fn start(&mut self, now: Instant, plan: &Plan, dice: &mut Random) -> Daemon {
        let mut boot = [0; 16];
        boot.iter_mut().for_each(|byte| *byte = dice.next_u64() as u8);
        self.boot = Boot(boot);
        let settings = self.settings(plan);
        let me = settings.me;
        self.known = Known::default();
        let known = self.known.clone();
        let around = Around { known, dice: Random::new(dice.next_u64()), wall: self.wall.clone() };
        let seed = dice.next_u64();
        self.ring = Some(Ring::new(self.clock(now), settings, Box::new(around), seed));
        self.timer = Instant::ORIGIN;
        self.door.clear();
        self.frozen = false;
        me
    }

    /// What its daemon is told, now that it has this list.
    pub(super) fn settings(&self, plan: &Plan) -> Settings {
        let mut settings = Settings::new(Daemon { name: self.name, boot: self.boot });
        settings.accelerated = plan.accelerated;
        settings.group = plan.group;
        settings.datagram = plan.datagram;
        settings.window = plan.window;
        settings.minor = self.minor;
        settings.configuration = (plan.other_configuration == Some(self.place)).into();
        settings.site = if plan.sites > 1 { (self.place % plan.sites) as u32 + 1 } else { 0 };
        if plan.fixed {
            settings.fixed = Some((0..plan.machines).rev().map(|i| name(plan, i)).collect());
        }
        if let Some(list) = plan.lists.get(self.list) {
            settings.fixed = Some(list.iter().map(|&i| name(plan, i)).collect());
            settings.configuration = self.list as u32 + 1;
        }
        settings
    }

    /// A datagram came from there.
    pub(super) fn met(&mut self, daemon: Tag) {
        if let Ok(mut known) = self.known.lock() {
            known.insert(daemon);
        }
    }

    /// Whether it knows where that daemon is.
    pub(super) fn knows(&self, daemon: Tag) -> bool {
        self.known.lock().is_ok_and(|known| known.contains(&daemon))
    }

    /// Its daemon, if there is one and the machine is not frozen.
    pub(super) fn awake(&mut self) -> Option<&mut Ring> {
        self.ring.as_mut().filter(|_| !self.frozen)
    }

    /// It is woken now: how often in a row, with less than a tenth of a microsecond between.
    pub(super) fn woken(&mut self, now: Instant) -> u32 {
        let at_once = now.since(self.woken.0) < Duration::from_nanos(100);
        self.woken = (now, if at_once { self.woken.1 + 1 } else { 0 });
        self.woken.1
    }

    /// What its monotonic clock says.
    pub(super) fn clock(&self, now: Instant) -> Instant {
        Instant::ORIGIN + now.since(Instant::ORIGIN + self.behind)
    }

    /// When the world's clock says what its own will say at `local`.
    pub(super) fn world_time(&self, local: Instant) -> Instant {
        local + self.behind
    }

    pub(super) fn jump(&mut self, seconds: i64) {
        self.wall.fetch_add(seconds, Relaxed);
    }

    /// So many seconds after the beginning.
    pub(super) fn jump_to(&mut self, seconds: i64) {
        self.wall.store(WALL + seconds, Relaxed);
    }

    /// Stops everything on it; `false` if it was stopped.
    pub(super) fn freeze(&mut self, now: Instant, pausing: bool) -> bool {
        if self.frozen {
            return false;
        }
        (self.frozen, self.frozen_at, self.pausing) = (true, now, pausing);
        true
    }

    /// Leaves a datagram at the door of a frozen machine.
    pub(super) fn leave_at_door(&mut self, letter: Letter) {
        if self.door.len() < DOOR {
            self.door.push(letter);
        }
    }

    /// It goes on, with all that waits at its door.
    pub(super) fn thaw(&mut self, now: Instant) -> Vec<Letter> {
        if !core::mem::take(&mut self.frozen) {
            return Vec::new();
        }
        if self.pausing {
            self.behind += now.since(self.frozen_at);
        }
        self.timer = Instant::ORIGIN;
        core::mem::take(&mut self.door)
    }
}
