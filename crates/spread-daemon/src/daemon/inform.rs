//! What a daemon says of itself.

use base::Instant;

use super::Daemon;
use super::handles::{Doubles, Reloader, Seeker, Stopper};
use crate::pulse::Pulse;
use crate::status::{GroupsStatus, Observer, Status};

impl Daemon {
    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// What asks it how it is.
    pub fn observer(&self) -> Observer {
        self.observer.clone()
    }

    /// How fresh its ring is, to be read at any time.
    pub fn pulse(&self) -> Pulse {
        self.heart.pulse()
    }

    /// What it knows of daemons with one name, to be read at any time.
    pub fn doubles(&self) -> Doubles {
        self.doubles.clone()
    }

    /// What lets it look for others at once.
    pub fn seeker(&self) -> Seeker {
        self.seeker.clone()
    }

    /// What gives it another configuration.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    pub(super) fn status(&self, now: Instant) -> Status {
        let (open, shaking) = self.sessions.counts();
        Status {
            name: self.config.name,
            up: now.since(self.begun),
            now,
            ring: self.ring.status(now),
            groups: GroupsStatus {
                groups: self.groups.group_count(),
                paused: self.groups.is_paused(),
                waiting: self.groups.waiting_submissions(),
                counters: *self.groups.counters(),
            },
            sessions: self.sessions.counters,
            open,
            shaking,
            slowest: self.sessions.slowest(now),
            link: self.link.counters,
            priority: self.priority(),
        }
    }

    /// Where clients connect by TCP.
    pub fn addresses(&self) -> &[std::net::SocketAddr] {
        &self.listeners.addresses
    }

    /// Where clients connect by TLS.
    pub fn tls_addresses(&self) -> &[std::net::SocketAddr] {
        &self.listeners.tls_addresses
    }

    /// The file of the Unix socket for clients.
    pub fn socket_file(&self) -> Option<&std::path::Path> {
        self.listeners.file()
    }

    /// The file of the control socket for monitors.
    pub fn control_file(&self) -> Option<&std::path::Path> {
        self.monitor.file()
    }
}
