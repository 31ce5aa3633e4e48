//! Running what was left with the guardian, without waiting for it: in the order and with the limits of the service itself, but what
//! the programs say goes nowhere, for whoever read it is dead.
//!
//! What the parent itself was running when it died or stood still is not the guardian's, and goes on: the next of that set waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open,
    setpriority_process, waitid,
};

use super::process::mask_signals;
use super::word::{self, Program};
use crate::hooks::{GIVE_UP_AFTER, KILL_AFTER};

/// Programs at one time, each of another set; the others wait for their turn.
const MAX_RUNNING: usize = 32;

/// Programs that run or wait.
#[derive(Default)]
pub(super) struct Programs {
    /// Of each set in the order in which they are to be run.
    waiting: BTreeMap<String, VecDeque<Program>>,
    running: Vec<Running>,
    /// What the parent runs itself.
    theirs: Vec<Theirs>,
    /// One could not be started, took too long, or did not end with 0.
    failed: bool,
    /// The same since [`Programs::begin_anew`].
    failed_of_late: bool,
}

struct Running {
    set: String,
    pid: Pid,
    handle: OwnedFd,
    due: Due,
    /// When that is due.
    at: Duration,
}

/// A program of the parent's.
struct Theirs {
    set: String,
    pid: u32,
    handle: OwnedFd,
    /// Then it is not waited for any more: an alarm of its own has ended it, or the kernel does not let it die.
    until: Duration,
}

impl Theirs {
    /// Nothing where it has ended already.
    fn watch(told: word::Running, now: Duration) -> Option<Self> {
        let pid = i32::try_from(told.pid).ok().and_then(Pid::from_raw)?;
        let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let until = now.saturating_add(told.rest);
        Some(Self { set: told.set, pid: told.pid, handle, until })
    }

    fn runs(&self, now: Duration) -> bool {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut fds = [PollFd::new(&self.handle, PollFlags::IN)];
        now < self.until && poll(&mut fds, Some(&at_once)) == Ok(0)
    }
}

/// What comes next for a program that does not end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Term,
    Kill,
    GivingUp,
    /// It does not even die: it keeps its place among those that run, but nobody waits for it.
    Nothing,
}

impl Programs {
    /// The programs of these sets. What still waits of such a set is among them again, and newer.
    pub(super) fn add(&mut self, sets: Vec<(String, Vec<Program>)>) {
        for (set, programs) in sets {
            self.waiting.insert(set, programs.into());
        }
    }

    /// These the parent runs itself, and no others. One that is known already is watched on.
    pub(super) fn wait_for(&mut self, told: Vec<word::Running>, now: Duration) {
        let mut known = std::mem::take(&mut self.theirs);
        for one in told {
            let same = |old: &Theirs| old.pid == one.pid && old.set == one.set;
            let old = known.iter().position(same).map(|at| known.swap_remove(at));
            self.theirs.extend(old.or_else(|| Theirs::watch(one, now)));
        }
    }

    /// None of those that wait is run any more.
    pub(super) fn forget_waiting(&mut self) {
        let any = !self.waiting.is_empty();
        self.waiting.clear();
        self.failed |= any;
        self.failed_of_late |= any;
    }

    /// Whether all that were to be run have ended well so far.
    pub(super) fn went_well(&self) -> bool {
        !self.failed
    }

    /// The same of those since [`Programs::begin_anew`].
    pub(super) fn went_well_of_late(&self) -> bool {
        !self.failed_of_late
    }

    /// How those that have ended went has been told.
    pub(super) fn begin_anew(&mut self) {
        self.failed_of_late = false;
    }

    /// Whether none waits and none is waited for.
    pub(super) fn are_done(&self) -> bool {
        self.waiting.is_empty() && self.running.iter().all(|one| one.due == Due::Nothing)
    }

    /// Starts those whose turn it is, ends those that took too long, forgets those that ended.
    pub(super) fn turn(&mut self, now: Duration) {
        let mut failed = false;
        self.theirs.retain(|one| one.runs(now));
        self.running.retain_mut(|one| {
            let ended = one.turn(now);
            // One that does not even die has failed once.
            failed |= ended == Some(false) || one.is_late() && one.due != Due::Nothing;
            ended.is_none()
        });
        while self.running.len() < MAX_RUNNING
            && let Some((set, program)) = self.take_next()
        {
            let started = start(set, &program, now);
            // That one failed keeps nobody from what comes after it, as in the service.
            failed |= started.is_none();
            self.running.extend(started);
        }
        self.failed |= failed;
        self.failed_of_late |= failed;
    }

    /// The next that may run: the first of a set of which none runs.
    fn take_next(&mut self) -> Option<(String, Program)> {
        let is_busy = |set: &str| {
            self.running.iter().any(|one| one.due != Due::Nothing && one.set.as_str() == set)
                || self.theirs.iter().any(|one| one.set.as_str() == set)
        };
        let set = self.waiting.keys().find(|set| !is_busy(set.as_str()))?.clone();
        let waiting = self.waiting.get_mut(&set)?;
        let program = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&set);
        }
        program.map(|program| (set, program))
    }

    /// Readable when one ended.
    pub(super) fn handles(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let theirs = self.theirs.iter().map(|one| one.handle.as_fd());
        self.running.iter().map(|one| one.handle.as_fd()).chain(theirs)
    }

    /// When the next one has taken too long.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let running = self.running.iter().filter(|one| one.due != Due::Nothing).map(|one| one.at);
        running.chain(self.theirs.iter().map(|one| one.until)).min()
    }
}

impl Running {
    /// Whether it was told to end.
    fn is_late(&self) -> bool {
        self.due != Due::Term
    }

    /// Sends it what is due. Once it is over, whether it went well.
    fn turn(&mut self, now: Duration) -> Option<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        match waitid(WaitId::PidFd(self.handle.as_fd()), options | WaitIdOptions::NOWAIT) {
            Ok(None) => {}
            Ok(Some(status)) => {
                if self.is_late() {
                    // What it has started goes with it, while the number of the group is certainly its own.
                    self.send(Signal::KILL);
                }
                let _ = waitid(WaitId::PidFd(self.handle.as_fd()), options);
                return Some(status.exit_status() == Some(0));
            }
            // What cannot be watched is not waited for.
            Err(_) => return Some(false),
        }
        if now < self.at {
            return None;
        }
        match self.due {
            Due::Term => {
                self.send(Signal::TERM);
                (self.due, self.at) = (Due::Kill, now + KILL_AFTER);
            }
            Due::Kill => {
                self.send(Signal::KILL);
                (self.due, self.at) = (Due::GivingUp, now + GIVE_UP_AFTER);
            }
            Due::GivingUp => self.due = Due::Nothing,
            Due::Nothing => {}
        }
        None
    }

    /// To its whole group; an error says that nobody is left.
    fn send(&self, signal: Signal) {
        let _ = kill_process_group(self.pid, signal);
    }
}

/// A program that cannot be started is passed by: there is nobody left to be told.
fn start(set: String, program: &Program, now: Duration) -> Option<Running> {
    let (name, arguments) = program.command.split_first()?;
    let mut command = Command::new(name);
    // What the guardian holds back its child would hold back as well, for ever.
    // SAFETY: `mask_signals` may be called between fork and exec.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(|| mask_signals(false));
    }
    let mut child = command
        .args(arguments)
        .env_clear()
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
        Ok(handle) => Some(Running { set, pid, handle, due: Due::Term, at: now + program.limit }),
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
