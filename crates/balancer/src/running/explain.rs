//! Recent decisions with their reasons, kept only while somebody looks.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use base::Instant;
use candidacy::Explanation;

/// How long decisions are collected after somebody looked.
const WATCHED: Duration = Duration::from_secs(10);
/// Decisions kept.
const KEPT: usize = 64;
/// Least time between two that are kept, so that a busy machine explains a sample.
const GAP: Duration = Duration::from_millis(20);

/// One decision and why it fell so.
#[derive(Clone, Debug)]
pub struct Explained {
    /// When it fell.
    pub at: Instant,
    /// The request's method; bytes that are not UTF-8 are replaced.
    pub method: String,
    /// Its host.
    pub host: String,
    /// Its target, cut after 200 characters.
    pub target: String,
    /// The route it took.
    pub route: String,
    /// Per function, who came in, who went out, and why the winner won.
    pub explanation: Explanation,
}

/// The place where workers leave explanations.
#[derive(Debug, Default)]
pub(crate) struct Explainer {
    until: AtomicU64,
    next: AtomicU64,
    kept: Mutex<VecDeque<Explained>>,
}

impl Explainer {
    /// Whether a decision made now should be explained. One load while nobody looks.
    pub(crate) fn is_wanted(&self, now: Instant) -> bool {
        let now = now.as_nanos();
        now < self.until.load(Relaxed) && now >= self.next.load(Relaxed)
    }

    /// Leaves an explanation; it is dropped rather than waited for.
    pub(crate) fn leave(&self, explained: Explained) {
        self.next.store((explained.at + GAP).as_nanos(), Relaxed);
        let Ok(mut kept) = self.kept.try_lock() else { return };
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(explained);
    }

    /// What is there, and more of it from now on.
    pub(crate) fn watch(&self, now: Instant) -> Vec<Explained> {
        self.until.store((now + WATCHED).as_nanos(), Relaxed);
        self.kept.lock().map_or_else(|_| Vec::new(), |kept| kept.iter().cloned().collect())
    }
}
