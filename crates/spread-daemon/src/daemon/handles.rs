//! What other threads hold of a running daemon.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};

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
