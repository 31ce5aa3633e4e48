//! What a daemon of this process writes into its log, kept to be looked at.

use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Keep;

impl Subscriber for Keep {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        lines().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

fn lines() -> MutexGuard<'static, Vec<String>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on every line is kept.
pub fn keep() {
    // Another test may have been first.
    let _ = tracing::subscriber::set_global_default(Keep);
}

/// The lines that have all of `words`.
pub fn said(words: &[&str]) -> Vec<String> {
    lines().iter().filter(|line| words.iter().all(|word| line.contains(word))).cloned().collect()
}

/// Waits for the first of them.
#[track_caller]
pub fn wait_until_said(words: &[&str]) -> String {
    let begun = Instant::now();
    loop {
        if let Some(line) = said(words).into_iter().next() {
            return line;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "nobody said {words:?}: {:?}", *lines());
        std::thread::sleep(Duration::from_millis(10));
    }
}
