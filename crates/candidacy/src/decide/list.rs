//! The list of candidates, and the space a worker keeps for it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use base::Instant;

use super::{Tried, View};
use crate::explain::Explanation;
use crate::hot::{Arrival, MAX_MACHINES, Slot, Standing, TICK, ticks};
use crate::route::Empty;

/// A machine in the list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// Its newest report's arrival; for this machine, now.
    pub(crate) arrival: Arrival,
    /// What the last ordering function ranked it by; infinite if that function passed it over.
    pub(crate) key: f32,
    pub(crate) slot: Slot,
    /// Its place before the last sorting, so that equals keep their order.
    pub(crate) place: u16,
    /// One more than the step of the chain that chose redirecting; 0 = proxy.
    pub(crate) redirect: u8,
}

impl Candidate {
    pub(crate) fn new(slot: Slot, arrival: Arrival) -> Self {
        Self { arrival, key: f32::INFINITY, slot, place: 0, redirect: 0 }
    }

    /// Age of what was heard of it; `None` if nothing was.
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        let ticks = ticks(now).saturating_sub(self.arrival.at());
        (!self.arrival.is_never()).then(|| Duration::from_nanos(ticks << TICK))
    }
}

/// A set of slots.
pub(crate) type Bits = [u64; MAX_MACHINES / 64];

pub(crate) fn has(bits: &Bits, slot: Slot) -> bool {
    bits[slot.index() / 64 % bits.len()] >> (slot.index() % 64) & 1 == 1
}

/// Adds a slot; `false` if it was there.
pub(crate) fn put(bits: &mut Bits, slot: Slot) -> bool {
    let word = &mut bits[slot.index() / 64 % (MAX_MACHINES / 64)];
    let before = *word;
    *word |= 1 << (slot.index() % 64);
    *word != before
}

/// Which machines a host name expression keeps, for one version of the snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) key: u64,
    pub(crate) version: u64,
    pub(crate) kept: Bits,
}

/// Steps of the decay table to one constant of time, and constants it covers.
pub(crate) const DECAY_STEPS: usize = 32;
const DECAY_SPAN: usize = 8;

/// A worker's working space: allocated once, reused by every decision.
#[derive(Clone, Debug)]
pub struct Scratch {
    pub(crate) list: Vec<Candidate>,
    pub(crate) names: Vec<Names>,
    pub(crate) slots: Vec<Slot>,
    /// `exp(−i/DECAY_STEPS)`, with one more for interpolation; what is older weighs nothing.
    pub(crate) decay: Box<[f32]>,
    /// What an empty list means on the route last decided.
    pub(crate) empty: Empty,
    /// Whether anybody was left out only for being kept out after failures.
    pub(crate) kept_out: bool,
    /// Requests per unit of capacity in the fleet, learned from the decisions made here.
    pub(crate) occupancy: f32,
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    /// Working space for any matrix: about 50 KB.
    pub fn new() -> Self {
        let weight = |i: usize| libm::expf(-(i as f32) / DECAY_STEPS as f32);
        Self {
            list: Vec::with_capacity(MAX_MACHINES + 1),
            names: Vec::with_capacity(32),
            slots: Vec::with_capacity(MAX_MACHINES),
            decay: (0..=DECAY_SPAN * DECAY_STEPS).map(weight).collect(),
            empty: Empty::Here,
            kept_out: false,
            occupancy: 0.5,
        }
    }

    /// The candidates of the last decision, best first; those that its last ordering function passed
    /// over come last.
    pub fn rest(&mut self) -> impl Iterator<Item = Slot> + '_ {
        if let [_, rest @ ..] = &mut self.list[..] {
            rest.sort_unstable_by(|a, b| a.key.total_cmp(&b.key));
        }
        self.list.iter().map(|candidate| candidate.slot)
    }

    /// Starts a list: every machine that may be named, in order of rows; with `pardon` also those that are kept out
    /// after failures.
    pub(crate) fn fill(
        &mut self,
        view: &View<'_>,
        tried: &Tried,
        pardon: bool,
        mut explanation: Option<&mut Explanation>,
    ) {
        self.list.clear();
        self.kept_out = false;
        if let Some(explanation) = &mut explanation {
            explanation.clear();
        }
        // Every pause is over by then.
        let now_ticks = if pardon { u64::MAX } else { ticks(view.now) };
        let this = view.snapshot.this();
        for &slot in view.snapshot.present() {
            let (mut standing, arrival) = if slot == this {
                (view.hot.standing_here(), Arrival::new(view.now, 0, 0))
            } else {
                view.hot.look(slot, now_ticks)
            };
            if !tried.is_empty() && tried.contains(slot) {
                standing = Standing::Tried;
            }
            if standing == Standing::Usable {
                self.list.push(Candidate::new(slot, arrival));
                continue;
            }
            self.kept_out |= standing == Standing::Ejected;
            if let Some(explanation) = &mut explanation {
                explanation.excluded.push((slot, standing));
            }
        }
    }
}
