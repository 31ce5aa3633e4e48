//! `cargo xtask test`: the one command that passes all the tests.
//!
//! The cheap checks first, the test runner last, so that its own summary stands at the end. With cargo-nextest each test
//! has a process and a time limit of its own (`.config/nextest.toml`); plain `cargo test` does as well where it is not
//! installed.

use std::process::Command;

use anyhow::Result;

use crate::{packages, purity, tidy, tools};

/// Runs everything, or only the tests that match the filters.
pub(crate) fn run(filters: &[String]) -> Result<String> {
    let missing = packages::ensure()?;
    if filters.is_empty() {
        println!("test: {}", tidy::run()?);
        println!("test: {}", purity::run(purity::Proof::BareTarget)?);
    }
    let runner = if has_nextest() {
        if filters.is_empty() {
            // nextest leaves the examples in the documentation out.
            tools::show_and_run(tools::cargo().args(["test", "--workspace", "--doc", "--quiet"]))?;
        }
        tools::show_and_run(
            nextest().args(["run", "--workspace", "--no-fail-fast"]).args(filters),
        )?;
        "cargo nextest"
    } else {
        if filters.is_empty() {
            tools::show_and_run(&mut plain(&[]))?;
        }
        // One filter is all that some test programs take.
        for filter in filters {
            tools::show_and_run(&mut plain(&["--", filter]))?;
        }
        "cargo test"
    };
    let without = match missing.as_slice() {
        [] => String::new(),
        missing => format!(", without {}", missing.join(" ")),
    };
    Ok(format!("all tests by {runner}{without}"))
}

fn plain(more: &[&str]) -> Command {
    let mut command = tools::cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]).args(more);
    command
}

fn has_nextest() -> bool {
    tools::works(nextest().arg("--version"))
}

fn nextest() -> Command {
    let mut command = tools::cargo();
    command.arg("nextest");
    command
}
