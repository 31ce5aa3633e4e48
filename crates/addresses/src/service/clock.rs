//! The clock of the addresses: it goes on while the machine sleeps, as the kernel's leases do, and is the daemon's own.

use base::Instant;
use rustix::time::{ClockId, clock_gettime};

/// Now.
pub(super) fn now() -> Instant {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    Instant::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos).max(1))
}

/// Which boot of the machine this is; empty where that cannot be read.
pub(super) fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}
