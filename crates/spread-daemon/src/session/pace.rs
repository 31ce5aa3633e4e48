//! How fast a client reads, judged by what it really takes and only over time in which something waited for it.
//!
//! What was written to its socket and lies there no more is what it took. Whether the socket takes more says little: the
//! kernel lets a slow reader's buffer become nearly empty before it says that there is room again.

use std::collections::VecDeque;
use std::time::Duration;

use base::Instant;

/// What is looked at as one.
pub(super) const SAMPLE: Duration = Duration::from_millis(500);
/// Samples that decide whether those wait who write to it from here.
const HERE_SAMPLES: usize = 4;
/// Bytes a second that it has to take over all of those.
const HERE: u64 = 64 << 10;
/// Bytes a second that it has to take in the last one, if all daemons are to wait for it.
const RING: u64 = 8 << 20;
/// When it was not behind for so long, it begins anew.
const CALM: Duration = Duration::from_secs(5);
/// A stretch that says something by itself.
const TELLING: Duration = Duration::from_millis(100);

/// What it took in a time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

impl Taken {
    /// Whether that is at least so many bytes a second.
    fn is_at_least(self, rate: u64) -> bool {
        u128::from(self.bytes) * 1000 >= u128::from(rate) * self.time.as_millis()
    }

    /// Bytes a second, and whether it took long enough to say so.
    pub(super) fn rate(self) -> Option<u64> {
        let millis = u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX);
        (self.time >= TELLING).then(|| self.bytes.saturating_mul(1000) / millis)
    }
}

/// How fast one client reads while it is behind.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// While it is behind: the last look, and all that it had taken by then.
    last: Option<(Instant, u64)>,
    /// Since the last sample.
    young: Taken,
    samples: VecDeque<Taken>,
    ended: Instant,
}

impl Pace {
    /// It is behind from now on, having taken so much in all.
    pub(super) fn begin(&mut self, now: Instant, taken: u64) {
        if now.since(self.ended) > CALM {
            *self = Self::default();
        }
        self.last = Some((now, taken));
    }

    /// It is not behind any more.
    pub(super) fn end(&mut self, now: Instant) {
        self.last = None;
        self.ended = now;
    }

    /// By now it has taken so much in all.
    pub(super) fn look(&mut self, now: Instant, taken: u64) {
        let Some((at, before)) = self.last.replace((now, taken)) else {
            self.last = None;
            return;
        };
        self.young.time += now.since(at);
        self.young.bytes += taken.saturating_sub(before);
        if self.young.time >= SAMPLE {
            self.samples.truncate(HERE_SAMPLES - 1);
            self.samples.push_front(std::mem::take(&mut self.young));
        }
    }

    /// Whether it takes enough that those who write to it from here wait for it. At first it is believed.
    pub(super) fn is_worth_senders(&self) -> bool {
        let all = self.samples.iter().fold(Taken::default(), |all, one| Taken {
            bytes: all.bytes + one.bytes,
            time: all.time + one.time,
        });
        self.samples.len() < HERE_SAMPLES || all.is_at_least(HERE)
    }

    /// Whether it takes enough that all daemons wait for it. At first it is believed.
    pub(super) fn is_worth_the_ring(&self) -> bool {
        self.samples.front().is_none_or(|last| last.is_at_least(RING))
    }

    /// What it took lately.
    pub(super) fn lately(&self) -> Taken {
        match self.samples.front() {
            Some(last) if self.young.time < TELLING => *last,
            _ => self.young,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(100_000 + millis)
    }

    /// Behind for three seconds, taking `rate` bytes a second.
    fn reading(rate: u64) -> Pace {
        let mut pace = Pace::default();
        pace.begin(at(0), 77);
        for sample in 1..=6 {
            pace.look(at(sample * 500), 77 + sample * rate / 2);
        }
        pace
    }

    #[test]
    fn the_rate_decides_who_waits() {
        let verdicts = [(0, false, false), (65_000, false, false), (66_000, true, false)];
        for (rate, senders, ring) in verdicts.into_iter().chain([(8 << 20, true, true)]) {
            let pace = reading(rate);
            assert_eq!(pace.is_worth_senders(), senders, "{rate}");
            assert_eq!(pace.is_worth_the_ring(), ring, "{rate}");
            assert_eq!(pace.lately().rate(), Some(rate));
        }
    }

    #[test]
    fn at_first_it_is_believed() {
        let mut pace = Pace::default();
        pace.begin(at(0), 0);
        assert!(pace.is_worth_senders() && pace.is_worth_the_ring());
        pace.look(at(500), 0);
        assert!(pace.is_worth_senders() && !pace.is_worth_the_ring());
        for millis in [1000, 1500] {
            pace.look(at(millis), 0);
            assert!(pace.is_worth_senders());
        }
        pace.look(at(2000), 0);
        assert!(!pace.is_worth_senders());
    }

    #[test]
    fn time_in_which_nothing_waited_does_not_count_and_a_short_calm_forgives_nothing() {
        let mut pace = reading(0);
        pace.end(at(3000));
        pace.begin(at(7000), 1 << 30);
        assert!(!pace.is_worth_senders(), "what it took in between is not counted");
        pace.end(at(7001));
        pace.look(at(8000), 1 << 31);
        pace.begin(at(13_000), 1 << 31);
        assert!(pace.is_worth_senders() && pace.is_worth_the_ring());
    }

    #[test]
    fn who_reads_again_is_waited_for_again() {
        let mut pace = reading(0);
        pace.look(at(3500), 77 + (4 << 20));
        assert!(pace.is_worth_senders() && pace.is_worth_the_ring());
    }
}
