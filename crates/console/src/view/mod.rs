//! What the pages show, as plain values: one [`StatusView`] is everything at one moment.
//!
//! The names here are the names in `status.json`; each number carries its unit in its name. What is
//! not known is absent (`null`), never zero. Text comes from the network and is not yet escaped: every
//! renderer does that.

mod addresses;
mod bus;
mod decision;
mod machine;
mod totals;

pub use addresses::{
    AddressCheck, AddressCounters, AddressDecision, AddressHook, AddressMember, AddressSet,
    AddressesView,
};
pub use bus::{BusCounters, BusDaemon, BusQueues, BusSession, BusView, Counted};
pub use decision::{Appraisal, DecisionRow, Outcome, Ranked, Step, Struck};
pub use machine::{MachineRow, Pressure, Tone};
pub use totals::Totals;

use base::histogram::Counts;
use serde::Serialize;

/// The cluster as one of its machines sees it, at one moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StatusView {
    /// The program's version.
    pub version: String,
    /// The name of the machine that answers.
    pub this: String,
    /// Its identity, 32 hexadecimal digits.
    pub id: String,
    /// Which of its lives this is, 32 hexadecimal digits.
    pub boot: String,
    /// Seconds since this life began.
    pub uptime_seconds: f64,
    /// Whether it is being taken out of service.
    pub draining: bool,
    /// What a reader should know before anything else: an open cluster, a disk full under the log.
    pub warnings: Vec<String>,
    /// Every machine in the matrix, in its order.
    pub machines: Vec<MachineRow>,
    /// Every route in the order of the configuration.
    pub routes: Vec<RouteRow>,
    /// The latest decisions that were explained, newest first.
    pub decisions: Vec<DecisionRow>,
    /// The bus daemon; absent if this machine has none.
    pub bus: Option<BusView>,
    /// The addresses that move between machines; absent if this machine has none.
    pub addresses: Option<AddressesView>,
    /// What has been counted since the start.
    pub totals: Totals,
    /// The last minute of this machine as an entry.
    pub trend: Trend,
    /// Age of the information that each decision rested on, since the start.
    #[serde(skip)]
    pub information_age: Counts,
}

/// One route and its turnaround, from the head of the request to the last byte of the response.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RouteRow {
    /// The name in the configuration.
    pub name: String,
    /// What it matches, as a person would say it; empty if everything.
    pub matches: String,
    /// The chain that decides it, function by function.
    pub chain: Vec<String>,
    /// What happens when no machine is left: `here` or `refuse`.
    pub empty: String,
    /// Whether machines are asked first: `auto`, `always` or `never`.
    pub asking: String,
    /// Workers that ask now: the route's requests take long enough for it to pay.
    pub workers_asking: u64,
    /// Requests since the start.
    pub requests: u64,
    /// Requests per second over the last interval.
    pub requests_per_second: f64,
    /// Median turnaround of the last minute in milliseconds.
    pub p50_ms: Option<f64>,
    /// 99th percentile of the last minute in milliseconds.
    pub p99_ms: Option<f64>,
    /// Turnaround since the start.
    #[serde(skip)]
    pub turnaround: Counts,
    /// Requests per second, oldest first, one sample per interval.
    pub trend_requests_per_second: Vec<f32>,
}

/// The last samples of this machine as an entry, oldest first, one per interval.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Trend {
    /// Seconds between two samples.
    pub interval_seconds: f64,
    /// Client requests per second that entered here.
    pub requests_per_second: Vec<f32>,
    /// Requests that entered here and are not finished.
    pub in_flight: Vec<f32>,
    /// 99th percentile of turnaround over all routes, in milliseconds.
    pub p99_ms: Vec<f32>,
    /// Responses 5xx per second.
    pub errors_per_second: Vec<f32>,
    /// Median turnaround over all routes in the last minute, in milliseconds.
    pub recent_p50_ms: Option<f64>,
    /// 99th percentile over all routes in the last minute, in milliseconds.
    pub recent_p99_ms: Option<f64>,
}

impl StatusView {
    /// Machines that a decision may choose now.
    pub fn usable(&self) -> usize {
        self.machines.iter().filter(|machine| machine.usable).count()
    }

    /// Requests in the local services of all machines, as far as is known here.
    pub fn in_flight(&self) -> u64 {
        self.machines.iter().map(MachineRow::in_flight).sum()
    }
}
