//! One request's questions: whom, until when, and what follows from the answers.

use base::{Instant, Random};

use super::{AnswerTimes, AskingRules};
use crate::decide::{
    Candidate, Decision, EQUAL, Pricing, Reason, Scratch, Tried, Verdict, View, nothing_left,
};
use crate::explain::Explanation;
use crate::hot::{Arrival, Slot, Standing, ticks};
use crate::route::Empty;

/// Most machines asked for one request.
pub const MAX_ASKED: usize = 24;
/// A round ends when so many percent have answered. Threads of busy machines are woken late, so the last
/// to answer are seldom the ones to go to.
const ENOUGH: u32 = 80;
/// What silence adds to a machine's price: one request. It is a hint that the machine is busy.
const SILENCE: f32 = 1.0;
/// From so many requests as the price of the best known machine on nobody is asked: everyone is overloaded, a better
/// place in the queue is worth little, and the CPU that questions cost is what is missing.
const OVERLOADED: f32 = 8.0;
/// Equals elsewhere are told apart by dice of this size.
const DICE: f32 = 1.0 / 4096.0;

/// One request's questions. Lives in the request's task; other decisions go on meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    asked: [Asked; MAX_ASKED],
    len: u8,
    answered: u8,
    with_self: bool,
    empty: Empty,
    begun: Instant,
    deadline: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    slot: Slot,
    reservation: u32,
    answered: bool,
}

impl Round {
    /// Chooses whom to ask, right after [`decide`](crate::decide()) on the same request with the same
    /// `scratch`: about 2 log₂ n machines, one half of them those that are cheapest as far as is known,
    /// the other half at random, because what is known may be old.
    ///
    /// `None` if asking cannot change the outcome for the better (then act on the decision): nobody else
    /// to ask, this machine is as idle and as fast as the best could be, or all are overloaded.
    pub fn plan(
        decision: &Decision,
        view: &View<'_>,
        scratch: &Scratch,
        random: &mut Random,
        times: &AnswerTimes,
        rules: &AskingRules,
    ) -> Option<Self> {
        let chosen =
            matches!(decision.reason, Reason::BestHere | Reason::BestThere | Reason::Retry);
        if !chosen || !matches!(decision.verdict, Verdict::Here | Verdict::Proxy(_)) {
            return None;
        }
        let this = view.snapshot.this();
        let overloaded =
            |best: &Candidate| best.key > OVERLOADED * view.snapshot.figures(best.slot).unit();
        if scratch.list.first().is_some_and(overloaded) {
            return None;
        }
        let own = scratch.list.iter().find(|c| c.slot == this);
        if own.is_some_and(|own| own.key <= view.snapshot.fastest() * EQUAL) {
            return None;
        }
        let mut round = Self {
            asked: [Asked::default(); MAX_ASKED],
            len: 0,
            answered: 0,
            with_self: own.is_some(),
            empty: scratch.empty,
            begun: view.now,
            deadline: view.now + times.wait(rules),
        };
        let n = scratch.list.len();
        let wanted = wanted(n).min(n - usize::from(round.with_self));
        round.cheapest(view, scratch, wanted.div_ceil(2));
        round.at_random(view, scratch, random, wanted);
        (round.len > 0).then_some(round)
    }

    /// Takes the `count` cheapest of those that were looked at.
    fn cheapest(&mut self, view: &View<'_>, scratch: &Scratch, count: usize) {
        let mut best = [(f32::INFINITY, Slot(0)); MAX_ASKED];
        let mut found = 0;
        for candidate in &scratch.list {
            if candidate.key == f32::INFINITY || !can_be_asked(view, candidate.slot) {
                continue;
            }
            // Insertion into a short sorted list.
            let mut new = (candidate.key, candidate.slot);
            for place in &mut best[..found] {
                if new.0 < place.0 {
                    core::mem::swap(place, &mut new);
                }
            }
            if found < count {
                best[found] = new;
                found += 1;
            }
        }
        best[..found].iter().for_each(|&(_, slot)| self.add(slot));
    }

    /// Fills up to `wanted` with others.
    fn at_random(
        &mut self,
        view: &View<'_>,
        scratch: &Scratch,
        random: &mut Random,
        wanted: usize,
    ) {
        let n = scratch.list.len();
        let start = random.below(n as u32) as usize;
        // A step that shares no divisor with n visits everyone once, in an order that looks random.
        let step = coprime_step(n, random);
        let mut at = start;
        for _ in 0..n {
            if usize::from(self.len) >= wanted {
                return;
            }
            let slot = scratch.list[at].slot;
            if can_be_asked(view, slot) && !self.asked().any(|asked| asked == slot) {
                self.add(slot);
            }
            at = (at + step) % n;
        }
    }

    fn add(&mut self, slot: Slot) {
        if let Some(place) = self.asked.get_mut(usize::from(self.len)) {
            *place = Asked { slot, reservation: 0, answered: false };
            self.len += 1;
        }
    }

    fn all(&self) -> &[Asked] {
        &self.asked[..usize::from(self.len)]
    }

    /// The machines to ask.
    pub fn asked(&self) -> impl Iterator<Item = Slot> + '_ {
        self.all().iter().map(|asked| asked.slot)
    }

    /// When to decide at the latest.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Notes that a machine answered, with the reservation it made (0 = none); its report was given to
    /// [`Hot::hear`](crate::Hot::hear) before. `true` when four in five have answered: no use
    /// in waiting for the rest. Answers of machines that were not asked, or again, change nothing.
    pub fn answer(&mut self, slot: Slot, reservation: u32) -> bool {
        let len = usize::from(self.len);
        if let Some(asked) = self.asked[..len].iter_mut().find(|a| a.slot == slot && !a.answered) {
            (asked.answered, asked.reservation) = (true, reservation);
            self.answered += 1;
        }
        u32::from(self.answered) * 100 >= u32::from(self.len) * ENOUGH
    }

    /// Decides on the answers, and on what is known of the silent, whose silence counts. Those that are no candidates any
    /// more are not named; if all are gone, the route's rule for an empty list holds.
    ///
    /// An `explanation` that holds the story of the first decision keeps it, and the round becomes its last step.
    pub fn decide(
        &self,
        view: &View<'_>,
        random: &mut Random,
        scratch: &mut Scratch,
        mut explanation: Option<&mut Explanation>,
    ) -> Decision {
        let this = view.snapshot.this();
        let Scratch { list, decay, occupancy, .. } = scratch;
        list.clear();
        if let Some(explanation) = &mut explanation {
            explanation.ask(view.now.since(self.begun));
        }
        for asked in self.all() {
            let (standing, arrival) = view.hot.look(asked.slot, ticks(view.now));
            if standing == Standing::Usable && view.snapshot.machine(asked.slot).is_some() {
                list.push(Candidate::new(asked.slot, arrival));
            }
            if let Some(explanation) = &mut explanation {
                let promised = asked.reservation != 0;
                explanation.asked(asked.slot, asked.answered, promised, standing);
            }
        }
        if self.with_self && view.hot.standing_here() == Standing::Usable {
            list.push(Candidate::new(this, Arrival::new(view.now, 0, 0)));
        }
        let pricing = Pricing::new(view, decay, *occupancy);
        let mut best = 0;
        for at in 0..list.len() {
            let mut seen = pricing.appraise(&list[at]);
            if self.all().iter().any(|asked| asked.slot == list[at].slot && !asked.answered) {
                let silence = SILENCE * view.snapshot.figures(list[at].slot).unit();
                seen.penalty += silence;
                seen.cost += silence;
            }
            let here = list[at].slot == this;
            list[at].key = seen.cost * if here { 1.0 } else { 1.0 + DICE * random.unit() as f32 };
            // This machine comes last, so an equal of it has been seen.
            let limit = list[best].key * if here { EQUAL } else { 1.0 };
            if list[at].key < limit {
                best = at;
            }
            if let Some(explanation) = &mut explanation {
                explanation.appraisals.push(seen);
            }
        }
        let decision = self.conclude(view, list.get(best));
        if !list.is_empty() {
            list.swap(0, best);
        }
        if let Some(explanation) = explanation {
            explanation.after_asking();
            explanation.conclude(view, &decision);
        }
        decision
    }

    fn conclude(&self, view: &View<'_>, winner: Option<&Candidate>) -> Decision {
        let this = view.snapshot.this();
        let Some(winner) = winner else { return nothing_left(self.empty, &Tried::NONE, this) };
        let reason = if self.answered > 0 { Reason::Asked } else { Reason::AskedSilence };
        if winner.slot == this {
            return Decision::plain(Verdict::Here, reason);
        }
        let verdict = Verdict::Proxy(winner.slot);
        Decision { age: winner.age(view.now), ..Decision::plain(verdict, reason) }
    }

    /// The reservation the machine made for us, to be sent with the request; 0 if none.
    pub fn reservation(&self, slot: Slot) -> u32 {
        self.all().iter().find(|asked| asked.slot == slot).map_or(0, |asked| asked.reservation)
    }

    /// How many were asked, and how many of them answered in time.
    pub fn counts(&self) -> (usize, usize) {
        (self.len.into(), self.answered.into())
    }
}

/// About 2 log₂ n, rounded up.
fn wanted(n: usize) -> usize {
    let twice = libm::ceilf(2.0 * libm::log2f(n.max(1) as f32)) as usize;
    twice.clamp(1, MAX_ASKED)
}

/// Machines without an exchange port (announce-only agents) are not asked.
fn can_be_asked(view: &View<'_>, slot: Slot) -> bool {
    slot != view.snapshot.this()
        && view.snapshot.machine(slot).is_some_and(|machine| machine.exchange.is_some())
}

fn coprime_step(n: usize, random: &mut Random) -> usize {
    let mut step = 1 + random.below(n.max(2) as u32 - 1) as usize;
    while gcd(step, n) != 1 {
        step = step % n + 1;
    }
    step
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
#[path = "round_tests.rs"]
mod tests;
