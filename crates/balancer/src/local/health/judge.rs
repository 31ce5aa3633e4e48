//! From outcomes of checks to a verdict, by rise and fall.
//!
//! Invariant: a verdict changes only after `rise` good or `fall` bad outcomes in a row, or one refusal; what
//! could not be checked changes nothing.

use std::time::Duration;

/// What one check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The service answered well.
    Good,
    /// It answered badly, or not in time.
    Bad,
    /// Nobody is there: no doubt is left.
    Refused,
    /// The check could not be made, for a reason of our own.
    Unknown,
}

/// What is believed of the service.
#[derive(Clone, Debug)]
pub struct Judge {
    rise: u32,
    fall: u32,
    interval: Duration,
    well: Option<bool>,
    /// Outcomes in a row that contradict the verdict.
    against: u32,
}

impl Judge {
    /// No verdict yet: the first outcome gives one.
    pub fn new(rise: u32, fall: u32, interval: Duration) -> Self {
        Self { rise, fall, interval, well: None, against: 0 }
    }

    /// Takes one outcome; tells the verdict if it is new.
    pub fn observe(&mut self, outcome: Outcome) -> Option<bool> {
        let good = match outcome {
            Outcome::Good => true,
            Outcome::Bad | Outcome::Refused => false,
            Outcome::Unknown => return None,
        };
        let Some(well) = self.well else {
            self.well = Some(good);
            return self.well;
        };
        if good == well {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let enough = match outcome {
            Outcome::Refused => 1,
            _ if good => self.rise,
            _ => self.fall,
        };
        if self.against < enough {
            return None;
        }
        self.against = 0;
        self.well = Some(good);
        self.well
    }

    /// Time until the next check: the interval, or a fifth of it while the verdict is in doubt.
    pub fn next_in(&self) -> Duration {
        if self.against > 0 { self.interval / 5 } else { self.interval }
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Bad, Good, Refused, Unknown};
    use super::*;

    fn judge() -> Judge {
        Judge::new(2, 3, Duration::from_secs(1))
    }

    #[test]
    fn the_first_outcome_is_the_first_verdict() {
        assert_eq!(judge().observe(Good), Some(true));
        assert_eq!(judge().observe(Bad), Some(false));
        assert_eq!(judge().observe(Unknown), None);
    }

    #[test]
    fn three_bad_checks_in_a_row_make_it_unwell_and_two_good_ones_well() {
        let mut judge = judge();
        let verdicts: Vec<_> = [Good, Bad, Bad, Good, Bad, Bad, Bad, Bad, Good, Bad, Good, Good]
            .map(|outcome| judge.observe(outcome))
            .into();
        let mut expected = vec![None; 12];
        (expected[0], expected[6], expected[11]) = (Some(true), Some(false), Some(true));
        assert_eq!(verdicts, expected);
    }

    #[test]
    fn a_refusal_needs_no_second_one() {
        let mut judge = judge();
        judge.observe(Good);
        assert_eq!(judge.observe(Refused), Some(false));
        assert_eq!(judge.observe(Refused), None);
    }

    #[test]
    fn what_could_not_be_checked_changes_nothing() {
        let mut judge = judge();
        judge.observe(Good);
        judge.observe(Bad);
        judge.observe(Bad);
        assert_eq!(judge.observe(Unknown), None);
        assert_eq!(judge.observe(Bad), Some(false));
    }

    #[test]
    fn doubt_is_soon_resolved() {
        let mut judge = judge();
        judge.observe(Good);
        assert_eq!(judge.next_in(), Duration::from_secs(1));
        judge.observe(Bad);
        assert_eq!(judge.next_in(), Duration::from_millis(200));
        judge.observe(Good);
        assert_eq!(judge.next_in(), Duration::from_secs(1));
    }
}
