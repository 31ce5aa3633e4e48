//! A process in a machine.
//!
//! Signals go to its whole process group, because a server and its children live and freeze together. They are sent by
//! the hub, which is its parent and so knows for certain that a number still means the same process.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use rustix::process::Signal;
use rustix::process::{WaitOptions, WaitStatus};

use crate::error::LabError;
use crate::running::{Bench, readable};
use crate::wire::Request;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Together with the lab.
    WithLab,
}

impl Exit {
    /// Whether it ended by itself with status 0.
    #[must_use]
    pub fn success(self) -> bool {
        self == Exit::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit status {code}"),
            Exit::Signal(signal) => write!(f, "signal {signal}"),
            Exit::WithLab => f.write_str("ended with the lab"),
        }
    }
}

/// A running or ended process. Dropping the handle changes nothing; the process ends with the lab at the latest.
#[derive(Debug)]
pub struct Process {
    bench: Arc<Bench>,
    number: i32,
    pid: u32,
    status: Mutex<Status>,
    streams: Mutex<[Option<File>; 2]>,
}

#[derive(Debug)]
enum Status {
    Running(File),
    Ended(Exit),
}

impl Process {
    pub(crate) fn new(
        bench: Arc<Bench>,
        number: i32,
        handle: &OwnedFd,
        status: OwnedFd,
        streams: [Option<File>; 2],
    ) -> Result<Self, LabError> {
        Ok(Self {
            bench,
            number,
            pid: pid_seen_here(handle)?,
            status: Mutex::new(Status::Running(status.into())),
            streams: Mutex::new(streams),
        })
    }

    /// Its process id as the caller sees it; inside the lab it has another. 0 when it had ended before it was looked at.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Where the caller finds what this process calls `path`, a whole path: also in folders and on disks that only it or its machine
    /// has. Good for as long as it runs.
    #[must_use]
    pub fn seen(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        // The kernel shows a process's mounts at this place (proc(5)).
        let root = PathBuf::from(format!("/proc/{}/root", self.pid));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Sends a signal to its process group. Nothing happens when it has ended.
    ///
    /// # Errors
    /// When the lab has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), LabError> {
        let request = Request::Signal { process: self.number, signal: signal.as_raw() };
        self.bench.order("signalling a process", &request)
    }

    /// Sends a signal to the process that was started alone: its children and its guardian do not get it.
    ///
    /// # Errors
    /// When the lab has ended.
    pub fn signal_alone(&self, signal: Signal) -> Result<(), LabError> {
        let request = Request::SignalAlone { process: self.number, signal: signal.as_raw() };
        self.bench.order("signalling a process", &request)
    }

    /// Kills it (SIGKILL).
    ///
    /// # Errors
    /// When the lab has ended.
    pub fn kill9(&self) -> Result<(), LabError> {
        self.signal(Signal::KILL)
    }

    /// Asks it to end (SIGTERM).
    ///
    /// # Errors
    /// When the lab has ended.
    pub fn term(&self) -> Result<(), LabError> {
        self.signal(Signal::TERM)
    }

    /// Freezes it (SIGSTOP).
    ///
    /// # Errors
    /// When the lab has ended.
    pub fn stop(&self) -> Result<(), LabError> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// When the lab has ended.
    pub fn cont(&self) -> Result<(), LabError> {
        self.signal(Signal::CONT)
    }

    /// Waits for its end.
    #[must_use]
    pub fn wait(&self) -> Exit {
        loop {
            if let Some(exit) = self.wait_timeout(Duration::from_secs(3600)) {
                return exit;
            }
        }
    }

    /// Waits for its end, but no longer than this.
    #[must_use]
    pub fn wait_timeout(&self, patience: Duration) -> Option<Exit> {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let exit = match &mut *status {
            Status::Ended(exit) => return Some(*exit),
            Status::Running(pipe) => {
                if !readable(pipe.as_fd(), patience) {
                    return None;
                }
                read_exit(pipe)
            }
        };
        *status = Status::Ended(exit);
        Some(exit)
    }

    /// Whether it is still there, frozen or not.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.wait_timeout(Duration::ZERO).is_none()
    }

    /// The reading end of its standard output, once, if it was started with [`crate::Output::Pipe`].
    #[must_use]
    pub fn take_stdout(&self) -> Option<File> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)[0].take()
    }

    /// The reading end of its standard error, once, if it was started with [`crate::Output::Pipe`].
    #[must_use]
    pub fn take_stderr(&self) -> Option<File> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)[1].take()
    }
}

/// The hub writes what `waitpid` said; a pipe closed without a word means that the hub is gone too.
fn read_exit(pipe: &mut File) -> Exit {
    let mut bytes = [0; 8];
    if pipe.read_exact(&mut bytes).is_err() {
        return Exit::WithLab;
    }
    let [a, b, c, d, e, f, g, h] = bytes;
    let (signalled, value) = (i32::from_ne_bytes([a, b, c, d]), i32::from_ne_bytes([e, f, g, h]));
    if signalled == 0 { Exit::Code(value) } else { Exit::Signal(value) }
}

/// The counterpart of [`read_exit`], used by the hub.
pub(crate) fn exit_bytes(status: WaitStatus) -> [u8; 8] {
    let (signalled, value) = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => (0, code),
        (None, signal) => (1, signal.unwrap_or(0)),
    };
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&i32::to_ne_bytes(signalled));
    bytes[4..].copy_from_slice(&i32::to_ne_bytes(value));
    bytes
}

/// A process handle shows the process id in the process namespace of whoever looks.
fn pid_seen_here(handle: &OwnedFd) -> Result<u32, LabError> {
    let path = format!("/proc/self/fdinfo/{}", handle.as_raw_fd());
    let text = std::fs::read_to_string(&path).map_err(LabError::io(path.as_str()))?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")).map(str::trim);
    // -1: it has been reaped already.
    Ok(pid.and_then(|pid| pid.parse().ok()).unwrap_or(0))
}

/// Reaps one ended child of this process, if there is one.
pub(crate) fn reap() -> Option<(i32, WaitStatus)> {
    match rustix::process::wait(WaitOptions::NOHANG) {
        Ok(Some((pid, status))) => Some((pid.as_raw_nonzero().get(), status)),
        Ok(None) | Err(_) => None,
    }
}
