//! Lives and deaths of one machine, told by a stepping clock.

use super::*;
use std::vec::Vec;

const SLOT: Slot = Slot(3);
const INTERVAL: Duration = Duration::from_secs(1);

fn at(millis: u64) -> Instant {
    Instant::from_millis(100_000 + millis)
}

/// A machine and what it says; steps through time as a driver would.
struct World {
    liveness: Liveness,
    now: Instant,
    heard: Option<Instant>,
    in_use: bool,
    /// Time an answer takes; `None` = it does not answer.
    answers: Option<Duration>,
    /// Time between its announcements; `None` = none come.
    announces: Option<Duration>,
    announced: Instant,
    pending: Vec<Instant>,
    log: Vec<(Instant, Action)>,
}

impl World {
    fn new() -> Self {
        let mut liveness = Liveness::new();
        liveness.admit(at(0), SLOT, INTERVAL);
        Self {
            liveness,
            now: at(0),
            heard: Some(at(0)),
            in_use: false,
            answers: Some(Duration::from_millis(1)),
            announces: Some(INTERVAL),
            announced: at(0),
            pending: Vec::new(),
            log: Vec::new(),
        }
    }

    fn run_until(&mut self, end: Instant) {
        while self.now < end {
            let step = Duration::from_millis(1);
            self.now = (self.now + step).min(end);
            if self.announces.is_some_and(|every| self.now.since(self.announced) >= every) {
                self.announced = self.now;
                self.heard = Some(self.now);
            }
            let (due, rest) = self.pending.iter().partition(|&&at| at <= self.now);
            self.pending = rest;
            let due: Vec<Instant> = due;
            for _ in due {
                self.heard = Some(self.now);
                self.liveness.handle_answer(self.now, SLOT);
            }
            if self.liveness.poll_timeout().is_some_and(|due| due <= self.now) {
                let look = Look { heard: self.heard, in_use: self.in_use };
                self.liveness.handle_timeout(self.now, |_| look);
            }
            self.drain();
        }
    }

    fn evidence(&mut self, evidence: Evidence) {
        self.liveness.handle_evidence(self.now, SLOT, evidence);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(action) = self.liveness.poll_action() {
            self.log.push((self.now, action));
            if let (Action::Probe(_), Some(after)) = (action, self.answers) {
                self.pending.push(self.now + after);
            }
        }
    }

    fn freeze(&mut self) {
        (self.answers, self.announces) = (None, None);
        self.pending.clear();
    }

    fn thaw(&mut self) {
        (self.answers, self.announces) = (Some(Duration::from_millis(1)), Some(INTERVAL));
    }

    fn conditions(&self) -> Vec<(Condition, Cause)> {
        let set = |&(_, action): &(Instant, Action)| match action {
            Action::Set(_, condition, cause) => Some((condition, cause)),
            _ => None,
        };
        self.log.iter().filter_map(set).collect()
    }

    fn died_at(&self) -> Option<Instant> {
        let dead = |action: &Action| matches!(action, Action::Set(_, Condition::Dead, _));
        self.log.iter().find(|(_, action)| dead(action)).map(|&(when, _)| when)
    }

    fn probes(&self) -> usize {
        self.log.iter().filter(|(_, action)| matches!(action, Action::Probe(_))).count()
    }
}

#[test]
fn an_idle_machine_that_announces_is_left_alone() {
    let mut world = World::new();
    world.run_until(at(20_000));
    assert!(world.log.is_empty(), "{:?}", world.log);
}

#[test]
fn a_machine_in_use_that_is_quiet_is_probed_and_stays_alive() {
    let mut world = World::new();
    world.in_use = true;
    world.run_until(at(3000));
    assert!((8..=15).contains(&world.probes()), "{} probes", world.probes());
    assert!(world.conditions().is_empty());
}

#[test]
fn a_frozen_machine_in_use_is_dead_well_within_a_second() {
    let mut world = World::new();
    world.in_use = true;
    world.run_until(at(1000));
    world.freeze();
    world.log.clear();
    world.run_until(at(3000));
    let took = world.died_at().unwrap().since(at(1000));
    assert!(took <= Duration::from_millis(650), "{took:?}");
    assert_eq!(
        world.conditions(),
        [(Condition::Suspect, Cause::Probes), (Condition::Dead, Cause::Probes)]
    );
}

#[test]
fn one_lost_answer_is_forgiven() {
    let mut world = World::new();
    world.in_use = true;
    world.freeze();
    world.run_until(at(250));
    world.thaw();
    world.run_until(at(1000));
    assert_eq!(
        world.conditions(),
        [(Condition::Suspect, Cause::Probes), (Condition::Alive, Cause::Heard)]
    );
}

#[test]
fn an_unused_machine_is_dead_after_three_announcements() {
    let mut world = World::new();
    world.freeze();
    world.run_until(at(3200));
    assert!(world.log.is_empty());
    world.run_until(at(3600));
    assert_eq!(world.conditions(), [(Condition::Dead, Cause::Announcements)]);
}

#[test]
fn a_refused_connection_is_death_at_once_and_an_answer_brings_it_back() {
    let mut world = World::new();
    world.run_until(at(500));
    world.evidence(Evidence::Refused);
    assert_eq!(world.conditions(), [(Condition::Dead, Cause::Evidence(Evidence::Refused))]);
    world.run_until(at(502));
    assert_eq!(world.conditions().last(), Some(&(Condition::Alive, Cause::Returned)));
}

#[test]
fn a_reset_is_verified_within_fifty_milliseconds() {
    let mut world = World::new();
    world.run_until(at(500));
    world.freeze();
    world.evidence(Evidence::Reset);
    world.evidence(Evidence::Reset);
    assert_eq!(world.probes(), 1, "evidence repeated is not probed twice");
    world.run_until(at(551));
    assert_eq!(
        world.conditions(),
        [(Condition::Suspect, Cause::Evidence(Evidence::Reset)), (Condition::Dead, Cause::Probes)]
    );
}

#[test]
fn a_reset_of_one_connection_of_a_living_machine_is_forgiven() {
    let mut world = World::new();
    world.run_until(at(500));
    world.evidence(Evidence::Reset);
    world.run_until(at(600));
    assert_eq!(
        world.conditions(),
        [(Condition::Suspect, Cause::Evidence(Evidence::Reset)), (Condition::Alive, Cause::Heard)]
    );
}

#[test]
fn a_thawed_machine_must_answer_before_it_returns() {
    let mut world = World::new();
    world.freeze();
    world.run_until(at(5000));
    assert!(world.liveness.is_dead(SLOT));
    // Its announcements come again, but nothing answers: a recording, or a one-way cut.
    world.announces = Some(INTERVAL);
    world.run_until(at(10_000));
    assert!(world.liveness.is_dead(SLOT) && world.probes() >= 4);
    world.thaw();
    world.run_until(at(10_400));
    assert_eq!(world.conditions().last(), Some(&(Condition::Alive, Cause::Returned)));
}

#[test]
fn a_flapping_machine_waits_longer_each_time() {
    let mut world = World::new();
    let mut waits = Vec::new();
    for _ in 0..5 {
        world.evidence(Evidence::Refused);
        let died = world.now;
        while world.liveness.is_dead(SLOT) {
            world.run_until(world.now + Duration::from_millis(10));
        }
        waits.push(world.now.since(died).as_millis());
    }
    assert!(waits[0] <= 20, "{waits:?}");
    for (n, wait) in waits.iter().enumerate().skip(1) {
        // Up to an announcement and a probe later than the wait itself.
        let least = RETURN_FIRST.as_millis() << (n - 1);
        assert!((least..least + 1300).contains(wait), "{waits:?}");
    }
    // A minute of good behaviour is rewarded.
    world.run_until(world.now + STABLE);
    world.evidence(Evidence::Refused);
    world.run_until(world.now + Duration::from_millis(20));
    assert!(!world.liveness.is_dead(SLOT));
}

#[test]
fn a_machine_long_dead_is_forgotten() {
    let mut world = World::new();
    world.freeze();
    world.run_until(at(4000) + FORGET);
    assert!(world.log.iter().any(|(_, action)| *action == Action::Forget(SLOT)));
    world.liveness.remove(SLOT);
    assert_eq!(world.liveness.poll_timeout(), None);
}

#[test]
fn words_about_nobody_change_nothing() {
    let mut liveness = Liveness::new();
    liveness.handle_evidence(at(0), SLOT, Evidence::Refused);
    liveness.handle_answer(at(0), SLOT);
    liveness.handle_timeout(at(0), |_| unreachable!("nobody to look at"));
    assert_eq!((liveness.poll_action(), liveness.poll_timeout()), (None, None));
}

#[test]
fn who_has_been_dead_for_longest_makes_room() {
    let mut liveness = Liveness::new();
    for n in 1..=3 {
        liveness.admit(at(0), Slot(n), Duration::from_secs(1));
    }
    liveness.forget_longest_dead();
    assert_eq!(liveness.poll_action(), None, "nobody is dead");
    let heard = |slot: Slot| Look {
        heard: Some(at(if slot == Slot(3) { 9000 } else { 100 * u64::from(slot.0) })),
        in_use: false,
    };
    liveness.handle_timeout(at(9000), heard);
    let dead = std::iter::from_fn(|| liveness.poll_action()).count();
    assert_eq!(dead, 2);
    liveness.forget_longest_dead();
    assert_eq!(liveness.poll_action(), Some(Action::Forget(Slot(1))));
}
