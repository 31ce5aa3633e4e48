//! The lab from its caller's side: starting it, giving orders to its hub, ending it.
//!
//! One thread of the caller belongs to each lab. It starts the starter and waits for its end, because the kernel's
//! "die with your parent" is tied to the parent's *thread*: tied to a test's own thread, a lab shared between tests
//! would die with the first of them.
//!
//! Orders are one question and one answer under a lock; each takes a few tens of microseconds, building the lab about
//! a tenth of a second.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::address::{MAX_MACHINES, Plan};
use crate::cgroup::Cgroups;
use crate::config::{CgroupWish, Kind, LabConfig, Wish};
use crate::error::{LabError, Unavailable};
use crate::machine::Machine;
use crate::process::Process;
use crate::role;
use crate::sockets::Place;
use crate::spawn::Spawn;
use crate::starter;
use crate::wire::{self, Reply, Request, Setup};

/// How long the helpers may take for one step of the start, in seconds; generous for a loaded machine.
const START_SECONDS: u64 = 20;

/// Labs started by this process so far, which keeps their names apart.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// A running lab. Ends, with everything in it, when dropped.
#[derive(Debug)]
pub struct Lab {
    bench: Arc<Bench>,
}

/// What the lab's handles share.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) kind: Kind,
    pub(crate) plan: Plan,
    pub(crate) names: Vec<String>,
    pub(crate) ipv6: bool,
    process_namespace: bool,
    /// Set before the lab is handed out, dropped after its last process.
    pub(crate) cgroups: Mutex<Result<Cgroups, String>>,
    /// `None` once the lab has ended.
    control: Mutex<Option<OwnedFd>>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl Lab {
    /// Which kind of lab [`Wish::Namespaces`] gives here, found by building one with a single machine.
    ///
    /// # Errors
    /// Says for each kind why it cannot be had, and the remedy.
    pub fn available() -> Result<Kind, Unavailable> {
        let config = LabConfig { machines: 1, cgroups: CgroupWish::No, ..LabConfig::default() };
        match Lab::start(config) {
            Ok(lab) => Ok(lab.kind()),
            Err(LabError::Unavailable(why)) => Err(why),
            Err(other) => {
                Err(Unavailable { tried: vec![(Kind::UserNamespaces, other.to_string())] })
            }
        }
    }

    /// Builds the lab and returns when every machine has its cable and its addresses.
    ///
    /// # Errors
    /// When the configuration is out of bounds, when no accepted kind is possible here, when control groups are
    /// required and cannot be had, or when the binary does not call [`crate::init`].
    pub fn start(config: LabConfig) -> Result<Lab, LabError> {
        if role::is_helper() {
            // A helper that got this far has skipped `init`; going on would start helpers for ever.
            return Err(LabError::NoInit);
        }
        let names = checked_names(&config)?;
        let count = STARTED.fetch_add(1, Ordering::Relaxed);
        let mut tried = Vec::new();
        for &kind in accepted(config.wish) {
            match boot(kind, &config, &names, count) {
                Ok(bench) => {
                    return Ok(Lab { bench: Arc::new(bench.with_cgroups(&config, count)?) });
                }
                Err(Failed::Here(why)) => tried.push((kind, why)),
                Err(Failed::Anywhere(error)) => return Err(error),
            }
        }
        Err(LabError::Unavailable(Unavailable { tried }))
    }

    /// What this lab is made of.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.bench.kind
    }

    /// How many machines there are.
    #[must_use]
    pub fn machines(&self) -> usize {
        self.bench.names.len()
    }

    /// The machine with this index, from 0.
    ///
    /// # Panics
    /// When there is no such machine, as indexing does.
    #[must_use]
    pub fn machine(&self, index: usize) -> Machine {
        assert!(index < self.machines(), "machine {index} of {}", self.machines());
        Machine::new(self.bench.clone(), index)
    }

    /// The address from which the caller speaks inside the lab; also the machines' gateway.
    #[must_use]
    pub fn client_address(&self) -> Ipv4Addr {
        self.bench.plan.client()
    }

    /// The same for IPv6, where the kernel has it and the lab has cables.
    #[must_use]
    pub fn client_address6(&self) -> Option<Ipv6Addr> {
        self.bench.ipv6.then(|| self.bench.plan.client6())
    }

    /// Starts a process at the switch, where the clients are: a load generator, a browser.
    ///
    /// It has no control group and the host name of the caller. [`Machine::signal`] does not reach it.
    ///
    /// # Errors
    /// As [`Machine::spawn`].
    pub fn spawn_client(&self, what: Spawn) -> Result<Process, LabError> {
        self.bench.spawn(Place::Client, what, &[])
    }

    /// Whether the lab's processes have a process table of their own.
    ///
    /// They have none on loopback, and where `/proc` cannot be mounted (some containers). Everything works without,
    /// only the last certainty is missing: a process that leaves its group and its parents may outlive the hub if the
    /// hub itself is killed.
    #[must_use]
    pub fn has_process_namespace(&self) -> bool {
        self.bench.process_namespace
    }

    /// Why machines have no control groups, if they have none.
    #[must_use]
    pub fn cgroup_trouble(&self) -> Option<String> {
        self.bench.cgroups.lock().unwrap_or_else(PoisonError::into_inner).as_ref().err().cloned()
    }

    pub(crate) fn bench(&self) -> &Arc<Bench> {
        &self.bench
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.bench.end();
    }
}

impl Bench {
    /// Gives one order and waits for its answer.
    pub(crate) fn ask(
        &self,
        what: &str,
        request: &Request,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(Reply, Vec<OwnedFd>), LabError> {
        let mut guard = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(control) = guard.as_ref() else { return Err(LabError::Ended) };
        wire::send(control, request, fds).map_err(LabError::io(what))?;
        match wire::receive(control).map_err(LabError::io(what))? {
            Some((Reply::Refused(why), _)) => Err(LabError::Refused { what: what.to_owned(), why }),
            Some(answer) => Ok(answer),
            None => {
                *guard = None;
                Err(LabError::Ended)
            }
        }
    }

    /// Gives an order that has no answer but "done".
    pub(crate) fn order(&self, what: &str, request: &Request) -> Result<(), LabError> {
        self.ask(what, request, &[]).map(drop)
    }

    fn with_cgroups(self, config: &LabConfig, count: u32) -> Result<Self, LabError> {
        let made = match config.cgroups {
            CgroupWish::No => Err("the lab was started without (LabConfig::cgroups)".to_owned()),
            CgroupWish::IfPossible | CgroupWish::Required => Cgroups::create(&self.names, count),
        };
        if let (CgroupWish::Required, Err(why)) = (config.cgroups, &made) {
            let why = why.clone();
            self.end();
            return Err(LabError::NoCgroups { why });
        }
        *self.cgroups.lock().unwrap_or_else(PoisonError::into_inner) = made;
        Ok(self)
    }

    /// Closing the control socket is the order to end; the keeper returns when the last process is gone.
    fn end(&self) {
        drop(self.control.lock().unwrap_or_else(PoisonError::into_inner).take());
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            drop(keeper.join());
        }
        let mut cgroups = self.cgroups.lock().unwrap_or_else(PoisonError::into_inner);
        *cgroups = Err("the lab has ended".to_owned());
    }
}

/// Why a boot did not succeed.
enum Failed {
    /// This kind cannot be had here; another may.
    Here(String),
    /// No kind will fare better.
    Anywhere(LabError),
}

fn accepted(wish: Wish) -> &'static [Kind] {
    match wish {
        Wish::Namespaces => &[Kind::UserNamespaces, Kind::RootNamespaces],
        Wish::UserNamespaces => &[Kind::UserNamespaces],
        Wish::RootNamespaces => &[Kind::RootNamespaces],
        Wish::Anything => &[Kind::UserNamespaces, Kind::RootNamespaces, Kind::Loopback],
        Wish::Loopback => &[Kind::Loopback],
    }
}

fn checked_names(config: &LabConfig) -> Result<Vec<String>, LabError> {
    let bad = |what, value: String, remedy| Err(LabError::Config { what, value, remedy });
    if config.machines > MAX_MACHINES {
        return bad("the number of machines", config.machines.to_string(), "at most 64 fit");
    }
    if !(1280..=65535).contains(&config.mtu) {
        return bad("the MTU", config.mtu.to_string(), "choose 1280 to 65535 bytes");
    }
    let names: Vec<String> = (0..config.machines)
        .map(|i| config.names.get(i).cloned().unwrap_or_else(|| format!("m{}", i + 1)))
        .collect();
    for (i, name) in names.iter().enumerate() {
        let fits = (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !fits {
            return bad("a machine's name", format!("{name:?}"), "use letters, digits and hyphens");
        }
        if names[..i].contains(name) {
            return bad("a machine's name", format!("{name:?} twice"), "give each its own");
        }
    }
    Ok(names)
}

/// Starts the helpers for one kind of lab; without a process namespace where `/proc` cannot be mounted.
fn boot(kind: Kind, config: &LabConfig, names: &[String], count: u32) -> Result<Bench, Failed> {
    let plan = match kind {
        Kind::Loopback => Plan::loopback(std::process::id(), count),
        Kind::UserNamespaces | Kind::RootNamespaces => Plan::bridged(),
    };
    let mut setup = Setup {
        names: names.to_vec(),
        plan,
        mtu: config.mtu,
        user_namespace: kind == Kind::UserNamespaces,
        network_namespaces: kind.has_cables(),
        process_namespace: kind.has_cables(),
    };
    match attempt(kind, &setup) {
        Err(Attempt::NoProcessNamespace(_)) => {
            setup.process_namespace = false;
            attempt(kind, &setup).map_err(Attempt::into_failed)
        }
        other => other.map_err(Attempt::into_failed),
    }
}

enum Attempt {
    NoProcessNamespace(String),
    Failed(Failed),
}

impl Attempt {
    fn into_failed(self) -> Failed {
        match self {
            Attempt::NoProcessNamespace(why) => Failed::Here(why),
            Attempt::Failed(failed) => failed,
        }
    }

    fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Attempt {
        move |error| Attempt::Failed(Failed::Anywhere(LabError::io(what)(error)))
    }
}

fn attempt(kind: Kind, setup: &Setup) -> Result<Bench, Attempt> {
    let (control, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|e| Attempt::io("a control socket")(e.into()))?;
    let (keeper, starter) = start_starter(setup, theirs)?;
    let bench = Bench {
        kind,
        plan: setup.plan,
        names: setup.names.clone(),
        ipv6: false,
        process_namespace: setup.process_namespace,
        cgroups: Mutex::new(Err("not made yet".to_owned())),
        control: Mutex::new(Some(control)),
        keeper: Mutex::new(Some(keeper)),
    };
    match converse(&bench, starter) {
        Ok(ipv6) => Ok(Bench { ipv6, ..bench }),
        Err(failed) => {
            bench.end();
            Err(failed)
        }
    }
}

/// Starts the starter on a thread of its own and returns its process id.
fn start_starter(setup: &Setup, theirs: OwnedFd) -> Result<(JoinHandle<()>, u32), Attempt> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("backhand-lab").stdin(Stdio::from(theirs)).process_group(0);
    role::mark(&mut command, role::Role::Starter, setup).map_err(Attempt::io("the lab's setup"))?;
    let (started, wait_started) = mpsc::channel();
    let keeper = std::thread::Builder::new()
        .name("lab-keeper".to_owned())
        .spawn(move || {
            let child = command.spawn();
            // The command holds the helpers' end of the control socket; kept open here, their death would go unseen.
            drop(command);
            match child {
                Ok(mut child) => {
                    drop(started.send(Ok(child.id())));
                    drop(child.wait());
                }
                Err(error) => drop(started.send(Err(error))),
            }
        })
        .map_err(Attempt::io("a thread for the lab"))?;
    match wait_started.recv() {
        Ok(Ok(pid)) => Ok((keeper, pid)),
        Ok(Err(error)) => Err(Attempt::io("the lab's helper")(error)),
        Err(_) => Err(Attempt::Failed(Failed::Anywhere(LabError::Ended))),
    }
}

/// Sees the helpers through their start. Returns whether the lab has IPv6.
fn converse(bench: &Bench, starter: u32) -> Result<bool, Attempt> {
    let guard = bench.control.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(control) = guard.as_ref() else {
        return Err(Attempt::Failed(Failed::Anywhere(LabError::Ended)));
    };
    loop {
        if !readable(control.as_fd(), Duration::from_secs(START_SECONDS)) {
            // It does not know it is a helper: whatever it is doing instead, end it.
            if let Some(pid) = rustix::process::Pid::from_raw(starter as i32) {
                let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
            }
            return Err(Attempt::Failed(Failed::Anywhere(LabError::NoInit)));
        }
        let here = |why: String| Attempt::Failed(Failed::Here(why));
        match wire::receive::<Reply>(control).map_err(Attempt::io("the lab's helper"))? {
            Some((Reply::WantsMaps, _)) => {
                starter::write_maps(starter).map_err(|e| here(format!("identity maps: {e}")))?;
                wire::send(control, &Reply::Done, &[]).map_err(|e| here(e.to_string()))?;
            }
            Some((Reply::Ready { ipv6 }, _)) => return Ok(ipv6),
            Some((Reply::NoProcessNamespace(why), _)) => {
                return Err(Attempt::NoProcessNamespace(why));
            }
            Some((Reply::Refused(why), _)) => return Err(here(why)),
            Some((other, _)) => return Err(here(format!("unexpected answer {other:?}"))),
            None => {
                return Err(Attempt::Failed(Failed::Anywhere(LabError::NoInit)));
            }
        }
    }
}

/// Waits until something can be read, or the time is up.
pub(crate) fn readable(fd: BorrowedFd<'_>, patience: Duration) -> bool {
    let deadline = std::time::Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        let timeout =
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
