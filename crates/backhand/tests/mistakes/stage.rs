//! Circumstances that have to be made from inside the process before the program starts: rights dropped, a small disk, few descriptors.
//!
//! A machine runs this test binary again with a word in its environment; it makes the circumstance and becomes the program.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, exit};

use lab::Spawn;
use rustix::mount::{MountFlags, mount};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

use crate::support::PROGRAM;

const WORD: &str = "BACKHAND_TEST_STAGE";
/// Size of the small disk.
pub(crate) const DISK: u32 = 64 * 1024;

/// Without the rights of root: no low ports, no files of others.
pub(crate) fn unprivileged() -> Spawn {
    staged("unprivileged".into())
}

/// With a disk of [`DISK`] bytes mounted on this directory.
pub(crate) fn small_disk(at: &Path) -> Spawn {
    staged(format!("disk {}", at.display()))
}

/// With at most so many file descriptors.
pub(crate) fn descriptors(n: u64) -> Spawn {
    staged(format!("descriptors {n}"))
}

/// With a standard error that takes nothing: `blocked`, a full pipe that nobody reads; `closed`, a pipe whose reader has
/// gone; `full`, a file on a full disk.
pub(crate) fn speechless(how: &str) -> Spawn {
    staged(format!("speechless {how}"))
}

fn staged(word: String) -> Spawn {
    Spawn::myself().env(WORD, word)
}

/// Takes over when this process is to make a circumstance; otherwise returns at once.
pub(crate) fn init() {
    let Ok(word) = std::env::var(WORD) else { return };
    let made = match word.split_once(' ').unwrap_or((&word, "")) {
        ("unprivileged", _) => drop_rights(),
        ("disk", at) => {
            let options = std::ffi::CString::new(format!("size={DISK}")).unwrap();
            mount("none", at, "tmpfs", MountFlags::empty(), Some(options.as_c_str()))
        }
        ("descriptors", n) => {
            let n = n.parse().ok();
            setrlimit(Resource::Nofile, Rlimit { current: n, maximum: n })
        }
        ("speechless", how) => lose_speech(how),
        _ => Err(rustix::io::Errno::INVAL),
    };
    let error = match made {
        Ok(()) => Command::new(PROGRAM).args(std::env::args_os().skip(1)).env_remove(WORD).exec(),
        Err(error) => error.into(),
    };
    eprintln!("{word}: {error}");
    exit(111);
}

fn lose_speech(how: &str) -> rustix::io::Result<()> {
    if how == "full" {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        return rustix::stdio::dup2_stderr(full.map_err(|_| rustix::io::Errno::NOENT)?);
    }
    // Both ends outlive `exec`, so that the reader that reads nothing is the program itself.
    let (read, write) = rustix::pipe::pipe()?;
    if how == "blocked" {
        let size = rustix::pipe::fcntl_setpipe_size(&write, 4096)?;
        rustix::io::write(&write, &vec![b'.'; size])?;
        std::mem::forget(read);
    }
    rustix::stdio::dup2_stderr(write)
}

/// What is not in the bounding set is not regained by `exec`, even for user 0.
fn drop_rights() -> rustix::io::Result<()> {
    for right in [
        CapabilitySet::NET_BIND_SERVICE,
        CapabilitySet::DAC_OVERRIDE,
        CapabilitySet::DAC_READ_SEARCH,
    ] {
        remove_capability_from_bounding_set(right)?;
    }
    Ok(())
}
