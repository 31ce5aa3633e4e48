//! How long the parent has been silent, as far as the guardian can tell.
//!
//! A pure function of times of CLOCK_BOOTTIME; the caller owns the clock.
//!
//! A guardian that was not run itself, because the machine slept, was frozen or is far too busy, has not *heard* silence. So it looks
//! at the clock four times per suspicion time; when more than half of that time went by between two looks it was away,
//! and begins to count anew. After a sleep of the whole machine the parent's own checks and the lease decide.

use std::time::Duration;

/// For so long beyond its patience a parent is excused that only gets no processor. Its addresses are renewed by nobody meanwhile, so
/// it ends within a lease in any case.
const EXCUSED: Duration = Duration::from_secs(2);

/// The count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    patience: Duration,
    since: Duration,
    looked: Duration,
    excused_until: Duration,
}

impl Silence {
    pub(super) fn new(patience: Duration, now: Duration) -> Self {
        Self { patience, since: now, looked: now, excused_until: Duration::ZERO }
    }

    /// The parent said something.
    pub(super) fn heard(&mut self, now: Duration) {
        self.since = now;
    }

    /// Call it first at each turn.
    pub(super) fn look(&mut self, now: Duration) {
        if now.saturating_sub(self.looked) > self.patience / 2 {
            self.since = now;
        }
        self.looked = now;
    }

    /// Whether it has lasted too long.
    pub(super) fn is_suspicious(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) >= self.patience && now >= self.excused_until
    }

    /// The parent would speak if it got a processor: a little more time, unless that was said for too long.
    pub(super) fn excuse(&mut self, now: Duration) -> bool {
        let excused = now.saturating_sub(self.since) < self.patience + EXCUSED;
        if excused {
            self.excused_until = now + self.patience / 4;
        }
        excused
    }

    /// When to look again.
    pub(super) fn next_look(&self, now: Duration) -> Duration {
        let left = (self.since + self.patience).max(self.excused_until).saturating_sub(now);
        left.min(self.patience / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn silence_that_was_heard_all_along_is_suspicious_in_time() {
        let mut silence = Silence::new(ms(300), ms(1_000));
        let mut now = ms(1_000);
        while !silence.is_suspicious(now) {
            let step = silence.next_look(now);
            assert!(step > Duration::ZERO && step <= ms(75));
            // Somewhat late, as processes are.
            now += step + ms(3);
            silence.look(now);
        }
        assert!(now <= ms(1_315), "{now:?}");
        silence.heard(now);
        assert!(!silence.is_suspicious(now + ms(299)));
    }

    #[test]
    fn a_guardian_that_was_away_counts_anew() {
        let mut silence = Silence::new(ms(300), ms(0));
        silence.look(ms(75));
        silence.look(ms(5_000));
        assert!(!silence.is_suspicious(ms(5_000)));
        assert!(!silence.is_suspicious(ms(5_299)));
        assert!(silence.is_suspicious(ms(5_300)));
    }

    #[test]
    fn a_parent_that_gets_no_processor_is_excused_for_a_while() {
        let mut silence = Silence::new(ms(300), ms(0));
        let mut now = ms(0);
        loop {
            now += silence.next_look(now).max(ms(1));
            silence.look(now);
            if silence.is_suspicious(now) && !silence.excuse(now) {
                break;
            }
        }
        assert!((ms(2_300)..ms(2_400)).contains(&now), "{now:?}");
        silence.heard(now);
        assert!(!silence.is_suspicious(now + ms(299)));
    }

    #[test]
    fn a_clock_that_goes_back_does_no_harm() {
        let mut silence = Silence::new(ms(300), ms(1_000));
        silence.look(ms(500));
        assert!(!silence.is_suspicious(ms(500)));
    }
}
