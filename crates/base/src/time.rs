//! The monotonic time of one process, as an argument.
//!
//! A driver maps its operating system's monotonic clock onto this once, at start; a simulator counts.
//! Two processes never compare their instants, so no machine's clock has to agree with another's.

use core::fmt;
use core::ops::{Add, AddAssign};
use core::time::Duration;

/// A moment on this process's monotonic clock, in nanoseconds since an origin of its own.
///
/// 64 bits of nanoseconds last 584 years, so additions saturate instead of failing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The origin. Drivers start a little later than this, so that zero can mean *never*.
    pub const ORIGIN: Self = Self(0);

    /// The moment `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The moment `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time since `earlier`; zero if `earlier` is in fact later, which happens whenever two threads
    /// read the clock at nearly the same moment.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, d: Duration) {
        *self = *self + d;
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000 / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_moment_that_is_later_counts_as_no_time() {
        assert_eq!(Instant::from_millis(1).since(Instant::from_millis(2)), Duration::ZERO);
        assert_eq!(
            Instant::from_millis(5).since(Instant::from_millis(2)),
            Duration::from_millis(3)
        );
    }

    #[test]
    fn the_far_future_saturates() {
        assert_eq!((Instant::from_nanos(u64::MAX) + Duration::MAX).as_nanos(), u64::MAX);
    }
}
