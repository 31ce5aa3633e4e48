//! Deadlines of fractions of a millisecond: one timerfd per worker, and a heap of who waits for it.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use base::Instant;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use super::round::Asked;

/// The deadlines of one worker.
pub(crate) struct Timer {
    fd: AsyncFd<OwnedFd>,
    due: RefCell<BinaryHeap<Reverse<Due>>>,
}

/// A round and when it ends, ordered by that.
struct Due(Instant, Rc<Asked>);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl Timer {
    #[allow(unsafe_code)]
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: the descriptor is owned by what is registered, which gives it away to nobody and
        // closes it only when the registration is dropped with it.
        let fd = unsafe { AsyncFd::register(fd) }?;
        Ok(Self { fd, due: RefCell::default() })
    }

    /// From now on `asked` is woken at `at`.
    pub(super) fn add(&self, asked: Rc<Asked>, at: Instant, now: Instant) {
        let mut due = self.due.borrow_mut();
        let first = due.peek().is_none_or(|Reverse(Due(first, _))| at < *first);
        due.push(Reverse(Due(at, asked)));
        if first {
            self.set(at.since(now));
        }
    }

    fn set(&self, ahead: Duration) {
        // Zero would switch it off.
        let nanos = ahead.as_nanos().clamp(1, 1_000_000_000) as i64;
        let value = Timespec { tv_sec: nanos / 1_000_000_000, tv_nsec: nanos % 1_000_000_000 };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        if let Err(error) = timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::empty(), &once) {
            tracing::error!(%error, "a timer could not be set");
        }
    }

    /// Wakes whoever is due, for ever.
    pub(super) async fn run(&self, now: impl Fn() -> Instant) {
        loop {
            let Ok(mut ready) = self.fd.readable().await else { return };
            let mut count = [0; 8];
            let _ = rustix::io::read(self.fd.get_ref(), &mut count);
            ready.clear_ready();
            drop(ready);
            let now = now();
            let mut due = self.due.borrow_mut();
            while due.peek().is_some_and(|Reverse(Due(at, _))| *at <= now) {
                if let Some(Reverse(Due(_, asked))) = due.pop() {
                    asked.expire();
                }
            }
            if let Some(Reverse(Due(next, _))) = due.peek() {
                self.set(next.since(now));
            }
        }
    }
}
