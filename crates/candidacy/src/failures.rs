//! What failures cost a machine: a penalty, then a pause.

use core::time::Duration;

use base::Instant;

use crate::hot::{Hot, Slot};
use crate::snapshot::Snapshot;

/// What an administrator may say about failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureRules {
    /// Failures in a row after which a machine is kept out for a while. Default 5.
    pub eject_after: u32,
    /// First pause; doubles with each further one. Default 1 s.
    pub first_pause: Duration,
    /// Longest pause. Default 60 s.
    pub longest_pause: Duration,
    /// What one failure counts, as if it were that much latency. Default 250 ms.
    pub penalty: Duration,
}

impl Default for FailureRules {
    fn default() -> Self {
        Self {
            eject_after: 5,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            penalty: Duration::from_millis(250),
        }
    }
}

/// What became of a machine after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// It costs more for a while.
    Penalised,
    /// It is kept out until then.
    Ejected(Instant),
    /// It would be kept out, but half of the candidates are out already.
    Floor,
}

/// A request of ours failed there on suspicion (error, slowness).
pub fn failed(
    hot: &Hot,
    snapshot: &Snapshot,
    slot: Slot,
    rules: &FailureRules,
    now: Instant,
) -> Consequence {
    let _ = (hot, snapshot, slot, rules, now);
    Consequence::Penalised
}

/// A request of ours succeeded there.
pub fn succeeded(hot: &Hot, slot: Slot, now: Instant) {
    let _ = (hot, slot, now);
}

/// What is held against a machine now.
pub fn penalty(hot: &Hot, slot: Slot, now: Instant) -> Duration {
    let _ = (hot, slot, now);
    Duration::ZERO
}

/// Retries on suspicion, as a share of requests. One per worker.
#[derive(Clone, Copy, Debug)]
pub struct RetryBudget {
    tokens_milli: u32,
    share_permille: u32,
    most_milli: u32,
}

impl RetryBudget {
    /// `share_permille` retries per thousand requests, at most `burst` saved up. It starts full.
    pub fn new(share_permille: u32, burst: u32) -> Self {
        let most_milli = burst.saturating_mul(1000);
        Self { tokens_milli: most_milli, share_permille, most_milli }
    }
    /// A request came.
    pub fn deposit(&mut self) {
        self.tokens_milli = (self.tokens_milli + self.share_permille).min(self.most_milli);
    }
    /// A retry on suspicion is wanted; `false` if the budget is spent. Moves off a machine that is
    /// refused, silent or says itself unhealthy do not ask here.
    pub fn draw(&mut self) -> bool {
        let enough = self.tokens_milli >= 1000;
        if enough {
            self.tokens_milli -= 1000;
        }
        enough
    }
}
