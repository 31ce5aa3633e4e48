//! What the announcement says about this machine's service, taken from the workers' histograms.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::histogram::Counts;
use candidacy::{RouteFigures, Slot};
use resources::{Served, ServedFigures};

use crate::stats;

/// The busiest routes that are told.
const ROUTES: usize = 8;

/// The workers' counters, as control asks for them.
pub(super) struct Figures {
    workers: Vec<Arc<stats::Worker>>,
    /// Keys of the routes, in the order of the configuration.
    keys: Vec<u32>,
    limit: u32,
    before: Mutex<Before>,
}

#[derive(Default)]
struct Before {
    for_peers: Counts,
    routes: Vec<Counts>,
    /// Typical service time by route, as last known.
    typical: Vec<u32>,
}

impl Figures {
    pub(super) fn new(workers: Vec<Arc<stats::Worker>>, keys: Vec<u32>, limit: u32) -> Self {
        let before = Before {
            routes: vec![Counts::default(); keys.len()],
            typical: vec![0; keys.len()],
            ..Before::default()
        };
        Self { workers, keys, limit, before: Mutex::new(before) }
    }

    fn busy(&self, route: usize) -> u64 {
        self.workers.iter().filter_map(|w| w.busy.get(route)).map(stats::Counter::get).sum()
    }

    fn sum<'a>(&'a self, of: impl Fn(&'a stats::Worker) -> Option<&'a base::Histogram>) -> Counts {
        let mut sum = Counts::default();
        self.workers.iter().filter_map(|w| of(w)).for_each(|h| sum.merge(&h.snapshot()));
        sum
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

impl Served for Figures {
    fn figures(&self) -> ServedFigures {
        let Ok(mut before) = self.before.lock() else { return ServedFigures::default() };
        let for_peers = self.sum(|w| Some(&w.for_peers));
        let lately = for_peers.since(&before.for_peers);
        before.for_peers = for_peers;
        let mut busiest: Vec<(u64, usize)> = Vec::new();
        for i in 0..self.keys.len() {
            let now = self.sum(|w| w.here.get(i));
            let since = now.since(&before.routes[i]);
            if let Some(typical) = since.quantile(0.5) {
                before.typical[i] = micros(typical);
            }
            busiest.push((since.count(), i));
            before.routes[i] = now;
        }
        busiest.sort_unstable_by(|a, b| b.cmp(a));
        let in_flight: u64 = (0..self.keys.len()).map(|i| self.busy(i)).sum();
        let in_flight = u32::try_from(in_flight).unwrap_or(u32::MAX);
        ServedFigures {
            routes: busiest
                .iter()
                .filter(|(count, _)| *count > 0)
                .take(ROUTES)
                .map(|&(_, i)| RouteFigures {
                    key: self.keys[i],
                    service_micros: before.typical[i],
                    in_flight: u16::try_from(self.busy(i)).unwrap_or(u16::MAX),
                })
                .collect(),
            running: self.limit,
            ready: self.limit.saturating_sub(in_flight),
            count: u32::try_from(lately.count()).unwrap_or(u32::MAX),
            mean: lately.mean().unwrap_or_default(),
            p99: lately.quantile(0.99).unwrap_or_default(),
        }
    }

    fn service_micros(&self, route: u32) -> u32 {
        let Some(i) = self.keys.iter().position(|key| *key == route) else { return 0 };
        // Whoever holds the lock is making new figures; the asker can do without this one.
        self.before.try_lock().map_or(0, |before| before.typical[i])
    }

    fn turnaround(&self, slot: Slot) -> Option<(Duration, u64)> {
        let counts = self.sum(|w| w.peers.get(slot.index())?.get().map(|h| &**h));
        Some((counts.mean()?, counts.count()))
    }
}
