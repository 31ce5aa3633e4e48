//! What the rest of the program holds of this crate.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use announce::exchange::Asker;
use announce::reception::Refused;
use announce::reservations::{Granter, Reservations};
use arc_swap::ArcSwap;
use base::Boot;
use candidacy::{MAX_MACHINES, Machine, Slot, Snapshot};
use seal::peer::PeerKey;
use seal::{ClusterKey, Speaker};

use crate::clock::Clock;
use crate::config::Config;
use crate::error::StartError;
use crate::local::LocalLoad;
use crate::matrix::{SharedMatrix, THIS};
use crate::measure::Root;
use crate::served::{NothingServed, Served};
use crate::state::State;
use crate::stats::{Counters, Stats, count};
use crate::wake::Bell;
use crypto::Ring;

/// The first exchange channel for threads of the balancer; lower ones belong to this crate's threads.
const FIRST_FREE_CHANNEL: u16 = 16;
/// Answerers remembered by one asker: every machine, and as many boots that have ended.
const ANSWERERS: usize = 2 * MAX_MACHINES;

/// What the composing program knows and this crate's configuration does not.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The clock; tests share one with the service to make it jump.
    pub clock: Clock,
    /// Where `/proc` and `/sys` are; tests have trees of their own.
    pub root: Root,
    /// The port of the first HTTP listener, announced as the service; 0 if there is none.
    pub http_port: u16,
    /// Whether a peer listener is open. Without one the machine is announced as `plain`: others reach it by
    /// HTTP only.
    pub peer_listener: bool,
    /// The TCP port of that listener; 0 = that of the exchange port.
    pub peer_port: u16,
}

/// A sign about a machine from the data path, for liveness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A connection to its peer listener was refused: the port is closed, the program gone. Death at once.
    Refused,
    /// An open connection was reset, or ended within a response. Verified by probes at once.
    Reset,
    /// A connection could not be made in time, or a response did not begin in time. Verified likewise.
    Silent,
    /// The network says that it cannot be reached. Verified likewise.
    Unreachable,
}

impl Evidence {
    pub(crate) fn for_liveness(self) -> announce::liveness::Evidence {
        match self {
            Self::Refused => announce::liveness::Evidence::Refused,
            Self::Reset => announce::liveness::Evidence::Reset,
            Self::Silent | Self::Unreachable => announce::liveness::Evidence::Unreachable,
        }
    }
}

/// A machine was found dead, or is gone for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// Its row.
    pub slot: Slot,
    /// The admission that ended; a later one in the same row is another life.
    pub epoch: u32,
}

/// Somebody who wants to be told of something.
type Ear<T> = Box<dyn Fn(T) + Send>;

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
    pub(crate) reservations: Arc<Reservations>,
    /// Speed of one CPU; 0 until it is known.
    pub(crate) arriba: AtomicU32,
    /// Rung when the load has crossed a mark.
    pub(crate) marks: Arc<Bell>,
    /// Rung when the answerer shall end.
    pub(crate) end: Bell,
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) served: ArcSwap<Box<dyn Served>>,
    pub(crate) stopping: AtomicBool,
    pub(crate) evidence: Mutex<Vec<(Slot, u32, Evidence)>>,
    deaths: Mutex<Vec<Ear<Death>>>,
    snapshots: Mutex<Vec<Ear<()>>>,
    next_channel: AtomicU16,
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
    pub(crate) fn prepare(
        config: &Config,
        setup: Setup,
        state: &State,
    ) -> Result<(Self, Granter), StartError> {
        let mut boot = [0; 16];
        crypto::random(&mut boot);
        let me = Speaker { machine: state.machine()?, boot: Boot(boot) };
        let bell = || Bell::new().map_err(StartError::system("make an eventfd"));
        let (urgent, marks) = (Arc::new(bell()?), Arc::new(bell()?));
        let (reservations, granter) = Reservations::new();
        let matrix = Arc::new(SharedMatrix::new());
        let now = setup.clock.now();
        matrix.hot.admit(THIS, 1, now);
        let contact =
            std::net::SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), setup.http_port);
        let mut this = Machine::new(me.machine, config.name.clone(), contact);
        this.boot = me.boot;
        this.announced = now;
        matrix.slow.store(Arc::new(Snapshot::new(1, THIS, vec![Some(this)])));
        let shared = Shared {
            config: config.clone(),
            setup,
            me,
            key: config.protection.key(),
            local: LocalLoad::new(Arc::clone(&matrix), Arc::clone(&urgent), Arc::clone(&marks)),
            matrix,
            bell: urgent,
            marks,
            end: bell()?,
            arriba: AtomicU32::new(0),
            threads: Mutex::default(),
            counters: Counters::default(),
            reservations,
            served: ArcSwap::from_pointee(Box::new(NothingServed)),
            stopping: AtomicBool::new(false),
            evidence: Mutex::default(),
            deaths: Mutex::default(),
            snapshots: Mutex::default(),
            next_channel: AtomicU16::new(FIRST_FREE_CHANNEL),
        };
        Ok((Self(Arc::new(shared)), granter))
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

    /// The asking end of the exchange for the calling thread, with a channel, and so keys and nonces, of
    /// its own. `None` after 65,000 of them, which would be one per request and a mistake.
    pub fn asker(&self) -> Option<Asker<Ring>> {
        let next = |channel: u16| channel.checked_add(1);
        let channel = self.0.next_channel.fetch_update(Relaxed, Relaxed, next).ok()?;
        Some(Asker::new(&Ring, &self.0.key, self.0.me, channel, ANSWERERS))
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

    /// Has `tell` called on the control thread whenever a new snapshot of the matrix was published: after
    /// changes, and at least each second. It must not wait either.
    pub fn on_snapshot(&self, tell: impl Fn() + Send + 'static) {
        lock(&self.0.snapshots).push(Box::new(move |()| tell()));
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
        let kept = self.0.reservations.consume(id);
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

    /// Counts a datagram that was refused at the socket of somebody who asks.
    pub fn count_refused(&self, reason: Refused) {
        self.0.counters.refuse(reason);
    }

    /// Counts of what was sent, taken and refused.
    pub fn stats(&self) -> Stats {
        self.0.counters.read()
    }

    /// Ends both threads and waits for them. The others are told that this machine takes nothing new; to
    /// spare the requests that are still here, drain first. Not to be called by [`on_death`](Self::on_death).
    pub fn stop(&self) {
        self.0.stopping.store(true, SeqCst);
        self.0.bell.ring();
        self.0.end.ring();
        for thread in std::mem::take(&mut *lock(&self.0.threads)) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Tells everyone who asked that there is a new snapshot.
    pub(crate) fn tell_snapshot(&self) {
        lock(&self.snapshots).iter().for_each(|tell| tell(()));
    }

    /// Tells everyone who asked that a machine is dead.
    pub(crate) fn tell_death(&self, death: Death) {
        lock(&self.deaths).iter().for_each(|tell| tell(death));
    }
}
