//! What the rest of the program holds of this crate.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use base::Boot;
use candidacy::asking::Reservations;
use candidacy::{Machine, Slot, Snapshot};
use seal::peer::PeerKey;
use seal::{ClusterKey, Speaker};

use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::{self, Ring};
use crate::error::StartError;
use crate::local::LocalLoad;
use crate::matrix::{SharedMatrix, THIS};
use crate::measure::Root;
use crate::served::{NothingServed, Served};
use crate::state::State;
use crate::stats::{Counters, Stats, count};
use crate::wake::Bell;

/// What the composing program knows and this crate's configuration does not.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The clock; tests share one with the service to make it jump.
    pub clock: Clock,
    /// Where `/proc` and `/sys` are; tests have trees of their own.
    pub root: Root,
    /// The port of the first HTTP listener, announced as the service; 0 if there is none.
    pub http_port: u16,
    /// Whether a peer listener (TCP, on the exchange port) is open. Without one the machine is announced
    /// as `plain`: others reach it by HTTP only.
    pub peer_listener: bool,
}

/// A sign about a machine from the data path, for liveness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A connection to its peer listener was refused: the port is closed, the program gone.
    Refused,
    /// An open connection was reset, or ended within a response.
    Reset,
    /// A connection could not be made in time, or a response did not begin in time.
    Silent,
    /// The network says that it cannot be reached.
    Unreachable,
    /// It answered: whatever was suspected is over.
    Answered,
}

/// A machine was found dead, or is gone for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// Its row.
    pub slot: Slot,
    /// The admission that ended; a later one in the same row is another life.
    pub epoch: u32,
}

/// What all threads share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) setup: Setup,
    pub(crate) me: Speaker,
    pub(crate) key: ClusterKey,
    pub(crate) matrix: Arc<SharedMatrix>,
    pub(crate) local: LocalLoad,
    pub(crate) bell: Arc<Bell>,
    pub(crate) counters: Counters,
    pub(crate) reservations: Reservations,
    pub(crate) served: ArcSwap<Box<dyn Served>>,
    pub(crate) stopping: AtomicBool,
    pub(crate) evidence: Mutex<Vec<(Slot, u32, Evidence)>>,
    deaths: Mutex<Vec<Box<dyn Fn(Death) + Send>>>,
}

/// The way to this crate for everyone else. Clones are the same service.
#[derive(Clone)]
pub struct Handle(pub(crate) Arc<Shared>);

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("me", &self.0.me)
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

/// A lock whose holder can only have panicked between two complete states.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|broken| broken.into_inner())
}

impl Handle {
    pub(crate) fn prepare(config: &Config, setup: Setup) -> Result<Self, StartError> {
        let state = State::open(&config.state_dir)?;
        let mut boot = [0; 16];
        crypto::random(&mut boot);
        let me = Speaker { machine: state.machine()?, boot: Boot(boot) };
        let bell = Arc::new(Bell::new().map_err(StartError::system("make an eventfd"))?);
        let matrix = Arc::new(SharedMatrix::new());
        let now = setup.clock.now();
        matrix.hot.admit(THIS, 1, now);
        let contact =
            std::net::SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), setup.http_port);
        let mut this = Machine::new(me.machine, config.name.clone(), contact);
        this.boot = me.boot;
        this.announced = now;
        matrix.slow.store(Arc::new(Snapshot::new(1, THIS, vec![Some(this)])));
        Ok(Self(Arc::new(Shared {
            config: config.clone(),
            setup,
            me,
            key: config.protection.key(),
            local: LocalLoad::new(Arc::clone(&matrix), Arc::clone(&bell)),
            matrix,
            bell,
            counters: Counters::default(),
            reservations: Reservations::new(),
            served: ArcSwap::from_pointee(Box::new(NothingServed)),
            stopping: AtomicBool::new(false),
            evidence: Mutex::default(),
            deaths: Mutex::default(),
        })))
    }

    /// The matrix of all machines.
    pub fn matrix(&self) -> &Arc<SharedMatrix> {
        &self.0.matrix
    }

    /// This machine's own row.
    pub fn this(&self) -> Slot {
        THIS
    }

    /// This machine and this run of the program.
    pub fn me(&self) -> Speaker {
        self.0.me
    }

    /// What people call this machine.
    pub fn name(&self) -> &str {
        &self.0.config.name
    }

    /// This machine's own load: counters, limits, health.
    pub fn local(&self) -> &LocalLoad {
        &self.0.local
    }

    /// The clock whose instants stand in the matrix.
    pub fn clock(&self) -> &Clock {
        &self.0.setup.clock
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Whether a packet or peer connection from `ip` may be looked at; the key must fit in any case.
    pub fn accepts(&self, ip: IpAddr) -> bool {
        self.0.config.accepts(ip)
    }

    /// The key of the handshake on peer connections.
    pub fn peer_key(&self) -> PeerKey<Ring> {
        PeerKey::new(&Ring, &self.0.key)
    }

    /// Wakes control: something worth announcing may have happened. Cheap, and harmless when nothing has.
    pub fn nudge(&self) {
        self.0.bell.ring();
    }

    /// Has `tell` called on the control thread whenever a machine is found dead. It must not wait: let it
    /// pass the word on and return.
    pub fn on_death(&self, tell: impl Fn(Death) + Send + 'static) {
        lock(&self.0.deaths).push(Box::new(tell));
    }

    /// Tells liveness what a request saw of a machine. `epoch` is the admission it saw.
    pub fn evidence(&self, slot: Slot, epoch: u32, evidence: Evidence) {
        let mut waiting = lock(&self.0.evidence);
        // One sign about a machine is as good as a thousand.
        if !waiting.contains(&(slot, epoch, evidence)) {
            waiting.push((slot, epoch, evidence));
            drop(waiting);
            self.0.bell.ring();
        }
    }

    /// A peer request that carries this reservation has come: it is counted as in flight from now on, and
    /// the promise no longer. `false` if there is no such promise any more, which is no fault.
    pub fn consume_reservation(&self, id: u32) -> bool {
        let kept = self.0.reservations.consume(id, self.clock().now());
        if kept {
            count(&self.0.counters.reservations_used);
        }
        kept
    }

    /// Says where the figures of the local service come from.
    pub fn set_served(&self, served: impl Served + 'static) {
        self.0.served.store(Arc::new(Box::new(served)));
        self.nudge();
    }

    /// Counts of what was sent, taken and refused.
    pub fn stats(&self) -> Stats {
        self.0.counters.read()
    }

    /// Tells the threads to end. The others notice by silence; drain first to spare their requests.
    pub fn stop(&self) {
        self.0.stopping.store(true, SeqCst);
        self.0.bell.ring();
    }
}

impl Shared {
    /// Tells everyone who asked that a machine is dead.
    pub(crate) fn tell_death(&self, death: Death) {
        lock(&self.deaths).iter().for_each(|tell| tell(death));
    }
}
