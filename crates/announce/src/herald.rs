//! When this machine announces: regularly, and early when its load changes by a doubling.
//!
//! The regular interval is jittered by a tenth, so that a cluster started at once does not speak at
//! once. Early words follow *levels*: the powers of two from the number of CPUs up. Crossing one upward
//! is told at once; downward only after falling a quarter below it, or a load that dances around a
//! power of two would announce at every step. Nothing is ever sent more often than every 50 ms.

use core::time::Duration;

use base::{Instant, Random};

/// The shortest time between two announcements.
pub const EARLIEST: Duration = Duration::from_millis(50);
/// The interval unless configured.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// Decides when to announce. Ask [`poll_timeout`](Self::poll_timeout), then
/// [`handle_timeout`](Self::handle_timeout).
#[derive(Clone, Debug)]
pub struct Herald {
    interval: Duration,
    first_level: u32,
    level: u32,
    last: Option<Instant>,
    regular: Instant,
    early: bool,
    random: Random,
}

impl Herald {
    /// Announces for the first time at `now`, then about every `interval` (at least [`EARLIEST`]).
    pub fn new(now: Instant, interval: Duration, cpus_milli: u32, seed: u64) -> Self {
        Self {
            interval: interval.max(EARLIEST),
            first_level: first_level(cpus_milli),
            level: 0,
            last: None,
            regular: now,
            early: false,
            random: Random::new(seed),
        }
    }

    /// Says that this machine has another number of CPUs, in thousandths: levels count from there.
    pub fn set_cpus(&mut self, cpus_milli: u32) {
        self.first_level = first_level(cpus_milli);
    }

    /// Says that requests in flight have changed to `n`. Crossing a level hastens the announcement.
    pub fn handle_in_flight(&mut self, n: u32) {
        let level = level(self.level, n, self.first_level);
        if level != self.level {
            self.level = level;
            self.early = true;
        }
    }

    /// Says that something everyone should know has changed: health, draining.
    pub fn hurry(&mut self) {
        self.early = true;
    }

    /// When to announce next, as things stand.
    pub fn poll_timeout(&self) -> Instant {
        match self.last {
            Some(last) if self.early => self.regular.min(last + EARLIEST),
            _ => self.regular,
        }
    }

    /// Whether to announce now. If so, the next time is counted from here.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        if now < self.poll_timeout() {
            return false;
        }
        let jitter = 0.9 + 0.2 * self.random.unit();
        self.regular = now + self.interval.mul_f64(jitter).max(EARLIEST);
        self.last = Some(now);
        self.early = false;
        true
    }
}

/// The first level of a machine: the power of two at or above its number of CPUs.
pub fn first_level(cpus_milli: u32) -> u32 {
    cpus_milli.div_ceil(1000).clamp(1, 1 << 20).next_power_of_two()
}

/// The level of `n` requests in flight after level `before`, with hysteresis: 0 is below
/// `first_level`, 1 at or above it, 2 at or above its double, and so on.
///
/// Cheap enough for the request path: compare the result with the last and wake the herald only then.
pub fn level(before: u32, n: u32, first_level: u32) -> u32 {
    let n = u64::from(n);
    let mut level = before.min(LEVELS);
    while level < LEVELS && n >= threshold(level + 1, first_level) {
        level += 1;
    }
    // Each step down must fall a quarter below the level it leaves.
    while level > 0 && n * 4 < threshold(level, first_level) * 3 {
        level -= 1;
    }
    level
}

/// More levels than 32 bits in flight can reach.
const LEVELS: u32 = 33;

fn threshold(level: u32, first_level: u32) -> u64 {
    u64::from(first_level.min(1 << 20)) << (level - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const START: Instant = Instant::from_millis(1000);

    fn herald() -> Herald {
        let mut herald = Herald::new(START, INTERVAL, 2000, 1);
        assert!(herald.handle_timeout(START), "the first word is said at once");
        herald
    }

    #[test]
    fn the_interval_is_jittered_by_a_tenth() {
        let mut herald = herald();
        let mut now = START;
        let mut gaps = Vec::new();
        for _ in 0..1000 {
            let next = herald.poll_timeout();
            gaps.push(next.since(now).as_millis());
            assert!(!herald.handle_timeout(now), "too early");
            assert!(herald.handle_timeout(next));
            now = next;
        }
        assert!(gaps.iter().all(|gap| (900..=1100).contains(gap)));
        let mean = gaps.iter().sum::<u128>() / 1000;
        assert!((990..=1010).contains(&mean), "mean {mean} ms");
    }

    #[test]
    fn an_interval_below_the_earliest_is_raised() {
        let mut herald = Herald::new(START, Duration::from_millis(1), 1000, 1);
        assert!(herald.handle_timeout(START));
        assert!(herald.poll_timeout() >= START + EARLIEST);
    }

    #[test]
    fn crossing_a_doubling_is_told_early_but_not_too_often() {
        let mut herald = herald();
        herald.handle_in_flight(1);
        assert!(herald.poll_timeout() > START + Duration::from_millis(800), "below the CPUs");
        herald.handle_in_flight(2);
        assert_eq!(herald.poll_timeout(), START + EARLIEST);
        let later = START + Duration::from_millis(300);
        herald.handle_in_flight(9);
        assert!(herald.handle_timeout(later));
        herald.handle_in_flight(16);
        herald.handle_in_flight(32);
        assert!(!herald.handle_timeout(later + Duration::from_millis(49)));
        assert!(herald.handle_timeout(later + EARLIEST));
        assert!(herald.poll_timeout() > later + Duration::from_millis(900), "told once");
    }

    #[test]
    fn a_load_that_dances_around_a_level_is_told_once() {
        let mut level_now = 0;
        let mut changes = 0;
        for n in [7, 8, 7, 8, 7, 8, 6, 8, 7] {
            let next = level(level_now, n, 2);
            changes += u32::from(next != level_now && level_now != 0);
            level_now = next;
        }
        assert_eq!((level_now, changes), (3, 1), "from 4 to 8, then never below 6");
        assert_eq!(level(level_now, 5, 2), 2);
        assert_eq!(level(level_now, 0, 2), 0);
    }

    #[test]
    fn levels_start_at_the_power_of_two_above_the_cpus() {
        assert_eq!([0, 500, 1000, 1500, 3000, 4000].map(first_level), [1, 1, 1, 2, 4, 4]);
        assert_eq!(level(0, 3, 4), 0);
        assert_eq!(level(0, 4, 4), 1);
        assert_eq!(level(0, u32::MAX - 1, 1), 32);
        assert_eq!(level(40, 0, 1 << 20), 0);
    }

    #[test]
    fn a_change_of_health_is_told_early() {
        let mut herald = herald();
        herald.hurry();
        assert_eq!(herald.poll_timeout(), START + EARLIEST);
    }
}
