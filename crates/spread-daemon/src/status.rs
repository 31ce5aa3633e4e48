//! What an operator sees of a daemon. It is put together only when somebody asks.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use base::Instant;
use ring::DaemonName;
use spread_wire::Service;

/// Sessions told of one by one; the slowest first.
pub const SESSIONS_TOLD: usize = 100;

/// The state of a daemon.
#[derive(Clone, Debug)]
pub struct Status {
    /// Its name.
    pub name: DaemonName,
    /// How long it has been running.
    pub up: Duration,
    /// When all this was so, by the clock that the other moments here are of.
    pub now: Instant,
    /// The ring.
    pub ring: ring::Status,
    /// How the groups are.
    pub groups: GroupsStatus,
    /// What its clients did.
    pub sessions: SessionCounters,
    /// Sessions now.
    pub open: usize,
    /// Connections that have not said who they are yet.
    pub shaking: usize,
    /// The sessions for which most waits, at most [`SESSIONS_TOLD`].
    pub slowest: Vec<SessionStatus>,
    /// Datagrams.
    pub link: LinkCounters,
    /// How its thread stands among other work, in words.
    pub priority: String,
}

/// How the groups are.
#[derive(Clone, Copy, Debug)]
pub struct GroupsStatus {
    /// Groups with a member anywhere in the view.
    pub groups: usize,
    /// Clients are to wait: states are exchanged, or too much waits for the ring.
    pub paused: bool,
    /// Messages waiting for the ring, and their bytes.
    pub waiting: (usize, usize),
    /// What was wrong or given up.
    pub counters: groups::Counters,
}

/// One session.
#[derive(Clone, Debug)]
pub struct SessionStatus {
    /// Its private group.
    pub name: String,
    /// From where, by TCP; the Unix socket otherwise.
    pub peer: Option<std::net::IpAddr>,
    /// Bytes that wait for it.
    pub bytes: usize,
    /// Messages that wait for it.
    pub messages: usize,
    /// How long it has taken nothing.
    pub stuck: Duration,
}

/// What sessions did, ever growing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounters {
    /// Connections accepted.
    pub connections: u64,
    /// Sessions begun.
    pub begun: u64,
    /// Handshakes refused.
    pub refused: u64,
    /// Sessions begun over TLS, among all that were begun.
    pub tls_begun: u64,
    /// Handshakes of TLS that failed, among those refused.
    pub tls_failed: u64,
    /// Sessions ended because they broke a rule of the protocol, or stopped in the middle of a message when much was begun.
    pub violations: u64,
    /// Sessions ended because they did not read.
    pub slow: u64,
    /// Messages taken from clients.
    pub messages: u64,
    /// Of those the multicasts, by service.
    pub multicasts: ByService,
    /// Bytes of those, headers and names included.
    pub multicast_bytes: ByService,
    /// Messages given to clients.
    pub delivered: u64,
    /// Of those the multicasts, by service; the others are notices of members.
    pub delivered_multicasts: ByService,
    /// Bytes of those, headers and names included.
    pub delivered_multicast_bytes: ByService,
    /// Bytes given to clients.
    pub delivered_bytes: u64,
}

/// One count for each service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByService([u64; Service::ALL.len()]);

impl ByService {
    pub(crate) fn add(&mut self, service: Service, count: u64) {
        self.0[service as usize] += count;
    }

    /// The count of one service.
    pub fn of(&self, service: Service) -> u64 {
        self.0[service as usize]
    }

    /// Each service by its name, the weakest first.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        let names = ["unreliable", "reliable", "fifo", "causal", "agreed", "safe"];
        names.into_iter().zip(self.0)
    }
}

/// What came and went between daemons, ever growing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Datagrams received.
    pub received: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Datagrams that no key opens.
    pub forged: u64,
    /// Datagrams that came before.
    pub replayed: u64,
    /// Noise, and datagrams from addresses that nobody accepts.
    pub refused: u64,
    /// Datagrams that the system did not take.
    pub unsent: u64,
    /// Times ICMP said that nobody is there.
    pub unreachable: u64,
}

/// Asks a daemon on another thread how it is.
#[derive(Clone, Debug)]
pub struct Observer {
    ask: Sender<Sender<Status>>,
    bell: Arc<OwnedFd>,
}

impl Observer {
    pub(crate) fn new(bell: Arc<OwnedFd>) -> (Self, Receiver<Sender<Status>>) {
        let (ask, asked) = channel();
        (Self { ask, bell }, asked)
    }

    /// The state of the daemon; `None` if it ended or does not answer in time.
    pub fn status(&self, within: Duration) -> Option<Status> {
        let (tell, told) = channel();
        self.ask.send(tell).ok()?;
        // A full counter wakes just as well.
        let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
        told.recv_timeout(within).ok()
    }

    /// Whether the daemon has ended, as distinct from one that only does not answer.
    pub fn has_ended(&self) -> bool {
        // The receiver goes with the daemon. One that lives answers into the void.
        self.ask.send(channel().0).is_err()
    }
}
