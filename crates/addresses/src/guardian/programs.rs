//! Running what was left with the guardian, without waiting for it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open,
    setpriority_process, waitid,
};

use super::word::Program;

/// Programs at one time; the others wait for their turn.
const MAX_RUNNING: usize = 32;

/// Programs that run or wait.
#[derive(Default)]
pub(super) struct Programs {
    waiting: VecDeque<Program>,
    running: Vec<Running>,
    /// One could not be started, took too long, or did not end with 0.
    failed: bool,
}

struct Running {
    pid: Pid,
    handle: OwnedFd,
    deadline: Duration,
}

impl Programs {
    pub(super) fn add(&mut self, programs: Vec<Program>) {
        self.waiting.extend(programs);
    }

    /// Whether all that were to be run have ended well so far.
    pub(super) fn went_well(&self) -> bool {
        !self.failed
    }

    pub(super) fn are_done(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Starts those whose turn it is, ends those that took too long, forgets those that ended.
    pub(super) fn turn(&mut self, now: Duration) {
        self.running.retain(|one| {
            if now >= one.deadline {
                let _ = kill_process_group(one.pid, Signal::KILL);
                self.failed = true;
            }
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            match waitid(WaitId::PidFd(one.handle.as_fd()), options) {
                Ok(None) => true,
                Ok(Some(status)) => {
                    self.failed |= status.exit_status() != Some(0);
                    false
                }
                Err(_) => {
                    self.failed = true;
                    false
                }
            }
        });
        while self.running.len() < MAX_RUNNING
            && let Some(program) = self.waiting.pop_front()
        {
            let started = start(&program, now);
            self.failed |= started.is_none();
            self.running.extend(started);
        }
    }

    /// Readable when one ended.
    pub(super) fn handles(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.running.iter().map(|one| one.handle.as_fd())
    }

    /// When the next one has taken too long.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.running.iter().map(|one| one.deadline).min()
    }
}

/// A program that cannot be started is passed by: there is nobody left to be told.
fn start(program: &Program, now: Duration) -> Option<Running> {
    let (name, arguments) = program.command.split_first()?;
    let mut child = Command::new(name)
        .args(arguments)
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .stdin(input(&program.input).map_or_else(|_| Stdio::null(), Stdio::from))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .ok()?;
    let pid = Pid::from_child(&child);
    // The guardian goes before others; what it runs does not. Where it did not itself, nothing is gained by this.
    let _ = setpriority_process(Some(pid), 0);
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => Some(Running { pid, handle, deadline: now + program.limit }),
        Err(_) => {
            // What cannot be watched is not left alone.
            let _ = child.kill();
            let _ = child.wait();
            None
        }
    }
}

/// A file in memory: unlike a pipe it takes all at once, whether the program reads or not.
fn input(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create(c"input", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}
