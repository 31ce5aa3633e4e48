//! The commands of the addresses, with the real program in machines of a lab: `backhand vip`, `wackamole`, `wackatrl`.

#![allow(clippy::unwrap_used)] // A failed unwrap in a helper of tests is a failed test with its line.

#[path = "../support/mod.rs"]
mod support;

mod chapter;
mod orders;
mod sockets;
mod stage;

use std::process::ExitCode;

use lab::Lab;
use testkit::trial::{self, Failed, trial};

fn main() -> ExitCode {
    lab::init();
    let namespaces = Lab::available().map(drop).map_err(|why| why.to_string());
    let trials = [chapter::TRIALS, orders::TRIALS, sockets::TRIALS]
        .into_iter()
        .flatten()
        .map(|(name, run)| trial(name, &namespaces, *run))
        .collect();
    // Beside each other they would measure one another.
    trial::run_in_turn(trials)
}

/// A test: its name as a sentence, and what it does.
type Named = (&'static str, fn() -> Result<(), Failed>);
