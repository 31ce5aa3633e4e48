//! From the matrix to a step: which machine, and which next if that one fails.
//!
//! A decision is made in the same breath in which the head was parsed, so that the parsed head is used and
//! never kept. Only another attempt, which is rare, parses again.

use std::time::Duration;

use base::Instant;
use candidacy::asking::Round;
use candidacy::{
    Decision, Explanation, Flags, RequestView, RouteId, Slot, Tried, Verdict, View, decide,
};

use super::Worker;
use crate::config::Asking;
use crate::running::Explained;

/// What to do with a request now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Serve it on this machine.
    Here,
    /// Give it to the machine in this row.
    Machine(u16),
    /// Send the client there.
    Redirect(String),
    /// Answer 503.
    Refuse,
    /// Answer 403: the client's address is not welcome.
    Forbid,
}

/// What was decided, and what another attempt needs to know.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The step to take.
    pub(crate) step: Step,
    /// Place of the route in the configuration.
    pub(crate) route: usize,
    /// Why.
    pub(crate) reason: &'static str,
    /// Age of what was known of the chosen machine.
    pub(crate) age: Option<Duration>,
    /// Time for a response to begin.
    pub(crate) patience: Duration,
    /// Machines that have failed this request.
    pub(crate) tried: Tried,
    /// Questions to be asked before the step is taken.
    pub(crate) round: Option<Box<Round>>,
    /// The story so far of a decision that waits for answers, if somebody looks.
    pub(crate) told: Option<Box<Explanation>>,
    /// Whether the first decision about this request was explained: then those after it are too.
    pub(crate) explained: bool,
    /// What the chosen machine has promised; 0 if nothing.
    pub(crate) reservation: u32,
}

impl Plan {
    /// To be served here without a decision: the request was already balanced.
    pub(crate) fn here(reason: &'static str, patience: Duration) -> Self {
        Self {
            step: Step::Here,
            route: 0,
            reason,
            age: None,
            patience,
            tried: Tried::NONE,
            round: None,
            told: None,
            explained: false,
            reservation: 0,
        }
    }
}

impl Worker {
    /// Decides about a request whose head has just been parsed.
    pub(crate) fn decide<R: RequestView>(&self, request: &R, route: RouteId, now: Instant) -> Plan {
        let mut plan = Plan::here("", self.patience(route));
        plan.route = usize::from(route.0);
        self.decide_again(request, &mut plan, now);
        plan
    }

    /// The plan for a request that a peer passed on: to be served here, on its route.
    pub(crate) fn serve_for_peer(&self, route: RouteId) -> Plan {
        let mut plan = Plan::here("peer", self.patience(route));
        plan.route = usize::from(route.0);
        plan
    }

    /// The plan for a request whose client the route's address rules turn away.
    pub(crate) fn forbid(&self, route: RouteId) -> Plan {
        let mut plan = Plan::here("forbidden", self.patience(route));
        (plan.route, plan.step) = (usize::from(route.0), Step::Forbid);
        plan
    }

    /// Decides anew, without the machines that were tried.
    pub(crate) fn decide_again<R: RequestView>(&self, request: &R, plan: &mut Plan, now: Instant) {
        let route = RouteId(plan.route as u16);
        let chain = &self.routes.get(route).chain;
        let snapshot = self.snapshot();
        let mut kept = self.deciding.borrow_mut();
        let kept = &mut *kept;
        let service = kept.service.get(plan.route).copied().unwrap_or_default();
        let hot = &self.shared.resources.matrix().hot;
        let view = View { hot, snapshot: &snapshot, now, service };
        let explain = plan.explained || self.shared.explainer.is_wanted(now);
        plan.explained = explain;
        let mut explanation = explain.then(Explanation::default);
        let decision = decide(
            chain,
            &view,
            request,
            &plan.tried,
            &mut kept.random,
            &mut kept.scratch,
            explanation.as_mut(),
        );
        plan.round = None;
        if plan.tried.is_empty() && self.may_ask(plan.route, chain.asks(), service, kept) {
            plan.round = Round::plan(
                &decision,
                &view,
                &kept.scratch,
                &mut kept.random,
                &kept.answer_times,
                &kept.asking_rules,
            )
            .map(Box::new);
        }
        if let Some(explanation) = explanation {
            match plan.round {
                Some(_) => plan.told = Some(Box::new(explanation)),
                None => self.explain(request, plan.route, explanation, now),
            }
        }
        let location = |by, slot| {
            let mut text = Vec::new();
            let written = chain.location(by, &snapshot, slot, request, &mut text);
            written.then(|| String::from_utf8(text).ok()).flatten().filter(|t| is_header_value(t))
        };
        self.adopt(plan, &decision, location);
        // What is decided before the answers is not what becomes of the request, and is not counted.
        if plan.round.is_none() {
            self.count(&decision);
            if let Some(slot) = decision.probe {
                self.probe(slot, now);
            }
        }
    }

    /// Makes a decision the plan's next step.
    pub(crate) fn adopt(
        &self,
        plan: &mut Plan,
        decision: &Decision,
        location: impl Fn(u8, Slot) -> Option<String>,
    ) {
        plan.reason = decision.reason.as_str();
        plan.age = decision.age;
        plan.step = match decision.verdict {
            Verdict::Here => Step::Here,
            Verdict::Proxy(slot) => Step::Machine(slot.0),
            Verdict::Redirect { slot, by } => match location(by, slot) {
                Some(location) => Step::Redirect(location),
                // No address can be made of it: the machine that was chosen serves it all the same.
                None => Step::Machine(slot.0),
            },
            _ => Step::Refuse,
        };
        if decision.failed.is_some() {
            self.function_failed(plan.route, decision.failed);
        }
    }

    /// Counts why a request goes where it goes, and how old the information was.
    pub(crate) fn count(&self, decision: &Decision) {
        self.stats.reasons[decision.reason.index()].bump();
        if let Some(age) = decision.age {
            self.stats.age.record(age);
        }
    }

    fn patience(&self, route: RouteId) -> Duration {
        self.config.routes.get(route).response_timeout
    }

    fn may_ask(
        &self,
        route: usize,
        chain_asks: bool,
        service: Duration,
        kept: &mut super::Deciding,
    ) -> bool {
        if !chain_asks || !self.can_ask() {
            return false;
        }
        let asks = match self.config.routes.get(RouteId(route as u16)).asking {
            Asking::Never => return false,
            Asking::Always => true,
            Asking::Auto => kept.switches.get_mut(route).is_some_and(|switch| {
                switch.worth(service, &kept.answer_times, &kept.asking_rules)
            }),
        };
        if let Some(shown) = self.stats.asking.get(route) {
            shown.set(asks.into());
        }
        asks
    }

    /// Leaves an explanation for whoever looks at the status page.
    pub(crate) fn explain<R: RequestView>(
        &self,
        request: &R,
        route: usize,
        explanation: Explanation,
        at: Instant,
    ) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(200).collect();
        self.shared.explainer.leave(Explained {
            at,
            method: text(request.method()),
            host: text(request.host()),
            target: text(request.target()),
            route: self.routes.get(RouteId(route as u16)).name.clone(),
            explanation,
        });
    }

    /// Says, at most once a minute, that a function of a chain fails and is passed over.
    fn function_failed(&self, route: usize, function: Option<u8>) {
        let Some(held) = self.warnings.function.borrow_mut().pass(self.now()) else { return };
        let route = self.routes.get(RouteId(route as u16));
        let text = function.and_then(|i| route.chain.texts().nth(usize::from(i)));
        tracing::warn!(
            route = route.name,
            function = text.unwrap_or_default(),
            held,
            "a candidacy function failed; it leaves the list unchanged"
        );
    }

    /// Whether this machine may take a request that another sends: a peer is told if not.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        let flags = self.shared.resources.local().flags();
        flags.has(Flags::UNHEALTHY).then_some("unhealthy")
    }
}

/// Whether a text can stand in a header line.
fn is_header_value(text: &str) -> bool {
    text.bytes().all(|b| b > b' ' && b != 127)
}
