//! Networks, machines and clocks that go wrong.

use std::time::Duration;

use ring::Notice;
use simulator::bus::Plan;
use simulator::bus::net::{Shape, Weather};
use simulator::bus::plan::Fault;

use super::{at, last_view, ms, says, through, views_after};

/// As on a host that had no time for any of its virtual machines: whoever wakes first has heard nobody, and must not judge by that.
#[test]
fn a_stall_of_all_machines_at_once_changes_no_view() {
    for seed in 1..=40 {
        let mut plan = Plan::still(seed, 3 + seed as usize % 3);
        for round in 0..4 {
            for machine in 0..plan.machines {
                // They wake within a few milliseconds of each other, each time another first.
                let late = (machine as u64 * 7 + seed * 3 + round) % 5;
                let stall = ms(110 + 150 * round + late);
                plan.faults.push((at(2000 + 1500 * round), Fault::Freeze(machine, stall)));
            }
        }
        plan.calm = at(8000);
        let world = through(&plan);
        for machine in 0..plan.machines {
            assert_eq!(views_after(&world, machine, at(1900)), 0, "seed {seed}, machine {machine}");
        }
    }
}

#[test]
fn on_any_fixed_graph_all_come_to_rest_in_cliques() {
    let shapes = [Shape::Path, Shape::Circle, Shape::Star(2), Shape::OneWayCircle];
    for machines in [3, 5, 8, 12] {
        for shape in &shapes {
            let mut plan = Plan::still(machines as u64, machines);
            plan.faults = vec![(at(1000), Fault::Shape(shape.clone()))];
            through(&plan);
            // And from the start.
            plan.faults = vec![(at(1), Fault::Shape(shape.clone()))];
            through(&plan);
        }
    }
}

#[test]
fn whoever_cannot_answer_is_left_out_and_nobody_else() {
    let mut plan = Plan::still(3, 5);
    plan.faults = (0..4).map(|to| (at(1000), Fault::OneWay(4, to))).collect();
    let world = through(&plan);
    assert_eq!(last_view(&world, 0).unwrap().members.len(), 4);
    assert_eq!(last_view(&world, 4).unwrap().members.len(), 1);
}

#[test]
fn a_cable_that_comes_and_goes_keeps_its_machine_out_and_tells_it() {
    let mut plan = Plan::still(4, 5);
    plan.calm = at(9000);
    let alone = Shape::Without((0..4).flat_map(|i| [(i, 4), (4, i)]).collect());
    for i in 0..8 {
        plan.faults.push((at(1000 + 1000 * i), Fault::Shape(alone.clone())));
        plan.faults.push((at(1500 + 1000 * i), Fault::Heal));
    }
    let world = through(&plan);
    assert!(says(&world, 4, |notice| matches!(notice, Notice::KeptOut { .. })) > 0);
    for machine in 0..4 {
        assert!(says(&world, machine, |notice| matches!(notice, Notice::KeepsOut { .. })) > 0);
        let told = says(&world, machine, |notice| matches!(notice, Notice::KeptOut { .. }));
        assert_eq!(told, 0, "the greater part goes on");
    }
    assert_eq!(says(&world, 4, |notice| matches!(notice, Notice::KeepsOut { .. })), 0);
    let views = views_after(&world, 0, at(1000));
    assert!(views < 14, "{views} views; without keeping it out there are 16");
}

#[test]
fn a_machine_that_stops_for_less_than_the_timeout_stays() {
    for seed in 0..10 {
        for fault in [Fault::Freeze(1, ms(60)), Fault::Pause(1, ms(60))] {
            let mut plan = Plan::still(seed, 4);
            plan.calm = at(2000);
            plan.faults = vec![(at(1000), fault)];
            let world = through(&plan);
            for machine in 0..4 {
                assert_eq!(views_after(&world, machine, at(1000)), 0, "seed {seed}");
            }
        }
    }
}

#[test]
fn a_machine_that_stops_for_long_comes_back_into_a_new_view() {
    for time in [200, 1000, 10_000] {
        for pausing in [false, true] {
            let mut plan = Plan::still(time, 4);
            // Long enough awake before, and after, for whoever would blame the network.
            plan.calm = at(5000 + time + 4000);
            let fault =
                if pausing { Fault::Pause(2, ms(time)) } else { Fault::Freeze(2, ms(time)) };
            plan.faults = vec![(at(5000), fault)];
            let world = through(&plan);
            assert_eq!(last_view(&world, 0).unwrap().members.len(), 4);
            assert!(views_after(&world, 0, at(5000)) >= 2);
            for machine in 0..4 {
                let blamed =
                    says(&world, machine, |notice| matches!(notice, Notice::NoMulticast { .. }));
                assert_eq!(blamed, 0, "nothing is wrong with multicast");
            }
        }
    }
}

#[test]
fn clocks_that_jump_change_nothing_but_the_time_of_views() {
    let mut plan = Plan::still(9, 3);
    plan.calm = at(2000);
    plan.faults = vec![
        (at(1000), Fault::Clock(0, 400_000_000)),
        (at(1100), Fault::Clock(1, -1_500_000_000)),
        (at(1200), Fault::Crash(2, ms(100))),
    ];
    through(&plan);
}

#[test]
fn recordings_of_dead_daemons_are_worth_nothing() {
    let mut plan = Plan::still(10, 3);
    plan.calm = at(3000);
    plan.faults = vec![(at(1000), Fault::Crash(2, ms(100)))];
    plan.faults.extend((0..10).map(|i| (at(1500 + 100 * i), Fault::Replay(i as usize % 3))));
    let world = through(&plan);
    assert_eq!(views_after(&world, 0, at(1500)), 0);
}

#[test]
fn a_network_that_lies_about_the_dead_breaks_nothing() {
    let mut plan = Plan::still(11, 4);
    plan.calm = at(3000);
    plan.faults = (0..100)
        .map(|i| (at(1000 + 10 * i), Fault::Lie(i as usize % 4, (i as usize + 1) % 4)))
        .collect();
    let world = through(&plan);
    assert_eq!(views_after(&world, 0, at(1000)), 0, "a word clears the suspicion");
}

#[test]
fn large_messages_arrive_whole_over_a_bad_network() {
    for (longest, pace) in [(30_000, 40), (140_000, 150)] {
        let mut plan = Plan::still(longest as u64, 4);
        plan.longest = longest;
        plan.pace = ms(pace);
        plan.weather = Weather {
            loss: 0.02,
            doubled: 0.02,
            delay: Duration::from_micros(100),
            jitter: Duration::from_micros(300),
        };
        plan.calm = at(3000);
        plan.faults = vec![
            (at(1000), Fault::Partition(vec![true, true, false, false])),
            (at(1500), Fault::Heal),
        ];
        let world = through(&plan);
        assert!(world.traces[0].sent > 10);
    }
}
