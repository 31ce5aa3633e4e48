//! The figures: one sample per round, medians, ratios to HAProxy, as JSON and as a table.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::load::Outcome;

/// One server in one case in one round.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    requests_per_second: f64,
    cpu_micros_per_request: f64,
    p50_micros: f64,
    p99_micros: f64,
}

impl Sample {
    pub(crate) fn new(got: &Outcome, cpu_nanos: u64) -> Self {
        Self {
            requests_per_second: got.per_second,
            cpu_micros_per_request: cpu_nanos as f64 / 1e3 / got.requests.max(1) as f64,
            p50_micros: got.p50_micros,
            p99_micros: got.p99_micros,
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.0}/s {:>8.2} µs CPU", self.requests_per_second, self.cpu_micros_per_request)
    }
}

/// All samples of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    machine: String,
    seconds: u32,
    connections: u32,
    cases: BTreeMap<String, BTreeMap<String, Vec<Sample>>>,
}

impl Results {
    pub(crate) fn new(seconds: &u32, connections: &u32) -> Self {
        Self {
            machine: bench_common::model(),
            seconds: *seconds,
            connections: *connections,
            cases: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, case: &str, server: &str, sample: Sample) {
        self.cases.entry(case.into()).or_default().entry(server.into()).or_default().push(sample);
    }

    /// The table in Markdown: medians, and the processor time as a ratio to the case's yardstick.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        for (case, servers) in &self.cases {
            let Some((yardstick, base)) = yardstick(servers) else { continue };
            text += &format!(
                "\n### {case}\n\n| server | CPU µs/request | ratio to {yardstick} | requests/s | p50 µs | p99 µs |\n|---|--:|--:|--:|--:|--:|\n"
            );
            for (server, samples) in servers {
                let of = |f: fn(&Sample) -> f64| median(samples, f);
                let cpu = of(|s| s.cpu_micros_per_request);
                text += &format!(
                    "| {server} | {cpu:.2} | {:.2} | {:.0} | {:.0} | {:.0} |\n",
                    cpu / base,
                    of(|s| s.requests_per_second),
                    of(|s| s.p50_micros),
                    of(|s| s.p99_micros),
                );
            }
        }
        text
    }

    pub(crate) fn write(&self, json: &Path, table: &Path) -> Result<()> {
        for file in [json, table] {
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
        }
        std::fs::write(json, serde_json::to_string_pretty(self)? + "\n")?;
        let head = format!(
            "# The cost of a request\n\nMade by `cargo run --release -p bench-http`; what is compared and how stands in `bench/http/README.md`.\n\
             Machine: {}, server under test on one core, load and origin on another; {} connections; medians of {} interleaved rounds of {} s.\n",
            self.machine,
            self.connections,
            self.rounds(),
            self.seconds,
        );
        Ok(std::fs::write(table, head + &self.table())?)
    }

    fn rounds(&self) -> usize {
        self.cases.values().flat_map(BTreeMap::values).map(Vec::len).max().unwrap_or(0)
    }
}

/// The server all others of the case are compared with: the better of the two HAProxy set-ups, or nginx for files.
fn yardstick(servers: &BTreeMap<String, Vec<Sample>>) -> Option<(&str, f64)> {
    let peers = servers
        .iter()
        .filter(|(name, _)| name.starts_with("haproxy") || name.starts_with("nginx files"));
    peers
        .map(|(name, samples)| (name.as_str(), median(samples, |s| s.cpu_micros_per_request)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
}

fn median(samples: &[Sample], f: fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(f).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
