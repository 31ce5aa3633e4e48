//! The clock that all processes of a run share, whatever machine of the lab they are in.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A second, in nanoseconds.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// Nanoseconds since the machine was started.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * SECOND + now.tv_nsec as u64
}

/// Sleeps until then; not at all if then is past.
pub(crate) fn sleep_until(then: u64) {
    std::thread::sleep(Duration::from_nanos(then.saturating_sub(now())));
}
