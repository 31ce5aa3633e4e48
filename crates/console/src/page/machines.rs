//! The matrix: one row for each machine.
//!
//! On a narrow screen the style sheet turns each row into a card, with `data-label` before each figure.
//! Such a layout takes the meaning of a table from assistive technology in some browsers, hence the
//! roles, which would otherwise say the obvious.

use maud::{Markup, html};

use super::tiles::class;
use super::{figures, spark};
use crate::view::{MachineRow, StatusView};

/// The table with its head.
pub(super) fn table(view: &StatusView) -> Markup {
    html! {
        div.scroll {
            table.cards role="table" aria-labelledby="machines-title" {
                thead role="rowgroup" {
                    tr role="row" {
                        (head("Host", "entry, address"))
                        (head("Condition", "boot"))
                        (head("Age", "newest report"))
                        (head("In flight", "mine + others / limit"))
                        (head("p50 / p99", "ms per request [count]"))
                        (head("Servers", "ready / total"))
                        (head("Load / HWM", "CPU idle"))
                        (head("CPUs", "arriba"))
                        (head("Memory", "available"))
                        (head("Pressure %", "CPU / mem / IO"))
                    }
                }
                (rows(view))
            }
        }
    }
}

fn head(name: &str, more: &str) -> Markup {
    html! {
        th scope="col" role="columnheader" { (name) small { (more) } }
    }
}

/// The body of the table: the part that changes.
pub(super) fn rows(view: &StatusView) -> Markup {
    html! {
        tbody #machines role="rowgroup" {
            @for machine in &view.machines { (row(machine)) }
            @if view.machines.is_empty() {
                tr role="row" {
                    td role="cell" colspan="10" { "No machine is known yet, not even this one." }
                }
            }
        }
    }
}

fn row(m: &MachineRow) -> Markup {
    let idle = (m.cpu_idle * 100.0).round();
    html! {
        tr role="row" id=(format!("machine-{}", m.id)) .this[m.this] .away[!m.usable] {
            th.host scope="row" role="rowheader" {
                span.entry { (m.entry) } " "
                span.name { (m.name) }
                @if m.this { " " span.badge { "this machine" } }
                small {
                    (m.address)
                    @if m.plain { " · announces only" }
                }
            }
            (cell("Condition", &html! { span.condition.(class(m.tone)) { (m.condition) } },
                &html! {
                    "boot " span title=(m.boot) { (short(&m.boot)) }
                    @if let Some(version) = &m.version { " · " (version) }
                }))
            (cell("Age", &html! { (figures::age(m.age_ms)) },
                &html! { "report " (figures::age(m.information_age_ms)) }))
            td.flight role="cell" data-label="In flight" {
                div {
                    span { b { (figures::count(m.in_flight())) } }
                    (spark::spark(&m.trend_in_flight, 4.0))
                }
                (spark::bar(
                    m.in_flight_mine.into(), m.in_flight_others.into(), m.in_flight_limit.map(u64::from)
                ))
                small {
                    (m.in_flight_mine) " + " (m.in_flight_others) " / "
                    @match m.in_flight_limit { Some(limit) => (limit), None => "no limit" }
                }
            }
            (cell("p50 / p99",
                &html! { (figures::millis(m.p50_ms)) " / " (figures::millis(m.p99_ms)) },
                &html! {
                    (figures::millis(m.ms_per_request)) @if m.requests > 0 { " mean" }
                    " [" (figures::count(m.requests)) "]"
                }))
            (cell("Servers ready / total",
                &html! { (whole(m.ready_servers)) " / " (whole(m.total_servers)) }, &html! {}))
            (cell("Load / HWM",
                &html! { (figures::decimal(m.load)) " / " (figures::decimal(m.load_high_water)) },
                &html! { "CPU idle " (idle) " %" }))
            (cell("CPUs", &html! { (figures::decimal(m.cpus)) },
                &html! { "arriba " (m.arriba.map_or(figures::UNKNOWN.into(), figures::count)) }))
            (cell("Memory", &html! { (figures::bytes(m.total_memory_bytes)) },
                &html! { (figures::bytes(m.available_memory_bytes)) " available" }))
            (cell("Pressure %", &pressure(m), &html! { span.narrow { "CPU / memory / IO" } }))
        }
    }
}

fn cell(label: &str, figure: &Markup, more: &Markup) -> Markup {
    html! {
        td role="cell" data-label=(label) {
            span { (figure) }
            @if !more.0.is_empty() { small { (more) } }
        }
    }
}

fn pressure(m: &MachineRow) -> Markup {
    let p = m.pressure;
    let all = [p.cpu_percent, p.memory_percent, p.io_percent];
    if all.iter().all(Option::is_none) {
        return html! { (figures::UNKNOWN) };
    }
    html! {
        @for (i, percent) in all.iter().enumerate() {
            @if i > 0 { " / " }
            span.hot[percent.is_some_and(|p| p >= 25.0)] {
                @match percent { Some(p) => (format!("{p:.0}")), None => (figures::UNKNOWN) }
            }
        }
    }
}

fn whole(n: Option<u32>) -> String {
    n.map_or(figures::UNKNOWN.into(), |n| figures::count(n.into()))
}

/// The first digits of an identity: enough to tell two lives apart.
fn short(id: &str) -> String {
    id.chars().take(8).collect()
}
