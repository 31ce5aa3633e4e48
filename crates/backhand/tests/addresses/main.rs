//! Shared addresses with real programs in machines of a lab: deaths, cuts, stops, partitions, mistakes, as hosts on the network see them.
//!
//! Clients open a new connection every few milliseconds, one that keeps what it knows of its neighbours, one that forgets it, and one
//! behind a router; another asks the wire who has an address. What is measured is printed and bounded by several times what is
//! aimed at, for machines that test are busy. `BACKHAND_ADDRESSES_BUSY` is how many seconds others use every processor.

#![allow(clippy::unwrap_used)] // A failed unwrap in a helper of tests is a failed test with its line.

#[path = "../mistakes/stage.rs"]
#[allow(dead_code)]
mod stage;
#[path = "../support/mod.rs"]
mod support;

mod changes;
mod clocks;
mod crowds;
mod database;
mod deaths;
mod disks;
mod doubles;
mod eyes;
mod faults;
mod holds;
mod mistakes;
mod partitions;
mod passing;
mod programs;
mod quorum;
mod rights;
mod routers;
mod services;
mod six;
mod sizes;
mod sources;
mod stand;
mod stops;
mod told;
mod upgrades;
mod without_kernel;

use std::process::ExitCode;

use lab::Lab;
use testkit::trial::{self, Failed, trial};

fn main() -> ExitCode {
    lab::init();
    stage::init();
    rights::init();
    let namespaces = Lab::available().map(drop).map_err(|why| why.to_string());
    let all = [
        deaths::TRIALS,
        stops::TRIALS,
        sizes::TRIALS,
        partitions::TRIALS,
        doubles::TRIALS,
        routers::TRIALS,
        mistakes::TRIALS,
        faults::TRIALS,
        changes::TRIALS,
        holds::TRIALS,
        quorum::TRIALS,
        programs::TRIALS,
        services::TRIALS,
        six::TRIALS,
        crowds::TRIALS,
        disks::TRIALS,
        upgrades::TRIALS,
        told::TRIALS,
        sources::TRIALS,
        without_kernel::TRIALS,
        rights::TRIALS,
    ];
    let all = all.concat();
    // Those that need something more.
    let also = |more: Result<(), String>| namespaces.clone().and(more);
    let some = [
        (crowds::ROOMY, also(crowds::may_make_room())),
        (disks::FREEZING, also(disks::may_freeze())),
        (clocks::TRIALS, also(clocks::may_jump())),
        (database::TRIALS, also(database::servers())),
        (passing::TRIALS, stand::may_pass_on()),
        (faults::RENAMING, also(faults::may_rename())),
    ];
    let trials =
        std::iter::once((&*all, namespaces.clone())).chain(some).flat_map(|(trials, needs)| {
            trials.iter().map(move |(name, run)| trial(name, &needs, *run)).collect::<Vec<_>>()
        });
    // Beside each other they would measure one another.
    trial::run_in_turn(trials.collect())
}

/// A test: its name as a sentence, and what it does.
type Named = (&'static str, fn() -> Result<(), Failed>);
