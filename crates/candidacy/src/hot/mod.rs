//! The hot half of the matrix: one row of atomics per machine, shared by all worker threads.
//!
//! A row is two cache lines. The first is what a decision reads: the newest report, when it came, our
//! own requests in flight there, the machine's condition. The second is bookkeeping that changes less
//! often. Nobody locks; a reader may see two words of a row that belong to neighbouring moments, which
//! costs at most one request an opinion that is a few nanoseconds old.
//!
//! **Newest wins.** Reports come by several ways at once. The word that holds the report contains the
//! reporter's sequence, and is replaced by compare-and-swap only when the sequence moves on.
//!
//! **Old boots are mute.** Each admission of a boot has an *epoch*, a number of this process. The low
//! bits of the epoch (the *tag*) are in both words of a report. [`Hot::hear`] loads the report word,
//! *then* checks the epoch, then swaps. [`Hot::admit`] stores the epoch, *then* (releasing) overwrites
//! the report word with a fresh empty one. So if an admission slips between load and swap, the swap
//! fails because the word has changed; the second look (acquiring) sees the empty word and with it the
//! new epoch, and gives up. Should a swap of the old boot come first, the empty word overwrites it.
//! The arrival word follows the report word and may for an instant belong to another report: its tag
//! tells a reader when it belongs to another *boot*, and then nothing has been heard.
//!
//! Not here: who decides that a machine is dead (`announce`, `resources`), when one is ejected
//! ([`crate::failures`]).

mod here;
mod row;

use alloc::boxed::Box;
use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use core::time::Duration;

use base::Instant;

use crate::report::{Flags, Report};
use here::Here;
pub(crate) use row::{Arrival, TICK, Words, ticks};
use row::{EMPTY, Row, empty_word, instant, tag, word_tag};

/// Rows of the largest matrix.
pub const MAX_MACHINES: usize = 1024;

/// A row of the matrix: a machine's number in this process, `0..MAX_MACHINES`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

impl Slot {
    /// The row as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What liveness says of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Condition {
    /// The row is free.
    #[default]
    Vacant = 0,
    /// Heard of lately.
    Alive = 1,
    /// An answer is overdue: still a candidate, but a costly one.
    Suspect = 2,
    /// Silent for too long, or its port refuses. No candidate.
    Dead = 3,
}

/// Why a machine is, or is not, a candidate at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// May be named by a decision.
    Usable,
    /// No such machine.
    Vacant,
    /// See [`Condition::Dead`].
    Dead,
    /// Kept out for a while after failures; comes back by itself.
    Ejected,
    /// Says itself that it takes nothing new.
    Draining,
    /// Says itself that its service is unhealthy.
    Unhealthy,
    /// Says itself that it is at its limit.
    OverLimit,
    /// Already tried for this request.
    Tried,
}

impl Standing {
    /// A word for people and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Usable => "usable",
            Self::Vacant => "vacant",
            Self::Dead => "dead",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
            Self::Unhealthy => "unhealthy",
            Self::OverLimit => "over limit",
            Self::Tried => "tried already",
        }
    }

    pub(crate) const fn of_flags(flags: Flags) -> Self {
        if flags.is_none() {
            Self::Usable
        } else if flags.has(Flags::UNHEALTHY) {
            Self::Unhealthy
        } else if flags.has(Flags::DRAINING) {
            Self::Draining
        } else {
            Self::OverLimit
        }
    }
}

/// The newest report of a machine, as it was when it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The report.
    pub report: Report,
    /// Its requests in flight without those that were ours.
    pub others: u16,
    /// When it arrived, to within 10 µs.
    pub at: Instant,
}

/// See the module's text.
#[derive(Debug)]
pub struct Hot {
    rows: Box<[Row]>,
    here: Here,
}

impl Hot {
    /// A matrix for at most `capacity` machines (at least 1, at most [`MAX_MACHINES`]), all vacant.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(1, MAX_MACHINES);
        Self { rows: (0..capacity).map(|_| Row::new()).collect(), here: Here::new() }
    }

    /// Number of rows.
    pub fn capacity(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, slot: Slot) -> Option<&Row> {
        self.rows.get(slot.index())
    }

    // ---- our own requests ----

    /// Counts one request of ours at the machine, from the decision on.
    pub fn begin(&self, slot: Slot) {
        if let Some(row) = self.row(slot) {
            row.mine.fetch_add(1, Relaxed);
        }
    }

    /// Counts it off after the last byte. To be called once for each [`begin`](Self::begin), whatever
    /// became of the machine; a call too many changes nothing.
    pub fn end(&self, slot: Slot) {
        if let Some(row) = self.row(slot) {
            count_off(&row.mine);
        }
    }

    /// Our own requests there now.
    pub fn mine(&self, slot: Slot) -> u32 {
        self.row(slot).map_or(0, |row| row.mine.load(Relaxed))
    }

    // ---- what others say ----

    /// Takes a report that arrived now. `true` if it was newer than what was known.
    ///
    /// Words of an epoch other than the standing admission's change nothing.
    pub fn hear(&self, slot: Slot, epoch: u32, report: Report, now: Instant) -> bool {
        let Some(row) = self.row(slot) else { return false };
        let new = report.to_bits() | tag(epoch) << 12;
        let mut known = row.report.load(Acquire);
        loop {
            // The order of these two loads is what makes old boots mute, see the module's text.
            if epoch == 0 || row.epoch.load(Relaxed) != epoch {
                return false;
            }
            if known & EMPTY == 0 && !report.is_newer_than(&Report::from_bits(known)) {
                return false;
            }
            match row.report.compare_exchange_weak(known, new, AcqRel, Acquire) {
                Ok(_) => break,
                Err(changed) => known = changed,
            }
        }
        let others = u32::from(report.in_flight).saturating_sub(row.mine.load(Relaxed));
        let others = u16::try_from(others).unwrap_or(u16::MAX);
        let arrival = Arrival::new(now, others, tag(epoch)).0;
        let mut known = row.arrival.load(Relaxed);
        // A later arrival of the same boot stays: two reports may overtake each other between the words.
        // A thread that slept here through an admission leaves the new boot's word alone.
        while (known & 15 != tag(epoch) || known >> 20 <= arrival >> 20)
            && row.epoch.load(Relaxed) == epoch
        {
            match row.arrival.compare_exchange_weak(known, arrival, Release, Relaxed) {
                Ok(_) => break,
                Err(changed) => known = changed,
            }
        }
        true
    }

    /// The newest report of the standing boot, if there was any.
    pub fn heard(&self, slot: Slot) -> Option<Heard> {
        let row = self.row(slot)?;
        let word = row.report.load(Acquire);
        let arrival = Arrival(row.arrival.load(Relaxed));
        if word & EMPTY != 0 || word_tag(word) != arrival.0 & 15 {
            return None;
        }
        Some(Heard {
            report: Report::from_bits(word),
            others: arrival.others(),
            at: instant(arrival.at()),
        })
    }

    /// Makes `epoch` (not 0, never used for this row before) the admission whose words count, forgets
    /// what was heard from and held against the boot before, and calls the machine alive.
    /// Our own requests there stay counted until they end.
    pub fn admit(&self, slot: Slot, epoch: u32, now: Instant) {
        let Some(row) = self.row(slot) else { return };
        row.epoch.store(epoch, Relaxed);
        row.report.store(empty_word(epoch), Release);
        row.penalty.store(0, Relaxed);
        row.ejected_until.store(0, Relaxed);
        row.predicted.store(0, Relaxed);
        row.rest.failures.store(0, Relaxed);
        row.rest.ejections.store(0, Relaxed);
        row.announced.store(ticks(now), Relaxed);
        row.condition.store(Condition::Alive as u8, Release);
    }

    /// Frees a row: no epoch's words count any more.
    pub fn vacate(&self, slot: Slot) {
        let Some(row) = self.row(slot) else { return };
        row.condition.store(Condition::Vacant as u8, Relaxed);
        row.epoch.store(0, Relaxed);
        row.report.store(empty_word(0), Release);
    }

    /// The epoch of the standing admission, 0 if there is none.
    pub fn epoch(&self, slot: Slot) -> u32 {
        self.row(slot).map_or(0, |row| row.epoch.load(Relaxed))
    }

    /// Says how alive a machine is. Rows outside the matrix are ignored.
    pub fn set_condition(&self, slot: Slot, condition: Condition) {
        if let Some(row) = self.row(slot) {
            row.condition.store(condition as u8, Release);
        }
    }

    /// What liveness said last.
    pub fn condition(&self, slot: Slot) -> Condition {
        self.row(slot).map_or(Condition::Vacant, |row| decode(row.condition.load(Relaxed)))
    }

    /// Whether the machine may be named by a decision now, and if not, why. For this machine's own row
    /// use [`standing_here`](Self::standing_here).
    pub fn standing(&self, slot: Slot, now: Instant) -> Standing {
        self.look(slot, ticks(now)).0
    }

    /// What the first pass over all candidates needs, from one cache line.
    pub(crate) fn look(&self, slot: Slot, now_ticks: u64) -> (Standing, Arrival) {
        let Some(row) = self.row(slot) else { return (Standing::Vacant, Arrival(0)) };
        let condition = row.condition.load(Relaxed);
        if condition != Condition::Alive as u8 && condition != Condition::Suspect as u8 {
            let dead = condition == Condition::Dead as u8;
            return (if dead { Standing::Dead } else { Standing::Vacant }, Arrival(0));
        }
        if now_ticks < row.ejected_until.load(Relaxed) {
            return (Standing::Ejected, Arrival(0));
        }
        let word = row.report.load(Acquire);
        let arrival = row.arrival.load(Relaxed);
        let standing = Standing::of_flags(Flags::from_bits((word >> 8) as u8));
        let heard = word & EMPTY == 0 && word_tag(word) == arrival & 15;
        (standing, Arrival(if heard { arrival } else { 0 }))
    }

    pub(crate) fn words(&self, slot: Slot) -> Words {
        let Some(row) = self.row(slot) else {
            return Words { mine: 0, hop_micros: 0, penalty: 0, suspect: false };
        };
        Words {
            mine: row.mine.load(Relaxed),
            hop_micros: row.hop_micros.load(Relaxed),
            penalty: row.penalty.load(Relaxed),
            suspect: row.condition.load(Relaxed) == Condition::Suspect as u8,
        }
    }

    // ---- figures that come with the announcements ----

    /// Counts an accepted announcement: what was predicted since the last one is in its figures now.
    /// The report in it goes to [`hear`](Self::hear) with the same `now`, which is how a decision knows
    /// that everybody heard it.
    pub fn announced(&self, slot: Slot, now: Instant) {
        if let Some(row) = self.row(slot) {
            row.predicted.store(0, Relaxed);
            row.announced.store(ticks(now), Relaxed);
        }
    }

    /// When the last announcement was accepted (or the machine admitted); `None` for a vacant row.
    pub fn announced_at(&self, slot: Slot) -> Option<Instant> {
        let row = self.row(slot)?;
        (row.epoch.load(Relaxed) != 0).then(|| instant(row.announced.load(Relaxed)))
    }

    /// Whether what was heard last came by an announcement, so that everybody heard it too.
    pub(crate) fn is_common(&self, slot: Slot, arrival: Arrival) -> bool {
        self.row(slot).is_some_and(|row| row.announced.load(Relaxed) == arrival.at())
    }

    /// Adds one expected request to the figures of the last announcement (`addPrediction`).
    pub fn predict(&self, slot: Slot) {
        if let Some(row) = self.row(slot) {
            row.predicted.fetch_add(1, Relaxed);
        }
    }

    /// Requests predicted since the last announcement.
    pub fn predicted(&self, slot: Slot) -> u32 {
        self.row(slot).map_or(0, |row| row.predicted.load(Relaxed))
    }

    // ---- the hop ----

    /// Takes a measured price of going there and back without service, such as the round trip of a
    /// probe. Kept as a moving average over about eight.
    pub fn observe_hop(&self, slot: Slot, hop: Duration) {
        let Some(row) = self.row(slot) else { return };
        let new = u32::try_from(hop.as_micros()).unwrap_or(u32::MAX).clamp(1, 10_000_000);
        let old = row.hop_micros.load(Relaxed);
        // A lost update between two threads loses one sample of an average.
        let mean = if old == 0 { new } else { ((7 * u64::from(old) + u64::from(new)) / 8) as u32 };
        row.hop_micros.store(mean.max(1), Relaxed);
    }

    /// The price of going there; `None` before it was ever measured.
    pub fn hop(&self, slot: Slot) -> Option<Duration> {
        let micros = self.row(slot)?.hop_micros.load(Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros.into()))
    }

    // ---- for `failures` ----

    pub(crate) fn penalty_word(&self, slot: Slot) -> Option<&AtomicU64> {
        self.row(slot).map(|row| &row.penalty)
    }

    pub(crate) fn failure_counts(&self, slot: Slot) -> Option<(&AtomicU32, &AtomicU32)> {
        self.row(slot).map(|row| (&row.rest.failures, &row.rest.ejections))
    }

    pub(crate) fn eject_until(&self, slot: Slot, until: Option<Instant>) {
        if let Some(row) = self.row(slot) {
            row.ejected_until.store(until.map_or(0, |at| ticks(at).max(1)), Relaxed);
        }
    }

    /// Until when the machine is kept out after failures; `None` if it is not, or not any more.
    pub fn ejected_until(&self, slot: Slot, now: Instant) -> Option<Instant> {
        let until = self.row(slot)?.ejected_until.load(Relaxed);
        (ticks(now) < until).then(|| instant(until))
    }
}

/// One less, never below zero: a wrap would look like four thousand million requests.
fn count_off(counter: &AtomicU32) {
    let _ = counter.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1));
}

fn decode(condition: u8) -> Condition {
    match condition {
        1 => Condition::Alive,
        2 => Condition::Suspect,
        3 => Condition::Dead,
        _ => Condition::Vacant,
    }
}

#[cfg(test)]
mod tests;
