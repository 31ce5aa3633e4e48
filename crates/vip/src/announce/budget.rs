//! How many frames may go out per second, and who may use up the last of them.
//!
//! A bucket of one second's frames that fills at the rate. First announcements may empty it; repeats leave half of it, directed ones
//! three quarters. So whatever waits, an address that was just acquired finds room at once: at the default rate 1,250 IPv4 addresses,
//! two frames each. Over any time of `t` seconds at most `rate * (t + 1)` frames go out.

use core::time::Duration;

use base::Instant;

/// Nanoseconds of a second, and so parts of a frame in the bucket's own unit.
const UNIT: u64 = 1_000_000_000;

/// How urgent frames are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// The first announcement of an address.
    First,
    /// Saying it again.
    Repeat,
    /// Saying it to one host.
    Directed,
}

/// A bucket of frames.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    /// Frames per second, and in the full bucket.
    rate: u64,
    /// What is in it, in billionths of a frame, as of `at`.
    level: u64,
    at: Instant,
}

impl Budget {
    /// A full bucket. A rate outside of 10 to 1,000,000 is taken as the nearest of these: below, repeats would never fit in.
    pub(crate) fn new(frames_per_second: u32) -> Self {
        let rate = u64::from(frames_per_second).clamp(10, 1_000_000);
        Self { rate, level: rate * UNIT, at: Instant::ORIGIN }
    }

    /// Takes `frames` if there is room for them now.
    pub(crate) fn take(&mut self, now: Instant, frames: u64, urgency: Urgency) -> bool {
        self.fill(now);
        if self.level < self.needed(frames, urgency) {
            return false;
        }
        self.level -= frames * UNIT;
        true
    }

    /// The first moment from `when` on at which there will be room.
    pub(crate) fn room_at(&self, when: Instant, frames: u64, urgency: Urgency) -> Instant {
        let missing = self.needed(frames, urgency).saturating_sub(self.level);
        when.max(self.at + Duration::from_nanos(missing.div_ceil(self.rate)))
    }

    fn needed(&self, frames: u64, urgency: Urgency) -> u64 {
        let full = self.rate * UNIT;
        let kept = match urgency {
            Urgency::First => 0,
            Urgency::Repeat => full / 2,
            Urgency::Directed => full / 4 * 3,
        };
        // More than ever fits in would wait for ever.
        (kept + frames * UNIT).min(full)
    }

    fn fill(&mut self, now: Instant) {
        let passed = u64::try_from(now.since(self.at).as_nanos()).unwrap_or(u64::MAX);
        self.at = self.at.max(now);
        self.level = (self.level + passed.min(UNIT) * self.rate).min(self.rate * UNIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(1000 + ms)
    }

    #[test]
    fn first_announcements_may_use_what_repeats_must_leave() {
        let mut budget = Budget::new(100);
        let mut take = |urgency| (0..1000).take_while(|_| budget.take(at(0), 1, urgency)).count();
        assert_eq!(take(Urgency::Directed), 25);
        assert_eq!(take(Urgency::Repeat), 25);
        assert_eq!(take(Urgency::First), 50);
        assert_eq!(take(Urgency::First), 0);
    }

    #[test]
    fn room_comes_when_it_was_promised() {
        let mut budget = Budget::new(100);
        while budget.take(at(0), 1, Urgency::First) {}
        for (urgency, ms) in
            [(Urgency::First, 20), (Urgency::Repeat, 520), (Urgency::Directed, 770)]
        {
            assert_eq!(budget.room_at(at(0), 2, urgency), at(ms));
            let early = Instant::from_nanos(at(ms).as_nanos() - 1);
            assert!(!budget.clone().take(early, 2, urgency));
            assert!(budget.clone().take(at(ms), 2, urgency));
        }
        assert_eq!(budget.room_at(at(900), 2, Urgency::First), at(900));
    }

    #[test]
    fn a_long_rest_fills_no_more_than_a_second() {
        let mut budget = Budget::new(1_000_000);
        assert!(budget.take(Instant::from_nanos(u64::MAX), 1_000_000, Urgency::First));
        assert!(!budget.take(Instant::from_nanos(u64::MAX), 1, Urgency::First));
    }

    #[test]
    fn a_rate_of_nothing_still_lets_everything_through_in_the_end() {
        let budget = Budget::new(0);
        assert_eq!(budget.room_at(at(0), 2, Urgency::Directed), at(0));
    }
}
