//! A program without a right that it needs: this test's binary drops the right and becomes the program.

use std::os::unix::process::CommandExt;
use std::process::{Command, exit};

use lab::Spawn;
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

use crate::support::PROGRAM;

const WORD: &str = "BACKHAND_TEST_WITHOUT";

/// The rights that it needs, each with what for.
pub(crate) const NEEDED: [(&str, &str); 2] =
    [("CAP_NET_ADMIN", "addresses"), ("CAP_NET_RAW", "announcements")];

/// Without one of these.
pub(crate) fn without(right: &str) -> Spawn {
    Spawn::myself().env(WORD, right)
}

/// Takes over when this process is to drop it; otherwise returns at once.
pub(crate) fn init() {
    let Ok(right) = std::env::var(WORD) else { return };
    let right = match right.as_str() {
        "CAP_NET_ADMIN" => CapabilitySet::NET_ADMIN,
        "CAP_NET_RAW" => CapabilitySet::NET_RAW,
        other => panic!("{WORD}={other}"),
    };
    // What is not in the bounding set is not regained by `exec`, even for user 0.
    let error = match remove_capability_from_bounding_set(right) {
        Ok(()) => Command::new(PROGRAM).args(std::env::args_os().skip(1)).env_remove(WORD).exec(),
        Err(error) => error.into(),
    };
    eprintln!("{WORD}: {error}");
    exit(111);
}
