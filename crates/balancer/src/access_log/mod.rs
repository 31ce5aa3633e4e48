//! One record per client request, to a file or standard output.
//!
//! ```text
//! worker: Recorder ──► lines into a batch ──► bounded queue ──► writer thread ──► file
//!                       (no system call)        full? dropped and counted
//! ```
//!
//! A request never waits for the disk: the worker formats into memory of its own, and when the queue to
//! the writer is full the batch is dropped, counted, and reported once a minute. A line is in the file at
//! most [`LINGER`] later than its request ended, if the disk takes it.
//!
//! Not here: which requests are recorded, and what their fields hold (the worker).

mod pen;
mod record;
mod stamp;
mod target;
mod text;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use base::Instant;

pub use record::Record;
pub use writer::Lost;

use crate::config::{self, LogFormat, LogTarget};
use stamp::Stamp;
use target::Target;
use writer::{Queue, Writer};

/// Bytes of a batch that is handed over at once.
const BATCH: usize = 32 * 1024;
/// How long a record may wait for others to share its batch.
pub const LINGER: Duration = Duration::from_millis(200);

/// The running access log.
#[derive(Debug)]
pub struct AccessLog {
    /// None if it is off.
    writer: Option<Writer>,
    format: LogFormat,
    peers: bool,
}

/// The end at which one worker puts its records.
#[derive(Debug)]
pub struct Recorder {
    queue: Option<Queue>,
    format: LogFormat,
    peers: bool,
    stamp: Stamp,
    batch: Vec<u8>,
    lines: u64,
    /// When the oldest line of the batch came.
    since: Instant,
}

/// Starting the log failed. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file cannot be opened for appending.
    #[error("cannot write the access log {path:?}: {error}; {}", remedy(.error))]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// There is no standard output, or no thread could be started.
    #[error("cannot start the access log: {0}; set [access_log] to = \"off\" to go without")]
    Other(io::Error),
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "create its directory, or name another file with [access_log] to"
        }
        io::ErrorKind::PermissionDenied => {
            "let the user that Backhand runs as write there, or name another file with [access_log] to"
        }
        io::ErrorKind::IsADirectory => "name a file in it with [access_log] to",
        _ => "name another file with [access_log] to",
    }
}

impl AccessLog {
    /// Opens the target and starts the writer.
    ///
    /// # Errors
    /// The file cannot be opened for appending, or the thread not be started.
    pub fn start(config: &config::AccessLog) -> Result<Self, StartError> {
        let target = Target::open(&config.target).map_err(|error| match &config.target {
            LogTarget::File(path) => StartError::Open { path: path.clone(), error },
            _ => StartError::Other(error),
        })?;
        let start = |target| Writer::start(target, Target::reopen, config.buffer);
        let writer = target.map(start).transpose().map_err(StartError::Other)?;
        Ok(Self { writer, format: config.format, peers: config.peers })
    }

    /// An end for one worker.
    pub fn recorder(&self) -> Recorder {
        Recorder {
            queue: self.writer.as_ref().map(Writer::queue),
            format: self.format,
            peers: self.peers,
            stamp: Stamp::new(self.format),
            batch: Vec::new(),
            lines: 0,
            since: Instant::ORIGIN,
        }
    }

    /// Opens the file anew, after it was renamed by whoever rotates logs. Returns at once; what is already in
    /// the queue may go to either. Without meaning for the standard output.
    pub fn reopen(&self) {
        if let Some(writer) = &self.writer {
            writer.reopen();
        }
    }

    /// Records lost since the start: the writer was behind, or the disk full.
    pub fn lost(&self) -> u64 {
        self.lost_counter().get()
    }

    /// The same number, for whoever shows it on another thread.
    pub fn lost_counter(&self) -> Lost {
        self.writer.as_ref().map_or_else(Lost::none, Writer::lost)
    }

    /// Writes what is pending and ends, waiting at most so long. The recorders have to be flushed or dropped
    /// before. Tells whether everything was dealt with in time.
    pub fn finish(self, patience: Duration) -> bool {
        self.writer.is_none_or(|writer| writer.finish(patience))
    }
}

impl Recorder {
    /// Whether records are wanted at all, so that nobody collects figures for nothing.
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Whether requests served for peers are recorded as well.
    pub fn wants_peers(&self) -> bool {
        self.is_on() && self.peers
    }

    /// Takes one record. No system call, no lock, no allocation but that of the batch.
    pub fn record(&mut self, record: &Record<'_>, now: Instant) {
        if self.queue.is_none() {
            return;
        }
        if self.lines == 0 {
            self.since = now;
        }
        record.push(self.format, &mut self.stamp, now, &mut self.batch);
        self.lines += 1;
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    /// Hands over what has been collected, if it is old enough. To be called some times a second.
    pub fn tick(&mut self, now: Instant) {
        if self.lines > 0 && now.since(self.since) >= LINGER {
            self.flush();
        }
    }

    /// Hands over what has been collected.
    pub fn flush(&mut self) {
        if let Some(queue) = self.queue.as_ref().filter(|_| self.lines > 0) {
            queue.put(&mut self.batch, self.lines);
            self.lines = 0;
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.flush();
    }
}
