//! When to start the next try: on a grid fixed at the beginning, so that delays do not add up.

use std::time::{Duration, Instant};

use crate::error::LabError;

/// Shortest time between two tries.
const SHORTEST: Duration = Duration::from_millis(1);

/// Longest time between two tries; a probe looks only so often whether it is to end.
const LONGEST: Duration = Duration::from_secs(1);

/// A grid of instants. One that has passed unused is missed and not made up for: tries in a bunch measure each other.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    start: Instant,
    every: Duration,
    next: u32,
    missed: u64,
}

impl Pace {
    /// # Errors
    /// When `every` is not 1 ms to 1 s.
    pub(super) fn new(start: Instant, every: Duration) -> Result<Self, LabError> {
        if !(SHORTEST..=LONGEST).contains(&every) {
            return Err(LabError::Config {
                what: "the time between two tries of a probe",
                value: format!("{every:?}"),
                remedy: "choose 1 ms to 1 s",
            });
        }
        Ok(Self { start, every, next: 0, missed: 0 })
    }

    /// When the next try is to start.
    pub(super) fn due(&self) -> Instant {
        self.start + self.every * self.next
    }

    /// Whether a try is to start now; if so, the next one is due at the first instant of the grid behind now.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        if now < self.due() {
            return false;
        }
        let passed = now.duration_since(self.start).as_nanos() / self.every.as_nanos();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX - 1);
        self.missed += u64::from(passed.saturating_sub(self.next));
        self.next = passed + 1;
        true
    }

    /// How many instants have passed unused.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_do_not_add_up_and_what_is_missed_is_counted_and_not_made_up_for() {
        let start = Instant::now();
        let at = |micros| start + Duration::from_micros(micros);
        let mut pace = Pace::new(start, Duration::from_millis(5)).unwrap();
        assert!(pace.take(at(0)) && !pace.take(at(4_999)));
        assert!(pace.take(at(6_000)));
        assert_eq!(pace.due(), at(10_000));
        assert!(pace.take(at(27_000)) && !pace.take(at(27_001)));
        assert_eq!((pace.due(), pace.missed()), (at(30_000), 3));
    }

    #[test]
    fn a_pace_out_of_bounds_is_refused() {
        for every in [Duration::ZERO, Duration::from_micros(999), Duration::from_millis(1001)] {
            assert!(Pace::new(Instant::now(), every).is_err(), "{every:?}");
        }
    }
}
