//! What the benchmarks share: the binary that is measured, what is known of the machine, and the samples of all runs.

mod samples;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

pub use samples::{Cell, Samples};

/// A machine that did more than this before is a busy one.
const BUSY: f64 = 0.5;

/// Builds the release binary and says where it is.
///
/// # Errors
/// It cannot be built.
pub fn build_backhand() -> Result<PathBuf> {
    let done =
        Command::new("cargo").args(["build", "--release", "--package", "backhand"]).status()?;
    if !done.success() {
        bail!("the release build failed");
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    Ok(target.join("release/backhand"))
}

/// What the machine's processors call themselves.
pub fn model() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    model.trim_start_matches([' ', '\t', ':']).to_owned()
}

/// The machine, for the head of a table.
///
/// # Errors
/// Nobody knows how many processors there are.
pub fn machine() -> Result<String> {
    Ok(format!("{}, {} processors", model(), std::thread::available_parallelism()?))
}

/// Processes that wanted a processor in the last minute, on average. If they were many, that is said: figures of a busy machine
/// say little.
///
/// # Errors
/// It is not known, and so neither is whether figures are worth anything.
pub fn load_before() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").context("the load average")?;
    let load = load_of(&text)?;
    if load > BUSY {
        eprintln!("the load average is {load}: figures of a busy machine say little");
    }
    Ok(load)
}

fn load_of(text: &str) -> Result<f64> {
    let first = text.split_whitespace().next().and_then(|word| word.parse().ok());
    first.with_context(|| format!("{text:?} begins with no load average"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_is_not_known_is_no_load_of_nothing() {
        assert_eq!(load_of("1.25 0.50 0.10 1/99 7\n").unwrap(), 1.25);
        for text in ["", "load 1"] {
            assert!(load_of(text).is_err(), "{text}");
        }
    }
}
