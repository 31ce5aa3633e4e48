//! What people and machines do wrong: each mistake has a clear error, each fault is survived, and somebody is told.
//!
//! Everything runs the real program. What needs addresses, limits or rights of its own runs in a lab.

#![allow(clippy::unwrap_used)] // A failed unwrap in a helper of tests is a failed test with its line.

#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod configuration;
mod ending;
mod limits;
mod stage;
mod starting;

use std::process::ExitCode;

use lab::Lab;
use testkit::trial::{self, Failed, trial};

fn main() -> ExitCode {
    lab::init();
    stage::init();
    let namespaces = Lab::available().map(drop).map_err(|why| why.to_string());
    let interfaces = namespaces.clone().and_then(|()| cluster::second_interfaces());
    let free = &Ok(());
    let trials = configuration::TRIALS
        .iter()
        .map(|trial| (trial, free))
        .chain(starting::TRIALS.iter().map(|trial| (trial, &namespaces)))
        .chain(limits::TRIALS.iter().map(|trial| (trial, &namespaces)))
        .chain(ending::TRIALS.iter().map(|trial| (trial, &namespaces)))
        .chain(cluster::TRIALS.iter().map(|trial| (trial, &namespaces)))
        .chain(cluster::WITH_INTERFACES.iter().map(|trial| (trial, &interfaces)))
        .map(|((name, run), needs)| trial(name, needs, *run))
        .collect();
    trial::run(trials)
}

/// A test: its name as a sentence, and what it does.
type Named = (&'static str, fn() -> Result<(), Failed>);

/// Says which of the words are not in the text.
fn says(text: &str, words: &[&str]) -> Result<(), Failed> {
    let missing: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!("{missing:?} is not said in:\n{text}").into())
    }
}
