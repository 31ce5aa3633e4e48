//! Who finds whom, and who cannot be in a view with whom.

use std::time::Duration;

use ring::Notice;
use simulator::bus::plan::Fault;
use simulator::bus::{Plan, World, checks};

use super::{at, last_view, ms, says, through};

#[test]
fn a_daemon_alone_has_its_first_view_within_300_ms() {
    let mut plan = Plan::still(1, 1);
    plan.gathering = Duration::ZERO;
    let world = through(&plan);
    let (first, _) = world.traces[0].items[0];
    assert!(first.since(world.traces[0].begin) <= ms(300));
}

#[test]
fn daemons_that_hear_no_multicast_of_each_other_are_introduced() {
    let mut plan = Plan::still(2, 4);
    // Two of four reach nobody by multicast; there is no list of addresses.
    plan.faults = vec![(at(1), Fault::NoMulticast(0)), (at(1), Fault::NoMulticast(1))];
    let world = through(&plan);
    assert_eq!(last_view(&world, 0).unwrap().members.len(), 4);
}

/// Nobody is told of it by multicast, it knows nobody, and those that knew it before greet whoever is where it was.
#[test]
fn a_daemon_that_starts_again_where_no_multicast_passes_any_more_is_found() {
    for change in [Fault::Leave(2, ms(500)), Fault::Crash(2, ms(500))] {
        for unreachable in [false, true] {
            let mut plan = Plan::still(12, 3);
            plan.unreachable = unreachable;
            plan.calm = at(2000);
            let silent = (0..3).map(|machine| (at(1000), Fault::NoMulticast(machine)));
            plan.faults = silent.chain([(at(1100), change.clone())]).collect();
            let world = through(&plan);
            assert_eq!(last_view(&world, 0).unwrap().members.len(), 3, "{change:?}");
        }
    }
}

#[test]
fn a_daemon_that_starts_again_and_again_takes_its_place_each_time() {
    let mut plan = Plan::still(6, 4);
    plan.unreachable = true;
    plan.calm = at(4000);
    plan.faults = vec![(at(1000), Fault::Loop(1, ms(250), 10))];
    let world = through(&plan);
    assert_eq!(last_view(&world, 0).unwrap().members.len(), 4);
    assert_eq!(world.traces.iter().filter(|trace| trace.machine == 1).count(), 11);
}

#[test]
fn of_two_daemons_with_one_name_the_younger_stays_outside() {
    for seed in 0..20 {
        let mut plan = Plan::still(seed, 4);
        plan.twins = Some((0, 3));
        plan.gathering = ms([0, 1, 80][seed as usize % 3]);
        let world = through(&plan);
        let refused =
            |machine| says(&world, machine, |notice| matches!(notice, Notice::Refused { .. }));
        assert!(refused(0) + refused(3) > 0, "seed {seed}");
        assert_eq!(last_view(&world, 1).unwrap().members.len(), 3, "seed {seed}");
    }
}

#[test]
fn two_daemons_with_one_name_meet_when_two_halves_join_and_one_gives_way() {
    let mut plan = Plan::still(5, 5);
    plan.twins = Some((0, 4));
    plan.calm = at(2500);
    let sides = vec![true, true, false, false, false];
    plan.faults = vec![(at(1), Fault::Partition(sides)), (at(2000), Fault::Heal)];
    let world = through(&plan);
    assert_eq!(last_view(&world, 1).unwrap().members.len(), 4);
}

#[test]
fn a_ring_speaks_the_lowest_version_of_its_members() {
    // `World::run` looks at every ring's version at rest.
    let mut plan = Plan::still(7, 5);
    plan.minors = vec![1, 0, 1];
    plan.faults =
        vec![(at(500), Fault::Crash(1, ms(20_000))), (at(600), Fault::Crash(4, ms(20_000)))];
    let world = through(&plan);
    assert_eq!(last_view(&world, 0).unwrap().members.len(), 3);
}

#[test]
fn another_major_version_is_never_in_the_ring() {
    let mut plan = Plan::still(8, 4);
    plan.foreign = Some(2);
    let world = through(&plan);
    assert_eq!(last_view(&world, 0).unwrap().members.len(), 3);
    assert_eq!(last_view(&world, 2).unwrap().members.len(), 1);
    for machine in 0..4 {
        assert!(says(&world, machine, |notice| matches!(notice, Notice::Incompatible { .. })) > 0);
    }
}

#[test]
fn a_daemon_of_another_list_is_named_once() {
    let mut plan = Plan::still(1, 3);
    plan.other_configuration = Some(2);
    let mut world = World::new(&plan);
    world.run_until(at(6000));
    checks::all(&world.traces).unwrap();
    let named = |notice: &Notice| matches!(notice, Notice::OtherConfiguration { .. });
    assert_eq!((says(&world, 0, named), says(&world, 1, named)), (1, 1));
    assert_eq!(last_view(&world, 0).map(|view| view.members.len()), Some(2));
}
