//! One machine of a running lab.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::burn;
use crate::cgroup::{Group, Quota};
use crate::error::LabError;
use crate::one::Which;
use crate::process::{Process, Signal};
use crate::role::{self, Role};
use crate::running::Bench;
use crate::sockets::Place;
use crate::spawn::{Output, Spawn};
use crate::wire::{Cut, Request};

/// A handle on one machine; clones are the same machine.
#[derive(Clone, Debug)]
pub struct Machine {
    bench: Arc<Bench>,
    index: usize,
}

impl Machine {
    pub(crate) fn new(bench: Arc<Bench>, index: usize) -> Self {
        Self { bench, index }
    }

    /// Its index, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its host name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.bench.names[self.index]
    }

    /// Its IPv4 address in the lab.
    #[must_use]
    pub fn address4(&self) -> Ipv4Addr {
        self.bench.plan.machine(self.index)
    }

    /// The same as a general address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        IpAddr::V4(self.address4())
    }

    /// Its IPv6 address, where the kernel has it and the lab has cables.
    #[must_use]
    pub fn address6(&self) -> Option<Ipv6Addr> {
        self.bench.ipv6.then(|| self.bench.plan.machine6(self.index))
    }

    /// Starts a process here.
    ///
    /// # Errors
    /// When an output file cannot be opened or the program cannot be started; the text says which and why.
    pub fn spawn(&self, what: Spawn) -> Result<Process, LabError> {
        let files = self.with_group(|group| group.procs_files()).unwrap_or(Ok(Vec::new()));
        let files = files.map_err(LabError::io(format!("the control group of {}", self.name())))?;
        let groups: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
        self.bench.spawn(Place::Machine(self.index), what, &groups)
    }

    /// Starts a process that does nothing but use `threads` processors, as a noisy neighbour does.
    ///
    /// # Errors
    /// When `threads` is not 1 to 256, or as [`Machine::spawn`].
    pub fn burn(&self, threads: usize) -> Result<Process, LabError> {
        if !(1..=burn::MAX_THREADS).contains(&threads) {
            return Err(LabError::Config {
                what: "the number of burning threads",
                value: threads.to_string(),
                remedy: "choose 1 to 256",
            });
        }
        let burner = Spawn::myself()
            .env(role::MARK, Role::Burner.name())
            .env(burn::THREADS, threads.to_string())
            // The caller's folder need not be there.
            .cwd("/")
            .stdout(Output::Null);
        self.spawn(burner)
    }

    /// Its IPv4 address on a network, counted from 0, the first; `None` where it has no cable.
    #[must_use]
    pub fn address_on(&self, network: usize) -> Option<IpAddr> {
        self.bench.plan.on(self.place(), network).map(|both| IpAddr::V4(both.v4))
    }

    /// The same for IPv6, where the kernel has it and the lab has cables.
    #[must_use]
    pub fn address6_on(&self, network: usize) -> Option<IpAddr> {
        let both = self.bench.plan.on(self.place(), network).filter(|_| self.bench.ipv6);
        both.map(|both| IpAddr::V6(both.v6))
    }

    /// Where it is, for sockets and tables.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::Machine(self.index)
    }

    /// Interrupts its cables, on every network. Several cuts may be made at once.
    ///
    /// # Errors
    /// On a lab without cables, when the kernel has no such cut, or when the lab has ended.
    pub fn cut(&self, cut: Cut) -> Result<(), LabError> {
        self.bench.cut(self.place(), None, cut)
    }

    /// Mends its cables, whatever was cut. Frames flow again when this returns.
    ///
    /// # Errors
    /// As [`Machine::cut`].
    pub fn heal(&self) -> Result<(), LabError> {
        self.bench.heal(self.place(), None)
    }

    /// As [`Machine::cut`], on one network only.
    ///
    /// # Errors
    /// As [`Machine::cut`], and when it has no cable there.
    pub fn cut_on(&self, network: usize, cut: Cut) -> Result<(), LabError> {
        self.bench.cut(self.place(), Some(network), cut)
    }

    /// As [`Machine::heal`], on one network only.
    ///
    /// # Errors
    /// As [`Machine::cut_on`].
    pub fn heal_on(&self, network: usize) -> Result<(), LabError> {
        self.bench.heal(self.place(), Some(network))
    }

    /// Stops every process here where it stands (SIGSTOP); the kernel goes on answering for them.
    ///
    /// # Errors
    /// When the lab has ended.
    pub fn freeze(&self) -> Result<(), LabError> {
        self.signal(Signal::STOP)
    }

    /// Lets every process here go on (SIGCONT).
    ///
    /// # Errors
    /// When the lab has ended.
    pub fn thaw(&self) -> Result<(), LabError> {
        self.signal(Signal::CONT)
    }

    /// Stops every process here by the kernel's freezer, as the host of a virtual machine does: no signal, and nobody is told.
    ///
    /// [`Machine::release`] it before the lab ends: what is held cannot be killed everywhere.
    ///
    /// # Errors
    /// Without control groups that have a freezer.
    pub fn hold(&self) -> Result<(), LabError> {
        self.grouped(|group| group.hold(true))
    }

    /// Ends that.
    ///
    /// # Errors
    /// As [`Machine::hold`].
    pub fn release(&self) -> Result<(), LabError> {
        self.grouped(|group| group.hold(false))
    }

    /// Kills every process here (SIGKILL). Cable and addresses stay.
    ///
    /// # Errors
    /// When the lab has ended.
    pub fn kill(&self) -> Result<(), LabError> {
        self.signal(Signal::KILL)
    }

    /// Sends a signal to every process here, however it was started and wherever it has moved its group.
    ///
    /// On loopback, where processes belong to nothing, only the groups of those started through [`Machine::spawn`].
    ///
    /// # Errors
    /// When the lab has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), LabError> {
        let what = format!("signalling {}", self.name());
        let request = Request::SignalPlace { place: self.place(), signal: signal.as_raw() };
        self.bench.order(&what, &request)
    }

    /// Sends a signal to one process here, whoever started it, and to no other: a main process without its guardian, say.
    ///
    /// # Errors
    /// When none fits or several do (their numbers are said), on loopback, or when the lab has ended.
    pub fn signal_one(&self, which: &Which, signal: Signal) -> Result<(), LabError> {
        let what = format!("signalling {which} of {}", self.name());
        let (place, which, signal) = (self.place(), which.clone(), signal.as_raw());
        self.bench.order(&what, &Request::SignalOne { place, which, signal })
    }

    /// Gives all processes here together `quota` of processor time in each `period`.
    ///
    /// A machine *feels* slow only when the period is short against what it does: choose at most 5 ms.
    ///
    /// # Errors
    /// When quota or period are below 1 ms, the period above 1 s, or without control groups (says why).
    pub fn throttle(&self, quota: Duration, period: Duration) -> Result<(), LabError> {
        let quota = Quota::new(quota, period)?;
        self.grouped(|group| group.throttle(Some(quota)))
    }

    /// Lifts the quota.
    ///
    /// # Errors
    /// Without control groups.
    pub fn unthrottle(&self) -> Result<(), LabError> {
        self.grouped(|group| group.throttle(None))
    }

    /// Limits the memory of all processes here together, in bytes.
    ///
    /// # Errors
    /// Without a control group for memory.
    pub fn limit_memory(&self, bytes: u64) -> Result<(), LabError> {
        self.grouped(|group| group.limit_memory(bytes))
    }

    /// Processor time used by all processes here so far.
    ///
    /// # Errors
    /// Without control groups.
    pub fn cpu_used(&self) -> Result<Duration, LabError> {
        self.grouped(Group::cpu_used)
    }

    /// The directories of this machine's control group, one per hierarchy; none without control groups.
    #[must_use]
    pub fn cgroup_dirs(&self) -> Vec<PathBuf> {
        self.with_group(|group| group.dirs().map(Path::to_owned).collect()).unwrap_or_default()
    }

    fn with_group<T>(&self, use_it: impl FnOnce(&Group) -> T) -> Result<T, LabError> {
        let cgroups = self.bench.cgroups.lock().unwrap_or_else(PoisonError::into_inner);
        match &*cgroups {
            Ok(cgroups) => Ok(use_it(cgroups.machine(self.index))),
            Err(why) => Err(LabError::NoCgroups { why: why.clone() }),
        }
    }

    fn grouped<T>(&self, use_it: impl FnOnce(&Group) -> Result<T, String>) -> Result<T, LabError> {
        self.with_group(use_it)?.map_err(|why| LabError::NoCgroups { why })
    }
}
