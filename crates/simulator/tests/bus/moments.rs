//! Something goes wrong at every moment of a change.

use std::time::Duration;

use simulator::bus::Plan;
use simulator::bus::plan::Fault;

use super::{at, last_view, ms, through};

/// Every moment of a change: the crash comes a little later each time, from before the first word of the change to after its last.
fn crash_within(change: Fault, victim: usize, loss: f64) {
    for step in 0..60 {
        let mut plan = Plan::still(step, 5);
        plan.pace = ms(4);
        plan.weather.loss = loss;
        plan.calm = at(2000);
        let later = Duration::from_micros(50 * step);
        plan.faults =
            vec![(at(1000), change.clone()), (at(1000) + later, Fault::Crash(victim, ms(20_000)))];
        let world = through(&plan);
        assert!(world.traces[0].sent > 0);
    }
}

#[test]
fn the_leader_may_die_at_every_moment_of_a_change() {
    // The leave of the last makes the first propose a view without it, which is installed about 0.7 ms later.
    crash_within(Fault::Leave(4, ms(20_000)), 0, 0.0);
    crash_within(Fault::Leave(4, ms(20_000)), 0, 0.1);
}

#[test]
fn a_follower_may_die_at_every_moment_of_a_change() {
    crash_within(Fault::Leave(4, ms(20_000)), 1, 0.0);
    crash_within(Fault::Leave(4, ms(20_000)), 1, 0.1);
}

#[test]
fn the_network_may_break_at_every_moment_of_a_change() {
    for step in 0..60 {
        let mut plan = Plan::still(step, 5);
        plan.pace = ms(4);
        plan.calm = at(2000);
        let later = at(1000) + Duration::from_micros(50 * step);
        let sides = vec![true, false, true, false, true];
        plan.faults = vec![
            (at(1000), Fault::Leave(4, ms(20_000))),
            (later, Fault::Partition(sides)),
            (at(1500), Fault::Heal),
        ];
        let world = through(&plan);
        assert_eq!(last_view(&world, 0).unwrap().members.len(), 4);
    }
}
