//! Recent decisions: for each function of the chain who was left, who went out, and why the winner won.

use maud::{Markup, html};

use super::figures;
use crate::view::{DecisionRow, Outcome, StatusView, Step};

/// The list, newest first: the part that changes.
pub(super) fn list(view: &StatusView) -> Markup {
    html! {
        div #decisions {
            @if view.decisions.is_empty() {
                p.empty { "None yet. Requests are explained while somebody looks." }
            }
            @for decision in &view.decisions { (entry(decision)) }
        }
    }
}

fn entry(d: &DecisionRow) -> Markup {
    html! {
        details.decision id=(format!("decision-{}", d.number)) {
            summary {
                span.request {
                    span.method { (d.method) } " "
                    span.path { (d.path) }
                }
                " "
                span.outcome.(outcome_class(d.outcome)) {
                    @match &d.winner {
                        Some(winner) => (winner),
                        None => "refused",
                    }
                }
                " "
                span.when { (figures::age(Some(d.age_ms))) " ago" }
            }
            div.story {
                p.facts {
                    "Route " b { (d.route) }
                    @if !d.host.is_empty() { " · host " b { (d.host) } }
                    " · " (phrase(d.outcome))
                    @if let Some(asked) = d.asked { " · " (asked) " machines were asked first" }
                    @if d.information_age_ms.is_some() {
                        " · information " (figures::millis(d.information_age_ms)) " old"
                    }
                }
                ol.steps {
                    li {
                        span.function { "came in" }
                        (names(&d.candidates, None, None))
                    }
                    @for (i, step) in d.steps.iter().enumerate() {
                        (one(step, (i + 1 == d.steps.len()).then_some(d.winner.as_deref()).flatten()))
                    }
                }
                @if !d.why.is_empty() { p.why { (d.why) } }
            }
        }
    }
}

fn one(step: &Step, winner: Option<&str>) -> Markup {
    html! {
        li {
            code.function { (step.function) }
            (names(&step.left, Some(step), winner))
            @if !step.note.is_empty() { p.remark { (step.note) } }
        }
    }
}

/// Most machines that one step names; the others are counted.
const NAMED: usize = 16;

fn names(left: &[String], step: Option<&Step>, winner: Option<&str>) -> Markup {
    let out = step.map_or(&[][..], |step| &step.out);
    html! {
        ul.names {
            @for (i, name) in left.iter().take(NAMED).enumerate() {
                li.won[i == 0 && winner == Some(name)] { (name) }
            }
            @if left.len() > NAMED { li.more { "and " (left.len() - NAMED) " more" } }
            @for struck in out.iter().take(NAMED) {
                li.out {
                    span.hidden { "out: " }
                    s { (struck.name) }
                    @if !struck.why.is_empty() { " " em { (struck.why) } }
                }
            }
            @if out.len() > NAMED { li.more { "and " (out.len() - NAMED) " more out" } }
            @if left.is_empty() { li.more { "nobody is left" } }
        }
    }
}

fn phrase(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Here => "served here",
        Outcome::Proxy => "passed on",
        Outcome::Redirect => "redirected",
        Outcome::Refuse => "refused",
    }
}

fn outcome_class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Here => "is-here",
        Outcome::Proxy => "is-proxy",
        Outcome::Redirect => "is-redirect",
        Outcome::Refuse => "is-refuse",
    }
}
