//! What the client saw, counted.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::load::{Ended, Outcome};

/// Counts of ended requests, of a phase or of the whole demonstration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) served: u64,
    pub(crate) other_status: u64,
    pub(crate) cut_short: u64,
    pub(crate) lost: u64,
    pub(crate) further_attempts: u64,
    pub(crate) longest: Duration,
    pub(crate) by_machine: BTreeMap<String, u64>,
    pub(crate) last_trouble: Option<String>,
}

impl Tally {
    /// Counts one ended request.
    pub(crate) fn add(&mut self, ended: &Ended) {
        self.further_attempts += u64::from(ended.further_attempts);
        self.longest = self.longest.max(ended.took);
        match &ended.outcome {
            Outcome::Served { by } => {
                self.served += 1;
                *self.by_machine.entry(by.clone()).or_default() += 1;
            }
            Outcome::Status(status) => {
                self.other_status += 1;
                self.last_trouble = Some(format!("status {status}"));
            }
            Outcome::CutShort => self.cut_short += 1,
            Outcome::Lost(why) => {
                self.lost += 1;
                self.last_trouble = Some(why.clone());
            }
        }
    }

    /// All requests that ended.
    pub(crate) fn requests(&self) -> u64 {
        self.served + self.other_status + self.cut_short + self.lost
    }

    /// Whether the promise held: every request of which no byte of a response had come was answered in the end, and with success.
    pub(crate) fn nothing_lost(&self) -> bool {
        self.lost == 0 && self.other_status == 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.lost + self.other_status;
        write!(
            f,
            "{} requests, {errors} lost, {} second attempts at another address",
            self.requests(),
            self.further_attempts
        )?;
        if self.cut_short > 0 {
            write!(f, ", {} responses broken off half-way", self.cut_short)?;
        }
        write!(f, ", longest pause {}", Millis(self.longest))?;
        if let Some(trouble) = &self.last_trouble {
            write!(f, " (last trouble: {trouble})")?;
        }
        Ok(())
    }
}

/// A duration in milliseconds, as precise as it is worth.
pub(crate) struct Millis(pub(crate) Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_secs_f64() * 1e3;
        if millis < 10.0 { write!(f, "{millis:.1} ms") } else { write!(f, "{millis:.0} ms") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(outcome: Outcome) -> Ended {
        Ended { took: Duration::from_millis(3), further_attempts: 1, outcome }
    }

    #[test]
    fn a_response_broken_off_is_told_but_is_not_lost() {
        let mut tally = Tally::default();
        tally.add(&ended(Outcome::CutShort));
        assert!(tally.nothing_lost());
        assert!(tally.to_string().contains("1 responses broken off"));
    }

    #[test]
    fn an_answer_that_is_no_success_counts_as_lost() {
        let mut tally = Tally::default();
        tally.add(&ended(Outcome::Served { by: "m1".into() }));
        tally.add(&ended(Outcome::Status(503)));
        assert!(!tally.nothing_lost());
        assert!(tally.to_string().starts_with("2 requests, 1 lost"), "{tally}");
    }
}
