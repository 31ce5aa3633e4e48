//! A probe that runs, and what all traces have in common.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::LabError;

/// Most tries of one trace, 83 minutes at 5 ms; a probe that has made so many ends by itself.
pub(super) const MAX_TRIES: usize = 1_000_000;

/// From when to when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The beginning.
    pub from: Instant,
    /// The end, not before the beginning.
    pub until: Instant,
}

impl Span {
    /// How long it is.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.until.saturating_duration_since(self.from)
    }
}

/// A running probe with its trace. When dropped it ends without waiting.
#[derive(Debug)]
pub struct Probing<T> {
    shared: Arc<Shared<T>>,
    thread: Option<JoinHandle<()>>,
}

/// What a probe's thread shares with the one who started it.
#[derive(Debug)]
pub(super) struct Shared<T> {
    stop: AtomicBool,
    trace: Mutex<T>,
}

impl<T> Shared<T> {
    pub(super) fn is_to_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.trace.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T: Send + Clone + 'static> Probing<T> {
    pub(super) fn start(
        name: &str,
        trace: T,
        work: impl FnOnce(&Shared<T>) + Send + 'static,
    ) -> Result<Self, LabError> {
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), trace: Mutex::new(trace) });
        let theirs = shared.clone();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(&theirs))
            .map_err(LabError::io(format!("a thread for {name}")))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Looks at the trace so far. The probe waits as long as this takes.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        self.shared.with(|trace| look(trace))
    }

    /// Starts no more tries, waits for those that are under way, and hands over the trace.
    #[must_use]
    pub fn finish(mut self) -> T {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A probe that has panicked has left what it knew.
            drop(thread.join());
        }
        self.shared.with(|trace| trace.clone())
    }
}

impl<T> Drop for Probing<T> {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

/// The longest time without a start that `counts`, the first and the last start of all being its bounds.
pub(super) fn longest_pause(starts: impl Iterator<Item = (Instant, bool)>) -> Option<Span> {
    let mut longest: Option<Span> = None;
    let mut from: Option<Instant> = None;
    let mut last = None;
    let mut consider = |from: Instant, until: Instant| {
        let span = Span { from, until };
        if longest.is_none_or(|longest| span.length() > longest.length()) {
            longest = Some(span);
        }
    };
    for (start, counts) in starts {
        let since = *from.get_or_insert(start);
        if counts {
            consider(since, start);
            from = Some(start);
        }
        last = Some(start);
    }
    if let (Some(from), Some(last)) = (from, last) {
        consider(from, last);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pause_may_be_at_either_end() {
        let zero = Instant::now();
        let at = |ms: u64| zero + Duration::from_millis(ms);
        let pause = |starts: &[(u64, bool)]| {
            longest_pause(starts.iter().map(|(ms, counts)| (at(*ms), *counts)))
                .map(|span| (span.from.duration_since(zero), span.length().as_millis()))
        };
        let from = Duration::from_millis;
        assert_eq!(pause(&[]), None);
        assert_eq!(pause(&[(0, true), (5, true), (20, true)]), Some((from(5), 15)));
        assert_eq!(pause(&[(0, false), (5, false), (20, true), (25, true)]), Some((from(0), 20)));
        assert_eq!(pause(&[(0, true), (5, true), (10, false), (40, false)]), Some((from(5), 35)));
    }
}
