//! What the workers count.
//!
//! Each worker owns one [`Worker`]: plain relaxed stores, no locked instruction, since only that worker
//! writes. [`Stats::collect`] adds them up for whoever looks, who may see an event late but never torn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use base::Histogram;
use base::histogram::Counts;
use candidacy::Reason;

/// A counter that one thread writes and any number read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one. Only the owning thread may.
    pub fn bump(&self) {
        self.add(1);
    }
    /// Adds `n`. Only the owning thread may.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }
    /// Takes `n` away, for gauges. Only the owning thread may.
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }
    /// Sets a gauge. Only the owning thread may.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }
    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Events and gauges of one worker; see [`Totals`] for their meaning.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: Counter),* }

        /// Events since the start (and gauges, where said) of all workers together.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Totals { $($(#[$doc])* pub $name: u64),* }

        impl Totals {
            fn add(&mut self, from: &Counters) {
                $(self.$name = self.$name.wrapping_add(from.$name.get());)*
            }

            /// Every counter with its name, in a fixed order: for metrics and JSON.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

counters! {
    /// Client connections accepted.
    accepted,
    /// Client connections open now (gauge).
    open,
    /// Connections from peers open now (gauge).
    peers_in,
    /// Peer connections that failed their handshake.
    handshakes_refused,
    /// Client connections turned away for want of file descriptors.
    accept_exhausted,
    /// Resting client connections closed to make room for new ones.
    made_room,
    /// Requests begun, from clients; those for the internal pages are counted apart.
    requests,
    /// Requests begun that a peer passed on to this machine.
    peer_requests,
    /// Heads that were refused as malformed or too large.
    rejected,
    /// Connections closed because a head, a body or the client was too slow.
    timed_out,
    /// Clients that went away before their response was complete.
    client_gone,
    /// Responses 1xx and 2xx to clients.
    status_2xx,
    /// Responses 3xx to clients.
    status_3xx,
    /// Responses 4xx to clients.
    status_4xx,
    /// Responses 5xx to clients.
    status_5xx,
    /// Requests served by this machine because it was chosen.
    decided_here,
    /// Requests passed on to a peer.
    decided_proxy,
    /// Requests answered with a redirect.
    decided_redirect,
    /// Requests refused because no machine was left.
    decided_refused,
    /// Requests refused because of their client's address.
    forbidden,
    /// Requests to the internal pages.
    pages,
    /// Requests that found the limit reached and waited.
    queued,
    /// Requests refused with 503 because limit and queue were full.
    over_limit,
    /// Requests refused because too many were being relayed.
    relay_limit,
    /// Requests being relayed to peers now (gauge).
    relaying,
    /// Upgraded connections and event streams open now (gauge).
    tunnels,
    /// Attempts at another machine after one failed.
    retries,
    /// Machines kept out for a while after failures.
    ejections,
    /// Attempts that the retry budget did not allow.
    retries_denied,
    /// Requests that a peer refused (over limit, draining) and went on to the next.
    peer_refused,
    /// Waiting requests moved because their machine died.
    moved_by_death,
    /// Requests that failed for good at this entry (502, 504).
    failed,
    /// Peer and local connections opened.
    connects,
    /// Connections taken from a pool.
    pool_hits,
    /// Pooled connections idle now (gauge).
    pool_idle,
    /// Pooled connections that ended while idle.
    pool_lost,
    /// Reports that came back inside responses.
    reports,
    /// Freshness probes sent after a decision.
    probes,
    /// Answers to probes and questions that arrived in time to matter.
    answers,
    /// Requests whose machine was asked for first.
    asked,
    /// Questions that no machine answered before the deadline.
    asked_silent,
    /// Bytes of bodies relayed to clients.
    bytes_out,
    /// Bytes of request bodies taken from clients.
    bytes_in,
    /// Access-log records that were lost because the writer was behind or the disk full.
    log_lost,
}

/// The counters and histograms of one worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) counters: Counters,
    /// Decision to last byte, by slot of the matrix. Grown ahead by blocks so that no pointer moves.
    pub(crate) peers: Box<[std::sync::OnceLock<Box<Histogram>>]>,
    /// Request head to last byte, by route.
    pub(crate) routes: Box<[Histogram]>,
    /// Age of the report that the chosen machine was judged by.
    pub(crate) age: Histogram,
    /// Decisions by reason, in the order of `candidacy::Reason::ALL`.
    pub(crate) reasons: [Counter; Reason::ALL.len()],
    /// Time in the local service, by route.
    pub(crate) here: Box<[Histogram]>,
    /// Time in the local service of requests that peers passed on.
    pub(crate) for_peers: Histogram,
    /// Requests in the local service now, by route (gauges).
    pub(crate) busy: Box<[Counter]>,
    /// Whether it asks before it decides, by route (gauges of 0 and 1).
    pub(crate) asking: Box<[Counter]>,
}

impl Worker {
    pub(crate) fn new(machines: usize, routes: usize) -> Self {
        Self {
            counters: Counters::default(),
            peers: (0..machines).map(|_| std::sync::OnceLock::new()).collect(),
            routes: (0..routes).map(|_| Histogram::new()).collect(),
            age: Histogram::new(),
            reasons: Default::default(),
            here: (0..routes).map(|_| Histogram::new()).collect(),
            for_peers: Histogram::new(),
            busy: (0..routes).map(|_| Counter::default()).collect(),
            asking: (0..routes).map(|_| Counter::default()).collect(),
        }
    }

    /// The turnaround histogram of a machine, made at its first use.
    pub(crate) fn peer(&self, slot: usize) -> Option<&Histogram> {
        self.peers.get(slot).map(|cell| &**cell.get_or_init(Box::default))
    }
}

/// Turnaround as seen from this machine.
#[derive(Clone, Debug)]
pub struct PeerStats {
    /// Row of the matrix.
    pub slot: u16,
    /// Decision to last byte.
    pub turnaround: Counts,
}

/// Turnaround of one route.
#[derive(Clone, Debug)]
pub struct RouteStats {
    /// The route's name in the configuration.
    pub name: String,
    /// Head received to last byte sent.
    pub turnaround: Counts,
    /// Workers that asked, or would have if it could have helped, when they last decided on this route.
    pub asking: u64,
}

/// Everything counted, added up over the workers at one moment.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Plain counters and gauges.
    pub totals: Totals,
    /// Machines that have been used at least once, by slot; this one too, with what it decided itself.
    pub peers: Vec<PeerStats>,
    /// All routes in the order of the configuration.
    pub routes: Vec<RouteStats>,
    /// Age of the information each decision rested on.
    pub information_age: Counts,
    /// Decisions by reason, as (label, count).
    pub reasons: Vec<(&'static str, u64)>,
    /// Time of requests in this machine's local service.
    pub here: Counts,
}

impl Stats {
    pub(crate) fn collect(workers: &[Arc<Worker>], names: &[String]) -> Self {
        let mut stats = Self::default();
        let machines = workers.first().map_or(0, |w| w.peers.len());
        for worker in workers {
            stats.totals.add(&worker.counters);
            stats.information_age.merge(&worker.age.snapshot());
            worker.here.iter().for_each(|h| stats.here.merge(&h.snapshot()));
        }
        let of = |reason: Reason| workers.iter().map(|w| w.reasons[reason.index()].get()).sum();
        stats.reasons = Reason::ALL.iter().map(|&reason| (reason.as_str(), of(reason))).collect();
        for slot in 0..machines {
            let mut turnaround = Counts::default();
            workers
                .iter()
                .filter_map(|w| w.peers[slot].get())
                .for_each(|h| turnaround.merge(&h.snapshot()));
            if turnaround.count() > 0 {
                stats.peers.push(PeerStats { slot: slot as u16, turnaround });
            }
        }
        for (i, name) in names.iter().enumerate() {
            let mut turnaround = Counts::default();
            workers
                .iter()
                .filter_map(|w| w.routes.get(i))
                .for_each(|h| turnaround.merge(&h.snapshot()));
            let asking = workers.iter().filter_map(|w| w.asking.get(i)).map(Counter::get).sum();
            stats.routes.push(RouteStats { name: name.clone(), turnaround, asking });
        }
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_two_workers_counted_adds_up() {
        let workers: Vec<_> = (0..2).map(|_| Arc::new(Worker::new(4, 1))).collect();
        for worker in &workers {
            worker.counters.requests.bump();
            worker.peer(3).unwrap().record(Duration::from_millis(2));
            worker.routes[0].record(Duration::from_millis(2));
        }
        let stats = Stats::collect(&workers, &["default".into()]);
        assert_eq!(stats.totals.requests, 2);
        assert_eq!(stats.peers.len(), 1);
        assert_eq!((stats.peers[0].slot, stats.peers[0].turnaround.count()), (3, 2));
        assert_eq!(stats.routes[0].turnaround.count(), 2);
        assert!(workers[0].peer(4).is_none());
    }
}
