//! The few figures that say how things are, each with its last minute.

use maud::{Markup, html};

use super::{figures, spark};
use crate::view::{StatusView, Tone};

/// The tiles above the matrix.
pub(super) fn tiles(view: &StatusView) -> Markup {
    let trend = &view.trend;
    let last = |samples: &[f32]| samples.last().copied().map_or(0.0, f64::from);
    let errors = last(&trend.errors_per_second);
    html! {
        div #tiles {
            (machines(view))
            (tile("Requests", &figures::rate(last(&trend.requests_per_second)), "per second, entering here",
                &trend.requests_per_second, 5.0, false))
            (tile("In flight", &figures::count(last(&trend.in_flight) as u64), "entered here, not finished",
                &trend.in_flight, 4.0, false))
            (tile("Turnaround", &figures::millis(trend.recent_p50_ms),
                &format!("median · {} at p99", figures::millis(trend.recent_p99_ms)),
                &trend.p99_ms, 5.0, false))
            (tile("Errors", &figures::rate(errors), "responses 5xx per second",
                &trend.errors_per_second, 2.0, errors > 0.0))
        }
    }
}

fn tile(name: &str, figure: &str, note: &str, samples: &[f32], floor: f32, bad: bool) -> Markup {
    html! {
        div.tile.bad[bad] {
            h2 { (name) }
            p.figure { (figure) }
            p.note { (note) }
            (spark::spark(samples, floor))
        }
    }
}

/// Most machines that are drawn as a dot each.
const DOTS: usize = 48;

fn machines(view: &StatusView) -> Markup {
    let (usable, all) = (view.usable(), view.machines.len());
    html! {
        div.tile {
            h2 { "Machines" }
            p.figure { (usable) @if usable != all { span.of { " of " (all) } } }
            p.note { @if usable == all { "all in service" } @else { "in service" } }
            @if all <= DOTS {
                p.dots aria-hidden="true" {
                    @for machine in &view.machines {
                        span.dot.(class(machine.tone)).this[machine.this] {}
                    }
                }
            }
        }
    }
}

/// The class that colours a tone.
pub(super) fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "tone-good",
        Tone::Warn => "tone-warn",
        Tone::Bad => "tone-bad",
        Tone::Quiet => "tone-quiet",
    }
}
