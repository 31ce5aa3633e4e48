//! What came of all connections of a probe.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use crate::probe::running::{Span, longest_pause};

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Try {
    /// When it was begun.
    pub started: Instant,
    /// When it stood, if it came so far.
    pub connected: Option<Instant>,
    /// When its outcome was known.
    pub ended: Instant,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole answer has come.
    Answered(Answer),
    /// It has not.
    Lost(Loss),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When it was whole.
    pub at: Instant,
    /// Its HTTP status.
    pub status: u16,
    /// Which machine it says it is from.
    pub owner: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The address is there, and nobody listens.
    Refused,
    /// The connection was reset before the whole request was sent.
    ResetBefore,
    /// It was reset, or fell silent and was given up by the kernel, after the request was sent.
    ResetAfter,
    /// It was closed in order, without a whole answer.
    Closed,
    /// The patience of the probe has run out, or the kernel's.
    TimedOut,
    /// Nobody says to have the address, or there is no way.
    Unreachable,
    /// The probe's own trouble: it says nothing about the address.
    NotTried(String),
}

impl Loss {
    /// A word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Loss::Refused => "refused",
            Loss::ResetBefore => "reset before the request",
            Loss::ResetAfter => "reset after the request",
            Loss::Closed => "closed without an answer",
            Loss::TimedOut => "timed out",
            Loss::Unreachable => "unreachable",
            Loss::NotTried(_) => "not tried",
        }
    }
}

/// All connections of a probe in the order of their starts.
#[derive(Clone, Debug)]
pub struct TcpTrace {
    tries: Vec<Try>,
    late: Duration,
    /// Starts that the probe has missed because it did not get a processor in time.
    pub missed: u64,
    /// Connections before which the kernel refused to forget the neighbour: they may have been warm.
    pub not_cold: u64,
}

impl TcpTrace {
    pub(super) fn new(late: Duration) -> Self {
        Self { tries: Vec::new(), late, missed: 0, not_cold: 0 }
    }

    /// Those that end early are added before those that began earlier and end late.
    pub(super) fn add(&mut self, new: Try) {
        let behind = self.tries.iter().rev().take_while(|old| old.started > new.started).count();
        self.tries.insert(self.tries.len() - behind, new);
    }

    /// All connections in the order of their starts.
    #[must_use]
    pub fn tries(&self) -> &[Try] {
        &self.tries
    }

    /// Whether a connection was served, and not late.
    #[must_use]
    pub fn is_prompt(&self, one: &Try) -> bool {
        self.is_served(one) && one.ended.saturating_duration_since(one.started) <= self.late
    }

    fn is_served(&self, one: &Try) -> bool {
        matches!(&one.outcome, Outcome::Answered(answer) if answer.status < 500)
    }

    /// Those that were served in the end, but late: most had their first packet lost.
    pub fn late(&self) -> impl Iterator<Item = &Try> {
        self.tries.iter().filter(|one| self.is_served(one) && !self.is_prompt(one))
    }

    /// Those that were not served: lost, or answered with a status of 500 or above. What was not tried is not among them.
    pub fn lost(&self) -> impl Iterator<Item = &Try> {
        let tried = |one: &&Try| !matches!(one.outcome, Outcome::Lost(Loss::NotTried(_)));
        self.tries.iter().filter(tried).filter(|one| !self.is_served(one))
    }

    /// How many were not served, by why not.
    #[must_use]
    pub fn lost_by_kind(&self) -> BTreeMap<String, usize> {
        let mut kinds = BTreeMap::new();
        for one in self.lost() {
            let word = match &one.outcome {
                Outcome::Lost(loss) => loss.word().to_owned(),
                Outcome::Answered(answer) => format!("status {}", answer.status),
            };
            *kinds.entry(word).or_default() += 1;
        }
        kinds
    }

    /// How many the probe itself could not try.
    #[must_use]
    pub fn not_tried(&self) -> usize {
        let not = |one: &&Try| matches!(one.outcome, Outcome::Lost(Loss::NotTried(_)));
        self.tries.iter().filter(not).count()
    }

    /// The longest time between the starts of two connections that were served promptly; the first and the last start of all
    /// count as bounds. `None` without any.
    #[must_use]
    pub fn longest_pause(&self) -> Option<Span> {
        longest_pause(self.tries.iter().map(|one| (one.started, self.is_prompt(one))))
    }

    /// The longest time between two starts: what the probe could not see by its own fault.
    #[must_use]
    pub fn longest_blink(&self) -> Option<Span> {
        let seen = |one: &Try| !matches!(one.outcome, Outcome::Lost(Loss::NotTried(_)));
        longest_pause(self.tries.iter().map(|one| (one.started, seen(one))))
    }

    /// Who answered, from which start on: one entry for each change.
    #[must_use]
    pub fn owners(&self) -> Vec<(Instant, String)> {
        let mut owners: Vec<(Instant, String)> = Vec::new();
        for one in &self.tries {
            let Outcome::Answered(Answer { owner: Some(owner), .. }) = &one.outcome else {
                continue;
            };
            if owners.last().is_none_or(|(_, last)| last != owner) {
                owners.push((one.started, owner.clone()));
            }
        }
        owners
    }

    /// The first connection begun at this instant or later that was served promptly.
    #[must_use]
    pub fn first_success_after(&self, instant: Instant) -> Option<&Try> {
        self.tries.iter().find(|one| one.started >= instant && self.is_prompt(one))
    }

    /// The part of the trace whose connections were begun in this time, both ends included.
    #[must_use]
    pub fn between(&self, from: Instant, until: Instant) -> TcpTrace {
        let within = |one: &&Try| one.started >= from && one.started <= until;
        TcpTrace { tries: self.tries.iter().filter(within).cloned().collect(), ..*self }
    }
}

impl fmt::Display for TcpTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pause = self.longest_pause().map_or(Duration::ZERO, |span| span.length());
        write!(f, "{} connections, {} late, ", self.tries.len(), self.late().count())?;
        for (kind, count) in self.lost_by_kind() {
            write!(f, "{count} {kind}, ")?;
        }
        write!(f, "{} not tried, {} missed, longest pause {pause:?}", self.not_tried(), self.missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_tells_pauses_losses_and_owners() {
        let zero = Instant::now();
        let at = |ms: u64| zero + Duration::from_millis(ms);
        let mut trace = TcpTrace::new(Duration::from_millis(500));
        let served = |started: u64, ended: u64, status: u16, owner: &str| {
            let answer = Answer { at: at(ended), status, owner: Some(owner.to_owned()) };
            let outcome = Outcome::Answered(answer);
            Try { started: at(started), connected: Some(at(ended)), ended: at(ended), outcome }
        };
        let lost = |started: u64, loss| {
            let outcome = Outcome::Lost(loss);
            Try { started: at(started), connected: None, ended: at(started + 1), outcome }
        };
        trace.add(served(0, 1, 200, "m1"));
        trace.add(lost(5, Loss::Refused));
        trace.add(lost(10, Loss::NotTried("no socket".into())));
        trace.add(served(20, 21, 200, "m2"));
        trace.add(served(25, 26, 503, "m2"));
        // Began before those two.
        trace.add(served(15, 1016, 200, "m2"));
        let starts: Vec<_> = trace.tries().iter().map(|one| one.started).collect();
        assert!(starts.is_sorted() && starts.len() == 6);
        let pause = trace.longest_pause().unwrap();
        assert_eq!((pause.from, pause.until), (at(0), at(20)));
        assert_eq!((trace.late().count(), trace.lost().count(), trace.not_tried()), (1, 2, 1));
        let kinds = trace.lost_by_kind();
        assert_eq!((kinds["refused"], kinds["status 503"]), (1, 1));
        assert_eq!(trace.owners(), [(at(0), "m1".to_owned()), (at(15), "m2".to_owned())]);
        assert_eq!(trace.first_success_after(at(1)).unwrap().started, at(20));
        assert_eq!(trace.between(at(5), at(15)).tries().len(), 3);
        assert_eq!(trace.longest_blink().unwrap().length(), Duration::from_millis(10));
        assert!(trace.to_string().contains("1 refused"), "{trace}");
        assert!(TcpTrace::new(Duration::ZERO).longest_pause().is_none());
    }
}
