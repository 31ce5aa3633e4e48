//! What failures cost a machine: first a penalty, then a pause.
//!
//! A server that fails quickly looks fast; balancers have sent it everything for that. Here a failure
//! is *penalised latency*: it counts as if the request had taken that much longer, halves every two
//! seconds, and no measurement of speed ever sees it. A machine that fails several times running is
//! *ejected* for a while that doubles with each time; when it comes back, one further failure ejects it
//! again, and successes shorten its record.
//!
//! Ejection is suspicion, so it knows a floor: at least half of the candidates stay, and where the others are gone by
//! the time a request comes, those kept out are taken all the same. What
//! is certain (refused connections, silence, a machine's own word) is liveness, takes the way of
//! [`Condition`](crate::Condition) and [`Flags`](crate::Flags), and knows neither floor nor budget.
//!
//! The penalty of a machine is one atomic word: when it was set (44 bits of ticks) and how high (20
//! bits of 0.1 ms). Two workers that fail at once may lose one of two penalties, nothing worse.

use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;

use base::Instant;

use crate::hot::{Hot, Slot, Standing, TICK, ticks};
use crate::snapshot::Snapshot;

/// What an administrator may say about failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureRules {
    /// Failures in a row after which a machine is kept out for a while. Default 5, at least 1.
    pub eject_after: u32,
    /// First pause; doubles with each further one. Default 1 s.
    pub first_pause: Duration,
    /// Longest pause. Default 60 s.
    pub longest_pause: Duration,
    /// What one failure counts, as if it were that much latency. Default 250 ms.
    pub penalty: Duration,
}

impl Default for FailureRules {
    fn default() -> Self {
        Self {
            eject_after: 5,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            penalty: Duration::from_millis(250),
        }
    }
}

/// What became of a machine after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// It costs more for a while.
    Penalised,
    /// It is kept out until then.
    Ejected(Instant),
    /// It costs more, and would be kept out, but half of the candidates are out already.
    Floor,
}

/// Units of a penalty's height, in µs.
const UNIT_MICROS: u64 = 100;
const HIGHEST: u64 = (1 << 20) - 1;
/// Ticks in which a penalty halves: 2 s.
const HALF_LIFE: u64 = 2_000_000_000 >> TICK;

fn decayed_units(word: u64, now_ticks: u64) -> u64 {
    let age = now_ticks.saturating_sub(word >> 20);
    let halvings = age / HALF_LIFE;
    if halvings >= 20 {
        return 0;
    }
    let height = (word & HIGHEST) >> halvings;
    // Between two halvings in a straight line.
    height - height * (age % HALF_LIFE) / (2 * HALF_LIFE)
}

/// A penalty word's height now, in µs.
pub(crate) fn decayed_micros(word: u64, now_ticks: u64) -> u64 {
    decayed_units(word, now_ticks) * UNIT_MICROS
}

/// What is held against a machine now, as latency.
pub fn penalty(hot: &Hot, slot: Slot, now: Instant) -> Duration {
    let word = hot.penalty_word(slot).map_or(0, |word| word.load(Relaxed));
    Duration::from_micros(decayed_micros(word, ticks(now)))
}

/// A request of ours failed there on suspicion: an error, a reset, slowness.
pub fn failed(
    hot: &Hot,
    snapshot: &Snapshot,
    slot: Slot,
    rules: &FailureRules,
    now: Instant,
) -> Consequence {
    let (Some(word), Some((failures, ejections))) =
        (hot.penalty_word(slot), hot.failure_counts(slot))
    else {
        return Consequence::Penalised;
    };
    let added = rules.penalty.as_micros() as u64 / UNIT_MICROS;
    let height = decayed_units(word.load(Relaxed), ticks(now)).saturating_add(added);
    word.store(ticks(now) << 20 | height.clamp(1, HIGHEST), Relaxed);
    let in_a_row = failures.fetch_add(1, Relaxed).saturating_add(1);
    if in_a_row < rules.eject_after.max(1) || slot == snapshot.this() {
        return Consequence::Penalised;
    }
    if hot.ejected_until(slot, now).is_some() {
        // Requests that were under way when it was ejected tell nothing new.
        return Consequence::Penalised;
    }
    let times = ejections.load(Relaxed).min(16);
    let pause = rules.first_pause.saturating_mul(1 << times).min(rules.longest_pause);
    let until = now + pause;
    // Eject first, then count: if two workers eject two machines at once, both may step back, but
    // the floor holds.
    hot.eject_until(slot, Some(until));
    if !above_floor(hot, snapshot, now) {
        hot.eject_until(slot, None);
        return Consequence::Floor;
    }
    ejections.fetch_add(1, Relaxed);
    // After the pause the next failure is the last of a row again.
    failures.store(rules.eject_after.max(1) - 1, Relaxed);
    Consequence::Ejected(until)
}

/// Whether at least half of those who would be candidates are not ejected.
fn above_floor(hot: &Hot, snapshot: &Snapshot, now: Instant) -> bool {
    let this = snapshot.this();
    let (mut total, mut out) = (0, 0);
    for &slot in snapshot.present() {
        let (standing, ejected) = if slot == this {
            (hot.standing_here(), false)
        } else {
            // As if every pause were over.
            (hot.look(slot, u64::MAX).0, hot.standing(slot, now) == Standing::Ejected)
        };
        total += usize::from(standing == Standing::Usable);
        out += usize::from(standing == Standing::Usable && ejected);
    }
    out * 2 <= total
}

/// A request of ours was answered there, in whatever words of the application. Cheap when nothing
/// is held against the machine.
pub fn succeeded(hot: &Hot, slot: Slot, now: Instant) {
    let Some(word) = hot.penalty_word(slot) else { return };
    let known = word.load(Relaxed);
    if known == 0 {
        return;
    }
    if let Some((failures, ejections)) = hot.failure_counts(slot) {
        let units = decayed_units(known, ticks(now));
        let left = units - units / 4;
        let quiet = left < 10;
        word.store(if quiet { 0 } else { ticks(now) << 20 | left }, Relaxed);
        failures.store(0, Relaxed);
        if quiet {
            let _ = ejections.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1));
        }
    }
}

/// Retries on suspicion, as a share of requests, so that a sick cluster is not made sicker by
/// repetition. One per worker.
#[derive(Clone, Copy, Debug)]
pub struct RetryBudget {
    saved_milli: u32,
    share_permille: u32,
    most_milli: u32,
}

impl RetryBudget {
    /// `share_permille` retries per thousand requests, at most `burst` saved up. It starts full.
    pub fn new(share_permille: u32, burst: u32) -> Self {
        let most_milli = burst.saturating_mul(1000);
        Self { saved_milli: most_milli, share_permille, most_milli }
    }

    /// A request came.
    pub fn deposit(&mut self) {
        self.saved_milli =
            self.saved_milli.saturating_add(self.share_permille).min(self.most_milli);
    }

    /// A retry that was drawn did not come about.
    pub fn refund(&mut self) {
        self.saved_milli = self.saved_milli.saturating_add(1000).min(self.most_milli);
    }

    /// A retry on suspicion is wanted; `false` if the budget is spent. Moves off a machine that is
    /// refused, silent or says itself unhealthy do not ask here.
    pub fn draw(&mut self) -> bool {
        let left = self.saved_milli.checked_sub(1000);
        self.saved_milli = left.unwrap_or(self.saved_milli);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Flags, Report};
    use crate::testing::fleet;

    use crate::hot::Condition;

    const S: fn(u64) -> Instant = |s| Instant::from_millis(s * 1000);

    #[test]
    fn a_penalty_halves_every_two_seconds() {
        let (hot, snapshot) = fleet(4, S(1));
        let rules = FailureRules::default();
        assert_eq!(failed(&hot, &snapshot, Slot(1), &rules, S(10)), Consequence::Penalised);
        for (at, ms) in [(10, 250), (12, 125), (14, 62), (60, 0)] {
            assert_eq!(penalty(&hot, Slot(1), S(at)).as_millis(), ms, "{at}");
        }
        let half = penalty(&hot, Slot(1), Instant::from_millis(11_000));
        assert!((180..=190).contains(&half.as_millis()), "{half:?}");
    }

    #[test]
    fn failures_in_a_row_eject_for_pauses_that_double() {
        let (hot, snapshot) = fleet(4, S(1));
        let rules = FailureRules::default();
        for _ in 0..4 {
            assert_eq!(failed(&hot, &snapshot, Slot(1), &rules, S(10)), Consequence::Penalised);
        }
        assert_eq!(failed(&hot, &snapshot, Slot(1), &rules, S(10)), Consequence::Ejected(S(11)));
        assert_eq!(hot.standing(Slot(1), S(10)), Standing::Ejected);
        assert_eq!(hot.standing(Slot(1), S(11)), Standing::Usable);
        assert_eq!(failed(&hot, &snapshot, Slot(1), &rules, S(11)), Consequence::Ejected(S(13)));
        assert_eq!(failed(&hot, &snapshot, Slot(1), &rules, S(13)), Consequence::Ejected(S(17)));
        for _ in 0..20 {
            succeeded(&hot, Slot(1), S(40));
        }
        assert_eq!(penalty(&hot, Slot(1), S(40)), Duration::ZERO);
        assert_eq!(failed(&hot, &snapshot, Slot(1), &rules, S(40)), Consequence::Penalised);
    }

    #[test]
    fn a_success_breaks_a_row() {
        let (hot, snapshot) = fleet(4, S(1));
        let rules = FailureRules::default();
        for _ in 0..20 {
            assert_eq!(failed(&hot, &snapshot, Slot(1), &rules, S(10)), Consequence::Penalised);
            succeeded(&hot, Slot(1), S(10));
        }
    }

    #[test]
    fn half_of_the_living_are_never_ejected() {
        let (hot, snapshot) = fleet(6, S(1));
        let rules = FailureRules { eject_after: 1, ..FailureRules::default() };
        let outcome = |slot| failed(&hot, &snapshot, Slot(slot), &rules, S(10));
        assert!((1..=3).all(|slot| outcome(slot) == Consequence::Ejected(S(11))));
        assert_eq!(outcome(4), Consequence::Floor);
        assert_eq!(hot.standing(Slot(4), S(10)), Standing::Usable);
        hot.set_condition(Slot(5), Condition::Dead);
        assert_eq!(outcome(4), Consequence::Floor);
    }

    #[test]
    fn who_is_no_candidate_makes_no_room_for_ejecting_another() {
        let (hot, snapshot) = fleet(6, S(1));
        let rules = FailureRules { eject_after: 1, ..FailureRules::default() };
        let unwell = Report { sequence: 9, flags: Flags::UNHEALTHY, ..Report::default() };
        (1..=4).for_each(|slot| assert!(hot.hear(Slot(slot), 1, unwell, S(9))));
        hot.set_flags_here(Flags::UNHEALTHY);
        assert_eq!(failed(&hot, &snapshot, Slot(5), &rules, S(10)), Consequence::Floor);
        hot.clear_flags_here(Flags::UNHEALTHY);
        assert_eq!(failed(&hot, &snapshot, Slot(5), &rules, S(10)), Consequence::Ejected(S(11)));
    }

    #[test]
    fn a_new_boot_starts_with_a_clean_record() {
        let (hot, snapshot) = fleet(4, S(1));
        let rules = FailureRules { eject_after: 1, ..FailureRules::default() };
        failed(&hot, &snapshot, Slot(1), &rules, S(10));
        hot.admit(Slot(1), 77, S(10));
        assert_eq!(hot.standing(Slot(1), S(10)), Standing::Usable);
        assert_eq!(penalty(&hot, Slot(1), S(10)), Duration::ZERO);
    }

    #[test]
    fn the_budget_allows_its_share_and_what_was_saved() {
        let mut budget = RetryBudget::new(100, 10);
        assert_eq!((0..100).filter(|_| budget.draw()).count(), 10);
        let drawn = (0..1000).filter(|_| {
            budget.deposit();
            budget.draw()
        });
        assert_eq!(drawn.count(), 100);
    }
}
