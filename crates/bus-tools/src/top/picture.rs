//! The screen as lines: a function of two samples and of how they are looked at.

use std::cmp::Reverse;

use spread_daemon::monitor::detail::{Datagrams, Peer, Queue, Traffic};
use spread_daemon::monitor::{Detail, Report};

use super::figures::{bytes, count, time, whole};
use super::line::{Column, Line, Tone, table};
use super::sample::{Between, Sample};

/// Services in the order in which they promise more, and the notices of members.
const SERVICES: [&str; 7] =
    ["unreliable", "reliable", "fifo", "causal", "agreed", "safe", "notices"];

/// What a rate is that is not known yet.
const UNKNOWN: &str = "-";

/// In what order daemons are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// Members in their order, then the others.
    #[default]
    View,
    Name,
    /// The longest first.
    RoundTrip,
    /// The longest first.
    Silence,
    /// The most first.
    Resent,
}

impl Sort {
    pub(super) fn next(self) -> Self {
        match self {
            Self::View => Self::Name,
            Self::Name => Self::RoundTrip,
            Self::RoundTrip => Self::Silence,
            Self::Silence => Self::Resent,
            Self::Resent => Self::View,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Name => "name",
            Self::RoundTrip => "round trip",
            Self::Silence => "silence",
            Self::Resent => "resent",
        }
    }
}

/// Everything below the title, as many lines as it takes.
pub(super) fn body(between: Between<'_>, sort: Sort, width: usize) -> Vec<Line> {
    let mut lines = state(between);
    lines.push(Line::default());
    lines.extend(services(between, width));
    lines.push(Line::default());
    lines.extend(daemons(between, sort, width));
    lines.push(Line::default());
    lines.extend(sessions(&between.now.daemon, width));
    lines
}

/// What is known of a daemon in one line.
pub(super) fn title(sample: Option<&Sample>) -> String {
    let Some(Sample { daemon, .. }) = sample else { return "bus top".into() };
    let members = daemon.daemons.iter().filter(|peer| peer.place.is_some()).count();
    let clients = plural(daemon.sessions, "client");
    let groups = plural(daemon.groups, "group");
    let view = match members {
        0 => "no view yet".into(),
        1 => "alone".into(),
        _ => format!("one of {members}"),
    };
    format!("bus top: {}, {view}, up {}, {clients}, {groups}", daemon.name, time(daemon.up_micros))
}

fn plural(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn rate(of: Option<f64>) -> String {
    of.map_or(UNKNOWN.into(), |of| format!("{}/s", count(of)))
}

fn byte_rate(of: Option<f64>) -> String {
    of.map_or(UNKNOWN.into(), |of| format!("{}/s", bytes(of)))
}

fn queue(of: Queue) -> String {
    format!("{} ({})", whole(of.messages), bytes(of.bytes as f64))
}

/// How it is, in a few lines, those that tell of something wrong first.
fn state(between: Between<'_>) -> Vec<Line> {
    let daemon = &between.now.daemon;
    let clients = &daemon.clients;
    let mut lines = Vec::new();
    if let Some(other) = &daemon.excluded_by {
        lines.push(Line::of(Tone::Bad, format!("{other} keeps it out of its view")));
    }
    if daemon.hears_incompatible {
        lines.push(Line::of(Tone::Bad, "daemons are heard that speak another major version"));
    }
    if daemon.lists_differ {
        lines.push(Line::of(Tone::Bad, "daemons are heard that have another list of daemons"));
    }
    if between.now.report(&daemon.name).is_some_and(|report| report.partitioned) {
        lines.push(Line::of(Tone::Warn, "an artificial partition is in force"));
    }
    let stands =
        if daemon.stands { (Tone::Good, "stands") } else { (Tone::Warn, "is being formed") };
    lines.push(match daemon.view.as_str() {
        "" => Line::plain("View     ").and(Tone::Warn, "none yet"),
        view => Line::plain(format!("View     {view} ")).and(stands.0, stands.1).and(
            Tone::Plain,
            format!(
                " for {}, led by {}, {} so far",
                time(daemon.view_micros),
                daemon.leader,
                plural(daemon.views, "view")
            ),
        ),
    });
    let rotation = daemon.rotation_micros.map_or("not yet round".into(), time);
    let visits = rate(between.rate(|s| s.daemon.packets.visits));
    let resent = whole(daemon.packets.tokens_resent);
    lines.push(Line::plain(format!(
        "Token    {rotation}, {visits}, {resent} sent again; silent after {}",
        time(daemon.timeout_micros)
    )));
    let accelerated = match daemon.accelerated {
        0 => "regular".into(),
        ahead => format!("{ahead} behind the token"),
    };
    lines.push(Line::plain(format!(
        "Window   {} of {} packets, {accelerated}",
        daemon.window, daemon.window_most
    )));
    lines.push(Line::plain(format!(
        "Packets  at {}, here {}, with all {}, {} held",
        daemon.highest,
        daemon.received_up_to,
        daemon.stable_up_to,
        whole(daemon.held)
    )));
    let waits =
        format!("Queues   groups {}, ring {}", queue(daemon.in_groups), queue(daemon.in_ring));
    let held_up = if daemon.paused { "; clients wait" } else { "" };
    lines.push(Line::plain(waits).and(Tone::Warn, held_up));
    let Datagrams { forged, replayed, refused, unsent, .. } = daemon.datagrams;
    let wrong = [
        (forged, "forged"),
        (replayed, "replayed"),
        (refused, "refused"),
        (unsent, "unsent"),
        (daemon.malformed, "malformed"),
    ];
    let wrong: Vec<String> = wrong
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{} {what}", whole(number)))
        .collect();
    let wrong = if wrong.is_empty() { String::new() } else { format!("; {}", wrong.join(", ")) };
    lines.push(
        Line::plain(format!(
            "Network  in {} {}, out {} {}",
            rate(between.rate(|s| s.daemon.datagrams.received)),
            byte_rate(between.rate(|s| s.daemon.datagrams.received_bytes)),
            rate(between.rate(|s| s.daemon.datagrams.sent)),
            byte_rate(between.rate(|s| s.daemon.datagrams.sent_bytes)),
        ))
        .and(Tone::Warn, wrong),
    );
    let mut text = format!("Clients  {} of {} begun", daemon.sessions, whole(clients.begun));
    for (number, what) in [
        (daemon.shaking, "at the door"),
        (clients.refused, "refused"),
        (clients.violations, "broke the protocol"),
        (clients.slow, "did not read"),
    ] {
        if number > 0 {
            text += &format!(", {} {what}", whole(number));
        }
    }
    lines.push(Line::plain(text));
    if !daemon.priority.is_empty() {
        lines.push(Line::plain(format!("Thread   {}", daemon.priority)));
    }
    lines
}

/// What clients send and are given, by service; those without any message are left out.
fn services(between: Between<'_>, width: usize) -> Vec<Line> {
    let used = |name: &&str| {
        let Traffic { taken, given } = between.now.traffic(name);
        taken.messages + given.messages > 0
    };
    let names: Vec<&str> = SERVICES.into_iter().filter(used).collect();
    if names.is_empty() {
        return vec![Line::of(Tone::Quiet, "no client has sent or been told anything yet")];
    }
    let each = |of: fn(Traffic) -> u64| {
        let names = names.clone();
        names.into_iter().map(move |name| between.rate(|sample| of(sample.traffic(name))))
    };
    let words = names.iter().map(|name| (Tone::Plain, (*name).to_owned())).collect();
    table(
        vec![
            Column::words("SERVICE", 0, words),
            Column::numbers("TAKEN", 0, each(|of| of.taken.messages).map(rate)),
            Column::numbers("BYTES", 1, each(|of| of.taken.bytes).map(byte_rate)),
            Column::numbers("GIVEN", 0, each(|of| of.given.messages).map(rate)),
            Column::numbers("BYTES", 1, each(|of| of.given.bytes).map(byte_rate)),
            Column::numbers(
                "GIVEN SO FAR",
                2,
                names.iter().map(|name| whole(between.now.traffic(name).given.messages)),
            ),
        ],
        width,
    )
}

/// How a daemon stands to the one that is asked, in a few words.
fn condition(peer: &Peer, sample: &Sample) -> (Tone, String) {
    let daemon = &sample.daemon;
    if let Some(kept_out) = peer.kept_out_micros {
        return (Tone::Bad, format!("kept out for {}", time(kept_out)));
    }
    let place = peer.place.map(|place| if place == 0 { "leads" } else { "member" });
    let (tone, word) = match (peer.this, place, peer.heard, peer.hears_this) {
        (true, None, ..) => (Tone::Warn, "no view yet"),
        (true, Some(_), ..) if !daemon.stands => (Tone::Warn, "forms a view"),
        (_, Some(_), false, _) => (Tone::Bad, "member, not heard"),
        (_, Some(_), true, false) => (Tone::Warn, "member, is deaf to us"),
        (_, Some(word), true, true) => (Tone::Good, word),
        (false, None, true, true) => (Tone::Warn, "in no view with us"),
        (false, None, true, false) => (Tone::Warn, "heard, is deaf to us"),
        (false, None, false, _) => (Tone::Quiet, "not heard any more"),
    };
    let mut text = word.to_owned();
    if peer.breaks > 0 {
        text += &format!(", broke {}", plural(peer.breaks, "view"));
    }
    if !peer.this && peer.heard && !peer.hears_multicast {
        text += ", no multicast";
    }
    (tone, text)
}

fn daemons(between: Between<'_>, sort: Sort, width: usize) -> Vec<Line> {
    let sample = between.now;
    let resent = |peer: &Peer| between.rate_at(&peer.name, |r| r.packets_resent);
    let mut peers: Vec<&Peer> = sample.daemon.daemons.iter().collect();
    match sort {
        Sort::View => {}
        Sort::Name => peers.sort_by(|one, other| one.name.cmp(&other.name)),
        Sort::RoundTrip => peers.sort_by_key(|peer| Reverse(peer.round_trip_micros)),
        Sort::Silence => peers.sort_by_key(|peer| Reverse(peer.silence_micros)),
        Sort::Resent => {
            peers.sort_by_key(|peer| Reverse(resent(peer).map_or(0, |r| (r * 1e3) as u64)))
        }
    }
    let column = |title, rank, cell: &dyn Fn(&Peer) -> String| {
        Column::numbers(title, rank, peers.iter().map(|peer| cell(peer)))
    };
    // Of itself a daemon knows no round trip.
    let seen = |peer: &Peer, micros: Option<u64>| match micros {
        Some(micros) if !peer.this => time(micros),
        _ => String::new(),
    };
    let told = |peer: &Peer, of: &dyn Fn(&Report) -> String| {
        sample.report(&peer.name).map_or(UNKNOWN.into(), of)
    };
    let rate_of = |peer: &Peer, of: fn(&Report) -> u64| rate(between.rate_at(&peer.name, of));
    let names = peers.iter().map(|peer| {
        let silent = sample.silent.contains(&peer.name);
        let tone = if silent { Tone::Bad } else { Tone::Plain };
        (tone, if peer.this { format!("{} *", peer.name) } else { peer.name.clone() })
    });
    let states = peers.iter().map(|peer| match sample.silent.contains(&peer.name) {
        true => (Tone::Bad, "does not answer".into()),
        false => condition(peer, sample),
    });
    table(
        vec![
            Column::words("DAEMON", 0, names.collect()),
            Column::words("STATE", 0, states.collect()),
            column("ROUND TRIP", 1, &|peer| seen(peer, peer.round_trip_micros)),
            column("SILENT", 3, &|peer| seen(peer, Some(peer.silence_micros))),
            column("LONGEST", 4, &|peer| seen(peer, Some(peer.longest_silence_micros))),
            column("SENT", 5, &|peer| rate_of(peer, |r| r.packets_sent)),
            column("RESENT", 2, &|peer| rate_of(peer, |r| r.packets_resent)),
            column("MISSED", 6, &|peer| rate_of(peer, |r| r.packets_requested)),
            column("TOKEN", 8, &|peer| told(peer, &|r| time(r.rotation_micros))),
            column("CLIENTS", 7, &|peer| told(peer, &|r| whole(r.sessions))),
            column("GIVEN", 9, &|peer| rate_of(peer, |r| r.messages_delivered)),
            column("UP", 10, &|peer| told(peer, &|r| time(r.seconds.saturating_mul(1_000_000)))),
        ],
        width,
    )
}

/// The sessions for which most waits.
fn sessions(daemon: &Detail, width: usize) -> Vec<Line> {
    let all = &daemon.slowest;
    if all.is_empty() {
        return vec![Line::of(Tone::Quiet, "nothing waits for any client")];
    }
    let words = |of: fn(&spread_daemon::monitor::detail::Session) -> String| {
        all.iter().map(|session| (Tone::Plain, of(session))).collect()
    };
    table(
        vec![
            Column::words("CLIENT", 0, words(|session| session.name.clone())),
            Column::numbers(
                "WAITS",
                0,
                all.iter().map(|session| bytes(session.waits.bytes as f64)),
            ),
            Column::numbers("MESSAGES", 2, all.iter().map(|session| whole(session.waits.messages))),
            Column::numbers(
                "TAKES NOTHING FOR",
                1,
                all.iter().map(|session| match session.stuck_micros {
                    0 => String::new(),
                    stuck => time(stuck),
                }),
            ),
            Column::words(
                "FROM",
                3,
                words(|session| session.client.clone().unwrap_or_else(|| "this machine".into())),
            ),
        ],
        width,
    )
}
