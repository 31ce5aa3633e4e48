//! Rings of daemons under faults: what once went wrong, and what must hold for each kind of trouble.
//!
//! Each test makes its plan by hand or names the seed that found it. Every history is checked for extended virtual
//! synchrony (`bus::checks`) and must come to rest within five seconds after its last fault (`bus::World::run`).

#![allow(clippy::unwrap_used)] // A failed unwrap in a helper of tests is a failed test with its line.

mod chance;
mod groups;
mod lists;
mod meeting;
mod moments;
mod sites;
mod sizes;
mod troubles;

use std::time::Duration;

use base::Instant;
use ring::{Notice, View};
use simulator::bus::trace::Item;
use simulator::bus::{Plan, World, checks, run};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

/// Runs a plan to its end, checked.
fn through(plan: &Plan) -> World {
    let mut world = World::new(plan);
    let calm = world.run();
    checks::all(&world.traces).unwrap();
    calm.unwrap();
    world
}

/// The last view of the daemon that was on the machine last.
fn last_view(world: &World, machine: usize) -> Option<&View> {
    let trace = world.traces.iter().rfind(|trace| trace.machine == machine)?;
    trace.items.iter().rev().find_map(|(_, item)| match item {
        Item::Installed(view) => Some(view),
        _ => None,
    })
}

fn says(world: &World, machine: usize, what: impl Fn(&Notice) -> bool) -> usize {
    let traces = world.traces.iter().filter(|trace| trace.machine == machine);
    traces.flat_map(|trace| &trace.notices).filter(|(_, notice)| what(notice)).count()
}

/// Views installed on this machine after that time.
fn views_after(world: &World, machine: usize, time: Instant) -> usize {
    let traces = world.traces.iter().filter(|trace| trace.machine == machine);
    let items = traces.flat_map(|trace| &trace.items);
    items.filter(|(at, item)| *at > time && matches!(item, Item::Installed(_))).count()
}

/// Draws histories by chance, with seeds from 1 on, and says how to see one that fails. Two threads, because a history knows
/// nothing of another.
fn draw(histories: u64, kind: &str, plan: fn(u64) -> Plan) {
    let halves = [0, 1].map(|half| {
        std::thread::spawn(move || {
            (1..=histories).filter(|seed| seed % 2 == half).find_map(|seed| run(&plan(seed)).err())
        })
    });
    for half in halves {
        if let Some(what) = half.join().unwrap() {
            panic!("{what}; see it with: bus-histories{kind} --seed N --loud");
        }
    }
}

/// Runs histories that failed once, each with its story.
fn retell(stories: &[(u64, &str)], plan: fn(u64) -> Plan) {
    for (seed, story) in stories {
        run(&plan(*seed)).unwrap_or_else(|what| panic!("{what}\nonce: {story}"));
    }
}
