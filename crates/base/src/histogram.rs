//! Durations, counted in buckets whose width grows with the value.
//!
//! Four buckets to each doubling, from 1 µs to about 19 hours: an error of at most 12 %, 140 counters.
//! One thread writes (a load and a store, no locked instruction), any number read; a reader may see
//! a count that is one event behind, never a torn one.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;

/// Number of buckets.
pub const BUCKETS: usize = 140;
const SUB: u32 = 4;

/// Counts of durations by size. See the module's text for who may write.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_micros: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// An empty histogram.
    pub const fn new() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum_micros: AtomicU64::new(0) }
    }

    /// Counts one duration. Only one thread may do so; others would lose counts, nothing worse.
    pub fn record(&self, d: Duration) {
        let micros = u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        bump(&self.buckets[index(micros)], 1);
        bump(&self.sum_micros, micros);
    }

    /// A copy of the counts, for merging and reading.
    pub fn snapshot(&self) -> Counts {
        Counts {
            buckets: core::array::from_fn(|i| self.buckets[i].load(Relaxed)),
            sum_micros: self.sum_micros.load(Relaxed),
        }
    }
}

fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

/// The counts of a [`Histogram`] at one moment; adds up across workers.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Events by bucket.
    pub buckets: [u64; BUCKETS],
    /// Sum of all durations in microseconds, wrapping.
    pub sum_micros: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], sum_micros: 0 }
    }
}

impl Counts {
    /// Number of events.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(a, b)| *a += b);
        self.sum_micros = self.sum_micros.wrapping_add(other.sum_micros);
    }

    /// What was counted since `earlier` was taken from the same histogram.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            buckets: core::array::from_fn(|i| self.buckets[i].saturating_sub(earlier.buckets[i])),
            sum_micros: self.sum_micros.wrapping_sub(earlier.sum_micros),
        }
    }

    /// The duration that a share `q` (0 to 1) of the events did not exceed, as the upper edge of its
    /// bucket; `None` without events.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let rank = (libm::ceil(total as f64 * q.clamp(0.0, 1.0)) as u64).max(1);
        let mut seen = 0;
        let i = self.buckets.iter().position(|&n| {
            seen += n;
            seen >= rank
        })?;
        Some(upper(i))
    }

    /// The mean; `None` without events.
    pub fn mean(&self) -> Option<Duration> {
        self.sum_micros.checked_div(self.count()).map(Duration::from_micros)
    }
}

/// The largest duration that bucket `i` holds.
pub fn upper(i: usize) -> Duration {
    Duration::from_micros(lower(i + 1).saturating_sub(1).max(1))
}

fn index(micros: u64) -> usize {
    if micros < u64::from(SUB) {
        return micros as usize;
    }
    let octave = micros.ilog2();
    let sub = (micros >> (octave - 2)) as usize & 3;
    ((octave as usize - 1) * 4 + sub).min(BUCKETS - 1)
}

fn lower(i: usize) -> u64 {
    if i < SUB as usize {
        return i as u64;
    }
    (4 + (i as u64 & 3)) << (i / 4 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_within_its_bucket() {
        for micros in (0..20_000).chain((14..36).flat_map(|b| [(1 << b) - 1, 1 << b, (1 << b) + 1]))
        {
            let i = index(micros);
            assert!(lower(i) <= micros, "{micros} in {i}");
            assert!(i + 1 == BUCKETS || micros < lower(i + 1), "{micros} in {i}");
        }
    }

    #[test]
    fn a_quantile_is_at_most_a_bucket_above_the_truth() {
        let h = Histogram::new();
        (1..=1000).for_each(|ms| h.record(Duration::from_millis(ms)));
        let counts = h.snapshot();
        for (q, truth) in [(0.5, 500.0), (0.99, 990.0)] {
            let got = counts.quantile(q).unwrap().as_secs_f64() * 1e3;
            assert!(got >= truth && got < truth * 1.26, "{q}: {got}");
        }
        assert_eq!(counts.mean(), Some(Duration::from_micros(500_500)));
    }

    #[test]
    fn nothing_counted_has_no_quantile() {
        assert_eq!(Counts::default().quantile(0.5), None);
        assert_eq!(Counts::default().mean(), None);
    }

    #[test]
    fn what_came_since_is_the_difference() {
        let h = Histogram::new();
        h.record(Duration::from_millis(1));
        let before = h.snapshot();
        h.record(Duration::from_millis(4));
        let since = h.snapshot().since(&before);
        assert_eq!((since.count(), since.mean()), (1, Some(Duration::from_millis(4))));
    }
}
