//! The figures: samples of all rounds, medians, ratios, as JSON and as tables.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::original;
use crate::system::System;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    /// Messages per second at the slowest receiver.
    MessagesPerSecond,
    /// Microseconds of the daemons' processor time for each message.
    CpuMicros,
    /// Microseconds, the middle one.
    LatencyMicros,
    /// Microseconds, the 99th percentile.
    LatencyP99Micros,
    /// Milliseconds until a view is told.
    ReactionMillis,
}

impl Metric {
    const ALL: [(Self, &str); 5] = [
        (Self::MessagesPerSecond, "Throughput, messages/s"),
        (Self::CpuMicros, "Processor time of all daemons together, µs for each message"),
        (Self::LatencyMicros, "Latency, median, µs"),
        (Self::LatencyP99Micros, "Latency, 99th percentile, µs"),
        (Self::ReactionMillis, "Reactions, median, ms"),
    ];

    fn original(self, machines: usize, case: &str) -> Option<f64> {
        match self {
            Self::MessagesPerSecond => original::throughput(machines, case),
            Self::LatencyMicros => original::latency(machines, case),
            Self::ReactionMillis if machines == 3 => original::reaction(case),
            _ => None,
        }
    }
}

/// All samples of one system in one case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    machines: usize,
    case: String,
    system: String,
    metric: Metric,
    samples: Vec<f64>,
}

/// All cells, and how they were made.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    machine: String,
    /// Load averages before the runs, the largest of them.
    load_before: f64,
    cells: Vec<Cell>,
    #[serde(skip)]
    fresh: Vec<usize>,
}

impl Results {
    /// Those of an earlier run, to be added to, or none.
    pub(crate) fn open(json: &Path, add: bool, load: f64) -> Result<Self> {
        let mut results = if add && json.exists() {
            let text = std::fs::read_to_string(json)?;
            serde_json::from_str(&text)
                .with_context(|| format!("{} holds no results", json.display()))?
        } else {
            Self::default()
        };
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or("unknown");
        let cores = std::thread::available_parallelism()?;
        results.machine =
            format!("{}, {cores} processors", model.trim_start_matches([' ', '\t', ':']));
        results.load_before = results.load_before.max(load);
        Ok(results)
    }

    /// Adds a sample. The first of a run replaces those of earlier runs.
    pub(crate) fn add(
        &mut self,
        machines: usize,
        case: &str,
        system: System,
        metric: Metric,
        sample: f64,
    ) {
        let is = |c: &Cell| {
            (c.machines, c.metric) == (machines, metric)
                && (c.case.as_str(), c.system.as_str()) == (case, system.name())
        };
        let at = self.cells.iter().position(is).unwrap_or_else(|| {
            let (case, system) = (case.to_owned(), system.name().to_owned());
            self.cells.push(Cell { machines, case, system, metric, samples: Vec::new() });
            self.cells.len() - 1
        });
        if !self.fresh.contains(&at) {
            self.fresh.push(at);
            self.cells[at].samples.clear();
        }
        self.cells[at].samples.push(sample);
    }

    pub(crate) fn write(&self, json: &Path, table: &Path) -> Result<()> {
        for folder in [json, table].into_iter().filter_map(Path::parent) {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(json, serde_json::to_string_pretty(self)? + "\n")?;
        let head = format!(
            "# The bus\n\nMade by `cargo run --release -p bench-bus --features corosync`; what is compared and how stands in `bench/bus/README.md`.\n\
             Machine: {}; load average before the runs at most {:.2}. Medians of interleaved rounds. Ratios are ours divided by theirs.\n",
            self.machine, self.load_before,
        );
        Ok(std::fs::write(table, head + &self.tables())?)
    }

    /// A table for each metric and number of machines.
    pub(crate) fn tables(&self) -> String {
        let mut sizes: Vec<usize> = self.cells.iter().map(|c| c.machines).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let mut text = String::new();
        for (metric, title) in Metric::ALL {
            for &machines in &sizes {
                if let Some(table) = self.table(metric, machines) {
                    let where_ = match machines {
                        1 => "one daemon".into(),
                        n => format!("{n} machines, a daemon in each"),
                    };
                    text += &format!("\n### {title}: {where_}\n\n{table}");
                }
            }
        }
        text
    }

    fn table(&self, metric: Metric, machines: usize) -> Option<String> {
        let here = |c: &&Cell| (c.metric, c.machines) == (metric, machines);
        let mut cases: Vec<&str> = Vec::new();
        for cell in self.cells.iter().filter(here) {
            if !cases.contains(&cell.case.as_str()) {
                cases.push(&cell.case);
            }
        }
        let of = |case: &str, system: System| {
            let cell = self
                .cells
                .iter()
                .filter(here)
                .find(|c| (c.case.as_str(), c.system.as_str()) == (case, system.name()))?;
            Some(median(&cell.samples))
        };
        let theirs = |case: &str| metric.original(machines, case);
        let systems: Vec<System> = System::ALL
            .into_iter()
            .filter(|s| cases.iter().any(|case| of(case, *s).is_some()))
            .collect();
        let ours: Vec<System> = systems.iter().copied().filter(|s| s.is_ours()).collect();
        let known = cases.iter().any(|case| theirs(case).is_some());
        let first = systems.first()?;

        let mut columns: Vec<String> = systems.iter().map(|s| s.name().to_owned()).collect();
        // Ratios to the original for each of ours, then of each of ours to the rival that protects as much.
        let mut pairs: Vec<(System, Option<System>)> = Vec::new();
        if known {
            columns.push(original::NAME.to_owned());
            for &one in &ours {
                columns.push(format!("{} : original", one.name()));
                pairs.push((one, None));
            }
        }
        for &one in &ours {
            if let Some(rival) = one.rival().filter(|rival| systems.contains(rival)) {
                columns.push(format!("{} : {}", one.name(), rival.name()));
                pairs.push((one, Some(rival)));
            }
        }
        // One daemon says nothing to others: the only rival there is without crypto.
        if pairs.iter().all(|pair| pair.1.is_none()) && systems.contains(&System::Corosync) {
            columns.push(format!("{} : {}", first.name(), System::Corosync.name()));
            pairs.push((*first, Some(System::Corosync)));
        }

        let mut text =
            format!("| | {} |\n|---|{}\n", columns.join(" | "), "--:|".repeat(columns.len()));
        for case in cases {
            let mut row: Vec<String> = systems.iter().map(|s| show(of(case, *s))).collect();
            if known {
                row.push(show(theirs(case)));
            }
            for (one, rival) in &pairs {
                let other = rival.map_or_else(|| theirs(case), |rival| of(case, rival));
                let ratio = of(case, *one).zip(other).map(|(one, other)| one / other);
                row.push(ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")));
            }
            text += &format!("| {case} | {} |\n", row.join(" | "));
        }
        Some(text)
    }
}

/// Three digits or more.
fn show(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(value) if value >= 10_000.0 => {
            let thousands = (value / 1e3).round() as u64;
            format!("{thousands},{:03}", 0)
        }
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

/// The middle one of the samples.
pub(crate) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_medians_and_ratios_to_the_original_and_to_the_rival_that_protects_as_much() {
        let mut results = Results::default();
        let case = "100 B agreed, 1 → 3";
        for (system, value) in
            [(System::Sealed, 238e3), (System::CorosyncSealed, 119e3), (System::Insecure, 357e3)]
        {
            for sample in [value, 1.0, value * 2.0] {
                results.add(3, case, system, Metric::MessagesPerSecond, sample);
            }
        }
        let text = results.tables();
        let row = "| 238,000 | 357,000 | 119,000 | 119,000 | 2.00 | 3.00 | 2.00 |";
        assert!(text.contains(row), "{text}");
    }
}
