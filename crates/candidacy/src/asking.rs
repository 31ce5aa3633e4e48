//! Asking first: a few machines are asked how they are, and the request goes where the answers point.
//!
//! Think of a traveller at a station with five counters. For a stamp he takes the nearest; for a
//! journey round the world he asks down the row how long it will take, and does not wait for the
//! clerk who is at lunch.
//!
//! Sans-io: a worker calls [`Switch::worth`] with the route's typical service time, then
//! [`Round::plan`], sends one question to each of [`Round::asked`], reports answers with
//! [`Round::answer`], and at the [`Round::deadline`] or when all have answered calls [`Round::decide`].
//! Reports inside the answers go to [`Hot::hear`](crate::Hot::hear) as any other report.

use core::time::Duration;

use base::{Instant, Random};

use crate::decide::{Decision, Reason, Scratch, Verdict, View};
use crate::explain::Explanation;
use crate::hot::Slot;

/// Most machines asked for one request.
pub const MAX_ASKED: usize = 24;

/// What an administrator may say about asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskingRules {
    /// Longest wait for answers, whatever was learned. Default 1 ms.
    pub longest_wait: Duration,
    /// Service times above this multiple of the answer time are worth a question. Default 20.
    pub worth_from: u32,
    /// Service times below this multiple are not worth one any more. Default 10.
    pub worth_until: u32,
}

impl Default for AskingRules {
    fn default() -> Self {
        Self { longest_wait: Duration::from_millis(1), worth_from: 20, worth_until: 10 }
    }
}

/// How long answers take, learned from answers. One per worker.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnswerTimes {
    mean_nanos: u64,
    deviation_nanos: u64,
}

impl AnswerTimes {
    /// Learns from one answer.
    pub fn observe(&mut self, took: Duration) {
        let _ = took;
    }
    /// The typical time of an answer; `None` before the first.
    pub fn typical(&self) -> Option<Duration> {
        (self.mean_nanos > 0).then(|| Duration::from_nanos(self.mean_nanos + self.deviation_nanos))
    }
    /// How long to wait for answers.
    pub fn wait(&self, rules: &AskingRules) -> Duration {
        rules.longest_wait
    }
}

/// Whether a route asks, with hysteresis. One per route and worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switch {
    on: bool,
}

impl Switch {
    /// Whether a request of a route whose service typically takes `service` is worth a question.
    pub fn worth(&mut self, service: Duration, times: &AnswerTimes, rules: &AskingRules) -> bool {
        let _ = (service, times, rules);
        self.on
    }
    /// The standing answer.
    pub fn is_on(&self) -> bool {
        self.on
    }
}

/// One request's questions. Lives in the request's task; other decisions go on meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    deadline: Instant,
}

impl Round {
    /// Chooses whom to ask, right after [`decide`](crate::decide) on the same request with the same
    /// `scratch`. `None` if asking cannot change the outcome (then act on the decision).
    pub fn plan(
        decision: &Decision,
        view: &View<'_>,
        scratch: &Scratch,
        random: &mut Random,
        times: &AnswerTimes,
        rules: &AskingRules,
    ) -> Option<Self> {
        let _ = (decision, view, scratch, random, times, rules);
        None
    }

    /// The machines to ask.
    pub fn asked(&self) -> impl Iterator<Item = Slot> + '_ {
        core::iter::empty()
    }

    /// When to decide at the latest.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Notes that a machine answered (its report was given to [`Hot::hear`](crate::Hot::hear)
    /// before), with the reservation it made (0 = none). `true` when no answer is outstanding.
    pub fn answer(&mut self, slot: Slot, reservation: u32) -> bool {
        let _ = (slot, reservation);
        true
    }

    /// Decides on the answers, and on what is known of the silent.
    pub fn decide(
        &self,
        view: &View<'_>,
        random: &mut Random,
        scratch: &mut Scratch,
        explanation: Option<&mut Explanation>,
    ) -> Decision {
        let _ = (view, random, scratch, explanation);
        Decision {
            verdict: Verdict::Here,
            reason: Reason::AskedSilence,
            probe: None,
            age: None,
            failed: None,
        }
    }

    /// The reservation the machine made for us, to be sent with the request; 0 if none.
    pub fn reservation(&self, slot: Slot) -> u32 {
        let _ = slot;
        0
    }

    /// How many were asked, and how many of them answered.
    pub fn counts(&self) -> (usize, usize) {
        (0, 0)
    }
}

/// Promises of this machine to askers: made by the thread that answers, kept by the workers when the
/// request arrives. Shared, lock-free.
#[derive(Debug, Default)]
pub struct Reservations {}

impl Reservations {
    /// Room for promises.
    pub fn new() -> Self {
        Self {}
    }

    /// Promises a place to `asker` until `until`. The id to send back, never 0; `None` if the asker
    /// has too many open promises or all room is taken.
    pub fn reserve(&self, asker: Slot, now: Instant, until: Instant) -> Option<u32> {
        let _ = (asker, now, until);
        None
    }

    /// The request that carries the id has arrived: the promise is kept and no more counted. `false`
    /// if there is no such promise any more, which is no fault: the request is admitted like any other.
    pub fn consume(&self, id: u32, now: Instant) -> bool {
        let _ = (id, now);
        false
    }

    /// Open promises now: to be added to the in-flight count of answers (`Hot::report_here`).
    pub fn open(&self, now: Instant) -> u32 {
        let _ = now;
        0
    }
}
