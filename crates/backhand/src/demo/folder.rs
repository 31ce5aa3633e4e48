//! The folder of a demonstration: removed at its end, and by the next demonstration if its own was killed before it could.
//!
//! A running demonstration holds a lock on the file `lock` in its folder. The kernel lets go of it with the process, however that
//! ends, so a folder of the same user with a lock that nobody holds is left over. One that was to be kept has no such file.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};
use tempfile::TempDir;

const PREFIX: &str = "backhand-demo-";
const LOCK: &str = "lock";

/// A folder that goes with the demonstration.
pub(crate) struct Folder {
    folder: TempDir,
    _lock: OwnedFd,
}

impl Folder {
    /// Removes what killed demonstrations have left in the place for such folders, and makes a new one there.
    pub(crate) fn make() -> Result<Self> {
        let place = std::env::temp_dir();
        remove_dead(&place);
        Self::make_in(&place).context("no folder for the machines' files")
    }

    fn make_in(place: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            // A key lies in it, whatever the user's umask allows others.
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(place)?;
        // Locked before it has its name: nobody finds it there without its lock.
        let new = folder.path().join("lock.new");
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let lock = rustix::fs::open(&new, flags, Mode::RUSR | Mode::WUSR)?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        fs::rename(&new, folder.path().join(LOCK))?;
        Ok(Self { folder, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves the folder where it is, for good.
    pub(crate) fn keep(self) -> PathBuf {
        // If it cannot be removed, the worst is that a later demonstration removes the folder after all.
        let _ = fs::remove_file(self.folder.path().join(LOCK));
        self.folder.keep()
    }
}

/// Removes the folders of demonstrations that are dead. What cannot be looked at or removed is somebody else's affair.
fn remove_dead(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            let path = entry.path();
            if is_ours(&path) && is_dead(&path) {
                let _ = fs::remove_dir_all(path);
            }
        }
    }
}

/// A real directory, and not a link to one, that belongs to this user and that nobody else may write to.
fn is_ours(path: &Path) -> bool {
    let me = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(path)
        .is_ok_and(|meta| meta.is_dir() && meta.uid() == me && meta.mode() & 0o022 == 0)
}

fn is_dead(folder: &Path) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(folder.join(LOCK), flags, Mode::empty())
        .is_ok_and(|lock| rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_whose_demonstration_is_dead_are_removed() {
        let place = tempfile::tempdir().unwrap();
        let alive = Folder::make_in(place.path()).unwrap();
        assert_eq!(alive.path().metadata().unwrap().mode() & 0o777, 0o700);
        let kept = Folder::make_in(place.path()).unwrap().keep();
        // As one that was killed: the folder stays, the lock is let go.
        let Folder { folder, _lock } = Folder::make_in(place.path()).unwrap();
        let dead = folder.keep();
        fs::write(dead.join("cluster.key"), "secret").unwrap();
        drop(_lock);
        let other = place.path().join("backhand-demo-by-hand");
        fs::create_dir(&other).unwrap();
        let linked = place.path().join("backhand-demo-link");
        let target = tempfile::tempdir().unwrap();
        fs::write(target.path().join(LOCK), "").unwrap();
        std::os::unix::fs::symlink(target.path(), &linked).unwrap();
        remove_dead(place.path());
        assert!(!dead.exists());
        assert!(alive.path().exists() && kept.exists() && other.exists());
        assert!(linked.exists() && target.path().join(LOCK).exists());
    }

    #[test]
    fn a_demonstration_that_ends_takes_its_folder_along() {
        let place = tempfile::tempdir().unwrap();
        drop(Folder::make_in(place.path()).unwrap());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
