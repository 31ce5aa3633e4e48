//! The families of the bus daemon. Series are one per daemon that is known, at most 255; sessions have none of their own,
//! since clients choose their names.

use super::families::{counter, gauge};
use super::text::{Kind, Text};
use crate::view::{BusDaemon, BusView, Counted};

/// Writes everything, if there is a bus.
pub(super) fn write(bus: Option<&BusView>, text: &mut Text) {
    let Some(bus) = bus else { return };
    let answers = "1 if the bus daemon answered; if not, its other figures are what it said last.";
    gauge(text, "backhand_bus_answers", answers, bus.answers.into());
    view(bus, text);
    daemons(bus, text);
    ring(bus, text);
    queues(bus, text);
    clients(bus, text);
    datagrams(bus, text);
}

fn number(text: &mut Text, name: &str, unit: &str, help: &str, value: f64) {
    text.family(name, Kind::Gauge, unit, help).number(&[], value);
}

fn view(bus: &BusView, text: &mut Text) {
    let help = "The view: the same identity on all machines that are in it.";
    let mut family = text.family("backhand_bus_view", Kind::Info, "", help);
    if let Some(id) = &bus.view {
        let leader = bus.leader.as_deref().unwrap_or_default();
        family.info(&[("daemon", &bus.name), ("view", id), ("leader", leader)]);
    }
    let members = bus.members().count() as u64;
    gauge(text, "backhand_bus_view_members", "Daemons in the view.", members);
    gauge(
        text,
        "backhand_bus_stands",
        "1 while messages are ordered in the view.",
        bus.stands.into(),
    );
    counter(text, "backhand_bus_views", "Views installed.", bus.views);
    if let Some(seconds) = bus.view_age_seconds {
        let help = "Time since the view was installed.";
        number(text, "backhand_bus_view_age_seconds", "seconds", help, seconds);
    }
    let help = "Silence after which a member counts as gone.";
    number(text, "backhand_bus_timeout_seconds", "seconds", help, bus.timeout_ms / 1e3);
    let help = "1 while others keep this daemon out of their view.";
    gauge(text, "backhand_bus_excluded", help, bus.excluded_by.is_some().into());
    let help = "1 while daemons of another major version are heard.";
    gauge(text, "backhand_bus_incompatible", help, bus.hears_incompatible.into());
    gauge(text, "backhand_bus_groups", "Groups with a member anywhere.", bus.groups as u64);
    gauge(text, "backhand_bus_paused", "1 while clients are made to wait.", bus.paused.into());
    counts(
        text,
        "backhand_bus_group_events",
        "kind",
        "What groups exchanged, found wrong or gave up, by kind.",
        &bus.counters.groups,
    );
}

fn daemons(bus: &BusView, text: &mut Text) {
    let others = || bus.daemons.iter().filter(|daemon| !daemon.this);
    let mut flag = |name: &str, help: &str, is: fn(&BusDaemon) -> bool| {
        let mut family = text.family(name, Kind::Gauge, "", help);
        for daemon in others() {
            family.count(&labels(daemon), is(daemon).into());
        }
    };
    flag("backhand_bus_member", "1 if the daemon is in the view.", |d| d.place.is_some());
    flag("backhand_bus_member_heard", "1 if the daemon is heard.", |d| d.heard);
    flag("backhand_bus_member_hears", "1 if it says that it hears this one.", |d| d.hears_this);
    flag("backhand_bus_member_multicast", "1 if it hears multicast of this one.", |d| {
        d.hears_multicast
    });
    flag("backhand_bus_member_kept_out", "1 while it is kept out of views here.", |d| {
        d.kept_out_seconds.is_some()
    });
    let mut times = |name: &str, help: &str, of: fn(&BusDaemon) -> Option<f64>| {
        let mut family = text.family(name, Kind::Gauge, "seconds", help);
        for daemon in others() {
            if let Some(ms) = of(daemon) {
                family.number(&labels(daemon), ms / 1e3);
            }
        }
    };
    let trip = "Newest round trip to the daemon.";
    times("backhand_bus_member_round_trip_seconds", trip, |d| d.round_trip_ms);
    let silence = "Longest silence of the daemon within about half a minute.";
    times("backhand_bus_member_silence_seconds", silence, |d| d.longest_silence_ms);
}

/// Two lives of a name can be known at once.
fn labels(daemon: &BusDaemon) -> [(&str, &str); 2] {
    [("member", &daemon.name), ("boot", &daemon.boot)]
}

fn ring(bus: &BusView, text: &mut Text) {
    let c = &bus.counters;
    let help = "Packets of the ring: sent here, received, received again, asked for because they were missing here, and \
        sent again because they were missing elsewhere.";
    counts(text, "backhand_bus_packets", "kind", help, &c.packets);
    let visits = "Visits of the token.";
    counter(text, "backhand_bus_token_visits", visits, c.token.of("visits"));
    let resent = "Tokens passed on a second time because no sign of their arrival came.";
    counter(text, "backhand_bus_tokens_resent", resent, c.token.of("resent"));
    if let Some(ms) = bus.token_rotation_ms {
        let help = "How long the token was away when it went round last.";
        number(text, "backhand_bus_token_rotation_seconds", "seconds", help, ms / 1e3);
    }
    let help = "Packets that all members together may send in one rotation of the token.";
    gauge(text, "backhand_bus_window", help, bus.window_packets.into());
    let help = "Packets held for delivery or for others.";
    gauge(text, "backhand_bus_held_packets", help, bus.held_packets as u64);
    let help = "Packets that are not known to be with all members yet.";
    let unstable = bus.highest_packet.saturating_sub(bus.stable_up_to);
    gauge(text, "backhand_bus_unstable_packets", help, unstable);
}

fn queues(bus: &BusView, text: &mut Text) {
    let q = &bus.queued;
    let help = "Messages that wait to be ordered, by where they wait.";
    text.family("backhand_bus_queued_messages", Kind::Gauge, "", help)
        .count(&[("in", "groups")], q.groups_messages as u64)
        .count(&[("in", "ring")], q.ring_messages as u64);
    text.family("backhand_bus_queued_bytes", Kind::Gauge, "bytes", "Bytes of those.")
        .count(&[("in", "groups")], q.groups_bytes as u64)
        .count(&[("in", "ring")], q.ring_bytes as u64);
}

fn clients(bus: &BusView, text: &mut Text) {
    let c = &bus.counters;
    text.family("backhand_bus_sessions", Kind::Gauge, "", "Connections of clients now, by state.")
        .count(&[("state", "open")], bus.sessions as u64)
        .count(&[("state", "shaking")], bus.shaking as u64);
    let help = "Connections of clients, those that became sessions, and why others ended, by kind.";
    counts(text, "backhand_bus_session_events", "kind", help, &c.sessions);
    let help = "Messages taken from clients, of all kinds.";
    counter(text, "backhand_bus_messages", help, c.messages);
    let help = "Multicasts taken from clients, by service.";
    counts(text, "backhand_bus_multicasts", "service", help, &c.multicasts);
    let help = "Messages given to clients, of all kinds.";
    counter(text, "backhand_bus_delivered", help, c.delivered);
    let help = "Multicasts given to clients, by service.";
    counts(text, "backhand_bus_delivered_multicasts", "service", help, &c.delivered_multicasts);
    text.family("backhand_bus_delivered_bytes", Kind::Counter, "bytes", "Bytes given to clients.")
        .count(&[], c.delivered_bytes);
    let slowest = bus.slowest.first();
    let help = "Bytes that wait for the slowest client.";
    text.family("backhand_bus_backlog_bytes", Kind::Gauge, "bytes", help)
        .count(&[], slowest.map_or(0, |session| session.bytes as u64));
    let stuck = bus.slowest.iter().map(|session| session.stuck_ms).max().unwrap_or(0);
    let help = "Longest time for which a client has taken nothing although something waits.";
    number(text, "backhand_bus_stuck_seconds", "seconds", help, stuck as f64 / 1e3);
}

fn datagrams(bus: &BusView, text: &mut Text) {
    let c = &bus.counters;
    let d = &c.datagrams;
    text.family("backhand_bus_datagrams", Kind::Counter, "", "Datagrams between daemons.")
        .count(&[("direction", "sent")], d.of("sent"))
        .count(&[("direction", "received")], d.of("received"));
    text.family("backhand_bus_datagram_bytes", Kind::Counter, "bytes", "Bytes of those.")
        .count(&[("direction", "sent")], d.of("sent_bytes"))
        .count(&[("direction", "received")], d.of("received_bytes"));
    let help = "Datagrams that changed nothing: no key opens them, they came before, their sender is not accepted or they are \
        noise; those the system did not send; and words of the network that nobody is there.";
    counts(text, "backhand_bus_datagrams_dropped", "reason", help, &c.refused);
}

/// A counter with one label.
fn counts(text: &mut Text, name: &str, label: &str, help: &str, counts: &Counted) {
    let mut family = text.family(name, Kind::Counter, "", help);
    for (what, n) in &counts.0 {
        family.count(&[(label, what)], *n);
    }
}
