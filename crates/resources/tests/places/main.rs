//! What needs a place of its own on this machine: a network namespace with cables, or a control group.
//!
//! Each test runs this program again inside of the place, and that inner run does the work. Where such a place cannot be had, the test
//! is listed as ignored with the reason.

// A failed unwrap in a helper of tests is a failed test with its line.
#![allow(clippy::unwrap_used)]

#[path = "../cluster/bench.rs"]
#[allow(dead_code)] // The other test program uses the rest.
mod bench;
mod group;
mod multicast;

use std::process::{Command, ExitCode};

use testkit::trial::{self, Failed, Trial, trial};

/// Names the case that the inner run is for.
const INSIDE: &str = "BACKHAND_TEST_INSIDE";

/// A test: its name as a sentence, and what happens inside.
type Case = (&'static str, fn());

fn main() -> ExitCode {
    if let Some(name) = std::env::var_os(INSIDE) {
        let cases = multicast::CASES.iter().chain(group::CASES);
        let case = cases.into_iter().find(|(case, _)| name == *case);
        case.unwrap_or_else(|| panic!("{INSIDE} names no test: {name:?}")).1();
        return ExitCode::SUCCESS;
    }
    let namespace = multicast::needs();
    let (limited, unified) = (group::Kind::Limited.needs(), group::Kind::Unified.needs());
    let mut trials: Vec<Trial> = multicast::CASES
        .iter()
        .map(|&(name, _)| trial(name, &namespace, move || again(name, multicast::enter())))
        .collect();
    for (&(name, _), kind) in group::CASES.iter().zip(group::KINDS) {
        let needs = if kind == group::Kind::Limited { &limited } else { &unified };
        trials.push(trial(name, needs, move || {
            let group = kind.make()?;
            again(name, group.enter())
        }));
    }
    trial::run_in_turn(trials)
}

/// Runs this program again, by a command that enters the place.
fn again(case: &str, mut enter: Command) -> Result<(), Failed> {
    let output = enter.env(INSIDE, case).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("inside: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

/// This program.
fn myself() -> std::path::PathBuf {
    std::env::current_exe().unwrap()
}
