//! Rings of daemons whose fixed lists change while they run: an operator goes from machine to machine.

use std::time::Duration;

use base::Instant;
use ring::{Notice, View};
use simulator::bus::plan::Fault;
use simulator::bus::trace::Item;
use simulator::bus::{Plan, World};

use super::{at, draw, says, through};

/// Histories drawn by chance, in each run of the tests.
const HISTORIES: u64 = 600;

/// Machines that get lists by turns: from `begin` on, each of `who` the list of this number, 100 ms apart.
fn round(plan: &mut Plan, begin: u64, who: &[usize], list: usize) {
    for (turn, machine) in who.iter().enumerate() {
        let when = at(begin + 100 * turn as u64);
        plan.faults.push((when, Fault::Relist(*machine, list)));
        plan.calm = plan.calm.max(when);
    }
    plan.faults.sort_by_key(|(at, _)| *at);
}

/// Views installed on this machine within the time, and when.
fn views(world: &World, machine: usize, from: u64, to: u64) -> Vec<View> {
    let traces = world.traces.iter().filter(|trace| trace.machine == machine);
    let items = traces.flat_map(|trace| &trace.items);
    let within = items.filter(|(when, _)| *when > at(from) && *when < at(to));
    let view = |(_, item): &(Instant, Item)| match item {
        Item::Installed(view) => Some(view.clone()),
        _ => None,
    };
    within.filter_map(view).collect()
}

/// The names of the members of the last view of a machine, by their first letters.
fn last(world: &World, machine: usize) -> String {
    let views = views(world, machine, 0, u64::MAX / 2_000_000);
    views.last().unwrap().members.iter().map(|m| m.name.as_str().as_bytes()[0] as char).collect()
}

/// So many machines, all alive, with these lists; the first is that at the start.
fn plan(seed: u64, machines: usize, lists: &[&[usize]]) -> Plan {
    let mut plan = Plan::still(seed, machines);
    plan.lists = lists.iter().map(|list| list.to_vec()).collect();
    plan.calm = at(2000);
    plan
}

#[test]
fn histories_with_changing_lists_are_sound() {
    draw(HISTORIES, " --lists", |seed| Plan::new(seed).with_lists());
}

#[test]
fn a_list_with_somebody_new_changes_no_view_until_he_comes() {
    // Machine 3 is dead until long after its name has come into all lists.
    let mut plan = plan(1, 4, &[&[0, 1, 2], &[0, 1, 2, 3]]);
    plan.gathering = Duration::ZERO;
    plan.faults = vec![(at(5), Fault::Crash(3, Duration::from_millis(3000)))];
    round(&mut plan, 1000, &[0, 1, 2, 3], 1);
    plan.calm = at(4000);
    let world = through(&plan);
    for machine in 0..3 {
        assert_eq!(views(&world, machine, 900, 2990).len(), 0, "machine {machine}");
        assert_eq!(views(&world, machine, 2990, 9000).len(), 1, "machine {machine}");
        assert_eq!(last(&world, machine), "abcd");
        assert_eq!(says(&world, machine, |n| matches!(n, Notice::ListsAgree)), 1);
    }
}

#[test]
fn somebody_new_who_lives_comes_in_when_the_last_has_the_list() {
    // He reads first, and waits alone.
    let mut plan = plan(2, 4, &[&[0, 1, 2], &[3, 0, 1, 2]]);
    plan.faults = vec![(at(1), Fault::Relist(3, 1))];
    round(&mut plan, 1000, &[2, 0, 1], 1);
    let world = through(&plan);
    for machine in 0..3 {
        assert_eq!(views(&world, machine, 900, 1200).len(), 0, "machine {machine}");
        // The order is that of the new list.
        assert_eq!(last(&world, machine), "dabc");
    }
}

#[test]
fn who_is_struck_stays_until_the_last_list_and_then_leaves_in_one_change() {
    for struck in 0..4 {
        let rest: Vec<usize> = (0..4).filter(|i| *i != struck).collect();
        let mut plan = plan(3 + struck as u64, 4, &[&[0, 1, 2, 3], &rest]);
        round(&mut plan, 1000, &rest, 1);
        let world = through(&plan);
        for &machine in &rest {
            assert_eq!(views(&world, machine, 900, 1200).len(), 0, "machine {machine}");
            let after = views(&world, machine, 1200, 9000);
            assert_eq!(after.len(), 1, "machine {machine}: {after:?}");
            assert_eq!(after[0].members.len(), 3);
        }
        assert_eq!(last(&world, struck).len(), 1);
        assert!(says(&world, struck, |n| matches!(n, Notice::Unlisted { .. })) > 0);
    }
}

#[test]
fn another_order_is_that_of_the_next_view_and_the_same_for_all() {
    let mut plan = plan(8, 3, &[&[0, 1, 2], &[2, 1, 0]]);
    round(&mut plan, 1000, &[0], 1);
    // In the mixed time somebody dies and comes again: views are made by leaders of either list.
    plan.faults.push((at(1300), Fault::Crash(1, Duration::from_millis(300))));
    round(&mut plan, 2500, &[1, 2], 1);
    plan.faults.push((at(3000), Fault::Crash(1, Duration::from_millis(300))));
    plan.calm = at(3400);
    let world = through(&plan);
    assert_eq!(
        views(&world, 0, 2400, 2990).len(),
        0,
        "lists that only differ in order move nobody"
    );
    assert_eq!([0, 1, 2].map(|machine| last(&world, machine)), ["cba", "cba", "cba"]);
}

#[test]
fn a_death_while_lists_differ_leaves_those_together_who_list_each_other() {
    // Machine 4 is on its way out, machine 3 dies in the middle.
    let mut plan = plan(9, 5, &[&[0, 1, 2, 3, 4], &[0, 1, 2, 3]]);
    round(&mut plan, 1000, &[0, 1], 1);
    plan.faults.push((at(1500), Fault::Crash(3, Duration::from_secs(20))));
    round(&mut plan, 3000, &[2], 1);
    let mut world = World::new(&plan);
    world.run_until(at(2900));
    assert_eq!([0, 1, 2].map(|machine| last(&world, machine)), ["abc", "abc", "abc"]);
    assert_eq!(last(&world, 4), "e");
    through(&plan);
}

#[test]
fn who_was_struck_and_is_listed_again_comes_back() {
    let mut plan = plan(10, 4, &[&[0, 1, 2, 3], &[0, 1, 2]]);
    round(&mut plan, 1000, &[0, 1, 2], 1);
    round(&mut plan, 2000, &[1, 2, 0], 0);
    let world = through(&plan);
    assert_eq!([0, 1, 2, 3].map(|machine| last(&world, machine)), ["abcd"; 4]);
}
