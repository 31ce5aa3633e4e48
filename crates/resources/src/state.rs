//! What this machine remembers between two starts: its identity and its measured speed.
//!
//! Two small text files in the state directory. Each is written whole beside itself and renamed, with
//! the data on disk before the name is, so a crash leaves the old file or the new one. A file that
//! cannot be understood is an error for the identity (a machine must not change who it is because a
//! disk lied) and is measured again for the speed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base::MachineId;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::holder;

const MACHINE: &str = "machine";
const ARRIBA: &str = "arriba";
/// Most bytes of a state file.
const FILE_MAX: u64 = 64 * 1024;
/// Measured speeds remembered, newest first: a machine that moves between a few hosts finds them all.
const SPEEDS_MAX: usize = 16;

/// The state directory of one machine.
#[derive(Clone, Debug)]
pub struct State {
    dir: PathBuf,
}

/// Holds a state directory for one running program, until dropped or the program's end.
#[derive(Debug)]
pub struct Claim {
    _dir: Option<File>,
}

/// Why a machine's state cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The directory or a file in it cannot be read or written.
    #[error(
        "cannot {what} {path:?}: {error}; give cluster.state_dir a directory this user may write"
    )]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another running program has the directory: two would be one machine twice.
    #[error(
        "the state directory {path:?} is in use{by}: every backhand that runs needs a \
         cluster.state_dir of its own"
    )]
    Taken {
        /// The directory.
        path: PathBuf,
        /// ` by process 123 (backhand)`, if that can be known.
        by: String,
    },
    /// The identity file does not hold an identity.
    #[error(
        "{path:?} does not hold this machine's identity (32 hexadecimal digits); \
         restore it, or remove it to become a new machine"
    )]
    Identity {
        /// The file.
        path: PathBuf,
    },
}

impl State {
    /// Opens the directory, making it (for its owner only) if it is missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(dir: &Path) -> Result<Self, StateError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| StateError::Io { what: "make", path: dir.into(), error })?;
        Ok(Self { dir: dir.into() })
    }

    /// Claims the directory for this program: who runs with another's identity would take its place in the
    /// cluster. A file system without locks is taken as it is.
    ///
    /// # Errors
    /// Another running program has claimed it.
    pub fn claim(&self) -> Result<Claim, StateError> {
        let Ok(dir) = File::open(&self.dir) else { return Ok(Claim { _dir: None }) };
        match rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => {
                let by = dir.metadata().ok().and_then(|of| holder::of_lock(of.ino()));
                let by = by.map(|who| format!(" by {who}")).unwrap_or_default();
                Err(StateError::Taken { path: self.dir.clone(), by })
            }
            _ => Ok(Claim { _dir: Some(dir) }),
        }
    }

    /// This machine's identity: random, drawn once and kept for ever.
    ///
    /// # Errors
    /// It cannot be read or kept, or the file holds something else.
    pub fn machine(&self) -> Result<MachineId, StateError> {
        let path = self.dir.join(MACHINE);
        if let Some(text) = self.read(MACHINE)? {
            return text.parse().map_err(|_| StateError::Identity { path });
        }
        let mut id = [0; 16];
        crypto::random(&mut id);
        let id = MachineId(id);
        // Of two programs that start at once on one directory, the one whose link came first decides.
        self.write(MACHINE, &format!("{id}\n"), false)?;
        match self.read(MACHINE)? {
            Some(text) => text.parse().map_err(|_| StateError::Identity { path }),
            None => Ok(id),
        }
    }

    /// The speed measured earlier on this CPU with this quota.
    pub fn speed(&self, cpu_model: &str, cpus_milli: u32) -> Option<u32> {
        let key = speed_key(cpu_model, cpus_milli);
        let text = self.read(ARRIBA).ok()??;
        text.lines()
            .find_map(|line| line.strip_prefix(&key)?.trim().parse().ok().filter(|&n| n > 0))
    }

    /// Remembers a measured speed.
    ///
    /// # Errors
    /// It cannot be written; the next start measures again.
    pub fn keep_speed(
        &self,
        cpu_model: &str,
        cpus_milli: u32,
        speed: u32,
    ) -> Result<(), StateError> {
        let key = speed_key(cpu_model, cpus_milli);
        let old = self.read(ARRIBA)?.unwrap_or_default();
        let mut text = format!("{key}{speed}\n");
        for line in old.lines().filter(|line| !line.starts_with(&key)).take(SPEEDS_MAX - 1) {
            text.push_str(line);
            text.push('\n');
        }
        self.write(ARRIBA, &text, true)
    }

    fn read(&self, name: &str) -> Result<Option<String>, StateError> {
        let path = self.dir.join(name);
        let io = |error| StateError::Io { what: "read", path: path.clone(), error };
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(io)?,
        };
        let mut bytes = Vec::new();
        file.take(FILE_MAX).read_to_end(&mut bytes).map_err(io)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Writes a file whole or not at all. Without `replace`, one that is there stays.
    fn write(&self, name: &str, text: &str, replace: bool) -> Result<(), StateError> {
        let path = self.dir.join(name);
        let new = self.dir.join(format!(".{name}.{:016x}", crypto::seed()));
        let written = (|| {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            if replace {
                fs::rename(&new, &path)?;
            } else {
                match fs::hard_link(&new, &path) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    // Some file systems know no links; there the last writer decides.
                    Err(_) => fs::rename(&new, &path)?,
                    Ok(()) => {}
                }
            }
            File::open(&self.dir)?.sync_all()
        })();
        // After a rename it is gone already; after anything else it is in the way.
        let _ = fs::remove_file(&new);
        written.map_err(|error| StateError::Io { what: "write", path, error })
    }
}

/// The start of a line in the file of speeds. A model's name holds no tab or line end after this.
fn speed_key(cpu_model: &str, cpus_milli: u32) -> String {
    let model: String = cpu_model.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{model}\t{cpus_milli}\t")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_identity_is_drawn_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("a/b")).unwrap();
        let id = state.machine().unwrap();
        assert_eq!(State::open(&dir.path().join("a/b")).unwrap().machine().unwrap(), id);
        let other = State::open(&dir.path().join("c")).unwrap().machine().unwrap();
        assert_ne!(id, other);
        let mode = fs::metadata(dir.path().join("a/b/machine")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let files: Vec<_> = fs::read_dir(dir.path().join("a/b")).unwrap().flatten().collect();
        assert_eq!(files.len(), 1, "nothing but the identity is left: {files:?}");
    }

    #[test]
    fn a_directory_belongs_to_one_running_program() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        let claim = state.claim().unwrap();
        let error = State::open(dir.path()).unwrap().claim().unwrap_err().to_string();
        let me = format!("process {}", std::process::id());
        assert!(error.contains("cluster.state_dir") && error.contains(&me), "{error}");
        drop(claim);
        state.claim().unwrap();
    }

    #[test]
    fn programs_that_start_at_once_agree_on_one_identity() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        let ids: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| state.machine().unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }

    #[test]
    fn a_torn_identity_is_an_error_not_a_new_machine() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("machine"), "0123456789abcdef").unwrap();
        let error = State::open(dir.path()).unwrap().machine().unwrap_err();
        assert!(matches!(error, StateError::Identity { .. }), "{error}");
        assert!(error.to_string().contains("remove it to become a new machine"));
    }

    #[test]
    fn a_directory_that_cannot_be_made_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let error = State::open(&dir.path().join("file/state")).unwrap_err().to_string();
        assert!(error.contains("cannot make") && error.contains("cluster.state_dir"), "{error}");
    }

    #[test]
    fn a_speed_belongs_to_a_model_and_a_quota() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        assert_eq!(state.speed("CPU A", 2000), None);
        state.keep_speed("CPU A", 2000, 900_000).unwrap();
        state.keep_speed("CPU A", 500, 910_000).unwrap();
        state.keep_speed("CPU\tB\n", 2000, 5).unwrap();
        state.keep_speed("CPU A", 2000, 920_000).unwrap();
        assert_eq!(state.speed("CPU A", 2000), Some(920_000));
        assert_eq!(state.speed("CPU A", 500), Some(910_000));
        assert_eq!(state.speed("CPU\tB\n", 2000), Some(5));
        assert_eq!(state.speed("CPU", 2000), None);
        (0..40).for_each(|n| state.keep_speed("many", n, 7).unwrap());
        let lines = fs::read_to_string(dir.path().join("arriba")).unwrap().lines().count();
        assert_eq!(lines, SPEEDS_MAX);
        fs::write(dir.path().join("arriba"), "CPU A\t2000\t-1\n").unwrap();
        assert_eq!(state.speed("CPU A", 2000), None);
    }
}
