//! Why this machine: a decision told step by step.
//!
//! Made only when asked for; then it may allocate. The slots are rows of the snapshot the decision
//! was made with; [`Explanation::lines`] puts names to them.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use crate::decide::{Candidate, Decision, Reason, Verdict, View};
use crate::hot::{Slot, Standing};
use crate::snapshot::Snapshot;

/// The name of the step that questions are, after those of the chain.
pub const ASKING: &str = "asking first";

/// What one function of the chain did, or at the end a round of questions ([`ASKING`]).
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The function with its argument, as configured.
    pub function: String,
    /// The list it left, best first.
    pub left: Vec<Slot>,
    /// Who came in.
    pub came: Vec<Slot>,
    /// Who went out.
    pub went: Vec<Slot>,
    /// What the machines of `left` were ranked by last, least first; infinite before any ranking.
    pub figures: Vec<f32>,
    /// A failure that left the list as it was.
    pub failed: Option<String>,
}

/// What the costing saw of one machine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Appraisal {
    /// The machine.
    pub slot: Slot,
    /// Our own requests there (this machine: counted in `others`).
    pub mine: u32,
    /// Requests of others there, as believed: decayed towards the fleet's mean.
    pub others: f32,
    /// Age of the newest report; `None` for this machine itself, or if there is none.
    pub age: Option<Duration>,
    /// Growth of everybody's time there, in typical requests of an idle machine of average speed.
    pub growth: f32,
    /// The price of going there, same unit.
    pub hop: f32,
    /// Held against it for failures and overdue answers, same unit.
    pub penalty: f32,
    /// What memory and limit multiply the growth with (1 = neither is short).
    pub strain: f32,
    /// The sum that was compared.
    pub cost: f32,
}

/// A decision told step by step.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// Machines that were no candidates from the start, and why.
    pub excluded: Vec<(Slot, Standing)>,
    /// The functions in order.
    pub steps: Vec<Step>,
    /// What `byFresh` or the answers to questions showed, cheapest first; empty without them.
    pub appraisals: Vec<Appraisal>,
    /// What `byFresh` showed before machines were asked; empty unless they were.
    pub estimates: Vec<Appraisal>,
    /// Machines that were asked and answered in time.
    pub answered: Vec<Slot>,
    /// Machines that were asked and did not.
    pub silent: Vec<Slot>,
    /// Of those that answered, who promised a place.
    pub promised: Vec<Slot>,
    /// How long answers were awaited; `None` unless machines were asked.
    pub waited: Option<Duration>,
    /// The outcome.
    pub verdict: Option<Verdict>,
    /// Why.
    pub reason: Option<Reason>,
    /// One sentence for people.
    pub because: String,
    before: Vec<Slot>,
    narrowed: bool,
}

impl Explanation {
    /// Forgets an earlier decision, keeping the space.
    pub fn clear(&mut self) {
        self.excluded.clear();
        self.steps.clear();
        self.appraisals.clear();
        self.estimates.clear();
        self.answered.clear();
        self.silent.clear();
        self.promised.clear();
        (self.verdict, self.reason, self.waited) = (None, None, None);
        self.because.clear();
        self.narrowed = false;
    }

    /// Notes the list before a function.
    pub(crate) fn before(&mut self, list: &[Candidate]) {
        self.before = list.iter().filter(|c| self.counts(c)).map(|c| c.slot).collect();
    }

    /// Says that from now on machines with an infinite key are only kept for later questions: `byFresh`
    /// has passed them over.
    pub(crate) fn narrowed(&mut self) {
        self.narrowed = true;
    }

    fn counts(&self, candidate: &Candidate) -> bool {
        !self.narrowed || candidate.key < f32::INFINITY
    }

    /// Notes the list after a function.
    pub(crate) fn after(&mut self, function: &str, list: &[Candidate], failed: Option<String>) {
        let kept = || list.iter().filter(|c| self.counts(c));
        let left: Vec<Slot> = kept().map(|c| c.slot).collect();
        let figures = kept().map(|c| c.key).collect();
        self.steps.push(Step {
            function: function.to_string(),
            came: missing(&left, &self.before),
            went: missing(&self.before, &left),
            left,
            figures,
            failed,
        });
    }

    /// Opens the part of the story that begins with questions: what was thought before them is kept apart.
    pub(crate) fn ask(&mut self, waited: Duration) {
        self.estimates = core::mem::take(&mut self.appraisals);
        self.answered.clear();
        self.silent.clear();
        self.promised.clear();
        self.waited = Some(waited);
    }

    /// Notes whom a round of questions left, as a step after those of the chain. The appraisals are what
    /// was compared.
    pub(crate) fn after_asking(&mut self) {
        self.appraisals.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        let left: Vec<Slot> = self.appraisals.iter().map(|a| a.slot).collect();
        let before = self.steps.last().map(|step| &*step.left).unwrap_or_default();
        self.steps.push(Step {
            function: ASKING.to_string(),
            came: missing(&left, before),
            went: missing(before, &left),
            figures: self.appraisals.iter().map(|a| a.cost).collect(),
            left,
            failed: None,
        });
    }

    /// Notes one machine of a round of questions.
    pub(crate) fn asked(&mut self, slot: Slot, answered: bool, promised: bool, standing: Standing) {
        if promised {
            self.promised.push(slot);
        }
        (if answered { &mut self.answered } else { &mut self.silent }).push(slot);
        if standing != Standing::Usable {
            self.excluded.push((slot, standing));
        }
    }

    pub(crate) fn conclude(&mut self, view: &View<'_>, decision: &Decision) {
        self.verdict = Some(decision.verdict);
        self.reason = Some(decision.reason);
        self.because = self.sentence(view.snapshot, decision);
    }

    fn sentence(&self, snapshot: &Snapshot, decision: &Decision) -> String {
        let winner = match decision.verdict {
            Verdict::Here => snapshot.this(),
            Verdict::Proxy(slot) | Verdict::Redirect { slot, .. } => slot,
            Verdict::Refuse if decision.reason == Reason::Off => {
                return "refused: it failed here, and this route is not balanced".into();
            }
            Verdict::Refuse => {
                return "refused: no candidate was left and the route does not fall back to this \
                        machine"
                    .into();
            }
        };
        let winner_name = name(snapshot, winner);
        let fixed = match decision.reason {
            Reason::Off => Some("serves it: this route is not balanced"),
            Reason::OnlyHere => Some("serves it: it is the only candidate"),
            Reason::EmptyHere => Some("serves it: no candidate was left"),
            Reason::OwnName if decision.verdict == Verdict::Here => {
                Some("serves it: the client asked for this machine by name")
            }
            Reason::OwnName => {
                Some("is given it without a redirect: the client asked for this machine by name")
            }
            _ => None,
        };
        if let Some(fixed) = fixed {
            return format!("{winner_name} {fixed}");
        }
        if decision.reason == Reason::LastResort {
            return format!("{winner_name} is kept out after failures, but nobody else was left");
        }
        let priced = self.appraisals.iter().find(|a| a.slot == winner);
        if let Some(priced) = priced {
            let mut text = format!("{winner_name} costs {}", said(priced));
            if let Some(second) = self.appraisals.iter().find(|a| a.slot != winner) {
                text += &format!("; {} would cost {}", name(snapshot, second.slot), said(second));
            }
            return text;
        }
        let by = self
            .steps
            .iter()
            .rev()
            .find(|step| step.figures.first().is_some_and(|f| f.is_finite()));
        match by {
            Some(step) => {
                let figure = step.figures.first().copied().unwrap_or_default();
                format!(
                    "{winner_name} came out first of {} by {} ({figure:.3})",
                    step.left.len(),
                    step.function
                )
            }
            None => format!("{winner_name} came out first"),
        }
    }

    /// The whole story as lines of text, with names.
    pub fn lines(&self, snapshot: &Snapshot) -> Vec<String> {
        let names = |slots: &[Slot]| {
            slots.iter().map(|&slot| name(snapshot, slot)).collect::<Vec<_>>().join(" ")
        };
        let mut lines = Vec::new();
        for &(slot, standing) in &self.excluded {
            lines.push(format!("{} is no candidate: {}", name(snapshot, slot), standing.as_str()));
        }
        for step in &self.steps {
            let mut line = format!("{}: {}", step.function, names(&step.left));
            if !step.came.is_empty() {
                line += &format!("; came in: {}", names(&step.came));
            }
            if !step.went.is_empty() {
                line += &format!("; went out: {}", names(&step.went));
            }
            if let Some(failed) = &step.failed {
                line += &format!("; failed and was passed over: {failed}");
            }
            lines.push(line);
        }
        for seen in &self.estimates {
            lines.push(format!("{} before asking: {}", name(snapshot, seen.slot), said(seen)));
        }
        if let Some(waited) = self.waited {
            lines.push(format!(
                "asked, {:.2} ms; answered: {}; silent: {}; promised a place: {}",
                waited.as_secs_f64() * 1e3,
                names(&self.answered),
                names(&self.silent),
                names(&self.promised)
            ));
        }
        for seen in &self.appraisals {
            lines.push(format!("{}: {}", name(snapshot, seen.slot), said(seen)));
        }
        lines.push(self.because.clone());
        lines
    }
}

/// Those of the one list that are not in the other.
fn missing(of: &[Slot], from: &[Slot]) -> Vec<Slot> {
    of.iter().copied().filter(|slot| !from.contains(slot)).collect()
}

fn name(snapshot: &Snapshot, slot: Slot) -> String {
    match snapshot.machine(slot) {
        Some(machine) if !machine.name.is_empty() => machine.name.clone(),
        _ => format!("#{}", slot.0),
    }
}

fn said(seen: &Appraisal) -> String {
    let mut text = format!("{:.2} (", seen.cost);
    text += &format!("{:.1} requests", seen.others + seen.mine as f32);
    if seen.mine > 0 {
        text += &format!(", {} of them ours", seen.mine);
    }
    if seen.hop > 0.0 {
        text += &format!(", hop {:.2}", seen.hop);
    }
    if seen.penalty > 0.0 {
        text += &format!(", penalty {:.2}", seen.penalty);
    }
    if seen.strain > 1.0 {
        text += &format!(", short of memory or places: ×{:.2}", seen.strain);
    }
    match seen.age {
        Some(age) => text += &format!(", {:.1} ms old)", age.as_secs_f64() * 1e3),
        None => text += ")",
    }
    text
}
