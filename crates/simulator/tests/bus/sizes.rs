//! Great rings.

use simulator::bus::plan::Fault;
use simulator::bus::{Plan, World, checks};

use super::{at, ms};

/// So many daemons start, one machine dies, two halves part and join again, each within the time.
fn great_ring(machines: usize, start: u64, crash: u64, heal: u64) {
    let mut plan = Plan::still(1, machines);
    plan.pace = ms(5) * machines as u32;
    let sides: Vec<bool> = (0..machines).map(|i| i % 2 == 0).collect();
    plan.calm = at(8000);
    plan.faults = vec![
        (at(3000), Fault::Crash(machines / 3, ms(100_000))),
        (at(5000), Fault::Partition(sides)),
        (at(6000), Fault::Heal),
    ];
    let mut world = World::new(&plan);
    let mut in_time = |from: u64, members: usize, within: u64| {
        world.run_until(at(from + within));
        let last = world.all_in_one(members);
        assert!(last.is_some(), "{members} daemons are not one view {within} ms after {from}");
        println!(
            "{members} daemons: one view {:?} after {from} ms",
            last.map(|last| last.since(at(from)))
        );
    };
    in_time(82, machines, start);
    in_time(3000, machines - 1, crash);
    in_time(6000, machines - 1, heal);
    world.run().unwrap();
    checks::all(&world.traces).unwrap();
}

#[test]
fn sixty_four_daemons_are_one_ring() {
    great_ring(64, 400, 350, 1500);
}

#[test]
fn a_hundred_and_twenty_eight_daemons_are_one_ring() {
    great_ring(128, 600, 500, 1500);
}
