//! The run before: when it was killed, its guardian may still take addresses off and run programs when this one begins.
//!
//! A file beside the control socket is locked by the guardian until all of that is over. A run that begins takes no part before: the
//! `on up` of a database beside its `on down` is what nobody wants.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::Config;

/// So often it is tried: there is no call that waits for a lock and gives up.
const AGAIN: Duration = Duration::from_millis(5);
/// What the guardian takes besides the programs, with room for a busy machine.
const ROOM: Duration = Duration::from_secs(5);

/// What is known of the run before.
pub(super) enum Before {
    /// It is over. The guardian gets the lock, if there can be one.
    Over(Option<File>),
    /// Its guardian is at work, and has this file locked.
    AtWork(File),
}

/// Locks the file, if nobody has.
pub(super) fn look(config: &Config) -> Before {
    path(config).map_or(Before::Over(None), |path| look_at(&path))
}

fn look_at(path: &Path) -> Before {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let unknown = |error: std::io::Error| {
        tracing::warn!(path = %path.display(), %error, "whether the guardian of a run before still stops what was here cannot be known");
        Before::Over(None)
    };
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) => return unknown(error),
    };
    match file.try_lock() {
        Ok(()) => Before::Over(Some(file)),
        Err(TryLockError::WouldBlock) => Before::AtWork(file),
        Err(TryLockError::Error(error)) => unknown(error),
    }
}

fn path(config: &Config) -> Option<PathBuf> {
    let mut name = config.socket.iter().chain(&config.control).next()?.clone().into_os_string();
    name.push(".guardian");
    Some(name.into())
}

/// Waits until the guardian of the run before has ended, for as long as its programs may take. The lock, or nothing if it is late.
pub(super) fn wait(file: File, programs: Duration) -> Option<File> {
    let end = Instant::now() + programs + ROOM;
    loop {
        match file.try_lock() {
            Ok(()) => return Some(file),
            Err(_) if Instant::now() >= end => return None,
            Err(_) => std::thread::sleep(AGAIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_at_work_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket.guardian");
        let Before::Over(Some(first)) = look_at(&path) else { panic!("nobody was there") };
        let Before::AtWork(second) = look_at(&path) else { panic!("one is") };
        let waits = std::thread::spawn(move || wait(second, Duration::from_secs(60)));
        drop(first);
        let lock = waits.join().unwrap().expect("it is over");
        assert!(matches!(look_at(&path), Before::AtWork(_)), "now this one has it");
        drop(lock);
        assert!(matches!(look_at(&path), Before::Over(Some(_))));
    }
}
