//! The load of this machine, counted by the workers and told to the others.
//!
//! *In flight* is what the local service works on, whoever sent it; *relaying* is what this machine
//! only passes on. They are counted and limited apart: a relay holds sockets, not the application.
//! Event streams and upgraded connections are neither.
//!
//! The counts themselves live in the matrix ([`candidacy::Hot`]), where decisions read them; here are
//! the limits, and the bell that lets a jump in load be told before the next second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use candidacy::{Flags, Report};

use crate::matrix::SharedMatrix;
use crate::wake::Bell;

/// This machine's own load. Shared by all workers; no method waits.
#[derive(Debug)]
pub struct LocalLoad {
    matrix: Arc<SharedMatrix>,
    limit: AtomicU32,
    relay_limit: AtomicU32,
    /// Crossing a power of two from here up is worth telling at once.
    marks_from: AtomicU32,
    bell: Arc<Bell>,
    /// Rung when a mark is crossed; heard a few times a second at most.
    marks: Arc<Bell>,
}

impl LocalLoad {
    pub(crate) fn new(matrix: Arc<SharedMatrix>, bell: Arc<Bell>, marks: Arc<Bell>) -> Self {
        Self {
            matrix,
            limit: AtomicU32::new(u32::MAX),
            relay_limit: AtomicU32::new(u32::MAX),
            marks_from: AtomicU32::new(1),
            bell,
            marks,
        }
    }

    /// Counts one request into the local service, unless it is at its limit; the number in flight with
    /// it. Pair with [`end`](Self::end).
    pub fn try_begin(&self) -> Option<u32> {
        let hot = &self.matrix.hot;
        let limit = self.limit();
        let now = hot.begin_service_below(limit)?;
        if now == limit {
            hot.set_flags_here(Flags::OVER_LIMIT);
            // One may have ended between the count and the flag.
            self.clear_over_limit();
        }
        self.tell_mark(now);
        Some(now)
    }

    /// Counts one request out of the local service.
    pub fn end(&self) {
        let before = self.matrix.hot.serving();
        self.matrix.hot.end_service();
        self.clear_over_limit();
        self.tell_mark(before);
    }

    fn clear_over_limit(&self) {
        let hot = &self.matrix.hot;
        if hot.flags_here().has(Flags::OVER_LIMIT) && hot.serving() < self.limit() {
            hot.clear_flags_here(Flags::OVER_LIMIT);
        }
    }

    /// Rings for control when `upper`, which the count has just reached or left, is a mark worth telling.
    fn tell_mark(&self, upper: u32) {
        if upper.is_power_of_two() && upper >= self.marks_from.load(Relaxed) {
            self.marks.ring();
        }
    }

    /// Requests in the local service now.
    pub fn in_flight(&self) -> u32 {
        self.matrix.hot.serving()
    }

    /// Counts one request passed on to another machine, unless too many are. Pair with
    /// [`end_relay`](Self::end_relay).
    pub fn try_begin_relay(&self) -> bool {
        self.matrix.hot.begin_relay_below(self.relay_limit.load(Relaxed)).is_some()
    }

    /// Counts one passed-on request as finished.
    pub fn end_relay(&self) {
        self.matrix.hot.end_relay();
    }

    /// Requests being passed on now.
    pub fn relaying(&self) -> u32 {
        self.matrix.hot.relaying()
    }

    /// Most requests the local service takes at once; `u32::MAX` means no limit.
    pub fn limit(&self) -> u32 {
        self.limit.load(Relaxed)
    }

    /// Sets both limits: of the local service (at least 1) and of requests passed on.
    pub fn set_limits(&self, local: u32, relay: u32) {
        self.limit.store(local.max(1), Relaxed);
        self.relay_limit.store(relay, Relaxed);
        self.bell.ring();
    }

    /// Says that this machine takes nothing new (`true`), or does again. Told to the others at once.
    pub fn set_draining(&self, draining: bool) {
        self.set(Flags::DRAINING, draining);
    }

    /// Says whether the local service passes its health check. Told to the others at once.
    pub fn set_healthy(&self, healthy: bool) {
        self.set(Flags::UNHEALTHY, !healthy);
    }

    fn set(&self, flag: Flags, on: bool) {
        let hot = &self.matrix.hot;
        if hot.flags_here().has(flag) == on {
            return;
        }
        if on {
            hot.set_flags_here(flag);
        } else {
            hot.clear_flags_here(flag);
        }
        self.bell.ring();
    }

    /// What keeps this machine from being a candidate now.
    pub fn flags(&self) -> Flags {
        self.matrix.hot.flags_here()
    }

    /// A report of this moment, newer than every one before. For a response to a peer.
    pub fn report(&self) -> Report {
        self.matrix.hot.report_here(0)
    }

    /// The first mark worth telling.
    pub(crate) fn set_marks_from(&self, mark: u32) {
        self.marks_from.store(mark.max(1), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> LocalLoad {
        let bell = || Arc::new(Bell::new().unwrap());
        LocalLoad::new(Arc::new(SharedMatrix::new()), bell(), bell())
    }

    #[test]
    fn what_begins_is_in_flight_until_it_ends() {
        let load = load();
        load.set_limits(2, 1);
        assert_eq!(
            (load.try_begin(), load.try_begin(), load.try_begin()),
            (Some(1), Some(2), None)
        );
        assert_eq!(load.in_flight(), 2);
        assert!(load.flags().has(Flags::OVER_LIMIT));
        load.end();
        assert!(load.flags().is_none());
        assert_eq!(load.try_begin(), Some(2));
        assert!(load.try_begin_relay() && !load.try_begin_relay());
        load.end_relay();
        assert_eq!((load.relaying(), load.in_flight()), (0, 2), "relays are not in flight");
    }

    #[test]
    fn draining_and_sickness_are_told() {
        let load = load();
        load.set_draining(true);
        load.set_healthy(false);
        assert_eq!(load.report().flags, Flags::DRAINING.with(Flags::UNHEALTHY));
        load.set_draining(false);
        load.set_healthy(true);
        assert!(load.report().flags.is_none());
    }

    #[test]
    fn many_threads_lose_no_request_and_pass_no_limit() {
        let load = load();
        load.set_limits(3, 3);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        if load.try_begin().is_some() {
                            load.end();
                        }
                    }
                });
            }
        });
        assert_eq!(load.in_flight(), 0);
        assert!(load.flags().is_none());
    }

    #[test]
    fn of_two_that_come_at_once_for_the_last_place_exactly_one_gets_it() {
        let load = load();
        load.set_limits(1, 1);
        let ready = std::sync::Barrier::new(2);
        let comes = || {
            ready.wait();
            let (served, relayed) = (load.try_begin().is_some(), load.try_begin_relay());
            ready.wait();
            if served {
                load.end();
            }
            if relayed {
                load.end_relay();
            }
            (u32::from(served), u32::from(relayed))
        };
        for _ in 0..2_000 {
            let (here, there) = std::thread::scope(|scope| {
                let other = scope.spawn(comes);
                (comes(), other.join().unwrap())
            });
            assert_eq!((here.0 + there.0, here.1 + there.1), (1, 1));
        }
    }
}
