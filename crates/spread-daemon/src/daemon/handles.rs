//! What other threads hold of a running daemon.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};

use ring::{DaemonName, Ring};

use crate::config::DaemonConfig;

/// Stops a daemon from another thread.
#[derive(Clone, Debug)]
pub struct Stopper {
    asked: Arc<AtomicBool>,
    bell: Arc<OwnedFd>,
}

impl Stopper {
    pub(super) fn new(bell: Arc<OwnedFd>) -> Self {
        Self { asked: Arc::new(AtomicBool::new(false)), bell }
    }

    /// The daemon tells the others that it goes, closes its clients and returns.
    pub fn stop(&self) {
        self.asked.store(true, Relaxed);
        // A full counter wakes just as well.
        let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
    }

    /// Whether [`stop`](Self::stop) was called. A daemon that ends without was told to by an operator's monitor.
    pub fn was_asked(&self) -> bool {
        self.asked.load(Relaxed)
    }

    /// Takes what woke the daemon, so that it can be woken again.
    pub(super) fn answer(&self) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&*self.bell, &mut count);
    }
}

/// Lets a daemon look for others at once: somebody has reason to believe that one is near which is not in the view.
#[derive(Clone, Debug)]
pub struct Seeker {
    asked: Arc<AtomicBool>,
    bell: Arc<OwnedFd>,
}

impl Seeker {
    pub(super) fn new(bell: Arc<OwnedFd>) -> Self {
        Self { asked: Arc::new(AtomicBool::new(false)), bell }
    }

    /// The daemon makes itself known to the segment, to its seeds, and to all daemons that it has known.
    pub fn seek(&self) {
        if !self.asked.swap(true, Relaxed) {
            let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
        }
    }

    pub(super) fn take(&self) -> bool {
        self.asked.swap(false, Relaxed)
    }
}

/// What a running daemon knows of daemons with one name, to be read at any time.
#[derive(Clone, Debug)]
pub struct Doubles(Arc<Known>);

#[derive(Debug)]
struct Known {
    name: DaemonName,
    refused: AtomicBool,
    had_namesake: AtomicBool,
    pushed_out: AtomicU64,
}

impl Doubles {
    pub(super) fn new(name: DaemonName) -> Self {
        let (refused, had_namesake) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Arc::new(Known { name, refused, had_namesake, pushed_out: AtomicU64::new(0) }))
    }

    /// The daemon's name.
    pub fn name(&self) -> DaemonName {
        self.0.name
    }

    /// [`Ring::is_refused`].
    pub fn is_refused(&self) -> bool {
        self.0.refused.load(Relaxed)
    }

    /// [`Ring::had_namesake`].
    pub fn had_namesake(&self) -> bool {
        self.0.had_namesake.load(Relaxed)
    }

    /// [`Ring::pushed_out`].
    pub fn pushed_out(&self) -> u64 {
        self.0.pushed_out.load(Relaxed)
    }

    pub(super) fn note(&self, ring: &Ring) {
        self.0.refused.store(ring.is_refused(), Relaxed);
        self.0.had_namesake.store(ring.had_namesake(), Relaxed);
        self.0.pushed_out.store(ring.pushed_out(), Relaxed);
    }
}

/// Gives a running daemon another configuration.
#[derive(Clone, Debug)]
pub struct Reloader {
    to: Sender<Box<DaemonConfig>>,
    bell: Arc<OwnedFd>,
}

impl Reloader {
    pub(super) fn new(bell: Arc<OwnedFd>) -> (Self, Receiver<Box<DaemonConfig>>) {
        let (to, reloads) = channel();
        (Self { to, bell }, reloads)
    }

    /// Takes what can change while the daemon runs: the list of daemons, segments, keys, seeds, who is accepted, timeouts and windows,
    /// certificates, what may wait for a client, how many clients there may be. The log names what else differs and needs a start.
    pub fn reload(&self, config: DaemonConfig) {
        // A daemon that has ended has nothing to change.
        if self.to.send(Box::new(config)).is_ok() {
            let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
        }
    }
}
