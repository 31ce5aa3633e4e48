//! The load of this machine, counted by the workers and told to the others.
//!
//! *In flight* is what the local service works on, whoever sent it; *relaying* is what this machine
//! only passes on. They are counted and limited apart: a relay holds sockets, not the application.
//! Event streams and upgraded connections are neither.
//!
//! In flight and the sequence number of reports share one atomic word, so that a report costs one
//! instruction and can never pair a newer number with an older count.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use candidacy::{Flags, Report};

use crate::wake::Bell;

const ONE_REPORT: u64 = 1 << 32;

/// A value alone on its cache lines (pairs of them, since the CPU fetches neighbours).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Alone<T>(T);

/// The counters of this machine's own load. Shared by all workers; no method waits.
#[derive(Debug)]
pub struct LocalLoad {
    /// Sequence of reports above, requests in flight below.
    hot: Alone<AtomicU64>,
    relaying: Alone<AtomicU32>,
    limit: AtomicU32,
    relay_limit: AtomicU32,
    draining: AtomicBool,
    unhealthy: AtomicBool,
    pressure: AtomicU8,
    /// Crossing a power of two from here up is worth telling at once.
    marks_from: AtomicU32,
    bell: Arc<Bell>,
}

impl LocalLoad {
    pub(crate) fn new(bell: Arc<Bell>, first_sequence: u32) -> Self {
        Self {
            hot: Alone(AtomicU64::new(u64::from(first_sequence) << 32)),
            relaying: Alone::default(),
            limit: AtomicU32::new(u32::MAX),
            relay_limit: AtomicU32::new(u32::MAX),
            draining: AtomicBool::new(false),
            unhealthy: AtomicBool::new(false),
            pressure: AtomicU8::new(0),
            marks_from: AtomicU32::new(1),
            bell,
        }
    }

    /// Counts one request into the local service unless that is at its limit; the number in flight with
    /// it. Pair with [`end`](Self::end).
    pub fn try_begin(&self) -> Option<u32> {
        let limit = self.limit.load(Relaxed);
        let before = self.hot.0.fetch_add(1, Relaxed) as u32;
        if before >= limit {
            self.hot.0.fetch_sub(1, Relaxed);
            return None;
        }
        self.tell_mark(before + 1);
        Some(before + 1)
    }

    /// Counts one request out of the local service.
    pub fn end(&self) {
        let before = self.hot.0.fetch_sub(1, Relaxed) as u32;
        debug_assert!(before > 0, "a request ended that never began");
        self.tell_mark(before);
    }

    /// Rings for control when `upper`, which the count has just reached or left, is a mark worth telling.
    fn tell_mark(&self, upper: u32) {
        if upper.is_power_of_two() && upper >= self.marks_from.load(Relaxed) {
            self.bell.ring();
        }
    }

    /// Requests in the local service now.
    pub fn in_flight(&self) -> u32 {
        self.hot.0.load(Relaxed) as u32
    }

    /// Counts one request passed on to another machine, unless too many are. Pair with
    /// [`end_relay`](Self::end_relay).
    pub fn try_begin_relay(&self) -> bool {
        let before = self.relaying.0.fetch_add(1, Relaxed);
        let room = before < self.relay_limit.load(Relaxed);
        if !room {
            self.relaying.0.fetch_sub(1, Relaxed);
        }
        room
    }

    /// Counts one passed-on request as finished.
    pub fn end_relay(&self) {
        let before = self.relaying.0.fetch_sub(1, Relaxed);
        debug_assert!(before > 0, "a relay ended that never began");
    }

    /// Requests being passed on now.
    pub fn relaying(&self) -> u32 {
        self.relaying.0.load(Relaxed)
    }

    /// Most requests the local service takes at once; `u32::MAX` means no limit.
    pub fn limit(&self) -> u32 {
        self.limit.load(Relaxed)
    }

    /// Sets both limits: of the local service and of requests passed on.
    pub fn set_limits(&self, local: u32, relay: u32) {
        self.limit.store(local, Relaxed);
        self.relay_limit.store(relay, Relaxed);
        self.bell.ring();
    }

    /// Says that this machine takes nothing new (`true`), or does again. Told to the others at once.
    pub fn set_draining(&self, draining: bool) {
        if self.draining.swap(draining, Relaxed) != draining {
            self.bell.ring();
        }
    }

    /// Says whether the local service passes its health check. Told to the others at once.
    pub fn set_healthy(&self, healthy: bool) {
        if self.unhealthy.swap(!healthy, Relaxed) == healthy {
            self.bell.ring();
        }
    }

    /// Whether this machine takes nothing new.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Whether the local service passes its health check.
    pub fn is_healthy(&self) -> bool {
        !self.unhealthy.load(Relaxed)
    }

    /// What keeps this machine from being a candidate now.
    pub fn flags(&self) -> Flags {
        self.flags_at(self.in_flight())
    }

    fn flags_at(&self, in_flight: u32) -> Flags {
        let mut flags = Flags::NONE;
        for (set, flag) in [
            (self.is_draining(), Flags::DRAINING),
            (!self.is_healthy(), Flags::UNHEALTHY),
            (in_flight >= self.limit(), Flags::OVER_LIMIT),
        ] {
            if set {
                flags = flags.with(flag);
            }
        }
        flags
    }

    /// A report of this moment, newer than every one before.
    pub fn report(&self) -> Report {
        self.report_with(0)
    }

    /// The same, with `promised` more requests in flight: reservations count in answers.
    pub(crate) fn report_with(&self, promised: u32) -> Report {
        let word = self.hot.0.fetch_add(ONE_REPORT, Relaxed).wrapping_add(ONE_REPORT);
        let in_flight = word as u32;
        Report {
            sequence: (word >> 32) as u32,
            in_flight: u16::try_from(in_flight.saturating_add(promised)).unwrap_or(u16::MAX),
            flags: self.flags_at(in_flight),
            pressure: self.pressure.load(Relaxed),
        }
    }

    pub(crate) fn set_pressure(&self, pressure: u8) {
        self.pressure.store(pressure, Relaxed);
    }

    pub(crate) fn set_marks_from(&self, mark: u32) {
        self.marks_from.store(mark.max(1), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> LocalLoad {
        LocalLoad::new(Arc::new(Bell::new().unwrap()), u32::MAX - 1)
    }

    #[test]
    fn what_begins_is_in_flight_until_it_ends() {
        let load = load();
        load.set_limits(2, 1);
        assert_eq!((load.try_begin(), load.try_begin(), load.try_begin()), (Some(1), Some(2), None));
        assert_eq!(load.in_flight(), 2);
        assert!(load.flags().has(Flags::OVER_LIMIT));
        load.end();
        assert_eq!(load.try_begin(), Some(2));
        assert!(load.try_begin_relay() && !load.try_begin_relay());
        load.end_relay();
        assert_eq!((load.relaying(), load.in_flight()), (0, 2), "relays are not in flight");
    }

    #[test]
    fn each_report_is_newer_than_the_last_also_around_the_circle() {
        let load = load();
        load.try_begin().unwrap();
        let mut before = load.report();
        for _ in 0..4 {
            let now = load.report();
            assert!(now.is_newer_than(&before), "{before} {now}");
            assert_eq!(now.in_flight, 1);
            before = now;
        }
        assert_eq!(load.report_with(7).in_flight, 8);
        assert_eq!(load.in_flight(), 1, "a promise is not in flight");
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
    fn many_threads_lose_no_request() {
        let load = load();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        load.try_begin().unwrap();
                        load.report();
                        load.end();
                    }
                });
            }
        });
        assert_eq!(load.in_flight(), 0);
    }
}
