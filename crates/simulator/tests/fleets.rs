//! Small fleets over many seeds: whatever goes wrong, the rules hold.
//!
//! `World` checks every decision and, at every tick, every count (see `checks`); a violation panics with
//! its seed. Beyond that these tests say what clients may see.

use simulator::measure::End;
use simulator::scenario::Fault;
use simulator::{Outcome, Policy, Scenario, World};

fn scenario(policy: Policy, machines: u16, load: f64, seed: u64) -> Scenario {
    Scenario {
        seconds: 6.0,
        warm_up: 1.0,
        checked: true,
        ..Scenario::new(policy, machines, load, seed)
    }
}

fn run(scenario: &Scenario) -> Outcome {
    World::new(scenario.clone()).run()
}

const OURS: [Policy; 4] = [Policy::Classic, Policy::Busy, Policy::Fresh, Policy::Asking];

#[test]
fn the_same_seed_gives_the_same_run() {
    for policy in Policy::ALL {
        let (a, b) = (run(&scenario(policy, 6, 0.8, 7)), run(&scenario(policy, 6, 0.8, 7)));
        assert!(a.count() > 1000, "{policy:?}");
        assert_eq!((a.times, a.ends, a.datagrams), (b.times, b.ends, b.datagrams), "{policy:?}");
    }
}

#[test]
fn every_policy_faces_the_same_requests() {
    let counts = Policy::ALL.map(|policy| run(&scenario(policy, 6, 0.5, 3)).count());
    assert!(counts.iter().all(|&count| count == counts[0]), "{counts:?}");
}

#[test]
fn without_faults_nothing_fails_and_nothing_moves() {
    for policy in OURS {
        for seed in 0..4 {
            let outcome = run(&scenario(policy, 6, 0.6, seed));
            assert_eq!(outcome.ended(End::Failed) + outcome.ended(End::EntryLost), 0);
            assert_eq!(outcome.moves, 0, "seed {seed} {policy:?}");
        }
    }
}

/// A crash and a restart, a freeze and a thaw, at times and machines that follow from the seed.
fn stormy(policy: Policy, seed: u64) -> Scenario {
    let machine = |n: u64| ((seed * 7 + n * 3) % 6) as u16;
    let shift = (seed % 10) as f64 / 10.0;
    let (crashed, frozen, drained) = (machine(0), machine(1), machine(2));
    Scenario {
        seconds: 12.0,
        loss: 0.02,
        faults: vec![
            (2.0 + shift, crashed, Fault::Crash),
            (3.5 + shift, frozen, Fault::Freeze),
            (4.0, drained, Fault::Drain),
            (5.0 + shift, crashed, Fault::Restart),
            (7.0, frozen, Fault::Thaw),
            (8.0, drained, Fault::Undrain),
            (9.0 + shift, frozen, Fault::Crash),
            (9.5 + shift, frozen, Fault::Restart),
        ],
        ..scenario(policy, 6, 0.45, seed)
    }
}

#[test]
fn crashes_freezes_and_restarts_lose_no_request_that_can_be_moved() {
    for policy in OURS {
        let (mut moves, mut lost, mut refused) = (0, 0, 0);
        for seed in 0..12 {
            let outcome = run(&stormy(policy, seed));
            moves += outcome.moves;
            lost += outcome.ended(End::Failed);
            refused += outcome.ended(End::Refused);
        }
        assert!(moves > 0, "{policy:?}: the storm did not blow");
        assert_eq!((lost, refused), (0, 0), "{policy:?}");
    }
}

#[test]
fn a_crashed_machine_gets_nothing_and_a_restarted_one_gets_its_share_again() {
    let crash = |back: bool| {
        let mut s = scenario(Policy::Fresh, 6, 0.3, 5);
        s.faults = vec![(0.5, 3, Fault::Crash)];
        if back {
            s.faults.push((1.5, 3, Fault::Restart));
        }
        (s.seconds, s.warm_up) = (6.0, 4.0);
        World::new(s).run_and_count()
    };
    assert_eq!(crash(false)[3], 0);
    let back = crash(true);
    let total: u64 = back.iter().sum();
    assert!(back[3] * 8 > total, "machine 3, the fastest, got {} of {total}", back[3]);
}

#[test]
fn a_frozen_machine_is_left_within_a_second() {
    let mut moves = 0;
    for seed in 0..6 {
        let mut s = scenario(Policy::Asking, 6, 0.4, seed);
        s.faults = vec![(3.0, 3, Fault::Freeze)];
        let outcome = run(&s);
        // Who had come in at the frozen machine waits with it; everybody else is moved.
        let late = outcome.ended(End::Late);
        assert!(late < 40, "seed {seed}: {late} waited in vain");
        moves += outcome.moves;
    }
    assert!(moves > 0);
}

#[test]
fn loss_of_every_datagram_leaves_the_cluster_working() {
    let mut s = scenario(Policy::Asking, 6, 0.5, 1);
    s.loss = 1.0;
    let outcome = run(&s);
    assert_eq!(outcome.ended(End::Failed), 0);
    assert!(outcome.errors() < 0.01, "{}", outcome.errors());
}

#[test]
fn fresh_beats_what_sees_only_its_own_connections() {
    for machines in [6, 20] {
        let mean = |policy| {
            let mut all = Outcome::default();
            (0..2).for_each(|seed| all.merge(run(&scenario(policy, machines, 0.9, seed))));
            all.mean()
        };
        let (asking, fresh, own) =
            (mean(Policy::Asking), mean(Policy::Fresh), mean(Policy::LeastConn));
        assert!(asking < 1.02 * fresh && fresh < own, "{machines}: {asking} {fresh} {own}");
    }
}
