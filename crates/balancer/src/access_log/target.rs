//! The file or the standard output.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use super::pen::Sink;
use crate::config::LogTarget;

/// How long a full pipe may keep the writer before it looks whether something else is wanted of it.
const PIPE_WAIT: Duration = Duration::from_millis(250);

/// An open target.
#[derive(Debug)]
pub(super) struct Target {
    /// The file; none for the standard output.
    path: Option<PathBuf>,
    to: OwnedFd,
}

impl Target {
    /// Opens what the configuration says; `None` for `off`.
    pub(super) fn open(target: &LogTarget) -> io::Result<Option<Self>> {
        match target {
            LogTarget::Off => Ok(None),
            LogTarget::Stdout => {
                let to = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
                Ok(Some(Self { path: None, to }))
            }
            LogTarget::File(path) => {
                Ok(Some(Self { path: Some(path.clone()), to: open_file(path)? }))
            }
        }
    }

    /// Opens the file anew. If that fails the old one is kept.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Some(path) = &self.path {
            self.to = open_file(path)?;
        }
        Ok(())
    }
}

/// For appending; created if missing, readable by its group. Never waits for a reader of a named pipe.
fn open_file(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::CLOEXEC
        | OFlags::NOCTTY
        | OFlags::NONBLOCK;
    Ok(open(path, flags, Mode::from_raw_mode(0o640))?)
}

impl Sink for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match rustix::io::write(&self.to, bytes) {
            Err(Errno::AGAIN) => {
                let wait = Timespec::try_from(PIPE_WAIT).ok();
                poll(&mut [PollFd::new(&self.to, PollFlags::OUT)], wait.as_ref())?;
                Ok(rustix::io::write(&self.to, bytes)?)
            }
            done => Ok(done?),
        }
    }

    fn len(&self) -> Option<u64> {
        let stat = rustix::fs::fstat(&self.to).ok()?;
        let regular = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
        regular.then(|| u64::try_from(stat.st_size).unwrap_or(0))
    }
}
