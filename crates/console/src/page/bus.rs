//! The bus: who is in the view and how well they are heard, what moves, and which clients are behind.

use maud::{Markup, html};

use super::tiles::class;
use super::{figures, spark};
use crate::view::{BusDaemon, BusSession, BusView, StatusView};

/// Sessions that are shown, of those for which something waits.
const SESSIONS: usize = 10;

/// The whole section; nothing if this machine has no bus.
pub(super) fn section(view: &StatusView) -> Markup {
    html! {
        @if view.bus.is_some() {
            section aria-labelledby="bus-title" {
                h2 id="bus-title" { "Bus" }
                (part(view))
            }
        }
    }
}

/// What changes in it.
pub(super) fn part(view: &StatusView) -> Markup {
    html! {
        div #bus {
            @if let Some(bus) = &view.bus {
                p.lead { (standing(bus)) }
                div.groups { (groups(bus)) }
                (daemons(bus))
                (sessions(bus))
            }
        }
    }
}

/// The view in a sentence.
fn standing(bus: &BusView) -> Markup {
    let members = bus.members().count();
    html! {
        @match &bus.view {
            None => { "No view yet: this daemon looks for others." }
            Some(id) => {
                span.condition.tone-good[bus.stands].tone-warn[!bus.stands] {
                    @if bus.stands { "standing" } @else { "not standing" }
                }
                " · view " code { (id) } " of "
                @if members == 1 { "this daemon alone" } @else { (members) " daemons" }
                @if let Some(leader) = &bus.leader { ", led by " (leader) }
                ", for " (figures::uptime(bus.view_age_seconds.unwrap_or(0.0)))
            }
        }
    }
}

fn groups(bus: &BusView) -> Markup {
    let c = &bus.counters;
    let (messages, bytes) = (
        bus.queued.groups_messages + bus.queued.ring_messages,
        bus.queued.groups_bytes + bus.queued.ring_bytes,
    );
    html! {
        (group("Messages from clients", &rate(bus), &[
            ("given to clients", format!("{} /s", figures::rate(bus.delivered_per_second))),
            ("waiting for the ring", figures::count(messages as u64)),
            ("bytes of those", figures::bytes(bytes as u64)),
            ("agreed so far", figures::count(c.multicasts.of("agreed"))),
            ("safe so far", figures::count(c.multicasts.of("safe"))),
            ("other services", figures::count(weaker(bus))),
        ]))
        (group("Token", &html! {}, &[
            ("round the ring in", figures::millis(bus.token_rotation_ms)),
            ("window", format!("{} packets", bus.window_packets)),
            ("packets not yet everywhere",
                figures::count(bus.highest_packet.saturating_sub(bus.stable_up_to))),
            ("packets asked for", figures::count(c.packets.of("requested"))),
            ("packets sent again", figures::count(c.packets.of("resent"))),
            ("tokens sent again", figures::count(c.token.of("resent"))),
        ]))
        (group("View", &html! {}, &[
            ("views so far", figures::count(bus.views)),
            ("gone after a silence of", figures::millis(Some(bus.timeout_ms))),
            ("groups", figures::count(bus.groups as u64)),
            ("clients", if bus.paused { "made to wait".into() } else { "served".into() }),
            ("wire version", format!("1.{}", bus.wire_minor)),
            ("up", figures::uptime(bus.uptime_seconds)),
        ]))
        (group("Clients and datagrams", &html! {}, &[
            ("sessions now", figures::count(bus.sessions as u64)),
            ("sessions so far", figures::count(c.sessions.of("begun"))),
            ("did not read, ended", figures::count(c.sessions.of("slow"))),
            ("broke the protocol", figures::count(c.sessions.of("violations"))),
            ("datagrams sent", figures::count(c.datagrams.of("sent"))),
            ("datagrams refused", figures::count(refused(bus))),
        ]))
    }
}

/// What was taken from clients in a second, with its last minute.
fn rate(bus: &BusView) -> Markup {
    html! {
        div.flight {
            div {
                span { b { (figures::rate(bus.messages_per_second)) } " /s" }
                (spark::spark(&bus.trend_messages, 5.0))
            }
        }
    }
}

/// Multicasts that are neither agreed nor safe; the ring delivers them as agreed.
fn weaker(bus: &BusView) -> u64 {
    let strong = ["agreed", "safe"];
    bus.counters
        .multicasts
        .0
        .iter()
        .filter(|(name, _)| !strong.contains(name))
        .map(|(_, n)| n)
        .sum()
}

/// Datagrams that were not looked at; the metrics tell them apart.
fn refused(bus: &BusView) -> u64 {
    ["forged", "replayed", "refused"].iter().map(|why| bus.counters.refused.of(why)).sum()
}

/// A card of figures, with something before them.
pub(super) fn group(name: &str, first: &Markup, rows: &[(&str, String)]) -> Markup {
    html! {
        div.group {
            h3 { (name) }
            (first)
            dl { @for (label, value) in rows { div { dt { (label) } dd { (value) } } } }
        }
    }
}

fn daemons(bus: &BusView) -> Markup {
    html! {
        div.scroll {
            table.cards role="table" aria-labelledby="bus-title" {
                thead role="rowgroup" {
                    tr role="row" {
                        (head("Daemon", "place in the view"))
                        (head("Condition", "boot"))
                        (head("Round trip", "newest"))
                        (head("Last word", "longest silence"))
                        (head("Hears this one", "multicast"))
                    }
                }
                tbody role="rowgroup" { @for daemon in &bus.daemons { (row(daemon)) } }
            }
        }
    }
}

pub(super) fn head(name: &str, more: &str) -> Markup {
    html! {
        th scope="col" role="columnheader" { (name) small { (more) } }
    }
}

fn row(d: &BusDaemon) -> Markup {
    let yes = |is: bool| if is { "yes" } else { "no" };
    html! {
        tr role="row" .this[d.this] .away[d.place.is_none()] {
            th.host scope="row" role="rowheader" {
                span.entry { @match d.place { Some(place) => (place), None => (figures::UNKNOWN) } } " "
                span.name { (d.name) }
                @if d.this { " " span.badge { "this daemon" } }
            }
            (cell("Condition",
                &html! { span.condition.(class(d.tone)) { (d.condition) } },
                &html! {
                    @if !d.boot.is_empty() {
                        "boot " span title=(d.boot) { (d.boot.chars().take(8).collect::<String>()) }
                    }
                    @if d.breaks > 0 { " · broke " (d.breaks) @if d.breaks == 1 { " view" } @else { " views" } }
                    @if let Some(seconds) = d.kept_out_seconds { " · for " (figures::uptime(seconds)) }
                }))
            @if d.this {
                (cell("Round trip", &html! { (figures::UNKNOWN) }, &html! {}))
                (cell("Last word", &html! { (figures::UNKNOWN) }, &html! {}))
                (cell("Hears this one", &html! { (figures::UNKNOWN) }, &html! {}))
            } @else {
                (cell("Round trip", &html! { (figures::millis(d.round_trip_ms)) }, &html! {}))
                (cell("Last word", &html! { (figures::millis(d.silence_ms)) " ago" },
                    &html! { "longest " (figures::millis(d.longest_silence_ms)) }))
                (cell("Hears this one", &html! { (yes(d.hears_this)) },
                    &html! { "multicast " (yes(d.hears_multicast)) }))
            }
        }
    }
}

pub(super) fn cell(label: &str, figure: &Markup, more: &Markup) -> Markup {
    html! {
        td role="cell" data-label=(label) {
            span { (figure) }
            @if !more.0.is_empty() { small { (more) } }
        }
    }
}

fn sessions(bus: &BusView) -> Markup {
    let behind: Vec<&BusSession> =
        bus.slowest.iter().filter(|session| session.messages > 0).take(SESSIONS).collect();
    html! {
        @if !behind.is_empty() {
            div.scroll {
                table.cards role="table" aria-label="Clients that are behind" {
                    thead role="rowgroup" {
                        tr role="row" {
                            (head("Client that is behind", "the slowest first"))
                            (head("Waiting for it", "messages"))
                            (head("Taken nothing for", ""))
                        }
                    }
                    tbody role="rowgroup" {
                        @for session in behind {
                            tr role="row" {
                                th.host scope="row" role="rowheader" {
                                    span.name { (session.name) }
                                    small {
                                        @match &session.client {
                                            Some(client) => (client),
                                            None => "by the Unix socket",
                                        }
                                    }
                                }
                                (cell("Waiting for it",
                                    &html! { (figures::bytes(session.bytes as u64)) },
                                    &html! { (figures::count(session.messages as u64)) " messages" }))
                                (cell("Taken nothing for",
                                    &html! { (figures::age(Some(session.stuck_ms))) }, &html! {}))
                            }
                        }
                    }
                }
            }
        }
    }
}
