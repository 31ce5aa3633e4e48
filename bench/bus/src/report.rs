//! The figures: samples of all rounds, medians, ratios, as JSON and as tables.

use std::path::Path;

use anyhow::Result;
use bench_common::{Cell, Samples};
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

/// What a sample is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Key {
    machines: usize,
    case: String,
    system: String,
    metric: Metric,
}

/// All samples.
#[derive(Debug, Default)]
pub(crate) struct Results(Samples<Key>);

impl Results {
    /// Those of an earlier run, to be added to, or none.
    pub(crate) fn open(json: &Path, add: bool, load: f64) -> Result<Self> {
        Samples::open(json, add, load, None).map(Self)
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
        let (case, system) = (case.to_owned(), system.name().to_owned());
        self.0.add(Key { machines, case, system, metric }, sample, true);
    }

    /// Counts a measurement that failed.
    pub(crate) fn void(&mut self) {
        self.0.void += 1;
    }

    pub(crate) fn write(&self, json: &Path, table: &Path) -> Result<()> {
        let all = &self.0;
        let head = format!(
            "# The bus\n\nMade by `cargo run --release -p bench-bus --features corosync`; what is compared and how stands in `bench/bus/README.md`.\n\
             Machine: {}; load average before the runs at most {:.2}. Medians of interleaved rounds. Ratios are ours divided by theirs. Measurements that failed and were made again: {}.\n",
            all.machine, all.load_before, all.void,
        );
        all.write(json, table, &(head + &self.tables()))
    }

    /// A table for each metric and number of machines, and one for each metric that grows with it.
    pub(crate) fn tables(&self) -> String {
        let mut text = String::new();
        for (metric, title) in Metric::ALL {
            for (machines, place) in [(1, "one daemon"), (3, "three machines, a daemon in each")] {
                if let Some(table) = self.table(metric, machines) {
                    text += &format!("\n### {title}: {place}\n\n{table}");
                }
            }
        }
        for (metric, title) in Metric::ALL {
            text += &self.growth(metric, title);
        }
        text
    }

    /// Rows of numbers of daemons.
    fn growth(&self, metric: Metric, title: &str) -> String {
        let here =
            |c: &&Cell<Key>| c.key.metric == metric && crate::GROWTH.contains(&c.key.machines);
        let Some(case) = self.0.cells.iter().find(here).map(|c| c.key.case.as_str()) else {
            return String::new();
        };
        let of = |machines: usize, system: System| {
            let is = |c: &&Cell<Key>| {
                let key = &c.key;
                (key.metric, key.machines, key.case.as_str()) == (metric, machines, case)
                    && key.system == system.name()
            };
            self.0.cells.iter().find(is).map(|c| median(&c.samples))
        };
        let [ours, theirs] = [System::Sealed, System::CorosyncSealed];
        let mut text = format!(
            "\n### Growth: {title}: {case}\n\n| daemons | {} | {} | ratio |\n|--:|--:|--:|--:|\n",
            ours.name(),
            theirs.name()
        );
        let mut sizes = crate::GROWTH.to_vec();
        sizes.push(3);
        sizes.sort_unstable();
        for machines in sizes {
            let (our, their) = (of(machines, ours), of(machines, theirs));
            if our.or(their).is_some() {
                let ratio = our.zip(their).map(|(one, other)| format!("{:.2}", one / other));
                let ratio = ratio.unwrap_or_default();
                text += &format!("| {machines} | {} | {} | {ratio} |\n", show(our), show(their));
            }
        }
        text
    }

    fn table(&self, metric: Metric, machines: usize) -> Option<String> {
        let here = |c: &&Cell<Key>| (c.key.metric, c.key.machines) == (metric, machines);
        let mut cases: Vec<&str> = Vec::new();
        for Cell { key, .. } in self.0.cells.iter().filter(here) {
            if !cases.contains(&key.case.as_str()) {
                cases.push(&key.case);
            }
        }
        let of = |case: &str, system: System| {
            let mut cells = self.0.cells.iter().filter(here);
            let cell = cells.find(|c| c.key.case == case && c.key.system == system.name())?;
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
        let alone = pairs.iter().all(|pair| pair.1.is_none());
        if alone && first.is_ours() && systems.contains(&System::Corosync) {
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
        Some(value) if value >= 1_000.0 => {
            // Four digits are more than the rounds agree on.
            let step = 10_f64.powi(value.log10().floor() as i32 - 3);
            let digits = format!("{:.0}", (value / step).round() * step);
            let mut text = String::new();
            for (place, digit) in digits.chars().enumerate() {
                if place > 0 && (digits.len() - place) % 3 == 0 {
                    text.push(',');
                }
                text.push(digit);
            }
            text
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
    fn the_original_stands_beside_what_was_measured_as_it_was() {
        let of = |case: &str| Metric::LatencyMicros.original(3, case);
        assert_eq!(of("agreed, own message, back to back; not pinned"), Some(63.0));
        assert_eq!(of("agreed, own message, back to back; same core"), None);
        assert_eq!(Metric::ReactionMillis.original(3, crate::reactions::CRASH), Some(2_500.0));
        for case in crate::throughput::Case::all(false) {
            let known = Metric::MessagesPerSecond.original(3, &case.to_string()).is_some();
            let told = !case.safe && case.receivers == 3 && case.size != 8_192;
            assert_eq!(known, told && (case.senders == 1 || case.size == 100), "{case}");
        }
    }

    #[test]
    fn the_published_figures_can_be_added_to() {
        let published = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmarks/bus.json");
        let results = Results::open(Path::new(published), true, 0.0).unwrap();
        assert!(results.tables().contains("### Throughput, messages/s: one daemon"));
    }

    #[test]
    fn large_numbers_have_four_digits_and_commas() {
        assert_eq!(show(Some(1_293_982.0)), "1,294,000");
        assert_eq!(show(Some(43_219.0)), "43,220");
        assert_eq!(show(Some(2_500.4)), "2,500");
        assert_eq!((show(Some(145.2)), show(Some(0.5))), ("145".into(), "0.50".into()));
    }

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
