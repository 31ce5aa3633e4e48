//! Load as the kernel damps it, and its high-water mark.

use std::time::Duration;

/// The damped count of runnable threads, with the kernel's one-minute constant: what a control group
/// would call its load average if it had one.
///
/// The kernel's begins at zero with the machine, but a program may start in a group that has long been
/// busy, or busy only with that start. So what is not known of the past minute is left out instead of
/// being taken for the first count: early on this is the mean of the counts there are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Damped {
    sum: f64,
    /// The share of the minute's weight that `sum` covers, from 0 to 1.
    weight: f64,
}

impl Damped {
    /// Takes one count, `passed` after the one before. The first, which stands for no time, is returned as it is.
    pub(super) fn take(&mut self, runnable: u32, passed: Duration) -> u32 {
        let n = f64::from(runnable);
        let kept = (-passed.as_secs_f64() / 60.0).exp();
        self.sum = self.sum * kept + n * (1.0 - kept);
        self.weight = self.weight * kept + (1.0 - kept);
        let value = if self.weight > 0.0 { self.sum / self.weight } else { n };
        (value * 1000.0).round() as u32
    }

    /// Whether the counts so far cover some ten seconds: enough that no single one of them stands for the load.
    pub(super) fn is_settled(&self) -> bool {
        self.weight > 0.15
    }
}

/// The smallest power of two that no load seen so far exceeded: the `L` of the cost-benefit framework.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HighWater(u32);

impl Default for HighWater {
    fn default() -> Self {
        Self(1)
    }
}

impl HighWater {
    /// Takes one load in thousandths and returns the mark in whole tasks, at least 1.
    pub(super) fn take(&mut self, load_milli: u32) -> u32 {
        let mark = load_milli.div_ceil(1000).max(1).checked_next_power_of_two().unwrap_or(1 << 31);
        self.0 = self.0.max(mark);
        self.0
    }

    /// The mark as it stands.
    pub(super) fn get(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_damped_count_follows_with_the_kernels_minute() {
        let mut load = Damped::default();
        assert_eq!(load.take(0, Duration::from_secs(3600)), 0);
        let after_a_minute = (0..60).map(|_| load.take(4, SECOND)).last().unwrap();
        assert!((2_520..2_535).contains(&after_a_minute), "1 - 1/e of 4, got {after_a_minute}");
        let later = load.take(4, Duration::from_secs(3600));
        assert_eq!(later, 4_000, "an hour forgets what was before");
    }

    #[test]
    fn the_crowd_of_a_start_is_not_carried_along_for_a_minute() {
        let mut load = Damped::default();
        assert_eq!(load.take(7, Duration::ZERO), 7_000, "nothing else is known");
        assert_eq!(load.take(1, SECOND), 1_000);
        let (mean, equal) = (load.take(0, SECOND), 490..=510);
        assert!(equal.contains(&mean), "of two counts, got {mean}");
        assert!(!load.is_settled());
        (0..10).for_each(|_| _ = load.take(1, SECOND));
        assert!(load.is_settled());
    }

    #[test]
    fn the_mark_is_the_next_power_of_two_and_never_falls() {
        let mut mark = HighWater::default();
        for (load, expected) in [(0, 1), (1_000, 1), (1_001, 2), (4_000, 4), (4_100, 8), (10, 8)] {
            assert_eq!(mark.take(load), expected, "after {load}");
        }
        assert_eq!(mark.take(u32::MAX), 1 << 23);
    }
}
