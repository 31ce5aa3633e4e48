//! One row of the matrix.

use base::histogram::Counts;
use serde::Serialize;

/// One machine: the columns the status page has always had, and the new ones.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MachineRow {
    /// Row of the matrix.
    pub entry: u16,
    /// What people call it.
    pub name: String,
    /// Its identity, 32 hexadecimal digits.
    pub id: String,
    /// Which of its lives this is, 32 hexadecimal digits.
    pub boot: String,
    /// The version of the program it runs, if it says.
    pub version: Option<String>,
    /// Whether it is the machine that answers.
    pub this: bool,
    /// Where its service is: address or name, and port.
    pub address: String,
    /// Where peers connect, if it takes part in relaying.
    pub peer: Option<String>,
    /// Whether it only announces and is reached without a peer connection.
    pub plain: bool,

    /// Its condition in a word or two: `alive`, `draining`, `ejected`.
    pub condition: String,
    /// How good that is.
    pub tone: Tone,
    /// Whether a decision may choose it now.
    pub usable: bool,

    /// Milliseconds since its last announcement.
    pub age_ms: Option<u64>,
    /// Milliseconds since the newest report of any source.
    pub information_age_ms: Option<u64>,

    /// Memory in bytes.
    pub total_memory_bytes: u64,
    /// Memory that a new program could have, in bytes.
    pub available_memory_bytes: u64,
    /// Places of its local service that are free.
    pub ready_servers: Option<u32>,
    /// Places of its local service.
    pub total_servers: Option<u32>,
    /// Mean turnaround of requests decided here and served there since the start, in milliseconds.
    pub ms_per_request: Option<f64>,
    /// Requests decided here and served there since the start.
    pub requests: u64,
    /// Requests per second decided here and served there over the last interval.
    pub requests_per_second: f64,
    /// Its measured speed; larger is faster.
    pub arriba: Option<u64>,
    /// CPUs, with fractions under a quota.
    pub cpus: f64,
    /// Load average of one minute.
    pub load: f64,
    /// The next power of two above any load seen.
    pub load_high_water: f64,
    /// Share of its CPUs that was idle in the last second, 0 to 1.
    pub cpu_idle: f64,
    /// Share of time in which something waited.
    pub pressure: Pressure,

    /// Requests there that were sent from here.
    pub in_flight_mine: u32,
    /// Requests there that others sent, as far as is known.
    pub in_flight_others: u32,
    /// Most requests it takes at once, if it says so.
    pub in_flight_limit: Option<u32>,
    /// Median turnaround as seen from here in the last minute, in milliseconds.
    pub p50_ms: Option<f64>,
    /// 99th percentile as seen from here in the last minute, in milliseconds.
    pub p99_ms: Option<f64>,
    /// Turnaround as seen from here since the start.
    #[serde(skip)]
    pub turnaround: Counts,
    /// Requests in flight there, oldest first, one sample per interval.
    pub trend_in_flight: Vec<f32>,
}

impl MachineRow {
    /// Requests in its local service, from here and from others.
    pub fn in_flight(&self) -> u64 {
        u64::from(self.in_flight_mine) + u64::from(self.in_flight_others)
    }
}

/// How good a condition is, for the eye.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// In service.
    Good,
    /// Still chosen, or about to be again, but not as usual.
    Warn,
    /// Not chosen because something is wrong.
    Bad,
    /// Not chosen because nothing is known yet.
    #[default]
    Quiet,
}

impl Tone {
    /// The word in metrics and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Quiet => "quiet",
        }
    }
}

/// Pressure stall information: percent of the last ten seconds in which at least one task waited; `None` = not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Pressure {
    /// For a CPU; in a control group of version 1, percent of the quota's periods in which the quota ran out.
    pub cpu_percent: Option<f64>,
    /// For memory.
    pub memory_percent: Option<f64>,
    /// For input and output.
    pub io_percent: Option<f64>,
}
