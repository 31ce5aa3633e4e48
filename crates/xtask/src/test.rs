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
    let mut ignored = String::new();
    let runner = if has_nextest() {
        if filters.is_empty() {
            // nextest leaves the examples in the documentation out.
            tools::show_and_run(tools::cargo().args(["test", "--workspace", "--doc", "--quiet"]))?;
        }
        tools::show_and_run(
            nextest().args(["run", "--workspace", "--no-fail-fast"]).args(filters),
        )?;
        ignored = what_was_ignored(filters)?;
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
    Ok(format!("all tests by {runner}{without}{ignored}"))
}

/// Names the tests that could not run here, each with its reason; nextest itself only counts them.
fn what_was_ignored(filters: &[String]) -> Result<String> {
    let mut list = nextest();
    list.args(["list", "--workspace", "--run-ignored", "only", "--message-format", "oneline"]);
    let list = tools::output(list.args(filters))?;
    let ignored: Vec<&str> = list.lines().filter(|line| !line.trim().is_empty()).collect();
    for line in &ignored {
        println!("test: not run: {line}");
    }
    Ok(match ignored.len() {
        0 => String::new(),
        1 => ", but for 1 that cannot run here".to_owned(),
        n => format!(", but for {n} that cannot run here"),
    })
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
