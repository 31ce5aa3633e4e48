//! Recent decisions: for each function of the chain who was left, who came in, who went out, and why the
//! winner won.

use maud::{Markup, html};

use super::figures;
use crate::view::{Appraisal, DecisionRow, Outcome, StatusView, Step};

/// Decisions on the page; the JSON has all that are kept.
const SHOWN: usize = 20;
/// Most machines that one line names; the others are counted.
const NAMED: usize = 16;

/// The list, newest first: the part that changes.
pub(super) fn list(view: &StatusView) -> Markup {
    html! {
        div #decisions {
            @if view.decisions.is_empty() {
                p.empty { "None yet. Decisions are explained while somebody looks: come back in a moment." }
            }
            @for decision in view.decisions.iter().take(SHOWN) { (entry(decision)) }
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
                    @if !d.reason.is_empty() { " · " code { (d.reason) } }
                }
                ol.steps {
                    li {
                        span.function { "candidates" }
                        ul.names {
                            (plain(&d.candidates))
                            @for struck in d.excluded.iter().take(NAMED) {
                                (out(&struck.name, &struck.why))
                            }
                            (more(d.excluded.len()))
                        }
                    }
                    @for (i, step) in d.steps.iter().enumerate() {
                        (one(step, d.winner.as_deref().filter(|_| i + 1 == d.steps.len())))
                    }
                }
                @if !d.answered.is_empty() || !d.silent.is_empty() { (asked(d)) }
                @if !d.estimates.is_empty() {
                    p.facts { "Before the questions it looked like this:" }
                    (appraisals(&d.estimates, "What the costing saw before the questions, cheapest first"))
                    p.facts { "And after the answers:" }
                }
                @if !d.appraisals.is_empty() {
                    (appraisals(&d.appraisals, "What the costing saw, cheapest first"))
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
            ul.names {
                @for ranked in step.left.iter().take(NAMED) {
                    li.won[winner == Some(&ranked.name)] {
                        @if step.came.contains(&ranked.name) { "+ " }
                        (ranked.name)
                        @if let Some(figure) = ranked.figure {
                            " " span.rank { (figures::decimal(figure.into())) }
                        }
                    }
                }
                (more(step.left.len()))
                @if step.left.is_empty() { li.more { "nobody is left" } }
                @for name in step.went.iter().take(NAMED) { (out(name, "")) }
                (more(step.went.len()))
            }
            @if let Some(failed) = &step.failed {
                p.remark { "It failed and changed nothing: " (failed) }
            }
        }
    }
}

fn plain(names: &[String]) -> Markup {
    html! {
        @for name in names.iter().take(NAMED) { li { (name) } }
        (more(names.len()))
        @if names.is_empty() { li.more { "nobody" } }
    }
}

fn out(name: &str, why: &str) -> Markup {
    html! {
        li.out {
            span.hidden { "out: " }
            s { (name) }
            @if !why.is_empty() { " " em { (why) } }
        }
    }
}

fn more(count: usize) -> Markup {
    html! { @if count > NAMED { li.more { "and " (count - NAMED) " more" } } }
}

fn asked(d: &DecisionRow) -> Markup {
    html! {
        p.facts {
            "Asked first: "
            @if d.answered.is_empty() { "nobody answered" } @else { (d.answered.join(", ")) " answered" }
            @if !d.silent.is_empty() { "; no answer in time from " (d.silent.join(", ")) }
            @if !d.promised.is_empty() { "; a place was promised by " (d.promised.join(", ")) }
            @if let Some(waited) = d.waited_ms { "; decided after " (figures::millis(Some(waited))) }
        }
    }
}

fn appraisals(all: &[Appraisal], caption: &str) -> Markup {
    html! {
        div.appraisals {
            table {
                caption.hidden { (caption) }
                thead {
                    tr {
                        th scope="col" { "Machine" }
                        th scope="col" { "cost" }
                        th scope="col" { "growth" }
                        th scope="col" { "strain" }
                        th scope="col" { "hop" }
                        th scope="col" { "penalty" }
                        th scope="col" { "mine + others" }
                        th scope="col" { "known for" }
                    }
                }
                tbody {
                    @for a in all.iter().take(NAMED) {
                        tr {
                            th scope="row" { (a.name) }
                            td { b { (figures::decimal(a.cost.into())) } }
                            td { (figures::decimal(a.growth.into())) }
                            td { "× " (figures::decimal(a.strain.into())) }
                            td { (figures::decimal(a.hop.into())) }
                            td { (figures::decimal(a.penalty.into())) }
                            td { (a.mine) " + " (figures::decimal(a.others.into())) }
                            td { (figures::millis(a.age_ms)) }
                        }
                    }
                }
            }
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
