//! The addresses: a map of who has which, a list that says why, and what was decided of late.
//!
//! The map has a card for each machine and a small box for each set, so that three machines with two addresses and ten with a
//! hundred both fit. The list says everything of each set; where there are many it is folded up.

use std::borrow::Cow;

use maud::{Markup, html};

use super::bus::{cell, group, head};
use super::figures;
use crate::view::{AddressCounters, AddressMember, AddressSet, AddressesView, StatusView};

/// Boxes on the card of one machine; more are counted.
const BOXES: usize = 128;
/// Sets up to which the list is open.
const OPEN: usize = 16;
/// Sets in the list; the JSON has all.
const ROWS: usize = 512;
/// Decisions that are shown; the JSON has all that are kept.
const DECISIONS: usize = 12;
/// Seconds for which a set that came stands out.
const FRESH_SECONDS: f64 = 10.0;
/// Machines and addresses that one line names.
const NAMED: usize = 8;
/// Hooks that have a card.
const HOOKS: usize = 8;

/// The whole section; nothing if this machine has no addresses.
pub(super) fn section(view: &StatusView) -> Markup {
    html! {
        @if let Some(addresses) = &view.addresses {
            section aria-labelledby="addresses-title" {
                h2 id="addresses-title" { "Addresses" }
                (map(addresses))
                (list(addresses))
                (decisions(addresses))
            }
        }
    }
}

/// Who has which: the part that changes with every move.
pub(super) fn map(a: &AddressesView) -> Markup {
    html! {
        div #addresses {
            p.lead { (standing(a)) }
            div.map {
                @for (at, member) in a.members.iter().enumerate() { (card(a, at, member)) }
                @if a.nowhere().next().is_some() { (nowhere(a)) }
            }
            div.groups { (groups(a)) }
        }
    }
}

/// How this machine is, in a sentence.
fn standing(a: &AddressesView) -> Markup {
    let (word, tone) = match (a.answers, a.on_bus, a.stage.as_str()) {
        (false, ..) => ("silent", "tone-bad"),
        (_, false, _) => ("not on the bus", "tone-bad"),
        (.., "running") => ("takes part", "tone-good"),
        (.., "immature") => ("waits to become mature", "tone-warn"),
        (.., "gathering") => ("hears the members", "tone-warn"),
        (.., other) => (other, "tone-warn"),
    };
    let members = a.members.len();
    let all: usize = a.sets.iter().map(|set| set.addresses.len()).sum();
    html! {
        span.condition.(tone) { (word) }
        " · " (count(all, "address", "addresses"))
        @if all != a.sets.len() { " in " (count(a.sets.len(), "set", "sets")) }
        " at " (count(members, "machine", "machines"))
        @match a.majority {
            Some(true) => " · a majority is here",
            Some(false) => { " · " strong.tone-bad { "no majority is here" } }
            None => {}
        }
        @if !a.guarded { " · " strong.tone-warn { "no guardian watches" } }
        @if !a.healthy { " · " strong.tone-warn { "not healthy: " (a.health) } }
    }
}

fn count(n: usize, one: &str, more: &str) -> Markup {
    html! { (figures::count(n as u64)) " " @if n == 1 { (one) } @else { (more) } }
}

fn card(a: &AddressesView, at: usize, m: &AddressMember) -> Markup {
    let has = a.of(at).count();
    let coming = || a.sets.iter().filter(move |set| set.moving_to == Some(at));
    html! {
        div.holder.this[m.this] {
            h3 {
                span.name { (m.machine) }
                @if m.this { " " span.badge { "this machine" } }
                @for (word, tone) in marks(m) { " " span.mark-of.(tone) { (word) } }
            }
            p.note {
                @if has == 0 { "holds nothing" } @else { "holds " (figures::count(has as u64)) }
                @if m.weight != 100 { " · weight " (m.weight) }
                " · here for " (figures::uptime(m.here_for_seconds))
            }
            ul.boxes {
                @for set in a.of(at).take(BOXES) { (one(a, set)) }
                @for set in coming().take(BOXES) {
                    li.box.coming title=(title(a, set)) {
                        span.hidden { "coming: " }
                        (set.head) (others(set))
                    }
                }
                @if has > BOXES { li.more { "and " (has - BOXES) " more" } }
            }
        }
    }
}

/// What is out of the ordinary with a member.
fn marks(m: &AddressMember) -> impl Iterator<Item = (&'static str, &'static str)> {
    let all = [
        (m.silent, "silent", "tone-bad"),
        (!m.healthy && !m.silent, "unhealthy", "tone-bad"),
        (m.drained, "drained", "tone-warn"),
        (m.leaving, "leaving", "tone-warn"),
        (!m.mature && !m.silent, "not mature", "tone-quiet"),
    ];
    all.into_iter().filter(|(is, ..)| *is).map(|(_, word, tone)| (word, tone))
}

fn one(a: &AddressesView, set: &AddressSet) -> Markup {
    let fresh = set.since_seconds < FRESH_SECONDS && set.reason != "held";
    html! {
        li.box.fresh[fresh].going[set.moving_to.is_some()] title=(title(a, set)) {
            (set.head) (others(set))
            @if let Some(to) = set.moving_to { " → " (a.machine(to)) }
            @if set.pinned { " " span.tone-quiet { "pinned" } }
        }
    }
}

/// The sets that nobody has, on a card of their own.
fn nowhere(a: &AddressesView) -> Markup {
    let all = a.nowhere().count();
    html! {
        div.holder.nobody {
            h3 { span.name { "Nobody" } }
            p.note { (figures::count(all as u64)) " not held by any machine here" }
            ul.boxes {
                @for set in a.nowhere().take(BOXES) {
                    li.box.going title=(title(a, set)) {
                        (set.head) (others(set)) " " span.tone-quiet { (set.reason) }
                    }
                }
                @if all > BOXES { li.more { "and " (all - BOXES) " more" } }
            }
        }
    }
}

/// How many addresses go with the head.
fn others(set: &AddressSet) -> Markup {
    let more = set.addresses.len().saturating_sub(1);
    html! { @if more > 0 { span.tone-quiet { " +" (more) } } }
}

fn title(a: &AddressesView, set: &AddressSet) -> String {
    let owner = set.owner.map_or(Cow::Borrowed("nobody"), |at| a.machine(at).into());
    format!("{owner}: {} for {}", set.reason, figures::uptime(set.since_seconds))
}

/// Everything of each set.
pub(super) fn list(a: &AddressesView) -> Markup {
    html! {
        div #address-list {
            @if a.sets.len() > OPEN {
                details.fold {
                    summary { "Each of the " (figures::count(a.sets.len() as u64)) ": where, why, since when" }
                    (table(a))
                }
            } @else if !a.sets.is_empty() { (table(a)) }
        }
    }
}

fn table(a: &AddressesView) -> Markup {
    html! {
        div.scroll {
            table.cards role="table" aria-label="Each address or set of addresses" {
                thead role="rowgroup" {
                    tr role="row" {
                        (head("Address", "all of a set"))
                        (head("At", "on its way to"))
                        (head("Why", "for how long"))
                        (head("Besides", ""))
                    }
                }
                tbody role="rowgroup" { @for set in a.sets.iter().take(ROWS) { (row(a, set)) } }
            }
        }
        @if a.sets.len() > ROWS { p.empty { "The JSON has the other " (a.sets.len() - ROWS) "." } }
    }
}

fn row(a: &AddressesView, set: &AddressSet) -> Markup {
    html! {
        tr role="row" .this[set.here] {
            th.host scope="row" role="rowheader" {
                span.name { @match &set.name { Some(name) => (name), None => (set.head) } }
                @if set.here { " " span.badge { "here" } }
                small {
                    (set.addresses.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", "))
                    @if set.addresses.len() > NAMED { " and " (set.addresses.len() - NAMED) " more" }
                }
            }
            (cell("At",
                &html! {
                    @match set.owner {
                        Some(at) => (a.machine(at)),
                        None => span.tone-bad { "nobody" },
                    }
                },
                &html! { @if let Some(to) = set.moving_to { "on its way to " (a.machine(to)) } }))
            (cell("Why", &html! { (set.reason) },
                &html! { "for " (figures::uptime(set.since_seconds)) }))
            td.besides role="cell" data-label="Besides" { (besides(a, set)) }
        }
    }
}

/// What else there is to say of a set.
fn besides(a: &AddressesView, set: &AddressSet) -> Markup {
    let mut all: Vec<(String, &str)> = Vec::new();
    if let Some(why) = &set.unable {
        all.push((format!("not possible here: {why}"), "tone-warn"));
    }
    if let Some(left) = set.pending_seconds {
        let left = figures::millis(Some(left * 1e3));
        all.push((format!("a lost holder may answer for another {left}"), "tone-warn"));
    }
    if let Some(by) = &set.blocked_by {
        all.push((format!("shares an address with {by}, which has precedence"), "tone-warn"));
    }
    if set.pinned {
        all.push(("moved there by an operator; balance leaves it".into(), ""));
    }
    if set.quorum {
        all.push(("held only by a majority".into(), ""));
    }
    if !set.not_at.is_empty() {
        let some: Vec<String> = set
            .not_at
            .iter()
            .take(NAMED)
            .map(|(at, why)| format!("{} ({why})", a.machine(*at)))
            .collect();
        let more = set.not_at.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        all.push((format!("cannot be at {}{more}", some.join(", ")), ""));
    }
    html! {
        @if all.is_empty() { (figures::UNKNOWN) }
        @for (what, tone) in &all { span.(tone) { (what) } }
    }
}

fn groups(a: &AddressesView) -> Markup {
    let c = &a.counters;
    let sum = |counts: &crate::view::Counted| counts.0.iter().map(|(_, n)| n).sum::<u64>();
    let yes = |is: bool| String::from(if is { "yes" } else { "no" });
    html! {
        (group("This machine", &html! {}, &[
            ("on the bus as", if a.on_bus { a.bus.clone() } else { "not on the bus".into() }),
            ("takes part", yes(a.stage == "running")),
            ("healthy", yes(a.healthy)),
            ("guardian watches", yes(a.guarded)),
            ("passes packets on", yes(a.passes_on)),
            ("majority here", a.majority.map_or_else(|| "not asked for".into(), yes)),
            ("holds", figures::count(a.sets.iter().filter(|set| set.here).count() as u64)),
        ]))
        (group("Moves and announcements", &html! {}, &[
            ("came", figures::count(sum(&c.came))),
            ("went", figures::count(sum(&c.went))),
            ("announced to networks", figures::count(c.announced)),
            ("told to single hosts", figures::count(c.told)),
            ("could not be sent", figures::count(c.unsent)),
            ("packets passed on", figures::count(c.passed_on)),
            ("connections reset", figures::count(c.reset)),
        ]))
        (group("Others with our addresses", &html! {}, &[
            ("members, during a move", figures::count(c.conflicts.of("expected"))),
            ("machines of another part", figures::count(c.conflicts.of("apart"))),
            ("strangers", figures::count(c.conflicts.of("stranger"))),
            ("of these, defended", figures::count(c.defended)),
            ("taken when asked for", figures::count(c.conflicts.of("taken"))),
            ("put back", figures::count(c.put_back)),
        ]))
        (group("Leases and guardian", &html! {}, &[
            ("renewals not made", figures::count(c.renewals_missed)),
            ("renewals too late", figures::count(c.renewals_late)),
            ("let go after a gap", figures::count(c.gaps)),
            ("taken off by the guardian", figures::count(c.fenced)),
            ("guardians started", figures::count(c.guardians)),
            ("last words of others' guardians", figures::count(c.farewells)),
            ("refused at their port", figures::count(c.farewells_refused)),
        ]))
        (hooks(c))
        (checks(a))
    }
}

fn hooks(c: &AddressCounters) -> Markup {
    html! {
        @if !c.hooks.is_empty() {
            div.group {
                h3 { "Hooks" }
                dl {
                    @for hook in c.hooks.iter().take(HOOKS) {
                        div {
                            dt { (hook.name) }
                            dd {
                                (figures::count(hook.runs)) " runs"
                                @if hook.failures > 0 { ", " span.tone-bad { (figures::count(hook.failures)) " failed" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn checks(a: &AddressesView) -> Markup {
    html! {
        @if !a.checks.is_empty() {
            div.group {
                h3 { "Checks of this machine" }
                dl {
                    @for check in a.checks.iter().take(HOOKS) {
                        div {
                            dt { (check.name) }
                            dd {
                                (check.standing)
                                @if let Some(trouble) = &check.trouble { small { (trouble) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What was decided of late, the newest first.
pub(super) fn decisions(a: &AddressesView) -> Markup {
    html! {
        ol #address-decisions {
            @if a.decisions.is_empty() { li.empty { "Nothing has been decided yet." } }
            @for decision in a.decisions.iter().take(DECISIONS) {
                li id=(format!("address-decision-{}", decision.number)) .alarm[decision.alarm] {
                    span.when { (figures::age(Some(decision.age_ms))) " ago" } " "
                    @if decision.alarm { strong { "Look: " } }
                    (decision.what)
                }
            }
        }
    }
}
