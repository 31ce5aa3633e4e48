//! The figures of every cell, and their ratios.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::load::Outcome;

/// With fewer requests a 99.9th percentile is a matter of luck and is not printed.
const ENOUGH_FOR_P999: usize = 20_000;

/// One rival at one load.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Cell {
    pub(crate) rival: String,
    pub(crate) load: f64,
    pub(crate) requests: usize,
    pub(crate) mean_ms: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: Option<f64>,
    /// Answers in time, per second.
    pub(crate) goodput: f64,
    pub(crate) errors: usize,
    /// 99th percentile of the load's own lateness.
    pub(crate) late_p99_ms: f64,
    /// Whether the load was too late for the figures to mean anything.
    pub(crate) void: bool,
}

impl Cell {
    pub(crate) fn new(rival: &str, load: f64, got: &mut Outcome, lateness_bound_ms: f64) -> Self {
        got.seconds.sort_by(f64::total_cmp);
        got.lateness.sort_by(f64::total_cmp);
        let n = got.seconds.len();
        let late_p99_ms = at(&got.lateness, 0.99);
        Self {
            rival: rival.into(),
            load,
            requests: n,
            mean_ms: got.seconds.iter().sum::<f64>() / n.max(1) as f64 * 1e3,
            p50_ms: at(&got.seconds, 0.5),
            p99_ms: at(&got.seconds, 0.99),
            p999_ms: (n >= ENOUGH_FOR_P999).then(|| at(&got.seconds, 0.999)),
            goodput: (n - got.errors) as f64 / got.span.max(1e-9),
            errors: got.errors,
            late_p99_ms,
            void: late_p99_ms > lateness_bound_ms,
        }
    }
}

fn at(sorted: &[f64], q: f64) -> f64 {
    let rank = (sorted.len() as f64 * q).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN) * 1e3
}

/// All cells as Markdown, a table a load.
pub(crate) fn table(cells: &[Cell]) -> String {
    let mut text = String::new();
    let mut loads: Vec<f64> = cells.iter().map(|c| c.load).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    for load in loads {
        text += &format!(
            "\n### Load {load}\n\n| balancer | mean ms | p50 | p99 | p99.9 | answers/s | errors | load late p99 ms |\n|---|--:|--:|--:|--:|--:|--:|--:|\n"
        );
        for cell in cells.iter().filter(|c| c.load == load) {
            text += &row(cell);
        }
        text += &ratios(cells.iter().filter(|c| c.load == load && !c.void));
    }
    text
}

/// One cell as a line of its table.
pub(crate) fn row(cell: &Cell) -> String {
    let Cell { rival, mean_ms, p50_ms, p99_ms, goodput, errors, late_p99_ms, .. } = cell;
    if cell.void {
        return format!("| {rival} | void: the load was {late_p99_ms:.1} ms late | | | | | | |\n");
    }
    let p999 = cell.p999_ms.map_or_else(|| "–".into(), |p| format!("{p:.0}"));
    format!(
        "| {rival} | {mean_ms:.1} | {p50_ms:.1} | {p99_ms:.0} | {p999} | {goodput:.1} | {errors} | {late_p99_ms:.2} |\n"
    )
}

/// The first rival's figures divided by those of each other one.
fn ratios<'a>(mut cells: impl Iterator<Item = &'a Cell>) -> String {
    let Some(first) = cells.next() else { return String::new() };
    let mut text = String::new();
    for other in cells {
        let separator = if text.is_empty() { "" } else { ", " };
        text += &format!(
            "{separator}{:.2} / {:.2} of {}",
            first.mean_ms / other.mean_ms,
            first.p99_ms / other.p99_ms,
            other.rival
        );
    }
    if text.is_empty() {
        return text;
    }
    format!("\nMean / 99th percentile of {}: {text}.\n", first.rival)
}

/// The cells of an earlier run; none if there was none.
pub(crate) fn read(json: &Path) -> Result<Vec<Cell>> {
    if !json.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(json)?;
    serde_json::from_str(&text).with_context(|| format!("{} holds no results", json.display()))
}

/// Puts a cell in the place of an earlier one of the same rival and load, or behind all others.
pub(crate) fn insert(cells: &mut Vec<Cell>, cell: Cell) {
    match cells.iter_mut().find(|c| c.rival == cell.rival && c.load == cell.load) {
        Some(old) => *old = cell,
        None => cells.push(cell),
    }
}

/// Writes the JSON results and the table.
pub(crate) fn write(cells: &[Cell], json: &Path, markdown: &Path) -> Result<()> {
    for folder in [json, markdown].iter().filter_map(|file| file.parent()) {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(json, serde_json::to_string_pretty(cells)? + "\n")?;
    let head = "# How well requests are spread\n\nMade by `cargo run --release -p bench-balance`; what is compared and how stands in `bench/balance/README.md`.\n\
                Six machines with CPU quotas of 1, 1, 1, 1, 1.5 and 2 ms in 5 ms (1.5 cores in all: six quotas of at least 1 ms cannot be both unequal and 1.2 cores in all), an\n\
                antagonist each that burns 1 s of every 5 s, requests of 8 ms of CPU in the mean, open-loop; the load is a share of the capacity without antagonists.\n\
                Times count from when a request was due; 2,000 ms is the client's patience, and an error.\n";
    Ok(std::fs::write(markdown, head.to_owned() + &table(cells))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_requests_have_no_extreme_percentile_and_a_late_load_voids() {
        let mut got =
            Outcome { seconds: vec![0.001; 100], errors: 10, lateness: vec![0.5; 100], span: 10.0 };
        let cell = Cell::new("x", 0.9, &mut got, 5.0);
        assert_eq!((cell.p999_ms, cell.goodput, cell.void), (None, 9.0, true));
        assert!(table(&[cell]).contains("void"));
    }

    #[test]
    fn the_first_is_told_as_a_share_of_each_other() {
        let cell = |rival, seconds| {
            let seconds = vec![seconds; 100];
            let lateness = vec![0.0; 100];
            let mut got = Outcome { seconds, errors: 0, lateness, span: 10.0 };
            Cell::new(rival, 0.9, &mut got, 5.0)
        };
        let text = table(&[cell("ours", 0.02), cell("theirs", 0.04)]);
        assert!(text.contains("of ours: 0.50 / 0.50 of theirs."), "{text}");
    }
}
