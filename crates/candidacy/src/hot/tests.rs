//! The matrix under one thread, then under many.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;

use super::*;
use crate::testing::{fleet, hear};

const MS: fn(u64) -> Instant = Instant::from_millis;

fn report(sequence: u32, in_flight: u16) -> Report {
    Report { sequence, in_flight, ..Report::default() }
}

#[test]
fn a_row_is_two_cache_lines_and_shares_none() {
    assert_eq!((size_of::<Row>(), align_of::<Row>()), (128, 128));
    assert_eq!((size_of::<Here>(), align_of::<Here>()), (128, 128));
    assert_eq!(core::mem::offset_of!(Row, rest), 64);
}

#[test]
fn the_newest_report_wins_whatever_way_it_came() {
    let hot = Hot::new(2);
    hot.admit(Slot(1), 1, MS(1));
    assert_eq!(hot.heard(Slot(1)), None);
    assert!(hot.hear(Slot(1), 1, report(5, 10), MS(2)));
    assert!(!hot.hear(Slot(1), 1, report(4, 99), MS(3)));
    assert!(!hot.hear(Slot(1), 1, report(5, 99), MS(3)));
    let heard = hot.heard(Slot(1)).unwrap();
    assert_eq!((heard.report, heard.others), (report(5, 10), 10));
    assert!(MS(2).since(heard.at) < Duration::from_micros(10));
    assert!(hot.hear(Slot(1), 1, report(6, 3), MS(4)));
    assert_eq!(hot.heard(Slot(1)).unwrap().others, 3);
}

#[test]
fn the_sequence_may_begin_anywhere_and_wrap() {
    let hot = Hot::new(1);
    hot.admit(Slot(0), 1, MS(1));
    assert!(hot.hear(Slot(0), 1, report(u32::MAX, 1), MS(1)));
    assert!(hot.hear(Slot(0), 1, report(0, 2), MS(1)));
    assert!(!hot.hear(Slot(0), 1, report(u32::MAX, 1), MS(1)));
}

#[test]
fn others_are_what_is_not_ours() {
    let hot = Hot::new(1);
    hot.admit(Slot(0), 1, MS(1));
    (0..4).for_each(|_| hot.begin(Slot(0)));
    hot.hear(Slot(0), 1, report(1, 10), MS(1));
    assert_eq!(hot.heard(Slot(0)).unwrap().others, 6);
    hot.end(Slot(0));
    hot.hear(Slot(0), 1, report(2, 2), MS(1));
    assert_eq!((hot.mine(Slot(0)), hot.heard(Slot(0)).unwrap().others), (3, 0));
}

#[test]
fn words_of_an_old_boot_change_nothing() {
    let hot = Hot::new(1);
    hot.admit(Slot(0), 1, MS(1));
    hot.hear(Slot(0), 1, report(9, 9), MS(1));
    hot.admit(Slot(0), 2, MS(2));
    assert_eq!(hot.heard(Slot(0)), None);
    assert!(!hot.hear(Slot(0), 1, report(10, 10), MS(3)));
    assert_eq!(hot.heard(Slot(0)), None);
    assert!(hot.hear(Slot(0), 2, report(1, 1), MS(3)), "a new boot counts from the start");
    hot.vacate(Slot(0));
    assert!(!hot.hear(Slot(0), 2, report(2, 2), MS(4)) && hot.heard(Slot(0)).is_none());
    assert!(!hot.hear(Slot(0), 0, report(2, 2), MS(4)), "epoch 0 is nobody's");
}

#[test]
fn standing_tells_why_a_machine_is_no_candidate() {
    let (hot, _) = fleet(2, MS(1));
    let say = |sequence, flags| {
        hot.hear(Slot(1), 1, Report { sequence, flags, ..Report::default() }, MS(2));
        hot.standing(Slot(1), MS(2))
    };
    assert_eq!(say(5, Flags::NONE), Standing::Usable);
    assert_eq!(say(6, Flags::DRAINING), Standing::Draining);
    assert_eq!(say(7, Flags::OVER_LIMIT), Standing::OverLimit);
    assert_eq!(say(8, Flags::UNHEALTHY.with(Flags::DRAINING)), Standing::Unhealthy);
    assert_eq!(say(9, Flags::NONE), Standing::Usable);
    hot.set_condition(Slot(1), Condition::Suspect);
    assert_eq!(hot.standing(Slot(1), MS(2)), Standing::Usable);
    hot.set_condition(Slot(1), Condition::Dead);
    assert_eq!(hot.standing(Slot(1), MS(2)), Standing::Dead);
    assert_eq!(hot.standing(Slot(9), MS(2)), Standing::Vacant);
}

#[test]
fn a_call_too_many_never_makes_a_count_negative() {
    let hot = Hot::new(1);
    hot.end(Slot(0));
    hot.end_service();
    hot.end_relay();
    assert_eq!((hot.mine(Slot(0)), hot.serving(), hot.relaying()), (0, 0, 0));
}

#[test]
fn rows_outside_the_matrix_are_nobody() {
    let hot = Hot::new(1);
    let slot = Slot(1);
    hot.begin(slot);
    hot.end(slot);
    hot.admit(slot, 1, MS(1));
    assert!(!hot.hear(slot, 1, report(1, 1), MS(1)));
    assert_eq!((hot.mine(slot), hot.heard(slot), hot.epoch(slot)), (0, None, 0));
    assert_eq!(Hot::new(0).capacity(), 1);
    assert_eq!(Hot::new(1_000_000).capacity(), MAX_MACHINES);
}

#[test]
fn own_reports_count_on_and_add_what_was_promised() {
    let hot = Hot::new(1);
    hot.begin_service();
    hot.set_flags_here(Flags::OVER_LIMIT);
    hot.set_pressure_here(9);
    let (first, second) = (hot.report_here(0), hot.report_here(2));
    assert!(second.is_newer_than(&first));
    assert_eq!((first.in_flight, second.in_flight), (1, 3));
    assert_eq!((first.flags, first.pressure), (Flags::OVER_LIMIT, 9));
    hot.clear_flags_here(Flags::OVER_LIMIT);
    assert!(hot.flags_here().is_none());
}

#[test]
fn the_hop_is_a_moving_average() {
    let hot = Hot::new(1);
    assert_eq!(hot.hop(Slot(0)), None);
    hot.observe_hop(Slot(0), Duration::from_micros(800));
    hot.observe_hop(Slot(0), Duration::from_micros(80_000));
    assert_eq!(hot.hop(Slot(0)), Some(Duration::from_micros(10_700)));
}

#[test]
fn predictions_last_until_the_next_announcement() {
    let (hot, _) = fleet(1, MS(1));
    hot.predict(Slot(0));
    hot.predict(Slot(0));
    assert_eq!(hot.predicted(Slot(0)), 2);
    hot.announced(Slot(0), MS(1000));
    assert_eq!(hot.predicted(Slot(0)), 0);
    assert!(MS(1000).since(hot.announced_at(Slot(0)).unwrap()) < Duration::from_micros(10));
}

#[test]
fn any_moment_of_four_years_is_told_from_any_other() {
    let (hot, _) = fleet(1, MS(1));
    let late = MS(4 * 365 * 24 * 3600 * 1000);
    hear(&hot, Slot(0), 3, late);
    assert!(late.since(hot.heard(Slot(0)).unwrap().at) < Duration::from_micros(10));
}

/// Eight threads hear, count and read one row while boots come and go. What must hold at every
/// moment: a reader sees a report of the standing boot or none; within a boot it never sees the
/// sequence go back; counts come out even.
#[test]
fn many_threads_see_one_truth() {
    const BOOTS: u32 = 60;
    let (hot, done) = (Hot::new(1), AtomicBool::new(false));
    let slot = Slot(0);
    let sequence = AtomicU64::new(0);
    let seen = [AtomicU64::new(0), AtomicU64::new(0)];
    let (hot, done) = (&hot, &done);
    hot.admit(slot, 1, MS(1));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    // The count names the boot, so that a reader can tell whose word it is.
                    let epoch = hot.epoch(slot);
                    let n = sequence.fetch_add(1, Relaxed);
                    hot.hear(slot, epoch, report(n as u32, epoch as u16), MS(n));
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    hot.begin(slot);
                    hot.end(slot);
                }
            });
        }
        let readers: [_; 2] = core::array::from_fn(|i| {
            let seen = &seen[i];
            scope.spawn(move || {
                let mut last = report(0, 0);
                while !done.load(Relaxed) {
                    let before = hot.epoch(slot);
                    let Some(heard) = hot.heard(slot) else { continue };
                    let (boot, after) = (u32::from(heard.report.in_flight), hot.epoch(slot));
                    assert!((before..=after).contains(&boot), "boot {boot}, not {before}..{after}");
                    if last.in_flight == heard.report.in_flight && heard.report != last {
                        assert!(heard.report.is_newer_than(&last), "{heard:?} after {last:?}");
                    }
                    last = heard.report;
                    seen.fetch_add(1, Relaxed);
                }
            })
        });
        for epoch in 2..=BOOTS {
            // A boot lasts until something of it was heard.
            while hot.heard(slot).is_none() {
                thread::yield_now();
            }
            hot.admit(slot, epoch, MS(1));
        }
        // On a busy machine a reader may come late: its first look is waited for.
        for (reader, seen) in readers.iter().zip(&seen) {
            while seen.load(Relaxed) == 0 && !reader.is_finished() {
                thread::yield_now();
            }
        }
        done.store(true, Relaxed);
    });
    assert_eq!(hot.mine(slot), 0);
}
