//! The routes: what each matches, who decides, how fast it is.

use maud::{Markup, html};

use super::{figures, spark};
use crate::view::{RouteRow, StatusView};

/// The table with its head.
pub(super) fn table(view: &StatusView) -> Markup {
    html! {
        div.scroll {
            table.cards role="table" aria-labelledby="routes-title" {
                thead role="rowgroup" {
                    tr role="row" {
                        @for name in ["Route", "Chain", "Requests", "Turnaround", "When nobody is left"] {
                            th scope="col" role="columnheader" { (name) }
                        }
                    }
                }
                (rows(view))
            }
        }
    }
}

/// The body of the table: the part that changes.
pub(super) fn rows(view: &StatusView) -> Markup {
    html! {
        tbody #routes role="rowgroup" {
            @for (i, route) in view.routes.iter().enumerate() {
                (row(i, route, view.totals.workers))
            }
            @if view.routes.is_empty() {
                tr role="row" { td role="cell" colspan="5" { "No routes." } }
            }
        }
    }
}

fn row(i: usize, route: &RouteRow, workers: u64) -> Markup {
    html! {
        tr role="row" id=(format!("route-{i}")) {
            th.host scope="row" role="rowheader" {
                span.name { (route.name) }
                small { @if route.matches.is_empty() { "everything else" } @else { (route.matches) } }
            }
            td role="cell" data-label="Chain" {
                ul.chain { @for function in &route.chain { li { code { (function) } } } }
                small {
                    "asks first: " (route.asking)
                    @if route.workers_asking > 0 {
                        ", now " (route.workers_asking) " of " (workers) " workers"
                    }
                }
            }
            td.flight role="cell" data-label="Requests" {
                div {
                    span { b { (figures::rate(route.requests_per_second)) } " /s" }
                    (spark::spark(&route.trend_requests_per_second, 5.0))
                }
                small { (figures::count(route.requests)) " so far" }
            }
            td role="cell" data-label="Turnaround" {
                span { (figures::millis(route.p50_ms)) " / " (figures::millis(route.p99_ms)) }
                small { "p50 / p99 of the last minute" }
            }
            td role="cell" data-label="When nobody is left" { span { (route.empty) } }
        }
    }
}
