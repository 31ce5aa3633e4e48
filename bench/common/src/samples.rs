//! The samples of all runs, as they are kept in a JSON file.

use std::path::Path;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// All samples of one thing that is measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cell<K> {
    /// What it is.
    #[serde(flatten)]
    pub key: K,
    /// One of each run.
    pub samples: Vec<f64>,
    /// How many of them had not come to their end when nobody looked any more: they are longer than they say.
    #[serde(default, skip_serializing_if = "is_none")]
    pub open: usize,
}

/// All cells, and how they were made.
#[derive(Debug, Serialize, Deserialize)]
pub struct Samples<K> {
    /// Where.
    pub machine: String,
    /// Which version of what it is compared with, where that is told.
    #[serde(default, alias = "keepalived", skip_serializing_if = "Option::is_none")]
    pub rival: Option<String>,
    /// Measurements that failed and were made again.
    pub void: u32,
    /// Load averages before the runs, the largest of them.
    pub load_before: f64,
    /// What was measured, in the order in which it first was.
    pub cells: Vec<Cell<K>>,
    #[serde(skip)]
    fresh: Vec<usize>,
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

impl<K> Default for Samples<K> {
    fn default() -> Self {
        let (machine, rival, void, load_before) = (String::new(), None, 0, 0.0);
        Self { machine, rival, void, load_before, cells: Vec::new(), fresh: Vec::new() }
    }
}

impl<K: PartialEq + Serialize + DeserializeOwned> Samples<K> {
    /// Those of an earlier run, to be added to, or none.
    ///
    /// # Errors
    /// The file holds something else.
    pub fn open(json: &Path, add: bool, load: f64, rival: Option<String>) -> Result<Self> {
        let mut samples = if add && json.exists() {
            let text = std::fs::read_to_string(json)?;
            serde_json::from_str(&text)
                .with_context(|| format!("{} holds no results", json.display()))?
        } else {
            Self::default()
        };
        samples.machine = crate::machine()?;
        samples.rival = rival.or(samples.rival);
        samples.load_before = samples.load_before.max(load);
        Ok(samples)
    }

    /// Adds a sample. The first of a run replaces those of earlier runs.
    pub fn add(&mut self, key: K, value: f64, ended: bool) {
        let at = self.cells.iter().position(|cell| cell.key == key).unwrap_or_else(|| {
            self.cells.push(Cell { key, samples: Vec::new(), open: 0 });
            self.cells.len() - 1
        });
        let cell = &mut self.cells[at];
        if !self.fresh.contains(&at) {
            self.fresh.push(at);
            cell.samples.clear();
            cell.open = 0;
        }
        cell.samples.push(value);
        cell.open += usize::from(!ended);
    }

    /// Writes them, and beside them a text for people.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, json: &Path, table: &Path, text: &str) -> Result<()> {
        for folder in [json, table].into_iter().filter_map(Path::parent) {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(json, serde_json::to_string_pretty(self)? + "\n")?;
        Ok(std::fs::write(table, text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Key {
        machines: usize,
        case: String,
    }

    fn key(machines: usize) -> Key {
        Key { machines, case: "a case".into() }
    }

    #[test]
    fn the_first_sample_of_a_run_replaces_those_of_earlier_ones_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let [json, table] = ["a/s.json", "b/s.md"].map(|name| folder.path().join(name));
        let mut first = Samples::open(&json, true, 0.25, Some("2.3".into())).unwrap();
        for (machines, value) in [(1, 1.0), (3, 2.0), (1, 3.0)] {
            first.add(key(machines), value, machines == 1);
        }
        first.void += 1;
        first.write(&json, &table, "text").unwrap();
        assert_eq!(std::fs::read_to_string(&table).unwrap(), "text");

        let mut second: Samples<Key> = Samples::open(&json, true, 0.1, None).unwrap();
        second.add(key(1), 9.0, true);
        second.add(key(1), 8.0, true);
        let all: Vec<_> =
            second.cells.iter().map(|c| (c.key.clone(), c.samples.clone(), c.open)).collect();
        assert_eq!(all, [(key(1), vec![9.0, 8.0], 0), (key(3), vec![2.0], 1)]);
        assert_eq!((second.void, second.load_before, second.rival), (1, 0.25, Some("2.3".into())));
        let none: Samples<Key> = Samples::open(&json, false, 0.1, None).unwrap();
        assert!(none.cells.is_empty());
    }

    #[test]
    fn what_was_written_before_this_was_shared_can_be_read() {
        let text = r#"{"machine": "x", "keepalived": "Keepalived v2", "void": 0, "load_before": 1.62, "cells": [
            {"machines": 3, "case": "a case", "samples": [1.5], "open": 1}]}"#;
        let read: Samples<Key> = serde_json::from_str(text).unwrap();
        assert_eq!((&read.cells[0].key, read.cells[0].open), (&key(3), 1));
        assert_eq!(read.rival.as_deref(), Some("Keepalived v2"));
    }
}
