//! What has been counted since the start, and a few gauges.

use serde::{Serialize, Serializer};

/// Counters (events since the start) and gauges (where said) of this machine.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    /// Worker threads (gauge).
    pub workers: u64,
    /// What the workers counted, by the balancer's own names.
    #[serde(serialize_with = "by_name")]
    pub counters: balancer::stats::Totals,
    /// What was sent to, taken and refused from other machines, by the names of `resources`.
    #[serde(serialize_with = "by_each")]
    pub cluster: resources::Stats,
    /// Decisions by reason.
    #[serde(serialize_with = "as_map")]
    pub reasons: Vec<(&'static str, u64)>,
}

fn by_name<S: Serializer>(
    counters: &balancer::stats::Totals,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counters.named())
}

fn by_each<S: Serializer>(stats: &resources::Stats, serializer: S) -> Result<S::Ok, S::Error> {
    let refused = stats.each_refused().map(|(reason, n)| (format!("refused {reason}"), n));
    let all = stats.each().map(|(name, n)| (name.to_owned(), n)).chain(refused);
    serializer.collect_map(all)
}

fn as_map<S: Serializer>(pairs: &[(&'static str, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().copied())
}
