//! The processes of the machines.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, chdir, getpgid, kill_process, kill_process_group,
    pidfd_open, set_parent_process_death_signal, wait,
};

use super::home::Home;
use crate::one::{self, Which};
use crate::process::{exit_bytes, reap};
use crate::role;
use crate::sockets::Place;
use crate::wire::SpawnOrder;

/// How often a machine is searched for processes that appeared while others were signalled.
const MAX_SWEEPS: usize = 10;

/// One child that has not been reaped.
struct Child {
    number: i32,
    handle: OwnedFd,
    status: File,
}

/// A process group and where it belongs. It may outlive the child that leads it.
struct Group {
    leader: i32,
    place: Place,
}

/// All that was started.
#[derive(Default)]
pub(super) struct Children {
    alive: Vec<Child>,
    groups: Vec<Group>,
}

/// What the caller gets for a start.
pub(super) struct Started {
    pub(super) number: i32,
    pub(super) handle: OwnedFd,
    pub(super) status: OwnedFd,
}

impl Children {
    /// Starts one process in its machine. Descriptors: standard output, standard error, files of groups to join.
    pub(super) fn spawn(
        &mut self,
        order: SpawnOrder,
        fds: Vec<OwnedFd>,
        home: &Home,
    ) -> Result<Started, String> {
        let mut fds = fds.into_iter();
        let (Some(stdout), Some(stderr)) = (fds.next(), fds.next()) else {
            return Err("an order without streams".to_owned());
        };
        let place = order.place;
        let cwd = CString::new(OsString::from(order.cwd.clone()).into_encoded_bytes())
            .map_err(|_| "the working directory has a zero byte".to_owned())?;
        let mut command = command(order);
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0);
        enter_before_exec(&mut command, home.duplicate()?, fds.map(File::from).collect(), cwd);
        let child = command.spawn().map_err(|e| e.to_string())?;
        let number = child.id() as i32;
        self.watch(number, place)
    }

    fn watch(&mut self, number: i32, place: Place) -> Result<Started, String> {
        let pid = Pid::from_raw(number).ok_or("a process without a number")?;
        let trouble = |e: Errno| e.to_string();
        let handle = pidfd_open(pid, PidfdFlags::empty()).map_err(trouble)?;
        let (status, write_status) = pipe_with(PipeFlags::CLOEXEC).map_err(trouble)?;
        let ours = handle.try_clone().map_err(|e| e.to_string())?;
        self.alive.push(Child { number, handle: ours, status: write_status.into() });
        self.groups.push(Group { leader: number, place });
        Ok(Started { number, handle, status })
    }

    pub(super) fn handles(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.alive.iter().map(|child| child.handle.as_fd())
    }

    /// Takes note of all that has ended, orphans included, and tells the caller.
    pub(super) fn reap(&mut self) {
        while let Some((number, status)) = reap() {
            let Some(at) = self.alive.iter().position(|child| child.number == number) else {
                continue;
            };
            let mut child = self.alive.swap_remove(at);
            // The caller may have dropped its end: then nobody wants to know.
            drop(child.status.write_all(&exit_bytes(status)));
        }
    }

    /// Signals the group of one process; one that has ended is no error.
    pub(super) fn signal(&mut self, number: i32, signal: i32) -> Result<(), String> {
        let signal = named(signal)?;
        if let Some(at) = self.groups.iter().position(|group| group.leader == number)
            && !send(number, signal)?
        {
            self.groups.swap_remove(at);
        }
        Ok(())
    }

    /// Signals one process and not its group; one that has ended is no error.
    pub(super) fn signal_alone(&mut self, number: i32, signal: i32) -> Result<(), String> {
        let signal = named(signal)?;
        // Only what has not been reaped has its number for certain.
        match Pid::from_raw(number).filter(|_| self.alive.iter().any(|c| c.number == number)) {
            Some(pid) => kill_process(pid, signal).map_err(|e| e.to_string()),
            None => Ok(()),
        }
    }

    /// Signals all processes of one place.
    pub(super) fn signal_place(
        &mut self,
        place: Place,
        home: &Home,
        signal: i32,
    ) -> Result<(), String> {
        let signal = named(signal)?;
        let mut trouble = Ok(());
        self.groups.retain(|group| {
            if group.place != place {
                return true;
            }
            send(group.leader, signal).unwrap_or_else(|why| {
                trouble = Err(why);
                true
            })
        });
        trouble?;
        // Then those that have left their groups; again while new ones appear, for they may be forking.
        let mut known = Vec::new();
        for _ in 0..MAX_SWEEPS {
            let found = home.inhabitants().unwrap_or_default();
            let new: Vec<i32> =
                found.into_iter().filter(|number| !known.contains(number)).collect();
            if new.is_empty() {
                break;
            }
            for &number in &new {
                if !self.in_a_group_of(number, place)
                    && let Some(pid) = Pid::from_raw(number)
                {
                    // An error says that it has ended meanwhile.
                    let _ = kill_process(pid, signal);
                }
            }
            known.extend(new);
        }
        Ok(())
    }

    /// Whether a process was reached through its group.
    fn in_a_group_of(&self, number: i32, place: Place) -> bool {
        let group = Pid::from_raw(number).and_then(|pid| getpgid(Some(pid)).ok());
        group.is_some_and(|leader| {
            let leader = leader.as_raw_nonzero().get();
            self.groups.iter().any(|g| g.leader == leader && g.place == place)
        })
    }

    /// Kills everything and waits until it is gone. For a hub whose own death would not do so.
    pub(super) fn end_all(&mut self) {
        for group in &self.groups {
            // The only error left is that nobody is in it.
            drop(send(group.leader, Signal::KILL));
        }
        loop {
            kill_orphans();
            match wait(WaitOptions::empty()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

/// Signals the one process of a place that is meant. `file` is what the file says, where one was named.
pub(super) fn signal_one(
    home: &Home,
    which: &Which,
    file: Option<&str>,
    signal: i32,
) -> Result<(), String> {
    let signal = named(signal)?;
    let here = home.inhabitants().ok_or("processes belong to nothing without namespaces")?;
    let found: Vec<i32> = match file {
        Some(text) => {
            let number: i32 = text.trim().parse().map_err(|_| format!("it says {text:?}"))?;
            here.into_iter().filter(|other| *other == number).collect()
        }
        None => here.into_iter().filter(|number| fits(*number, which)).collect(),
    };
    match found[..] {
        [] => Err("there is none".to_owned()),
        [number] => {
            let pid = Pid::from_raw(number).ok_or("a process without a number")?;
            kill_process(pid, signal).map_err(|e| e.to_string())
        }
        _ => Err(format!("there are {}, with the numbers {found:?}", found.len())),
    }
}

/// A process that has ended, reaped or not, fits nothing.
fn fits(number: i32, which: &Which) -> bool {
    let read = |name: &str| std::fs::read(format!("/proc/{number}/{name}"));
    let (Ok(name), Ok(line)) = (read("comm"), read("cmdline")) else { return false };
    !line.is_empty() && one::fits(which, &String::from_utf8_lossy(&name), &line)
}

/// Kills the hub's remaining children: those that left their groups and were orphaned to it.
fn kill_orphans() {
    let me = std::process::id();
    let children = std::fs::read_to_string(format!("/proc/self/task/{me}/children"));
    for number in children.unwrap_or_default().split_whitespace() {
        if let Some(pid) = number.parse().ok().and_then(Pid::from_raw) {
            // An error says that it has ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn named(signal: i32) -> Result<Signal, String> {
    Signal::from_named_raw(signal).ok_or_else(|| format!("{signal} is no signal"))
}

/// Signals a group. Says whether anyone was left in it.
fn send(leader: i32, signal: Signal) -> Result<bool, String> {
    let Some(pid) = Pid::from_raw(leader) else { return Ok(false) };
    match kill_process_group(pid, signal) {
        Ok(()) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}

fn command(order: SpawnOrder) -> Command {
    let program = order.program.map_or_else(|| "/proc/self/exe".into(), OsString::from);
    let mut command = Command::new(program);
    if order.clear_env {
        command.env_clear();
    }
    command.env_remove(role::MARK).env_remove(role::SETUP);
    command.args(order.args.into_iter().map(OsString::from));
    command.envs(order.env.into_iter().map(|(k, v)| (OsString::from(k), OsString::from(v))));
    command
}

/// What the child does between fork and exec: die with the hub, join its control groups, move into its machine.
fn enter_before_exec(command: &mut Command, home: Home, groups: Vec<File>, cwd: CString) {
    let enter = move || -> io::Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        for mut group in &groups {
            // Zero stands for the writer.
            group.write_all(b"0")?;
        }
        home.enter()?;
        // Only now: moving into a mount namespace leads to its root.
        chdir(&*cwd).map_err(io::Error::from)
    };
    // SAFETY: runs in the child after fork. The hub has one thread, so no lock can be held by another and even
    // allocation would be sound; the closure only makes system calls on descriptors it owns.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(enter);
    }
}
