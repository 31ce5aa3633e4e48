//! The run before: when it was killed, its guardian may still take addresses off and run programs when this one begins.
//!
//! A file beside the control socket is locked by the guardian until all of that is over. A run that begins takes no part before: the
//! `on up` of a database beside its `on down` is what nobody wants.
//!
//! A guardian begins with that when its process is dead, also in the middle of an upgrade, so that nothing but its programs has to be
//! waited for. One that is late, because somebody has stopped it, is told in that file that everything is left to this run: what it
//! knows of is taken off here already, and may be held again when it goes on.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::guardian;

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
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let unknown = |error: std::io::Error| {
        tracing::warn!(path = %path.display(), %error, "whether the guardian of a run before still stops what was here cannot be known");
        Before::Over(None)
    };
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) => return unknown(error),
    };
    match file.try_lock() {
        Ok(()) => Before::Over(as_new(file)),
        Err(TryLockError::WouldBlock) => Before::AtWork(file),
        Err(TryLockError::Error(error)) => unknown(error),
    }
}

/// A file that was just locked, with nothing said in it to the guardian that gets it. One that would take what is said there for
/// its own does without.
fn as_new(file: File) -> Option<File> {
    let renewed = guardian::begin_anew(&file);
    let failed = |error: &std::io::Error| tracing::warn!(%error, "what the guardian's lock says to an earlier one cannot be taken back: it gets none");
    renewed.inspect_err(failed).ok().map(|()| file)
}

fn path(config: &Config) -> Option<PathBuf> {
    let mut name = config.socket.iter().chain(&config.control).next()?.clone().into_os_string();
    name.push(".guardian");
    Some(name.into())
}

/// Waits until the guardian of the run before has ended, for as long as its programs may take. The lock, or nothing if it is late: then
/// it leaves everything to this run from now on.
pub(super) fn wait(file: File, programs: Duration) -> Option<File> {
    wait_until(file, Instant::now() + programs + ROOM)
}

fn wait_until(file: File, end: Instant) -> Option<File> {
    loop {
        match file.try_lock() {
            Ok(()) => return as_new(file),
            Err(_) if Instant::now() >= end => break,
            Err(_) => std::thread::sleep(AGAIN),
        }
    }
    if let Err(error) = guardian::leave_to_next(&file) {
        tracing::warn!(%error, "the guardian of a run before cannot be told that it is not waited for: it may take off what is here later");
    }
    None
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

    #[test]
    fn one_that_is_late_is_told_to_leave_everything_to_this_run_and_the_next_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket.guardian");
        let Before::Over(Some(first)) = look_at(&path) else { panic!("nobody was there") };
        let Before::AtWork(second) = look_at(&path) else { panic!("one is") };
        assert!(wait_until(second, Instant::now()).is_none());
        let said = || std::fs::read_to_string(&path).unwrap();
        assert!(!said().is_empty(), "it is told");
        drop(first);
        let Before::Over(Some(_lock)) = look_at(&path) else { panic!("it has ended") };
        assert_eq!(said(), "", "the next one is told nothing");
    }
}
