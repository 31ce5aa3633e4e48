//! A program without a right that it needs: this test's binary drops the right and becomes the program.

use std::os::unix::process::CommandExt;
use std::process::{Command, exit};

use lab::Spawn;
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

use crate::support::PROGRAM;

const WORD: &str = "BACKHAND_TEST_WITHOUT_NETWORK";

/// Without the right to manage networks.
pub(crate) fn without_network() -> Spawn {
    Spawn::myself().env(WORD, "yes")
}

/// Takes over when this process is to drop it; otherwise returns at once.
pub(crate) fn init() {
    if std::env::var_os(WORD).is_none() {
        return;
    }
    // What is not in the bounding set is not regained by `exec`, even for user 0.
    let error = match remove_capability_from_bounding_set(CapabilitySet::NET_ADMIN) {
        Ok(()) => Command::new(PROGRAM).args(std::env::args_os().skip(1)).env_remove(WORD).exec(),
        Err(error) => error.into(),
    };
    eprintln!("{WORD}: {error}");
    exit(111);
}
