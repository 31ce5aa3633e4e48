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

/// The latest time of a view that a clock may say. Clients read it as a number with a sign (`spread-client-protocol.md`, 3.8), and
/// whatever one clock said is passed by all that follows: a clock that was wrong once must leave a million views to count on.
const LATEST: u32 = i32::MAX as u32 - 1_000_000;

/// Seconds since 1970, up to [`LATEST`].
pub(crate) fn unix_seconds() -> u32 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u32::try_from(since.as_secs()).map_or(LATEST, |now| now.min(LATEST)))
}
