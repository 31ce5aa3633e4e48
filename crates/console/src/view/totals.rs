//! What has been counted since the start, and a few gauges.

use serde::{Serialize, Serializer};

/// Counters (events since the start) and gauges (where said) of this machine.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    /// Worker threads (gauge).
    pub workers: u64,
    /// Counters of the workers, by the balancer's own names.
    #[serde(serialize_with = "by_name")]
    pub counters: balancer::stats::Totals,
    /// Decisions by outcome and reason.
    pub decisions: Vec<(String, String, u64)>,
    /// Machines put aside on suspicion.
    pub ejections: u64,
    /// Packets to and from the other machines.
    pub announcements: Announcements,
}

/// What became of announcements and of the exchange of probes and answers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Announcements {
    /// Announcements sent, counted per target.
    pub sent: u64,
    /// Announcements that could not be sent.
    pub send_errors: u64,
    /// Announcements that counted.
    pub accepted: u64,
    /// Datagrams that changed nothing, by reason.
    pub refused: Vec<(String, u64)>,
}

fn by_name<S: Serializer>(
    counters: &balancer::stats::Totals,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counters.named())
}
