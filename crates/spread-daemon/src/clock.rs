//! The clock of the bus: it goes on while the machine sleeps, so that a daemon that wakes knows that it slept.

use base::Instant;
use rustix::time::{ClockId, clock_gettime};

/// Now.
pub(crate) fn now() -> Instant {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    Instant::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos).max(1))
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> u32 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u32::try_from(since.as_secs()).unwrap_or(u32::MAX))
}
