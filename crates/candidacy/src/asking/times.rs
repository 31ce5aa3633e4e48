//! How long answers take, learned from answers: a moving mean and its mean deviation, as TCP keeps
//! them for its own timeouts (Jacobson 1988).

use core::time::Duration;

use super::AskingRules;

/// Not even a quiet LAN answers faster than a busy thread is scheduled.
const SHORTEST_WAIT: Duration = Duration::from_micros(150);

/// One per worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerTimes {
    mean_nanos: u64,
    deviation_nanos: u64,
    /// A slower mean, over about 64, for decisions of policy: one late answer is no slow LAN.
    slow_nanos: u64,
}

impl AnswerTimes {
    /// Learns from one answer, however late it was.
    pub fn observe(&mut self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).clamp(1, 10_000_000_000);
        if self.mean_nanos == 0 {
            (self.mean_nanos, self.deviation_nanos) = (took, took / 2);
            self.slow_nanos = took;
            return;
        }
        let off = took.abs_diff(self.mean_nanos);
        self.deviation_nanos = (3 * self.deviation_nanos + off) / 4;
        self.mean_nanos = ((7 * self.mean_nanos + took) / 8).max(1);
        self.slow_nanos = ((63 * self.slow_nanos + took) / 64).max(1);
    }

    /// The mean time of an answer, over about 64; `None` before the first.
    pub fn typical(&self) -> Option<Duration> {
        (self.slow_nanos > 0).then(|| Duration::from_nanos(self.slow_nanos))
    }

    /// How long to wait for answers: the mean and four deviations, within bounds.
    pub fn wait(&self, rules: &AskingRules) -> Duration {
        if self.mean_nanos == 0 {
            return rules.longest_wait;
        }
        let learned = Duration::from_nanos(self.mean_nanos + 4 * self.deviation_nanos);
        learned.max(SHORTEST_WAIT).min(rules.longest_wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: fn(u64) -> Duration = Duration::from_micros;

    #[test]
    fn the_deadline_follows_the_answers_up_to_its_bound() {
        let (mut times, rules) = (AnswerTimes::default(), AskingRules::default());
        assert_eq!((times.typical(), times.wait(&rules)), (None, US(1000)));
        (0..100).for_each(|_| times.observe(US(100)));
        assert_eq!(times.wait(&rules), US(150), "no shorter than a thread needs to be scheduled");
        (0..100).for_each(|i| times.observe(US(if i % 2 == 0 { 150 } else { 250 })));
        let wait = times.wait(&rules);
        assert!((US(350)..US(450)).contains(&wait), "{wait:?}");
        (0..100).for_each(|_| times.observe(US(30_000)));
        assert_eq!(times.wait(&rules), US(1000));
    }

    #[test]
    fn absurd_times_do_no_harm() {
        let mut times = AnswerTimes::default();
        for took in [Duration::ZERO, Duration::MAX, Duration::ZERO] {
            times.observe(took);
            assert!(times.wait(&AskingRules::default()) <= US(1000));
        }
    }
}
