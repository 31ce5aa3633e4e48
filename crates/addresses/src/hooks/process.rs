//! One program from its start to its end, on a thread of its own.
//!
//! The thread blocks, nothing else does: forking, loading the program from a disk that may hang, feeding it, reading it.
//! `PR_SET_PDEATHSIG` is about the thread that forked (prctl(2)), so the thread stays until its program has ended.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::KILL_AFTER;
use super::launch::{self, FAILED, NOT_STARTED, Role};
use super::output::Output;

/// Stack of a thread that only waits.
const STACK: usize = 256 * 1024;
/// Read at a time.
const PIECE: usize = 16 * 1024;
/// Pieces that are still read after the program's end: a pipe holds 64 KiB by default (pipe(7)); more than its own
/// last words would be somebody else's.
const LAST_PIECES: usize = 8;

/// Variables of our own environment that hooks see.
const HANDED_ON: [&str; 3] = ["PATH", "HOME", "LANG"];

/// Where we have no PATH ourselves.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is run, and how long.
pub(crate) struct Program {
    /// What it is.
    pub(crate) role: Role,
    /// The program and its arguments; without a slash it is looked for in the PATH of `environment`. Of a module: nothing.
    pub(crate) argv: Vec<OsString>,
    /// All of it.
    pub(crate) environment: BTreeMap<String, String>,
    /// For standard input.
    pub(crate) input: Vec<u8>,
    /// Then SIGTERM.
    pub(crate) limit: Duration,
    /// Whether it goes on when we die.
    pub(crate) outlives: bool,
}

/// How it went.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) how: How,
    pub(crate) took: Duration,
    /// The last lines that it said.
    pub(crate) said: Vec<String>,
}

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum How {
    Exited(i32),
    Killed(i32),
    TimedOut,
    NotStarted(String),
}

/// The process group of a program: what others need to end it. Its number belongs to it until its leader is reaped,
/// which happens under the same lock, so no stranger is ever signalled.
#[derive(Default)]
pub(crate) struct Group(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    NotYet,
    Running(Pid),
    /// Must not start, or not for long.
    Condemned,
    Over,
}

impl Group {
    /// SIGKILL, now or as soon as there is something to kill.
    pub(crate) fn kill(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Running(leader) => send(leader, Signal::KILL),
            State::NotYet => *state = State::Condemned,
            State::Condemned | State::Over => {}
        }
    }

    /// Its number while it runs. Nothing also while it is being reaped: this waits for nobody.
    pub(crate) fn leader(&self) -> Option<u32> {
        let state = self.0.try_lock().ok()?;
        let State::Running(leader) = *state else { return None };
        u32::try_from(leader.as_raw_nonzero().get()).ok()
    }

    fn is_condemned(&self) -> bool {
        matches!(*self.0.lock().unwrap_or_else(PoisonError::into_inner), State::Condemned)
    }

    fn began(&self, leader: Pid) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Condemned) {
            send(leader, Signal::KILL);
        }
        *state = State::Running(leader);
    }

    fn signal(&self, signal: Signal) {
        if let State::Running(leader) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            send(leader, signal);
        }
    }

    /// Reaps the leader, which has ended; with it gone its number may become another's.
    fn reap(&self, child: &mut Child, others_too: bool) -> io::Result<ExitStatus> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Running(leader) = *state
            && others_too
        {
            send(leader, Signal::KILL);
        }
        *state = State::Over;
        child.wait()
    }
}

/// An error says that nobody is left.
fn send(leader: Pid, signal: Signal) {
    let _ = kill_process_group(leader, signal);
}

/// Runs what `make` gives, and calls `done` on the thread when it is over. `log` gets what it says, line by line.
///
/// # Errors
/// No thread can be started.
pub(crate) fn start(
    group: Arc<Group>,
    make: impl FnOnce() -> Program + Send + 'static,
    mut log: impl FnMut(&str) + Send + 'static,
    done: impl FnOnce(Ended) + Send + 'static,
) -> io::Result<()> {
    let body = move || done(run(&make(), &group, &mut log));
    thread::Builder::new().name("program".to_owned()).stack_size(STACK).spawn(body).map(drop)
}

/// What every program that we run gets of our own environment.
pub(crate) fn handed_on() -> BTreeMap<String, String> {
    let ours = HANDED_ON.iter().filter_map(|&name| Some((name, std::env::var(name).ok()?)));
    let mut all: BTreeMap<_, _> = ours.map(|(name, value)| (name.to_owned(), value)).collect();
    all.entry("PATH".to_owned()).or_insert_with(|| DEFAULT_PATH.to_owned());
    all
}

/// From the start to the end; blocks.
fn run(program: &Program, group: &Group, log: &mut impl FnMut(&str)) -> Ended {
    let started = Instant::now();
    let mut output = Output::default();
    let result = spawn(program, group)
        .and_then(|running| running.watch(program, started, group, &mut output, log));
    let mut said = output.end(log);
    let how = match result {
        Ok((status, timed_out)) => verdict(status, timed_out, &mut said),
        Err(why) => How::NotStarted(why),
    };
    Ended { how, took: started.elapsed(), said }
}

fn verdict(status: ExitStatus, timed_out: bool, said: &mut Vec<String>) -> How {
    let mut why = || said.pop_if(|line| line.starts_with(NOT_STARTED));
    match (timed_out, status.code()) {
        (false, Some(FAILED)) => match why() {
            Some(line) => How::NotStarted(line[NOT_STARTED.len()..].to_owned()),
            None => How::Exited(FAILED),
        },
        (true, _) => How::TimedOut,
        (false, Some(code)) => How::Exited(code),
        (false, None) => How::Killed(status.signal().unwrap_or_default()),
    }
}

/// A program that runs.
struct Running {
    child: Child,
    handle: OwnedFd,
    input: Option<File>,
    output: Option<File>,
}

fn spawn(program: &Program, group: &Group) -> Result<Running, String> {
    if group.is_condemned() {
        return Err("everything ends".to_owned());
    }
    let trouble = |what: &str, error: io::Error| format!("{what}: {error}");
    // One pipe for both streams: what was said first is read first.
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| trouble("a pipe", e.into()))?;
    let also = theirs.try_clone().map_err(|e| trouble("a pipe", e))?;
    let mut command = launch::command(program)?;
    command.stdin(Stdio::piped()).stdout(theirs).stderr(also);
    let mut child = command.spawn().map_err(|e| trouble("a process", e))?;
    // Closes our ends of what is theirs.
    drop(command);
    let pid = Pid::from_child(&child);
    group.began(pid);
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(error) => {
            // It cannot be waited for with a limit, so it must not run.
            group.signal(Signal::KILL);
            let _ = group.reap(&mut child, true);
            return Err(trouble("watching it", error.into()));
        }
    };
    let input = child.stdin.take().map(|pipe| File::from(OwnedFd::from(pipe)));
    for pipe in [input.as_ref().map(AsFd::as_fd), Some(ours.as_fd())].into_iter().flatten() {
        // A pipe that blocks would hold this thread up, not the service; fcntl cannot fail on one.
        let _ = fcntl_setfl(pipe, OFlags::NONBLOCK);
    }
    Ok(Running { child, handle, input, output: Some(ours.into()) })
}

impl Running {
    /// Feeds it, reads it, ends it in time. Gives its exit status and whether its time was over.
    fn watch(
        mut self,
        program: &Program,
        started: Instant,
        group: &Group,
        output: &mut Output,
        log: &mut impl FnMut(&str),
    ) -> Result<(ExitStatus, bool), String> {
        let mut deadline = started.checked_add(program.limit);
        let mut signal = Some(Signal::TERM);
        let mut timed_out = false;
        let mut fed = 0;
        loop {
            let ready = self.wait(deadline).map_err(|e| format!("waiting for it: {e}"))?;
            if ready.input {
                self.feed(&program.input, &mut fed);
            }
            if ready.output {
                self.read(output, log);
            }
            if ready.ended {
                break;
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now())
                && let Some(now) = signal
            {
                group.signal(now);
                timed_out = true;
                // After SIGKILL there is nothing left but to wait.
                let last = now == Signal::KILL;
                signal = (!last).then_some(Signal::KILL);
                deadline = if last { None } else { Instant::now().checked_add(KILL_AFTER) };
            }
        }
        for _ in 0..LAST_PIECES {
            self.read(output, log);
        }
        let status =
            group.reap(&mut self.child, timed_out).map_err(|e| format!("its status: {e}"))?;
        Ok((status, timed_out))
    }

    fn wait(&self, deadline: Option<Instant>) -> io::Result<Ready> {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let mut fds = vec![PollFd::new(&self.handle, PollFlags::IN)];
        fds.extend(self.output.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        fds.extend(self.input.as_ref().map(|fd| PollFd::new(fd, PollFlags::OUT)));
        match poll(&mut fds, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut set = fds.iter().map(|fd| !fd.revents().is_empty());
        let ended = set.next().unwrap_or(false);
        let output = self.output.is_some() && set.next().unwrap_or(false);
        let input = self.input.is_some() && set.next().unwrap_or(false);
        Ok(Ready { ended, output, input })
    }

    /// Writes what its pipe takes; a program that does not want to read is not forced.
    fn feed(&mut self, bytes: &[u8], fed: &mut usize) {
        let Some(pipe) = &mut self.input else { return };
        match pipe.write(bytes.get(*fed..).unwrap_or_default()) {
            Ok(n) => *fed += n,
            Err(e)
                if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => *fed = bytes.len(),
        }
        if *fed >= bytes.len() {
            self.input = None;
        }
    }

    fn read(&mut self, output: &mut Output, log: &mut impl FnMut(&str)) {
        let Some(pipe) = &mut self.output else { return };
        let mut piece = [0; PIECE];
        match pipe.read(&mut piece) {
            Ok(n) if n > 0 => output.take(&piece[..n], log),
            Err(e)
                if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Ok(_) | Err(_) => self.output = None,
        }
    }
}

/// What there is to do.
struct Ready {
    ended: bool,
    output: bool,
    input: bool,
}
