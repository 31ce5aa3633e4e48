//! `byFresh`: the least marginal cost among machines of which something fresh is known.
//!
//! Everyone who reads the same old number runs to the same place. So the number used here is the
//! newest report from whatever source; our own requests in flight are exact and added; what is said of
//! others' requests loses weight with its age, `w = exp(−age/250 ms)`, in favour of what the fleet
//! carries on average; and only ⌊log₂ n⌋ + 1 machines are looked at: of those heard of within 60 ms,
//! topped up at random, and this machine. So information that is too old decays to a choice at random by
//! capacity, which is the best that can be made of it.
//!
//! What came by an *announcement* prices a machine but does not make it one of the few: everybody heard
//! it at the same moment, and would go there. (Simulated with 100 machines at 0.90: 122 ms mean when
//! it does, 37 ms when it does not; early announcements are what makes the difference so large.)
//!
//! The price of the hop is added to machines elsewhere, and equals go to this machine: as long as it
//! is idle, a request costs what it would cost without a balancer.

use core::time::Duration;

use base::Random;

use super::View;
use super::list::{Candidate, DECAY_STEPS, Scratch};
use super::rank;
use crate::explain::{Appraisal, Explanation};
use crate::failures;
use crate::hot::{Slot, TICK, ticks};

/// A report younger than this makes its machine a candidate without further ado.
const FRESH: Duration = Duration::from_millis(60);
/// The constant of time of old reports.
const DECAY: Duration = Duration::from_millis(250);
/// The hop's price before it was measured, in µs.
const UNMEASURED_HOP: u32 = 300;
/// Held against a machine whose answer is overdue, in µs.
const SUSPICION: f32 = 250_000.0;
/// The service time assumed when none is known, in µs.
const UNKNOWN_SERVICE: f32 = 10_000.0;
/// Equals are told apart by dice of this size, so that not every machine picks the same.
const DICE: f32 = 1.0 / 4096.0;
/// Costs that differ by less are equal, and equals go to this machine: speeds are not measured more exactly, and
/// a hop is certain.
pub(crate) const EQUAL: f32 = 1.05;

const fn in_ticks(d: Duration) -> u64 {
    (d.as_nanos() >> TICK) as u64
}

/// What turns a candidate into a price.
pub(crate) struct Pricing<'a> {
    view: &'a View<'a>,
    decay: &'a [f32],
    occupancy: f32,
    now_ticks: u64,
    per_service: f32,
}

impl<'a> Pricing<'a> {
    pub(crate) fn new(view: &'a View<'a>, decay: &'a [f32], occupancy: f32) -> Self {
        let micros = view.service.as_micros().min(1 << 40) as f32;
        let service = if micros < 1.0 { UNKNOWN_SERVICE } else { micros };
        Self { view, decay, occupancy, now_ticks: ticks(view.now), per_service: 1.0 / service }
    }

    /// What a report of that age still weighs.
    fn weight(&self, age_ticks: u64) -> f32 {
        let x = age_ticks as f32 * (DECAY_STEPS as f32 / in_ticks(DECAY) as f32);
        let i = x as usize;
        match self.decay.get(i..i + 2) {
            Some(&[a, b]) => a + (b - a) * (x - i as f32),
            _ => 0.0,
        }
    }

    /// The price of one more request there.
    pub(crate) fn appraise(&self, candidate: &Candidate) -> Appraisal {
        let slot = candidate.slot;
        let figures = self.view.snapshot.figures(slot);
        let words = self.view.hot.words(slot);
        let here = slot == self.view.snapshot.this();
        let (others, hop) = if here {
            (self.view.hot.serving() as f32, 0.0)
        } else {
            let expected = (self.occupancy * figures.capacity - words.mine as f32).max(0.0);
            let arrival = candidate.arrival;
            let others = if arrival.is_never() {
                expected
            } else {
                let weight = self.weight(self.now_ticks.saturating_sub(arrival.at()));
                weight * f32::from(arrival.others()) + (1.0 - weight) * expected
            };
            let micros = if words.hop_micros == 0 { UNMEASURED_HOP } else { words.hop_micros };
            (others, micros as f32 * self.per_service)
        };
        let mine = if here { 0 } else { words.mine };
        let n = others + mine as f32;
        let mut penalty = 0.0;
        if words.penalty != 0 {
            let held = failures::decayed_micros(words.penalty, self.now_ticks);
            penalty += held as f32 * self.per_service;
        }
        if words.suspect && !here {
            penalty += SUSPICION * self.per_service;
        }
        let growth = figures.growth(n);
        let strain = figures.strain_at(n);
        Appraisal {
            slot,
            mine,
            others,
            age: if here { None } else { candidate.age(self.view.now) },
            growth,
            hop,
            penalty,
            strain,
            cost: growth * strain + hop + penalty,
        }
    }
}

/// The cheapest seen so far.
struct Best {
    at: usize,
    key: f32,
}

/// Ranks the list. Afterwards the winner is first; those looked at have their price as key, the others
/// an infinite one. If more functions follow, only those looked at stay, in order.
///
/// Returns a machine that should be probed because what is known of it is old.
pub(super) fn run(
    view: &View<'_>,
    random: &mut Random,
    scratch: &mut Scratch,
    last_order: bool,
    explanation: &mut Option<&mut Explanation>,
) -> Option<Slot> {
    let Scratch { list, decay, occupancy, .. } = scratch;
    let n = list.len();
    let wanted = n.checked_ilog2()? as usize + 1;
    let this = view.snapshot.this();
    let pricing = Pricing::new(view, decay, *occupancy);
    let fresh_from = pricing.now_ticks.saturating_sub(in_ticks(FRESH));

    let mut best = Best { at: 0, key: f32::INFINITY };
    let mut dice = random.next_u64() | 1;
    let mut own = None;
    let mut looked = 0;
    let (mut requests, mut capacity) = (0.0, 0.0);
    let mut look = |at: usize, candidate: &mut Candidate, best: &mut Best| {
        let seen = pricing.appraise(candidate);
        dice = dice.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        candidate.key = seen.cost * (1.0 + DICE * ((dice >> 40) as f32 / (1u32 << 24) as f32));
        if candidate.key < best.key {
            *best = Best { at, key: candidate.key };
        }
        if let Some(explanation) = explanation {
            explanation.appraisals.push(seen);
        }
        seen.others + seen.mine as f32
    };

    // Begin anywhere, so that a limit on looks favours nobody.
    let start = random.below(n as u32) as usize;
    for at in (start..n).chain(0..start) {
        let candidate = &mut list[at];
        candidate.key = f32::INFINITY;
        let here = candidate.slot == this;
        if here {
            own = Some(at);
        } else if looked >= wanted
            || candidate.arrival.at() < fresh_from
            || view.hot.is_common(candidate.slot, candidate.arrival)
        {
            continue;
        } else {
            looked += 1;
        }
        requests += look(at, candidate, &mut best);
        capacity += view.snapshot.figures(candidate.slot).capacity;
    }
    // What is fresh is a sample of the fleet; its mean is what the stale are believed to carry.
    if capacity > 0.0 {
        *occupancy += (requests / capacity - *occupancy) / 16.0;
    }
    let mut throws = 4 * wanted;
    while looked < wanted.min(n - usize::from(own.is_some())) && throws > 0 {
        throws -= 1;
        let at = random.below(n as u32) as usize;
        if list[at].key == f32::INFINITY && list[at].slot != this {
            looked += 1;
            look(at, &mut list[at], &mut best);
        }
    }
    if let Some(own) = own.filter(|&own| list[own].key <= best.key * EQUAL) {
        best.at = own;
    }
    let probe = stale(list, random, this, best.at, fresh_from);
    list.swap(0, best.at);
    if explanation.is_some() || !last_order {
        rank::sort(&mut list[1..]);
    }
    if !last_order {
        list.truncate(looked + usize::from(own.is_some()));
    }
    if let Some(explanation) = explanation {
        explanation.appraisals.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    }
    probe
}

/// A machine of which nothing fresh is known, found by a few throws of dice: where they find none,
/// information is not thin. The winner's own response will bring its report.
fn stale(
    list: &[Candidate],
    random: &mut Random,
    this: Slot,
    winner: usize,
    fresh_from: u64,
) -> Option<Slot> {
    (0..4).find_map(|_| {
        let at = random.below(list.len() as u32) as usize;
        let candidate = &list[at];
        let wanted = candidate.arrival.at() < fresh_from && candidate.slot != this && at != winner;
        wanted.then_some(candidate.slot)
    })
}
