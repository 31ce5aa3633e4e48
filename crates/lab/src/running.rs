//! The lab from its caller's side: starting it, giving orders to its hub, ending it.
//!
//! Orders are one question and one answer under a lock; each takes a few tens of microseconds, building the lab about
//! a tenth of a second.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::address::{Both, Plan};
use crate::boot::{Failed, accepted, boot, checked_names};
use crate::cgroup::Cgroups;
#[cfg(doc)]
use crate::config::Wish;
use crate::config::{CgroupWish, Kind, LabConfig};
use crate::error::{LabError, Unavailable};
use crate::machine::Machine;
use crate::process::Process;
use crate::role;
use crate::sockets::Place;
use crate::spawn::Spawn;
use crate::wire::{self, Cut, Reply, Request, Setup};

/// Labs started by this process so far, which keeps their names apart.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// A running lab. Ends, with everything in it, when dropped.
#[derive(Debug)]
pub struct Lab {
    bench: Arc<Bench>,
    tried: Unavailable,
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

    /// Why this is not a better kind of lab, when [`Wish::Anything`] had to fall back to [`Kind::Loopback`].
    #[must_use]
    pub fn shortcomings(&self) -> Option<&Unavailable> {
        (self.bench.kind == Kind::Loopback && !self.tried.tried.is_empty()).then_some(&self.tried)
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
                    let bench = Arc::new(bench.with_cgroups(&config, count)?);
                    return Ok(Lab { bench, tried: Unavailable { tried } });
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
        self.bench.plan.client(0)
    }

    /// The same for IPv6, where the kernel has it and the lab has cables.
    #[must_use]
    pub fn client_address6(&self) -> Option<Ipv6Addr> {
        self.bench.ipv6.then(|| self.bench.plan.client6(0))
    }

    /// The addresses of a place on a network, counted from 0, the first: IPv4, and IPv6 where the kernel has it. None where it has no cable.
    #[must_use]
    pub fn addresses_on(&self, place: Place, network: usize) -> Vec<IpAddr> {
        self.told(self.bench.plan.on(place, network))
    }

    /// The addresses of a host, wherever its cable ends: IPv4, and IPv6 where the kernel has it. None without such a host.
    #[must_use]
    pub fn host_addresses(&self, host: usize) -> Vec<IpAddr> {
        self.told(self.bench.plan.host_at(host))
    }

    fn told(&self, both: Option<Both>) -> Vec<IpAddr> {
        let both = both.map_or([None, None], |both| [Some(both.v4.into()), Some(both.v6.into())]);
        both.into_iter().flatten().filter(|a: &IpAddr| a.is_ipv4() || self.bench.ipv6).collect()
    }

    /// Interrupts the cables of a place, on one network or on all. Several cuts may be made at once.
    ///
    /// # Errors
    /// On a lab without cables, where there is no such cable, or when the lab has ended.
    pub fn cut(&self, place: Place, network: Option<usize>, cut: Cut) -> Result<(), LabError> {
        self.bench.cut(place, network, cut)
    }

    /// Mends them, whatever was cut. Frames flow again when this returns.
    ///
    /// # Errors
    /// As [`Lab::cut`].
    pub fn heal(&self, place: Place, network: Option<usize>) -> Result<(), LabError> {
        self.bench.heal(place, network)
    }

    /// Parts a network, as when links between switches fail: each group is alone with itself, and whoever is in none is with the
    /// caller. Carriers stay, and so do other cuts. Parting again begins from the whole.
    ///
    /// # Errors
    /// On a lab without cables, when a place is in two groups or has no cable there, or when the lab has ended.
    pub fn part(&self, network: usize, groups: &[Vec<Place>]) -> Result<(), LabError> {
        self.bench.needs_cables("parting a network")?;
        let all: Vec<Place> = groups.iter().flatten().copied().collect();
        for (i, place) in all.iter().enumerate() {
            self.bench.check(*place)?;
            if *place == Place::Client || all[..i].contains(place) {
                return Err(LabError::Config {
                    what: "a place in the parts of a network",
                    value: format!("{place:?}"),
                    remedy: "name each machine and host once, and leave out the caller",
                });
            }
        }
        let what = format!("parting network {network}");
        self.bench.order(&what, &Request::Part { network, groups: groups.to_vec() })
    }

    /// Makes a parted network whole again.
    ///
    /// # Errors
    /// As [`Lab::part`].
    pub fn join(&self, network: usize) -> Result<(), LabError> {
        self.part(network, &[])
    }

    /// Starts a process in a place. In a machine it joins the control group, as by [`Machine::spawn`].
    ///
    /// # Errors
    /// As [`Machine::spawn`], and without such a place.
    pub fn spawn_in(&self, place: Place, what: Spawn) -> Result<Process, LabError> {
        self.bench.check(place)?;
        match place {
            Place::Machine(index) => self.machine(index).spawn(what),
            Place::Client | Place::Host(_) => self.bench.spawn(place, what, &[]),
        }
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

    /// Cuts all sites off from each other: what goes from one to another vanishes, without a word to the sender.
    ///
    /// # Errors
    /// On a lab without cables, where the router may not be told, or when the lab has ended.
    pub fn part_sites(&self) -> Result<(), LabError> {
        self.route("parting the sites", false)
    }

    /// Ends that.
    ///
    /// # Errors
    /// As [`Lab::part_sites`].
    pub fn join_sites(&self) -> Result<(), LabError> {
        self.route("joining the sites", true)
    }

    fn route(&self, what: &'static str, passes: bool) -> Result<(), LabError> {
        if !self.bench.kind.has_cables() {
            return Err(LabError::NotHere { what, kind: self.bench.kind });
        }
        self.bench.order(what, &Request::Route { passes })
    }

    /// Packets and bytes that have come to a site from other sites, or from the caller.
    ///
    /// # Errors
    /// On a lab without cables, without such a site, or when the lab has ended.
    pub fn crossed(&self, site: usize) -> Result<(u64, u64), LabError> {
        let what = "counting what crossed";
        match self.bench.ask(what, &Request::Crossed { site }, &[])?.0 {
            Reply::Crossed(packets, bytes) => Ok((packets, bytes)),
            other => Err(LabError::Refused { what: what.into(), why: format!("{other:?}") }),
        }
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
    /// A bench whose hub is still to report, reached through `control`.
    pub(crate) fn new(kind: Kind, setup: &Setup, control: OwnedFd, keeper: JoinHandle<()>) -> Self {
        Self {
            kind,
            plan: setup.plan.clone(),
            names: setup.names.clone(),
            ipv6: false,
            process_namespace: setup.process_namespace,
            cgroups: Mutex::new(Err("not made yet".to_owned())),
            control: Mutex::new(Some(control)),
            keeper: Mutex::new(Some(keeper)),
        }
    }

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

    pub(crate) fn cut(
        &self,
        place: Place,
        network: Option<usize>,
        cut: Cut,
    ) -> Result<(), LabError> {
        self.needs_cables("cutting a cable")?;
        self.check(place)?;
        let what = format!("cutting the cable {}", self.show(place));
        self.order(&what, &Request::Cut { place, network, cut })
    }

    pub(crate) fn heal(&self, place: Place, network: Option<usize>) -> Result<(), LabError> {
        self.needs_cables("mending a cable")?;
        self.check(place)?;
        let what = format!("mending the cable {}", self.show(place));
        self.order(&what, &Request::Heal { place, network })
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
    pub(crate) fn end(&self) {
        drop(self.control.lock().unwrap_or_else(PoisonError::into_inner).take());
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            drop(keeper.join());
        }
        let mut cgroups = self.cgroups.lock().unwrap_or_else(PoisonError::into_inner);
        *cgroups = Err("the lab has ended".to_owned());
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
