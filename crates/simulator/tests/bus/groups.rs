//! Groups and their clients on top of rings under faults: what once went wrong, and what must hold for each kind of trouble.
//!
//! Every history is checked twice: the views of the daemons (`bus::checks`) and what clients were told
//! (`bus::groups::checks`). At its end each table must be what the living clients asked for, at all daemons of a view alike.

use std::time::Duration;

use base::Instant;
use simulator::bus::groups::client::{End, Item};
use simulator::bus::groups::{Crowd, checks};
use simulator::bus::plan::Fault;
use simulator::bus::{Plan, World};
use spread_wire::Cause;

use super::{at, draw, ms, retell};

/// Histories drawn by chance, in each run of the tests. `bus-histories --groups` runs as many as one likes.
const HISTORIES: u64 = 300;

/// So many machines on a good network, with clients.
fn still(seed: u64, machines: usize) -> Plan {
    let mut plan = Plan::still(seed, machines);
    plan.crowd = Some(Crowd::calm());
    plan
}

/// Runs a plan to its end, checked.
fn through(plan: &Plan) -> World {
    let mut world = World::new(plan);
    let calm = world.run();
    simulator::bus::checks::all(&world.traces).unwrap();
    checks::all(&world).unwrap();
    calm.unwrap();
    world
}

/// How many things of this kind clients were told.
fn told(world: &World, what: impl Fn(&Item) -> bool) -> usize {
    let items = world.clients.iter().flat_map(|client| &client.heard);
    items.filter(|(_, item)| what(item)).count()
}

fn views(world: &World, cause: Cause) -> usize {
    told(world, |item| matches!(item, Item::View(view) if view.cause == cause))
}

#[test]
fn histories_with_clients_are_sound() {
    draw(HISTORIES, " --groups", Plan::with_clients);
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let all = || {
        let world = through(&Plan::with_clients(67));
        let heard = world.clients.iter().map(|client| client.heard.clone());
        (world.steps, heard.collect::<Vec<_>>())
    };
    let (one, other) = (all(), all());
    assert!(one.1.iter().map(Vec::len).sum::<usize>() > 1000);
    assert_eq!(one, other);
}

/// What was found by chance, with its story.
#[test]
fn seeds_that_once_failed_do_not() {
    let stories = [
        (
            43,
            "a join from a lost daemon made a view that the network made, with the next id of the old one",
        ),
        (
            835,
            "a daemon went on alone, those who still counted on it had another view under the same id",
        ),
        (
            3388,
            "two exchanges were cut off: something was told in a group whose loss had not been worth a word",
        ),
    ];
    retell(&stories, Plan::with_clients);
}

#[test]
fn nothing_but_joins_leaves_and_ends_changes_groups_while_nothing_happens() {
    let mut plan = still(1, 4);
    plan.gathering = Duration::ZERO;
    plan.pace = ms(5);
    plan.calm = at(2000);
    let mut world = World::new(&plan);
    world.run_until(at(300));
    let before = views(&world, Cause::Network);
    world.run().unwrap();
    checks::all(&world).unwrap();
    assert_eq!(views(&world, Cause::Network), before);
    assert_eq!(told(&world, |item| matches!(item, Item::Signal(..))), 0);
    for cause in [Cause::Join, Cause::Leave, Cause::Disconnect] {
        assert!(views(&world, cause) > 100, "{cause:?}");
    }
}

#[test]
fn both_sides_of_a_cut_are_told_and_meet_again_in_one_view() {
    let mut plan = still(2, 5);
    plan.pace = ms(5);
    plan.faults = vec![
        (at(1000), Fault::Partition(vec![true, true, false, false, false])),
        (at(2000), Fault::Heal),
    ];
    plan.calm = at(2000);
    let world = through(&plan);
    assert!(told(&world, |item| matches!(item, Item::Signal(..))) > 0);
    let merged = told(&world, |item| matches!(item, Item::View(view) if view.sets.len() == 2));
    assert!(merged > 0, "nobody was told of two sets that came together");
}

/// Every moment of a change: the crash comes a little later each time, from before the first word of the change to after
/// the exchange of states.
fn crash_within(faults: &[(Instant, Fault)], victim: usize, loss: f64) {
    for step in 0..40 {
        let mut plan = still(step, 5);
        plan.pace = ms(4);
        plan.weather.loss = loss;
        plan.faults = faults.to_vec();
        let last = plan.faults[plan.faults.len() - 1].0;
        plan.calm = last + ms(500);
        let later = Duration::from_micros(50 * step);
        plan.faults.push((last + later, Fault::Crash(victim, ms(20_000))));
        let world = through(&plan);
        assert!(world.clients.iter().any(|client| client.end == Some(End::Daemon)));
    }
}

#[test]
fn a_daemon_may_die_at_every_moment_of_a_loss() {
    let leave = [(at(1000), Fault::Leave(4, ms(20_000)))];
    crash_within(&leave, 0, 0.0);
    crash_within(&leave, 1, 0.1);
}

/// A merge begins when a beacon is heard, so the moments of the second fault are spread over some time.
#[test]
fn a_network_may_break_again_at_every_moment_of_a_merge() {
    for step in 0..60 {
        let mut plan = still(step, 4);
        plan.pace = ms(3);
        let sides = |one: bool| vec![true, one, false, !one];
        plan.faults = vec![
            (at(1000), Fault::Partition(sides(true))),
            (at(1400), Fault::Heal),
            (at(1400) + ms(10) * step as u32, Fault::Partition(sides(false))),
            (at(2100), Fault::Heal),
        ];
        plan.calm = at(2100);
        through(&plan);
    }
}

#[test]
fn readers_that_are_slow_slow_writers_down_and_lose_nothing() {
    let mut plan = still(3, 3);
    plan.crowd = Some(Crowd { slow: 10, pause: 5, ahead: 1, ..Crowd::calm() });
    plan.pace = ms(2);
    plan.calm = at(3000);
    let world = through(&plan);
    assert!(world.clients.iter().any(|client| client.end == Some(End::Lost)));
    assert!(world.clients.iter().map(|client| client.sent.len()).sum::<usize>() > 1000);
}

#[test]
fn a_hundred_destinations_are_one_message_for_each() {
    let mut plan = still(4, 3);
    plan.crowd = Some(Crowd { destinations: 100, ..Crowd::calm() });
    plan.pace = ms(5);
    plan.calm = at(2000);
    let world = through(&plan);
    let most = world.clients.iter().flat_map(|client| &client.sent).map(|sent| sent.to.len()).max();
    assert!(most > Some(90), "{most:?}");
}

#[test]
fn names_that_are_used_again_are_of_one_session_at_a_time() {
    let mut plan = still(5, 3);
    plan.crowd = Some(Crowd { reuse: 1.0, sessions: 6, ..Crowd::calm() });
    plan.pace = ms(3);
    plan.calm = at(3000);
    let world = through(&plan);
    let mut names: Vec<_> = world.clients.iter().map(|client| client.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() * 2 < all, "{} names of {all} clients", names.len());
}
