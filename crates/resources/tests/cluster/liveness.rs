//! Who is dead, and who only seems so.

use std::time::{Duration, Instant};

use candidacy::{Condition, Flags};
use resources::{Clock, Evidence, Setup};

use crate::bench::{Plan, net, pair};

#[test]
fn a_machine_that_falls_silent_is_dead_after_three_announcements() {
    let (a, b) = pair(net());
    let slot = a.meets(&b);
    let begun = Instant::now();
    b.stop();
    assert_eq!(a.death().slot, slot);
    let took = begun.elapsed();
    assert_eq!(a.condition(slot), Condition::Dead);
    assert!(took < Duration::from_millis(1000), "three intervals of 100 ms took {took:?}");
    assert_eq!(a.handle.stats().deaths, 1);
}

#[test]
fn a_machine_in_use_that_is_gone_is_noticed_by_its_closed_port() {
    let net = net();
    let plan = |host| Plan { interval: "1m", ..Plan::new(net, host, &[1, 2]) };
    let (a, b) = (plan(1).start(), plan(2).start());
    let slot = a.meets(&b);
    a.handle.matrix().hot.begin(slot);
    b.stop();
    let begun = Instant::now();
    assert_eq!(a.death().slot, slot);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn a_refused_connection_is_death_at_once_and_an_answer_the_way_back() {
    let (a, b) = pair(net());
    let slot = a.meets(&b);
    let epoch = a.handle.matrix().hot.epoch(slot);
    a.handle.evidence(slot, epoch, Evidence::Refused);
    let death = a.death();
    assert_eq!((death.slot, death.epoch), (slot, epoch));
    // It lives, so it answers the probe that follows the evidence.
    a.until("the return", |handle| (handle.stats().returns == 1).then_some(()));
    assert_eq!(a.condition(slot), Condition::Alive);
    assert_eq!(a.handle.matrix().hot.epoch(slot), epoch, "it is the same life");
}

#[test]
fn evidence_about_an_earlier_life_says_nothing() {
    let (a, b) = pair(net());
    let slot = a.meets(&b);
    let epoch = a.handle.matrix().hot.epoch(slot);
    a.handle.evidence(slot, epoch + 1, Evidence::Refused);
    let probes = a.handle.stats().heard;
    a.until("time to pass", |handle| (handle.stats().heard >= probes + 5).then_some(()));
    assert_eq!((a.condition(slot), a.handle.stats().deaths), (Condition::Alive, 0));
}

#[test]
fn a_suspicion_is_verified_by_probes_and_dropped() {
    let (a, b) = pair(net());
    let slot = a.meets(&b);
    let epoch = a.handle.matrix().hot.epoch(slot);
    let answered = a.handle.stats().probes_answered;
    for evidence in [Evidence::Reset, Evidence::Silent, Evidence::Unreachable] {
        a.handle.evidence(slot, epoch, evidence);
    }
    a.until("an answer", |handle| (handle.stats().probes_answered > answered).then_some(()));
    a.until("the all-clear", |_| (a.condition(slot) == Condition::Alive).then_some(()));
    assert_eq!(a.handle.stats().deaths, 0);
    assert!(a.handle.matrix().hot.hop(slot).is_some(), "the answer's round trip prices the hop");
}

#[test]
fn a_clock_that_jumps_kills_nobody() {
    let net = net();
    let clock = Clock::new();
    let mut plan = Plan::new(net, 1, &[1, 2]);
    plan.setup = Setup { clock: clock.clone(), ..plan.setup };
    let (a, b) = (plan.start(), Plan::new(net, 2, &[1, 2]).start());
    let slot = a.meets(&b);
    clock.jump(Duration::from_secs(3600));
    let heard = a.handle.stats().heard;
    a.until("life to go on", |handle| (handle.stats().heard >= heard + 10).then_some(()));
    assert_eq!((a.condition(slot), a.handle.stats().deaths), (Condition::Alive, 0));
    assert!(a.deaths.try_recv().is_err());
}

#[test]
fn a_stopped_machine_says_so_before_it_is_found_dead() {
    let (a, b) = pair(net());
    let slot = a.meets(&b);
    b.handle.stop();
    a.until("the good-bye", |handle| {
        handle.matrix().hot.heard(slot).filter(|heard| heard.report.flags.has(Flags::DRAINING))
    });
    assert_eq!(a.death().slot, slot);
}
