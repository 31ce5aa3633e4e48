//! This machine's own counts, which all its workers and its answerer share.

use core::sync::atomic::{
    AtomicU8, AtomicU32,
    Ordering::{AcqRel, Relaxed},
};

use super::{Hot, Standing, count_off};
use crate::report::{Flags, Report};

/// This machine's own counts: all workers, and the answerer.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Here {
    serving: AtomicU32,
    relaying: AtomicU32,
    sequence: AtomicU32,
    flags: AtomicU8,
    pressure: AtomicU8,
}

impl Here {
    pub(super) const fn new() -> Self {
        Self {
            serving: AtomicU32::new(0),
            relaying: AtomicU32::new(0),
            sequence: AtomicU32::new(0),
            flags: AtomicU8::new(0),
            pressure: AtomicU8::new(0),
        }
    }
}

impl Hot {
    /// Counts a request into this machine's local service, whoever brought it.
    pub fn begin_service(&self) {
        self.here.serving.fetch_add(1, Relaxed);
    }

    /// Counts a request into the local service unless `limit` are there already; the number with it.
    ///
    /// Of several that come at once for the last place, exactly one gets it.
    pub fn begin_service_below(&self, limit: u32) -> Option<u32> {
        up_to(&self.here.serving, limit)
    }

    /// Counts it out.
    pub fn end_service(&self) {
        count_off(&self.here.serving);
    }

    /// Requests in this machine's local service: its *in flight*.
    pub fn serving(&self) -> u32 {
        self.here.serving.load(Relaxed)
    }

    /// Counts a request that this machine relays to another.
    pub fn begin_relay(&self) {
        self.here.relaying.fetch_add(1, Relaxed);
    }

    /// Counts a relayed request unless `limit` are being relayed already; the number with it.
    pub fn begin_relay_below(&self, limit: u32) -> Option<u32> {
        up_to(&self.here.relaying, limit)
    }

    /// Counts it off.
    pub fn end_relay(&self) {
        count_off(&self.here.relaying);
    }

    /// Requests being relayed to others. Not in flight here, and limited apart.
    pub fn relaying(&self) -> u32 {
        self.here.relaying.load(Relaxed)
    }

    /// Sets flags of this machine (in its own reports, and for its own decisions).
    pub fn set_flags_here(&self, flags: Flags) {
        self.here.flags.fetch_or(flags.bits(), Relaxed);
    }

    /// Clears flags of this machine.
    pub fn clear_flags_here(&self, flags: Flags) {
        self.here.flags.fetch_and(!flags.bits(), Relaxed);
    }

    /// The flags of this machine.
    pub fn flags_here(&self) -> Flags {
        Flags::from_bits(self.here.flags.load(Relaxed))
    }

    /// Whether this machine may serve by a decision of its own.
    pub fn standing_here(&self) -> Standing {
        Standing::of_flags(self.flags_here())
    }

    /// Sets the pressure that this machine reports, in 255ths.
    pub fn set_pressure_here(&self, pressure: u8) {
        self.here.pressure.store(pressure, Relaxed);
    }

    /// A new report of this machine, with a sequence that was never used in this boot. `extra` is
    /// added to its requests in flight: what was promised to askers and has not arrived.
    pub fn report_here(&self, extra: u32) -> Report {
        // The sequence is drawn before the count is read, so that the newer report has the newer count.
        let sequence = self.here.sequence.fetch_add(1, AcqRel).wrapping_add(1);
        let in_flight = self.serving().saturating_add(extra);
        Report {
            sequence,
            in_flight: u16::try_from(in_flight).unwrap_or(u16::MAX),
            flags: self.flags_here(),
            pressure: self.here.pressure.load(Relaxed),
        }
    }
}

/// Adds one in a single step unless the count is at its limit; the count with it.
fn up_to(count: &AtomicU32, limit: u32) -> Option<u32> {
    let more = |n: u32| (n < limit).then(|| n.saturating_add(1));
    count.fetch_update(Relaxed, Relaxed, more).ok().map(|before| before.saturating_add(1))
}
