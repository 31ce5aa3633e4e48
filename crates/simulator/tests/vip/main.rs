//! Histories of address ownership: what once went wrong, and what must hold for each kind of trouble.
//!
//! Each test makes its plan by hand or names the seed that found it. See one with `vip-histories --seed N --loud --shrink`.

#![allow(clippy::unwrap_used)] // A failed unwrap in a helper of tests is a failed test with its line.

use std::time::Duration;

use base::Instant;
use simulator::bus::plan::Fault as Cut;
use simulator::vip::plan::Fault;
use simulator::vip::{Measured, Plan, run};

/// Histories drawn by chance, in each run of the tests.
const HISTORIES: u64 = 200;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

/// A plan with these faults, run to its end and checked.
fn through(mut plan: Plan, faults: Vec<(Instant, Fault)>) -> Measured {
    let last = faults.last().map_or(at(2_000), |(at, _)| *at);
    plan.faults = faults;
    plan.calm = last + ms(1_000);
    run(&plan).unwrap()
}

#[test]
fn histories_of_addresses_are_sound() {
    let halves = [0, 1].map(|half| {
        std::thread::spawn(move || {
            let seeds = (1..=HISTORIES).filter(|seed| seed % 2 == half);
            seeds.filter_map(|seed| run(&Plan::new(seed)).err()).next()
        })
    });
    for half in halves {
        assert_eq!(half.join().unwrap(), None);
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let one = || format!("{:?}", run(&Plan::new(8)));
    assert_eq!(one(), one());
}

/// What was found by chance, with its story.
#[test]
fn seeds_that_once_failed_do_not() {
    let stories = [
        (1196, "a cluster whose view ended when it became mature stayed immature for ever"),
        (410, "a ring that changed during a batch of renewals took all addresses away"),
        (747, "under quorum another claimed what was still being taken off"),
        (
            4581,
            "under quorum what a lost machine held in the form of another list was claimed at once",
        ),
        (3164, "who could not add what it was to release never said that it had released it"),
        (2389, "an addition that had waited for a fresh bus was done after the removal"),
        (105_918, "under quorum the new form of a set was held before the old one was off"),
        (
            107_412,
            "under quorum what was listed only after its holder was lost was claimed at once",
        ),
        (116_454, "under quorum who was lost while taking something off was not waited for"),
        (130_761, "under quorum the new form of a set moved on before the old one was off"),
        (149_076, "under quorum a wait was forgotten with the view in which it began"),
        (530_518, "a slow addition was begun when what was held should have been renewed"),
        (568_189, "a machine that could not add what it won said so before anybody could enter it"),
        (576_118, "the same in a merge of six"),
        (
            701_815,
            "in a merge that nobody could complete two had an address for as long as one hung",
        ),
        (
            712_897,
            "a client that only looked on was waited for like a machine, if it had come a view before",
        ),
        (102_807, "under quorum a lost holder was waited for that was back and had nothing"),
    ];
    for (seed, story) in stories {
        run(&Plan::new(seed)).unwrap_or_else(|what| panic!("{what}\nonce: {story}"));
    }
}

#[test]
fn a_machine_that_dies_leaves_a_hole_of_no_more_than_detection_and_one_agreement() {
    for seed in 0..10 {
        let faults = vec![(at(5_000), Fault::Kill(0, false, ms(20_000)))];
        let measured = through(Plan::still(seed, 3, 3), faults);
        assert!(!measured.holes.is_empty());
        assert!(measured.holes.iter().all(|hole| *hole < ms(250)), "{:?}", measured.holes);
    }
}

#[test]
fn planned_moves_and_a_network_that_grows_together_make_no_hole() {
    let faults = vec![
        (at(8_000), Fault::Drain(0, 1, true)),
        (at(9_000), Fault::Move(1, 2, 0)),
        (at(10_000), Fault::Drain(0, 1, false)),
        (at(11_000), Fault::Leave(2, true, ms(500))),
        (at(13_000), Fault::Health(0, false)),
        (at(14_000), Fault::Health(0, true)),
        (at(15_000), Fault::Wires(Cut::Partition(vec![true, false, false]))),
        (at(22_000), Fault::Wires(Cut::Heal)),
    ];
    // A hole without a fault is an error of the history.
    through(Plan::still(1, 3, 6), faults);
}

#[test]
fn a_machine_that_is_stopped_whole_is_no_second_owner_beyond_its_lease() {
    for seed in 0..5 {
        let faults = vec![(at(5_000), Fault::Freeze(0, false, ms(9_000)))];
        through(Plan { quorum: true, ..Plan::still(seed, 3, 3) }, faults);
    }
}

/// Nor is one whose guardian is gone as well, whom those that meet it only then have never heard.
#[test]
fn a_program_that_hangs_beside_its_daemon_is_no_second_owner_beyond_its_lease() {
    for seed in 0..5 {
        let faults = vec![
            (at(8_000), Fault::Guardian(1)),
            (at(8_001), Fault::Hang(1, ms(15_000))),
            (at(8_200), Fault::Kill(0, false, ms(300))),
            (at(24_000), Fault::Wires(Cut::Heal)),
        ];
        let plan = Plan { onlookers: true, bystanders: vec![4], ..Plan::still(seed, 5, 4) };
        through(Plan { quorum: true, ..plan.clone() }, faults.clone());
        through(plan, faults);
    }
}

/// A daemon that comes and goes without a member of the group changes the ring, and not the group's id.
#[test]
fn leases_go_on_when_a_daemon_without_a_member_comes_and_goes() {
    let faults = vec![
        (at(3_000), Fault::Kill(2, false, ms(2_000))),
        (at(12_000), Fault::Kill(2, false, ms(2_000))),
    ];
    let plan = Plan { bystanders: vec![2], watched: ms(10_000), ..Plan::still(3, 3, 3) };
    through(plan, faults);
}
