//! The decision: a chain over the matrix.
//!
//! [`decide`] starts with every machine that may be named, in order of rows, runs the functions of
//! the chain over that list, and names the first of what is left. The list, the caches and the table
//! of decays live in a [`Scratch`] that each worker keeps, so a decision allocates nothing.
//!
//! `byFresh`, the default policy, is [`fresh`]: a few machines of which something fresh is known, the
//! least marginal cost among them.
//!
//! The place for *late binding* (a request that waits where it arrived until one of several machines
//! has room) is another [`Verdict`]; the enumeration is open for it.

mod fresh;
mod list;
mod rank;
mod run;

use core::time::Duration;

use base::{Instant, Random};

use crate::chain::Chain;
use crate::explain::Explanation;
use crate::hot::{Hot, Slot, Standing};
use crate::request::RequestView;
use crate::route::Empty;
use crate::snapshot::Snapshot;
pub(crate) use fresh::{EQUAL, Pricing};
pub(crate) use list::Candidate;
pub use list::Scratch;

/// What a decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The hot figures.
    pub hot: &'a Hot,
    /// The slow figures.
    pub snapshot: &'a Snapshot,
    /// Now.
    pub now: Instant,
    /// The route's typical service time (the median: queues stretch it less than the mean), which is
    /// the unit in which hops and penalties are compared with work. Zero = not known yet (10 ms is
    /// assumed).
    pub service: Duration,
}

/// Machines that were tried for this request already and must not be named again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    slots: [Slot; Tried::MAX],
    len: u8,
}

impl Tried {
    /// Machines it can hold; a request that failed on so many is not helped by another.
    pub const MAX: usize = 8;
    /// None.
    pub const NONE: Self = Self { slots: [Slot(0); Self::MAX], len: 0 };

    /// Adds a machine; `false` if there is no room (then give up).
    pub fn add(&mut self, slot: Slot) -> bool {
        if self.contains(slot) {
            return true;
        }
        let Some(place) = self.slots.get_mut(usize::from(self.len)) else { return false };
        *place = slot;
        self.len += 1;
        true
    }

    /// Whether the machine was tried.
    pub fn contains(&self, slot: Slot) -> bool {
        self.slots[..usize::from(self.len)].contains(&slot)
    }

    /// How many were tried.
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// What to do with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Serve it on this machine.
    Here,
    /// Relay it to that machine.
    Proxy(Slot),
    /// Send the client there with a 302; [`Chain::location`] writes the address.
    Redirect {
        /// The machine.
        slot: Slot,
        /// The function of the chain that chose redirecting.
        by: u8,
    },
    /// Answer 503 at once.
    Refuse,
}

/// Why it came out so: a label for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The route is not balanced.
    Off,
    /// This machine came out first.
    BestHere,
    /// Another machine came out first.
    BestThere,
    /// This machine, because no remote one was usable.
    OnlyHere,
    /// Nothing was left and the route says to serve here.
    EmptyHere,
    /// Nothing was left and the route says to refuse.
    EmptyRefused,
    /// Decided on answers to questions.
    Asked,
    /// Asked, but nobody answered in time; decided on what was known.
    AskedSilence,
    /// The client addressed this machine by its own name, so it is not sent elsewhere.
    OwnName,
    /// Decided again after a machine failed the request.
    Retry,
    /// Somebody who is kept out after failures: nobody else was left.
    LastResort,
}

impl Reason {
    /// All reasons, in order of [`index`](Self::index).
    pub const ALL: [Self; 11] = [
        Self::Off,
        Self::BestHere,
        Self::BestThere,
        Self::OnlyHere,
        Self::EmptyHere,
        Self::EmptyRefused,
        Self::Asked,
        Self::AskedSilence,
        Self::OwnName,
        Self::Retry,
        Self::LastResort,
    ];

    /// A number for arrays of counters.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The label, `snake_case`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::BestHere => "best_here",
            Self::BestThere => "best_there",
            Self::OnlyHere => "only_here",
            Self::EmptyHere => "empty_here",
            Self::EmptyRefused => "empty_refused",
            Self::Asked => "asked",
            Self::AskedSilence => "asked_silence",
            Self::OwnName => "own_name",
            Self::Retry => "retry",
            Self::LastResort => "last_resort",
        }
    }
}

/// The outcome of [`decide`] or of an [`asking`](crate::asking) round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What to do.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// A machine to probe now, without waiting, because what is known of it is old.
    pub probe: Option<Slot>,
    /// Age of the report behind the winner; `None` for this machine, or if nothing was heard.
    pub age: Option<Duration>,
    /// The function (index in the chain) that failed and was passed over. To be logged sparingly.
    pub failed: Option<u8>,
}

impl Decision {
    pub(crate) const fn plain(verdict: Verdict, reason: Reason) -> Self {
        Self { verdict, reason, probe: None, age: None, failed: None }
    }
}

/// Runs the chain. To retry after a failure, call it again with the machines `tried`: the second
/// look uses what was learned meanwhile.
///
/// Never names a machine that is dead, draining, unhealthy, over its limit or tried; one that is ejected only if
/// the request would have nobody else: ejection is suspicion, and worth less than a refusal is certain. An empty
/// list follows the chain's [`Empty`]. The outcome follows from the arguments alone, `random` and what
/// `scratch` has learned of the fleet's mean included.
pub fn decide<R: RequestView>(
    chain: &Chain,
    view: &View<'_>,
    request: &R,
    tried: &Tried,
    random: &mut Random,
    scratch: &mut Scratch,
    mut explanation: Option<&mut Explanation>,
) -> Decision {
    if let Some(explanation) = &mut explanation {
        explanation.clear();
    }
    let decision = if chain.is_off() {
        // Nobody else is asked: once it has failed here, it has failed.
        let failed = tried.contains(view.snapshot.this());
        Decision::plain(if failed { Verdict::Refuse } else { Verdict::Here }, Reason::Off)
    } else {
        scratch.empty = chain.empty;
        let mut attempt = |pardon| {
            scratch.fill(view, tried, pardon, explanation.as_deref_mut());
            let alone = scratch.list.len() == 1;
            let run = run::chain(chain, view, request, tried, random, scratch, &mut explanation);
            let decision = conclude(chain, view, request, tried, scratch, alone);
            let decision = Decision { probe: run.probe, failed: run.failed, ..decision };
            let left = !scratch.list.is_empty();
            (decision, left, scratch.kept_out)
        };
        match attempt(false) {
            (decision, false, true) if !is_served(view, &decision) => match attempt(true) {
                (pardoned, true, _) => Decision { reason: Reason::LastResort, ..pardoned },
                _ => decision,
            },
            (decision, ..) => decision,
        }
    };
    if let Some(explanation) = explanation {
        explanation.conclude(view, &decision);
    }
    decision
}

/// Whether a decision on an empty list still means an answer: this machine is well and takes what is left.
fn is_served(view: &View<'_>, decision: &Decision) -> bool {
    decision.verdict == Verdict::Here && view.hot.standing_here() == Standing::Usable
}

/// Turns the head of the list into a verdict.
fn conclude<R: RequestView>(
    chain: &Chain,
    view: &View<'_>,
    request: &R,
    tried: &Tried,
    scratch: &Scratch,
    alone: bool,
) -> Decision {
    let this = view.snapshot.this();
    let Some(winner) = scratch.list.first() else {
        return nothing_left(chain.empty, tried, this);
    };
    let retried = |reason| if tried.is_empty() { reason } else { Reason::Retry };
    if winner.slot == this {
        let reason = if alone { Reason::OnlyHere } else { Reason::BestHere };
        return Decision::plain(Verdict::Here, retried(reason));
    }
    let own = |m| chain.is_addressed(winner.redirect - 1, m, request);
    let followed = winner.redirect != 0 && view.snapshot.machine(this).is_some_and(own);
    if followed && scratch.list.iter().any(|candidate| candidate.slot == this) {
        return Decision::plain(Verdict::Here, Reason::OwnName);
    }
    let (verdict, reason) = match winner.redirect {
        // Who came by this machine's name is not sent on, but a chain that rules this machine out still does.
        _ if followed => (Verdict::Proxy(winner.slot), Reason::OwnName),
        0 => (Verdict::Proxy(winner.slot), Reason::BestThere),
        by => (Verdict::Redirect { slot: winner.slot, by: by - 1 }, Reason::BestThere),
    };
    Decision { age: winner.age(view.now), ..Decision::plain(verdict, retried(reason)) }
}

/// What an empty list means. A machine that was tried already is not tried again by default either.
pub(crate) fn nothing_left(empty: Empty, tried: &Tried, this: Slot) -> Decision {
    if empty == Empty::Here && !tried.contains(this) {
        Decision::plain(Verdict::Here, Reason::EmptyHere)
    } else {
        Decision::plain(Verdict::Refuse, Reason::EmptyRefused)
    }
}

#[cfg(test)]
mod tests;
