//! What only the part that serves requests can know, asked by control and the answerer.

use std::time::Duration;

use candidacy::{RouteFigures, Slot};

/// Figures of the local service for the announcement, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServedFigures {
    /// The busiest routes; the first eight travel.
    pub routes: Vec<RouteFigures>,
    /// Service slots in all; 0 if there is no such number.
    pub running: u32,
    /// Service slots free now.
    pub ready: u32,
    /// Requests served for peers in the last interval.
    pub count: u32,
    /// Their mean time in the local service.
    pub mean: Duration,
    /// The time that 99 of 100 did not exceed.
    pub p99: Duration,
}

/// The serving part's side of the announcement. Called on the control and answerer threads; no method may
/// wait for anything.
pub trait Served: Send + Sync {
    /// The figures of this moment.
    fn figures(&self) -> ServedFigures;

    /// Typical service time here of the route with this key ([`candidacy::Route::key`]), in microseconds;
    /// 0 if unknown.
    fn service_micros(&self, route: u32) -> u32;

    /// Mean turnaround of the requests sent from here to a machine, and their number.
    fn turnaround(&self, slot: Slot) -> Option<(Duration, u64)>;
}

/// Nothing is served here: the figures of a machine that only announces.
#[derive(Clone, Copy, Debug, Default)]
pub struct NothingServed;

impl Served for NothingServed {
    fn figures(&self) -> ServedFigures {
        ServedFigures::default()
    }
    fn service_micros(&self, _: u32) -> u32 {
        0
    }
    fn turnaround(&self, _: Slot) -> Option<(Duration, u64)> {
        None
    }
}
