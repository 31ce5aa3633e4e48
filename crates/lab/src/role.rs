//! Which part this process plays: the caller, or one of its helpers.
//!
//! A helper is the caller's binary started again with a mark in its environment. [`init`] looks for the mark before
//! anything else has happened; in a helper it never returns.

use std::io;
use std::process::Command;

use crate::wire::Setup;
use crate::{burn, hub, starter};

/// Names the part to play. Removed from the environment of whatever the machines run.
pub(crate) const MARK: &str = "BACKHAND_LAB_ROLE";

/// The [`Setup`], as JSON.
pub(crate) const SETUP: &str = "BACKHAND_LAB_SETUP";

/// The parts a helper can play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Starter,
    Hub,
    Burner,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Starter => "starter",
            Role::Hub => "hub",
            Role::Burner => "burner",
        }
    }
}

/// Takes over when this process is a helper of a lab; otherwise returns at once.
///
/// Call it first thing in `main`, before any thread is started: a helper enters a user namespace, which the kernel
/// refuses to a process with threads. Tests that use a lab need a `main` of their own (`harness = false`).
pub fn init() {
    let Some(mark) = std::env::var_os(MARK) else { return };
    let code = if mark == Role::Starter.name() {
        starter::run(setup())
    } else if mark == Role::Hub.name() {
        hub::run(setup())
    } else if mark == Role::Burner.name() {
        burn::run()
    } else {
        eprintln!("{MARK}={} is no part of a lab; unset it", mark.to_string_lossy());
        2
    };
    std::process::exit(code);
}

/// Whether this process was started as a helper.
pub(crate) fn is_helper() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Marks a command as a helper's.
pub(crate) fn mark(command: &mut Command, role: Role, setup: &Setup) -> io::Result<()> {
    command.env(MARK, role.name()).env(SETUP, serde_json::to_string(setup)?);
    Ok(())
}

fn setup() -> Setup {
    let text = std::env::var(SETUP).unwrap_or_default();
    match serde_json::from_str(&text) {
        Ok(setup) => setup,
        Err(error) => {
            eprintln!("{MARK} is set, but {SETUP} is no setup of a lab ({error}); unset both");
            std::process::exit(2);
        }
    }
}
