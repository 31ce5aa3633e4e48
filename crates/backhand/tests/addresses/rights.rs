//! The rights of the program. One without a right that it needs: this test's binary drops the right and becomes the program.

use std::os::unix::process::CommandExt;
use std::process::{Command, exit};

use lab::Spawn;
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};
use testkit::trial::Failed;

use crate::Named;
use crate::stand::{Stand, v4};
use crate::support::PROGRAM;

pub(crate) const TRIALS: &[Named] =
    &[("the_threads_of_the_addresses_have_given_up_all_rights_but_those_they_need", given_up)];

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

fn given_up() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1)]);
    stand.start_all();
    let tasks = format!("/proc/{}/task", stand.run(0).pid());
    let mut seen = Vec::new();
    for task in std::fs::read_dir(tasks)? {
        let folder = task?.path();
        let name = std::fs::read_to_string(folder.join("comm"))?.trim_end().to_owned();
        if !name.starts_with("addresses") {
            continue;
        }
        let needed = CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW;
        let (needed, may) = match name.as_str() {
            // It writes down that the machine is drained, in a folder that may be another user's.
            "addresses-state" => {
                let files = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
                (CapabilitySet::empty(), files | CapabilitySet::FOWNER)
            }
            // Its hooks may have become other users and are to be ended all the same.
            _ => (needed, needed | CapabilitySet::KILL),
        };
        let status = std::fs::read_to_string(folder.join("status"))?;
        for field in ["CapEff:", "CapPrm:", "CapInh:"] {
            let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
            let has = CapabilitySet::from_bits_retain(u64::from_str_radix(line.trim(), 16)?);
            assert!(may.contains(has), "{name}: {field} {has:?}");
            assert!(has.contains(needed), "{name}: {field} {has:?}");
        }
        seen.push(name);
    }
    println!("rights: looked at {seen:?}");
    assert!(
        seen.len() > 3,
        "there are a loop, a thread for the kernel, one for commands and one for the state: {seen:?}"
    );
    Ok(stand.all_live()?)
}
