//! The words of a row, bit by bit.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

use base::Instant;

use super::Condition;

#[derive(Debug)]
#[repr(C, align(128))]
pub(super) struct Row {
    // First line: read by every decision.
    pub(super) report: AtomicU64,
    pub(super) arrival: AtomicU64,
    pub(super) penalty: AtomicU64,
    pub(super) ejected_until: AtomicU64,
    pub(super) mine: AtomicU32,
    pub(super) hop_micros: AtomicU32,
    pub(super) epoch: AtomicU32,
    pub(super) predicted: AtomicU32,
    pub(super) condition: AtomicU8,
    pub(super) announced: AtomicU64,
    // Second line.
    pub(super) rest: Rest,
}

#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Rest {
    pub(super) failures: AtomicU32,
    pub(super) ejections: AtomicU32,
}

/// Ticks of 2¹³ ns (8.2 µs): 44 bits of them last 4.5 years.
pub(crate) const TICK: u32 = 13;
pub(super) const TICKS: u64 = (1 << 44) - 1;
/// In the flags byte of a report word: nothing heard since the admission. Travelling flags use the
/// three lowest bits, the tag the four highest.
pub(super) const EMPTY: u64 = 8 << 8;

pub(crate) fn ticks(at: Instant) -> u64 {
    (at.as_nanos() >> TICK).min(TICKS)
}

pub(super) fn instant(ticks: u64) -> Instant {
    Instant::from_nanos(ticks << TICK)
}

pub(super) const fn tag(epoch: u32) -> u64 {
    (epoch & 15) as u64
}

pub(super) const fn empty_word(epoch: u32) -> u64 {
    (epoch as u64) << 32 | tag(epoch) << 12 | EMPTY
}

pub(super) const fn word_tag(word: u64) -> u64 {
    word >> 12 & 15
}

impl Row {
    pub(super) const fn new() -> Self {
        Self {
            report: AtomicU64::new(empty_word(0)),
            arrival: AtomicU64::new(0),
            penalty: AtomicU64::new(0),
            ejected_until: AtomicU64::new(0),
            mine: AtomicU32::new(0),
            hop_micros: AtomicU32::new(0),
            epoch: AtomicU32::new(0),
            predicted: AtomicU32::new(0),
            condition: AtomicU8::new(Condition::Vacant as u8),
            announced: AtomicU64::new(0),
            rest: Rest { failures: AtomicU32::new(0), ejections: AtomicU32::new(0) },
        }
    }
}

/// What a decision loads of a row it looks at closely.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    pub(crate) mine: u32,
    pub(crate) hop_micros: u32,
    pub(crate) penalty: u64,
    pub(crate) suspect: bool,
}

/// The word of an arrival: when, and how many requests of others. Zero if nothing was heard.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrival(pub(super) u64);

impl Arrival {
    pub(crate) fn new(at: Instant, others: u16, tag: u64) -> Self {
        Self(ticks(at) << 20 | u64::from(others) << 4 | tag)
    }

    /// In ticks.
    pub(crate) const fn at(self) -> u64 {
        self.0 >> 20
    }

    pub(crate) const fn others(self) -> u16 {
        (self.0 >> 4) as u16
    }

    pub(crate) const fn is_never(self) -> bool {
        self.0 == 0
    }
}
