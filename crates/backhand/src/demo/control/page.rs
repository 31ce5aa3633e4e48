//! The control page: the machines with their buttons, and a strip for each address with what its probe saw.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use maud::{DOCTYPE, Markup, html};
use serde_json::json;

use super::super::board::{Board, Shown};
use super::super::cluster::Harm;
use super::super::probe::{Probes, Seen};

pub(super) const STYLE: &str = include_str!("control.css");
pub(super) const SCRIPT: &str = include_str!("control.js");

/// How much of the past a strip shows.
const PAST: Duration = Duration::from_secs(10);
/// Into how many parts that is cut.
const PARTS: usize = 200;
/// Colours of machines in the style sheet.
const COLOURS: usize = 6;

/// The whole page, complete without its script.
pub(super) fn whole(board: &Board, site: SocketAddr) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Backhand: the demonstration" }
                link rel="stylesheet" href="control.css";
                noscript { meta http-equiv="refresh" content="2"; }
                script src="control.js" defer {}
            }
            body {
                header {
                    h1 { "Take one away" }
                    p {
                        "Pull a cable, freeze or kill a machine, and see who answers at its addresses. "
                        a href=(format!("http://{site}/")) { "The site" } " · "
                        a href=(format!("http://{site}/backhand/")) { "The status page" }
                    }
                }
                main {
                    section aria-labelledby="machines-title" {
                        h2 id="machines-title" { "Machines" }
                        div #machines { (machines(board)) }
                    }
                    section aria-labelledby="addresses-title" {
                        h2 id="addresses-title" { "Addresses, the last 10 seconds" }
                        div #strips { (strips(board)) }
                    }
                    section aria-labelledby="events-title" {
                        h2 id="events-title" { "What happened" }
                        div #events { (events(board)) }
                    }
                }
            }
        }
    }
}

/// The parts that change, by the id of their element.
pub(super) fn parts(board: &Board) -> serde_json::Value {
    json!({
        "machines": machines(board).into_string(),
        "strips": strips(board).into_string(),
        "events": events(board).into_string(),
    })
}

fn machines(board: &Board) -> Markup {
    let machines = board.machines();
    let probes = board.probes();
    let owners = probes.as_ref().map(|probes| probes.owners()).unwrap_or_default();
    let has = |name: &str| -> Vec<String> {
        let all = owners.iter().enumerate().filter(|(_, owner)| owner.as_deref() == Some(name));
        let Some(probes) = &probes else { return Vec::new() };
        all.map(|(at, _)| probes.address(at).to_string()).collect()
    };
    html! {
        @if machines.is_empty() { p { "The machines are being started." } }
        @if !board.is_open() {
            p.note { "The demonstration does all of this by itself first; after that the buttons are yours." }
        }
        div.cards {
            @for (at, machine) in machines.iter().enumerate() {
                (card(board, at, machine, &has(&machine.name)))
            }
        }
    }
}

fn card(board: &Board, at: usize, machine: &Shown, has: &[String]) -> Markup {
    let cables = board.cables.load(std::sync::atomic::Ordering::Relaxed);
    let closed = !board.is_open();
    html! {
        div.card.harmed[machine.harm.is_some()] {
            h3 { span.dot.(colour(at)) {} " " (machine.name) }
            p.state {
                @match machine.harm {
                    None => "runs",
                    Some(Harm::Kill) => "killed",
                    Some(Harm::Freeze) => "stands still",
                    Some(Harm::Cut) => "has no cable",
                }
                @if !has.is_empty() { " · answers at " (has.join(", ")) }
            }
            form method="post" action="do" {
                input type="hidden" name="machine" value=(at);
                @if machine.harm.is_some() {
                    button name="what" value="back" disabled[closed] { "Bring it back" }
                } @else {
                    @if cables { button name="what" value="cut" disabled[closed] { "Pull its cable" } " " }
                    button name="what" value="freeze" disabled[closed] { "Freeze it" } " "
                    button name="what" value="kill" disabled[closed] { "Kill it" }
                }
            }
        }
    }
}

fn strips(board: &Board) -> Markup {
    let machines = board.machines();
    html! {
        @match board.probes() {
            None => p { "Addresses that move need network namespaces, which are not used here: clients go to each machine's own address." },
            Some(probes) => {
                @for at in 0..probes.len() { (strip(&probes, at, &machines)) }
                ul.legend {
                    @for (at, machine) in machines.iter().enumerate() {
                        li { span.dot.(colour(at)) {} " " (machine.name) }
                    }
                    li { span.dot.lost {} " no answer" }
                    li { span.dot {} " not asked" }
                }
            }
        }
    }
}

fn strip(probes: &Probes, at: usize, machines: &[Shown]) -> Markup {
    let now = Instant::now();
    let since = now.checked_sub(PAST).unwrap_or(now);
    let seen = probes.since(at, since);
    let failed = seen.iter().filter(|one| one.by.is_none()).count();
    let owner = seen.iter().rev().find_map(|one| one.by.as_deref());
    let trouble = seen.iter().rev().find_map(|one| one.trouble.as_deref());
    let runs = runs(&cells(&seen, since, machines));
    html! {
        div.strip {
            p {
                b { (probes.address(at)) } " "
                @match owner { Some(owner) => { "at " (owner) } None => { "at nobody" } }
                " · " (seen.len()) " connections, " (failed) " failed"
                @if let Some(trouble) = trouble { " (" (trouble) ")" }
            }
            svg viewBox=(format!("0 0 {PARTS} 10")) preserveAspectRatio="none" role="img"
                aria-label=(format!("{failed} of {} connections of the last 10 seconds failed", seen.len())) {
                @for (from, long, class) in runs {
                    rect.(class) x=(from) y="0" width=(long) height="10" {}
                }
            }
        }
    }
}

/// The class of each part of a strip: nothing was begun, something failed, or who answered.
fn cells(seen: &[Seen], since: Instant, machines: &[Shown]) -> Vec<Option<&'static str>> {
    let mut cells = vec![None; PARTS];
    for one in seen {
        let at = one.started.saturating_duration_since(since).as_micros() * PARTS as u128
            / PAST.as_micros();
        let Some(cell) = usize::try_from(at).ok().and_then(|at| cells.get_mut(at)) else {
            continue;
        };
        let class = match &one.by {
            None => "lost",
            Some(by) => {
                let machine = machines.iter().position(|machine| machine.name == *by);
                machine.map_or("unknown", colour)
            }
        };
        if *cell != Some("lost") {
            *cell = Some(class);
        }
    }
    cells
}

/// Parts that are alike and next to each other, as one.
fn runs(cells: &[Option<&'static str>]) -> Vec<(usize, usize, &'static str)> {
    let mut runs: Vec<(usize, usize, &'static str)> = Vec::new();
    for (at, class) in cells.iter().enumerate() {
        let Some(class) = class else { continue };
        match runs.last_mut() {
            Some((from, long, last)) if last == class && *from + *long == at => *long += 1,
            _ => runs.push((at, 1, class)),
        }
    }
    runs
}

fn colour(machine: usize) -> &'static str {
    const ALL: [&str; COLOURS] = ["c0", "c1", "c2", "c3", "c4", "c5"];
    ALL[machine % COLOURS]
}

fn events(board: &Board) -> Markup {
    html! {
        ol { @for event in board.events().iter().rev() { li { (event) } } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_shows_who_answered_and_where_nobody_did() {
        let zero = Instant::now();
        let at = |ms: u64, by: Option<&str>| {
            let started = zero + Duration::from_millis(ms);
            Seen { started, ended: started, by: by.map(Into::into), trouble: None }
        };
        let machines: Vec<Shown> =
            ["m1", "m2"].map(|name| Shown { name: name.into(), harm: None }).into();
        let seen = [
            at(0, Some("m1")),
            at(60, Some("m1")),
            at(110, None),
            at(120, Some("m2")),
            at(170, Some("m2")),
            at(99_000, None),
        ];
        let runs = runs(&cells(&seen, zero, &machines));
        assert_eq!(runs, [(0, 2, "c0"), (2, 1, "lost"), (3, 1, "c1")]);
    }
}
