//! The figures: samples of all runs, medians and largest, as JSON and as tables.

use std::path::Path;

use anyhow::Result;
use bench_common::{Cell, Samples};
use serde::{Deserialize, Serialize};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    /// Milliseconds between two answers, for clients that know where the address is.
    PauseWarm,
    /// The same for clients that ask before each connection.
    PauseCold,
    /// Connections that were reset or refused.
    BrokenWarm,
    /// The same of clients that ask.
    BrokenCold,
    /// Connections that were answered late or never.
    SlowWarm,
    /// The same of clients that ask.
    SlowCold,
    /// Milliseconds in which two answered for the address.
    Doubled,
    /// Milliseconds until the old owner had the address no more.
    Gone,
    /// Percent of a processor.
    Idle,
    /// Milliseconds until the first of many addresses was served again.
    ManyFirst,
    /// Until the last was.
    ManyAll,
    /// From the first to the last.
    ManySpread,
}

impl Metric {
    const ALL: [(Self, &str); 12] = [
        (Self::PauseWarm, "Until new connections are served, clients that know the address, ms"),
        (Self::PauseCold, "Until new connections are served, clients that ask each time, ms"),
        (Self::BrokenWarm, "Connections reset or refused, clients that know the address"),
        (Self::BrokenCold, "Connections reset or refused, clients that ask each time"),
        (Self::SlowWarm, "Connections late or never answered, clients that know the address"),
        (Self::SlowCold, "Connections late or never answered, clients that ask each time"),
        (Self::Doubled, "Time in which two machines answered for the address, ms"),
        (Self::Gone, "Until the old owner had the address no more, ms"),
        (Self::Idle, "Processor time while nothing happens, per machine, % of one processor"),
        (Self::ManyFirst, "Many addresses: until the first is served again, ms"),
        (Self::ManyAll, "Many addresses: until the last is served again, ms"),
        (Self::ManySpread, "Many addresses: from the first to the last, ms"),
    ];
}

/// What a sample is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Key {
    case: String,
    system: String,
    metric: Metric,
}

/// All samples.
#[derive(Debug, Default)]
pub(crate) struct Results(Samples<Key>);

impl Results {
    /// Those of an earlier run, to be added to, or none.
    pub(crate) fn open(
        json: &Path,
        add: bool,
        load: f64,
        keepalived: Option<String>,
    ) -> Result<Self> {
        Samples::open(json, add, load, keepalived).map(Self)
    }

    /// Adds a sample. The first of a run replaces those of earlier runs.
    pub(crate) fn add(
        &mut self,
        case: &str,
        system: &str,
        metric: Metric,
        value: f64,
        ended: bool,
    ) {
        self.0.add(Key { case: case.into(), system: system.into(), metric }, value, ended);
    }

    /// Counts a measurement that failed.
    pub(crate) fn void(&mut self) {
        self.0.void += 1;
    }

    pub(crate) fn write(&self, json: &Path, table: &Path) -> Result<()> {
        let all = &self.0;
        let beside = all.rival.as_deref().unwrap_or("no keepalived");
        let runs = self.runs();
        let head = format!(
            "# Addresses that move\n\nMade by `cargo run --release -p bench-failover`; what is compared and how stands in `bench/failover/README.md`.\n\
             Machine: {}; {beside}; load average before the runs at most {:.2}. Median / largest of {runs} interleaved runs; where fewer were made, their number stands in brackets. `>` means that it had not ended when \
             nobody looked any more, in so many of the runs as stand behind it. Measurements that failed and were made again: {}.\n",
            all.machine, all.load_before, all.void,
        );
        all.write(json, table, &(head + &self.tables()))
    }

    /// How often most was measured.
    fn runs(&self) -> usize {
        self.0.cells.iter().map(|cell| cell.samples.len()).max().unwrap_or(0)
    }

    /// A table for each metric.
    pub(crate) fn tables(&self) -> String {
        let tables = Metric::ALL.iter().filter_map(|(metric, title)| {
            Some(format!("\n### {title}\n\n{}", self.table(*metric)?))
        });
        tables.collect()
    }

    fn table(&self, metric: Metric) -> Option<String> {
        let mut cases: Vec<&str> = Vec::new();
        let mut systems: Vec<&str> = Vec::new();
        let here = || self.0.cells.iter().filter(|cell| cell.key.metric == metric);
        for Cell { key, .. } in here() {
            if !cases.contains(&key.case.as_str()) {
                cases.push(&key.case);
            }
            if !systems.contains(&key.system.as_str()) {
                systems.push(&key.system);
            }
        }
        if cases.is_empty() {
            return None;
        }
        let mut text =
            format!("| | {} |\n|---|{}\n", systems.join(" | "), "--:|".repeat(systems.len()));
        for case in cases {
            let of = |system: &&str| {
                let is = |c: &&Cell<Key>| c.key.case == case && c.key.system == *system;
                here().find(is).map(|cell| show(cell, self.runs())).unwrap_or_default()
            };
            let row: Vec<String> = systems.iter().map(of).collect();
            text += &format!("| {case} | {} |\n", row.join(" | "));
        }
        Some(text)
    }
}

/// Median and largest.
fn show(cell: &Cell<Key>, runs: usize) -> String {
    let mut sorted = cell.samples.clone();
    sorted.sort_by(f64::total_cmp);
    let (Some(middle), Some(last)) = (sorted.get(sorted.len() / 2), sorted.last()) else {
        return String::new();
    };
    let open = match cell.open {
        0 => String::new(),
        open => format!(" > ({open})"),
    };
    let fewer = match sorted.len() {
        len if len < runs => format!(" [{len}]"),
        _ => String::new(),
    };
    format!("{} / {}{open}{fewer}", digits(*middle), digits(*last))
}

/// Three digits, and commas between thousands.
fn digits(value: f64) -> String {
    if value.fract() == 0.0 && value < 1_000.0 || (100.0..1_000.0).contains(&value) {
        return format!("{value:.0}");
    }
    if value < 10.0 {
        return format!("{value:.2}");
    }
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let whole = value.round() as u64;
    let mut parts = Vec::new();
    let mut rest = whole;
    while rest >= 1_000 {
        parts.push(format!("{:03}", rest % 1_000));
        rest /= 1_000;
    }
    parts.push(rest.to_string());
    parts.reverse();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_median_and_largest_and_says_what_had_not_ended() {
        let mut results = Results::default();
        for (value, ended) in [(4_100.0, true), (3.25, true), (6_000.4, false)] {
            results.add("a fault", "backhand", Metric::Gone, value, ended);
        }
        results.add("a fault", "keepalived 1 s", Metric::Gone, 20.0, true);
        let text = results.tables();
        assert!(text.contains("| a fault | 4,100 / 6,000 > (1) | 20 / 20 [1] |"), "{text}");
    }

    #[test]
    fn numbers_have_three_digits_or_all_before_the_point() {
        let all = [0.0, 2.0, 0.123, 5.26, 44.44, 323.3, 3_069.2, 1_234_567.0].map(digits);
        let wanted = ["0", "2", "0.12", "5.26", "44.4", "323", "3,069", "1,234,567"];
        assert_eq!(all, wanted);
    }
}
