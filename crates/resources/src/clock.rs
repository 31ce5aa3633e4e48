//! The one place that reads the monotonic clock.
//!
//! Every thread of a process must map the clock to [`Instant`] in the same way, since instants of
//! different threads meet in the matrix; so the origin is the kernel's own (its boot) and a [`Clock`]
//! carries nothing but an offset. Tests move the offset to make the clock jump: nothing else can
//! tell a jump from a machine that slept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use base::Instant;
use rustix::time::{ClockId, clock_gettime};

/// A monotonic clock. Clones tell the same time, also after a jump.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Nanoseconds added to what the kernel says; only tests ever set it.
    jumped: Arc<AtomicU64>,
}

impl Clock {
    /// The clock of this process.
    pub fn new() -> Self {
        Self::default()
    }

    /// The present moment. Never [`Instant::ORIGIN`], which can mean *never*.
    pub fn now(&self) -> Instant {
        let now = clock_gettime(ClockId::Monotonic);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
        let jumped = self.jumped.load(Relaxed);
        let total = seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
        Instant::from_nanos(total.saturating_add(jumped).max(1))
    }

    /// Makes this clock and all its clones jump ahead, as after a sleep of the machine that the kernel
    /// counted. For tests: the machine's own clock is never set.
    pub fn jump(&self, ahead: Duration) {
        self.jumped.fetch_add(u64::try_from(ahead.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_and_jumps_for_every_clone() {
        let clock = Clock::new();
        let clone = clock.clone();
        let before = clone.now();
        assert!(before > Instant::ORIGIN);
        clock.jump(Duration::from_secs(3600));
        let after = clone.now();
        assert!(after.since(before) >= Duration::from_secs(3600));
        assert!(clone.now() >= after);
    }
}
