//! Who is alive: silence, probes, hard evidence, and the way back.
//!
//! Think of a climber's rope. On a walk you look round for the others now and then; with your weight on
//! someone's rope you call at once when you hear nothing, and after two calls without an answer you take
//! your weight off. Whoever climbs on after that must first call back.
//!
//! - **Silence.** A machine in use (we have requests there, or had within the last second) that was
//!   silent from all sources for [`QUIET`] is probed; unanswered for [`PATIENCE`] it is probed again and
//!   suspect, and after as long again it is dead: half a second after its last word. A machine not in use
//!   is dead when three of its announcements are overdue.
//! - **Evidence.** A refused connection to its peer port is death at once; a reset, or a network that says
//!   *unreachable*, makes it suspect and is verified by probes with [`VERIFY`] each.
//! - **Return.** A dead machine that is heard again is probed, and its *answer* brings it back, after a
//!   wait that doubles with each death within [`STABLE`]; the first return waits for nothing.
//!
//! Pure logic. The driver lets it look at what was heard (from the matrix), sends the probes it asks
//! for, and reports answers. Drain [`poll_action`](Liveness::poll_action) after every call.
//!
//! Not here: ejection of machines that live and fail. See `candidacy::failures`.

use alloc::collections::{BTreeMap, VecDeque};
use core::time::Duration;

use base::Instant;
use candidacy::{Condition, Slot};

/// Silence after which a machine in use is probed.
pub const QUIET: Duration = Duration::from_millis(200);
/// How long an answer to a probe may take.
pub const PATIENCE: Duration = Duration::from_millis(150);
/// How long an answer may take when there is evidence of death.
pub const VERIFY: Duration = Duration::from_millis(25);
/// How long after its last request a machine still counts as in use.
pub const IN_USE: Duration = Duration::from_secs(1);
/// How often the matrix is looked at.
pub const LOOK: Duration = Duration::from_millis(50);
/// Time alive after which earlier deaths are forgiven.
pub const STABLE: Duration = Duration::from_secs(60);
/// The wait of the second return; each further one doubles it, up to [`RETURN_MAX`].
pub const RETURN_FIRST: Duration = Duration::from_millis(500);
/// The longest wait before a return.
pub const RETURN_MAX: Duration = Duration::from_secs(30);
/// How often a dead machine that is heard is probed.
pub const RETURN_PROBE: Duration = Duration::from_millis(200);
/// Time dead after which a machine is forgotten.
pub const FORGET: Duration = Duration::from_secs(600);

const PROBES: u8 = 2;
const ANNOUNCEMENTS: u32 = 3;

/// What the matrix says of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The last word from any source; `None` if none came since its admission.
    pub heard: Option<Instant>,
    /// Whether we have requests there now.
    pub in_use: bool,
}

/// What the driver met on the way to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// Its peer port, or its exchange port, refused: nobody listens there.
    Refused,
    /// A connection to it was reset with something of ours on it.
    Reset,
    /// The network said that it cannot be reached.
    Unreachable,
}

/// Why a machine's condition changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It did not answer a probe, or two.
    Probes,
    /// Three announcements are overdue.
    Announcements,
    /// Hard evidence.
    Evidence(Evidence),
    /// It was heard again before it was given up.
    Heard,
    /// It answered after it had been given up.
    Returned,
}

/// What the driver shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send it a probe.
    Probe(Slot),
    /// Write this condition into the matrix; on [`Condition::Dead`] move its waiting requests.
    Set(Slot, Condition, Cause),
    /// It was dead for [`FORGET`]: free its row.
    Forget(Slot),
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Alive,
    /// Probes since `from` wait for an answer; `missed` were given up.
    Asked {
        from: Instant,
        until: Instant,
        each: Duration,
        missed: u8,
    },
    Dead {
        since: Instant,
        back_at: Instant,
        probed: Instant,
    },
}

#[derive(Clone, Debug)]
struct Machine {
    interval: Duration,
    heard: Instant,
    used: Option<Instant>,
    alive_since: Instant,
    deaths: u32,
    phase: Phase,
}

/// The state of all machines' lives but our own. See the module's text.
#[derive(Clone, Debug, Default)]
pub struct Liveness {
    machines: BTreeMap<Slot, Machine>,
    actions: VecDeque<Action>,
    looked: Instant,
}

impl Liveness {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A machine was admitted, or its new boot. Its earlier deaths are remembered.
    ///
    /// `interval` is how often it says it announces, within reason: [`crate::Announcement::interval`].
    pub fn admit(&mut self, now: Instant, slot: Slot, interval: Duration) {
        let deaths = self.machines.get(&slot).map_or(0, |machine| machine.deaths);
        let machine = Machine {
            interval,
            heard: now,
            used: None,
            alive_since: now,
            deaths,
            phase: Phase::Alive,
        };
        self.machines.insert(slot, machine);
    }

    /// A machine says it announces at another interval now.
    pub fn set_interval(&mut self, slot: Slot, interval: Duration) {
        if let Some(machine) = self.machines.get_mut(&slot) {
            machine.interval = interval;
        }
    }

    /// The row is free again.
    pub fn remove(&mut self, slot: Slot) {
        self.machines.remove(&slot);
    }

    /// Whether the machine counts as dead. A row that holds nobody does not.
    pub fn is_dead(&self, slot: Slot) -> bool {
        matches!(self.machines.get(&slot), Some(Machine { phase: Phase::Dead { .. }, .. }))
    }

    /// The driver met hard evidence.
    pub fn handle_evidence(&mut self, now: Instant, slot: Slot, evidence: Evidence) {
        let Some(machine) = self.machines.get_mut(&slot) else { return };
        match (machine.phase, evidence) {
            (Phase::Dead { .. }, _) => {}
            (_, Evidence::Refused) => {
                let back_at = machine.die(now);
                machine.phase = Phase::Dead { since: now, back_at, probed: now };
                let cause = Cause::Evidence(evidence);
                self.actions.push_back(Action::Set(slot, Condition::Dead, cause));
                self.actions.push_back(Action::Probe(slot));
            }
            (Phase::Asked { each: VERIFY, .. }, _) => {}
            (phase, _) => {
                machine.ask(now, VERIFY);
                let suspect = matches!(phase, Phase::Asked { missed: 1.., .. });
                if !suspect {
                    let cause = Cause::Evidence(evidence);
                    self.actions.push_back(Action::Set(slot, Condition::Suspect, cause));
                }
                self.actions.push_back(Action::Probe(slot));
            }
        }
    }

    /// The machine answered a probe of ours.
    pub fn handle_answer(&mut self, now: Instant, slot: Slot) {
        let Some(machine) = self.machines.get_mut(&slot) else { return };
        machine.heard = machine.heard.max(now);
        match machine.phase {
            Phase::Dead { back_at, .. } if now >= back_at => {
                machine.phase = Phase::Alive;
                machine.alive_since = now;
                self.actions.push_back(Action::Set(slot, Condition::Alive, Cause::Returned));
            }
            _ => machine.hear(slot, &mut self.actions),
        }
    }

    /// Looks at all machines and does what is due. To be called at
    /// [`poll_timeout`](Self::poll_timeout), or more often.
    pub fn handle_timeout(&mut self, now: Instant, mut look: impl FnMut(Slot) -> Look) {
        self.looked = now;
        for (&slot, machine) in &mut self.machines {
            let look = look(slot);
            if let Some(heard) = look.heard {
                machine.heard = machine.heard.max(heard);
            }
            if look.in_use {
                machine.used = Some(now);
            }
            machine.hear(slot, &mut self.actions);
            machine.judge(now, slot, &mut self.actions);
        }
    }

    /// Forgets the machine that has been dead for longest, for a newcomer that finds no row; nobody if none is dead.
    pub fn forget_longest_dead(&mut self) {
        let dead = |(&slot, machine): (&Slot, &Machine)| match machine.phase {
            Phase::Dead { since, .. } => Some((since.max(machine.heard), slot)),
            _ => None,
        };
        if let Some((_, slot)) = self.machines.iter().filter_map(dead).min() {
            self.actions.push_back(Action::Forget(slot));
        }
    }

    /// When to look next; `None` while there is nobody to look at.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = |machine: &Machine| match machine.phase {
            Phase::Asked { until, .. } => until,
            _ => self.looked + LOOK,
        };
        self.machines.values().map(due).min().map(|due| due.min(self.looked + LOOK))
    }

    /// What to do, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }
}

impl Machine {
    fn ask(&mut self, now: Instant, each: Duration) {
        self.phase = Phase::Asked { from: now, until: now + each, each, missed: 0 };
    }

    /// A word since the first probe ends the suspicion. It does not raise the dead.
    fn hear(&mut self, slot: Slot, actions: &mut VecDeque<Action>) {
        if let Phase::Asked { from, each, missed, .. } = self.phase
            && self.heard >= from
        {
            self.phase = Phase::Alive;
            if missed > 0 || each == VERIFY {
                actions.push_back(Action::Set(slot, Condition::Alive, Cause::Heard));
            }
        }
    }

    fn judge(&mut self, now: Instant, slot: Slot, actions: &mut VecDeque<Action>) {
        match self.phase {
            Phase::Alive => self.watch(now, slot, actions),
            Phase::Asked { from, until, each, missed } if now >= until => {
                let missed = missed + 1;
                if missed == PROBES {
                    self.give_up(now, slot, Cause::Probes, actions);
                    return;
                }
                if each != VERIFY {
                    actions.push_back(Action::Set(slot, Condition::Suspect, Cause::Probes));
                }
                self.phase = Phase::Asked { from, until: now + each, each, missed };
                actions.push_back(Action::Probe(slot));
            }
            Phase::Asked { .. } => {}
            Phase::Dead { since, back_at, probed } => {
                if now.since(since.max(self.heard)) >= FORGET {
                    actions.push_back(Action::Forget(slot));
                } else if self.heard > since && now >= back_at && now.since(probed) >= RETURN_PROBE
                {
                    self.phase = Phase::Dead { since, back_at, probed: now };
                    actions.push_back(Action::Probe(slot));
                }
            }
        }
    }

    fn watch(&mut self, now: Instant, slot: Slot, actions: &mut VecDeque<Action>) {
        let silence = now.since(self.heard);
        // A tenth of jitter, and a look's worth of delay on both sides.
        let overdue = self.interval * ANNOUNCEMENTS * 11 / 10 + 2 * LOOK;
        let in_use = self.used.is_some_and(|used| now.since(used) < IN_USE);
        if silence >= overdue {
            self.give_up(now, slot, Cause::Announcements, actions);
        } else if in_use && silence >= QUIET {
            self.ask(now, PATIENCE);
            actions.push_back(Action::Probe(slot));
        }
    }

    fn give_up(&mut self, now: Instant, slot: Slot, cause: Cause, actions: &mut VecDeque<Action>) {
        let back_at = self.die(now);
        self.phase = Phase::Dead { since: now, back_at, probed: now };
        actions.push_back(Action::Set(slot, Condition::Dead, cause));
    }

    /// Counts a death; when the machine may return.
    fn die(&mut self, now: Instant) -> Instant {
        if now.since(self.alive_since) >= STABLE {
            self.deaths = 0;
        }
        self.deaths += 1;
        match self.deaths {
            1 => now,
            n => now + RETURN_FIRST.saturating_mul(1 << (n - 2).min(16)).min(RETURN_MAX),
        }
    }
}

#[cfg(test)]
#[path = "liveness_tests.rs"]
mod tests;
