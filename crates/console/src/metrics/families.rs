//! What is exposed: every family with its type, unit and help.

use super::text::{Kind, Text};
use crate::view::{MachineRow, StatusView};

/// Writes everything.
pub(super) fn write(view: &StatusView, text: &mut Text) {
    about(view, text);
    requests(view, text);
    decisions(view, text);
    failures(view, text);
    connections(view, text);
    announcements(view, text);
    peers(view, text);
    this_machine(view, text);
}

fn about(view: &StatusView, text: &mut Text) {
    text.family("backhand", Kind::Info, "", "The program and the machine that answers.").info(&[
        ("version", &view.version),
        ("machine", &view.this),
        ("id", &view.id),
        ("boot", &view.boot),
    ]);
    text.family(
        "backhand_uptime_seconds",
        Kind::Gauge,
        "seconds",
        "Time since the program started.",
    )
    .number(&[], view.uptime_seconds);
    text.family(
        "backhand_draining",
        Kind::Gauge,
        "",
        "1 while the machine is taken out of service.",
    )
    .count(&[], view.draining.into());
    text.family("backhand_workers", Kind::Gauge, "", "Worker threads.")
        .count(&[], view.totals.workers);
}

fn requests(view: &StatusView, text: &mut Text) {
    let c = &view.totals.counters;
    text.family(
        "backhand_requests",
        Kind::Counter,
        "",
        "Requests begun, by who sent them; those for the internal pages are counted apart.",
    )
    .count(&[("from", "client")], c.requests)
    .count(&[("from", "peer")], c.peer_requests);
    text.family(
        "backhand_responses",
        Kind::Counter,
        "",
        "Responses to clients by class of status.",
    )
    .count(&[("class", "2xx")], c.status_2xx)
    .count(&[("class", "3xx")], c.status_3xx)
    .count(&[("class", "4xx")], c.status_4xx)
    .count(&[("class", "5xx")], c.status_5xx);
    counter(
        text,
        "backhand_requests_rejected",
        "Heads refused as malformed or too large.",
        c.rejected,
    );
    counter(
        text,
        "backhand_requests_forbidden",
        "Requests refused because of their client's address.",
        c.forbidden,
    );
    counter(text, "backhand_requests_queued", "Requests that waited for a place.", c.queued);
    text.family(
        "backhand_requests_refused",
        Kind::Counter,
        "",
        "Requests refused for want of a place.",
    )
    .count(&[("limit", "local")], c.over_limit)
    .count(&[("limit", "relay")], c.relay_limit);
    counter(text, "backhand_pages", "Requests to the internal pages.", c.pages);
    text.family("backhand_body_bytes", Kind::Counter, "bytes", "Bytes of bodies, by direction.")
        .count(&[("direction", "to_client")], c.bytes_out)
        .count(&[("direction", "from_client")], c.bytes_in);
    let mut family = text.family(
        "backhand_route_turnaround_seconds",
        Kind::Histogram,
        "seconds",
        "Head of the request to last byte of the response, by route.",
    );
    for route in &view.routes {
        family.histogram(&[("route", &route.name)], &route.turnaround);
    }
    let mut family = text.family(
        "backhand_route_asking_workers",
        Kind::Gauge,
        "",
        "Workers that ask machines before they decide on a request of the route.",
    );
    for route in &view.routes {
        family.number(&[("route", &route.name)], route.workers_asking as f64);
    }
}

fn decisions(view: &StatusView, text: &mut Text) {
    let c = &view.totals.counters;
    text.family(
        "backhand_decisions",
        Kind::Counter,
        "",
        "Decisions by what became of the request.",
    )
    .count(&[("outcome", "here")], c.decided_here)
    .count(&[("outcome", "proxy")], c.decided_proxy)
    .count(&[("outcome", "redirect")], c.decided_redirect)
    .count(&[("outcome", "refuse")], c.decided_refused);
    let mut family =
        text.family("backhand_decision_reasons", Kind::Counter, "", "Decisions by reason.");
    for (reason, n) in &view.totals.reasons {
        family.count(&[("reason", reason)], *n);
    }
    text.family(
        "backhand_information_age_seconds",
        Kind::Histogram,
        "seconds",
        "Age of the report that the chosen machine was judged by.",
    )
    .histogram(&[], &view.information_age);
    counter(text, "backhand_reports", "Reports that came back inside responses.", c.reports);
    counter(text, "backhand_probes", "Freshness probes sent after a decision.", c.probes);
    counter(text, "backhand_asked", "Requests for which machines were asked first.", c.asked);
    counter(
        text,
        "backhand_asked_silent",
        "Questions that nobody answered in time.",
        c.asked_silent,
    );
    counter(text, "backhand_answers", "Answers that arrived in time to matter.", c.answers);
}

fn failures(view: &StatusView, text: &mut Text) {
    let c = &view.totals.counters;
    counter(text, "backhand_retries", "Attempts at another machine after one failed.", c.retries);
    counter(
        text,
        "backhand_retries_denied",
        "Attempts the retry budget did not allow.",
        c.retries_denied,
    );
    counter(text, "backhand_peer_refusals", "Requests a peer itself refused.", c.peer_refused);
    counter(
        text,
        "backhand_moved_by_death",
        "Requests moved because their machine died.",
        c.moved_by_death,
    );
    counter(text, "backhand_failures", "Requests that failed for good at this entry.", c.failed);
    counter(text, "backhand_ejections", "Machines put aside on suspicion.", c.ejections);
    counter(text, "backhand_timeouts", "Connections closed for slowness.", c.timed_out);
    counter(
        text,
        "backhand_clients_gone",
        "Clients that left before their response.",
        c.client_gone,
    );
    counter(text, "backhand_access_log_lost", "Access-log records that were lost.", c.log_lost);
}

fn connections(view: &StatusView, text: &mut Text) {
    let c = &view.totals.counters;
    text.family(
        "backhand_connections",
        Kind::Gauge,
        "",
        "Connections open now, by who opened them.",
    )
    .count(&[("from", "client")], c.open)
    .count(&[("from", "peer")], c.peers_in);
    counter(text, "backhand_connections_accepted", "Client connections accepted.", c.accepted);
    counter(
        text,
        "backhand_accepts_exhausted",
        "Connections turned away for want of file descriptors.",
        c.accept_exhausted,
    );
    counter(
        text,
        "backhand_connections_closed_for_room",
        "Resting client connections closed to make room for new ones.",
        c.made_room,
    );
    counter(
        text,
        "backhand_handshakes_refused",
        "Peers that failed the handshake.",
        c.handshakes_refused,
    );
    counter(text, "backhand_connects", "Connections opened to peers and the service.", c.connects);
    counter(text, "backhand_pool_hits", "Connections taken from a pool.", c.pool_hits);
    counter(text, "backhand_pool_lost", "Pooled connections that ended while idle.", c.pool_lost);
    gauge(text, "backhand_pool_idle", "Pooled connections idle now.", c.pool_idle);
    gauge(text, "backhand_relaying", "Requests being relayed to peers now.", c.relaying);
    gauge(text, "backhand_tunnels", "Upgrades and event streams open now.", c.tunnels);
}

fn announcements(view: &StatusView, text: &mut Text) {
    let c = &view.totals.cluster;
    let sent = "Packets of announcements sent, one for each target.";
    counter(text, "backhand_announcements_sent", sent, c.announcement_packets_sent);
    let unsent = "Packets of announcements that the system refused to send.";
    counter(text, "backhand_announcements_unsent", unsent, c.announcement_packets_unsent);
    let early = "Announcements made before their time.";
    counter(text, "backhand_announcements_early", early, c.announcements_early);
    let accepted = "Announcements of others taken into the matrix.";
    counter(text, "backhand_announcements_accepted", accepted, c.heard);
    let mut family = text.family(
        "backhand_announcements_refused",
        Kind::Counter,
        "",
        "Announcements and other datagrams that changed nothing, by reason.",
    );
    for (reason, n) in c.each_refused() {
        family.count(&[("reason", reason)], n);
    }
    counter(text, "backhand_liveness_probes", "Probes sent by control.", c.probes_sent);
    counter(text, "backhand_liveness_answers", "Answers to them.", c.probes_answered);
    counter(text, "backhand_probes_answered", "Probes and questions answered here.", c.answered);
    let granted = "Reservations granted in answers.";
    counter(text, "backhand_reservations_granted", granted, c.reservations_granted);
    let used = "Reservations that their request came to claim.";
    counter(text, "backhand_reservations_used", used, c.reservations_used);
    counter(text, "backhand_machines_admitted", "Machines admitted.", c.admitted);
    counter(text, "backhand_machines_died", "Machines found dead.", c.deaths);
    counter(
        text,
        "backhand_machines_returned",
        "Machines that came back within their boot.",
        c.returns,
    );
}

/// The words of a machine's condition, as a state set.
const CONDITIONS: [&str; 4] = ["good", "warn", "bad", "quiet"];

fn peers(view: &StatusView, text: &mut Text) {
    let mut family = text.family(
        "backhand_machine_usable",
        Kind::Gauge,
        "",
        "1 if a decision may choose the machine now.",
    );
    for m in &view.machines {
        family.count(&labels(m), m.usable.into());
    }
    let mut family = text.family(
        "backhand_machine_condition",
        Kind::StateSet,
        "",
        "How the machine is seen from here.",
    );
    for m in &view.machines {
        for word in CONDITIONS {
            let [machine, id] = labels(m);
            let labels = [machine, id, ("backhand_machine_condition", word)];
            family.count(&labels, (word == m.tone.word()).into());
        }
    }
    let mut family = text.family(
        "backhand_in_flight",
        Kind::Gauge,
        "",
        "Requests in the machine's service, sent from here (mine) or by others.",
    );
    for m in &view.machines {
        let [machine, id] = labels(m);
        family.count(&[machine, id, ("sent", "mine")], m.in_flight_mine.into());
        family.count(&[machine, id, ("sent", "others")], m.in_flight_others.into());
    }
    let mut family = text.family(
        "backhand_in_flight_limit",
        Kind::Gauge,
        "",
        "Most requests the machine takes at once.",
    );
    for m in &view.machines {
        if let Some(limit) = m.in_flight_limit {
            family.count(&labels(m), limit.into());
        }
    }
    let mut family = text.family(
        "backhand_report_age_seconds",
        Kind::Gauge,
        "seconds",
        "Age of the newest report of the machine.",
    );
    for m in &view.machines {
        if let Some(ms) = m.information_age_ms {
            family.number(&labels(m), ms as f64 / 1e3);
        }
    }
    let mut family = text.family(
        "backhand_peer_turnaround_seconds",
        Kind::Histogram,
        "seconds",
        "Decision to last byte of requests decided here, by the machine that served them.",
    );
    for m in view.machines.iter().filter(|m| m.turnaround.count() > 0) {
        family.histogram(&labels(m), &m.turnaround);
    }
}

/// Names are for people and may be given twice; with the identity each series is one machine's.
fn labels(m: &MachineRow) -> [(&str, &str); 2] {
    [("machine", &m.name), ("id", &m.id)]
}

fn this_machine(view: &StatusView, text: &mut Text) {
    let Some(m) = view.machines.iter().find(|m| m.this) else { return };
    let mut number = |name: &str, unit: &str, help: &str, value: f64| {
        text.family(name, Kind::Gauge, unit, help).number(&[], value);
    };
    number("backhand_cpus", "", "CPUs, with fractions under a quota.", m.cpus);
    number("backhand_load", "", "Load average of one minute.", m.load);
    number("backhand_cpu_idle_ratio", "ratio", "Share of the CPUs that was idle.", m.cpu_idle);
    number("backhand_memory_bytes", "bytes", "Memory.", m.total_memory_bytes as f64);
    number(
        "backhand_memory_available_bytes",
        "bytes",
        "Memory that a new program could have.",
        m.available_memory_bytes as f64,
    );
    let mut family = text.family(
        "backhand_pressure_ratio",
        Kind::Gauge,
        "ratio",
        "Share of the last ten seconds in which a task waited, by for what; absent where the kernel does not say. In a control \
         group of version 1, cpu is the share of the quota's periods in which the quota ran out.",
    );
    let p = m.pressure;
    for (what, percent) in
        [("cpu", p.cpu_percent), ("memory", p.memory_percent), ("io", p.io_percent)]
    {
        if let Some(percent) = percent {
            family.number(&[("resource", what)], percent / 100.0);
        }
    }
    if let Some(arriba) = m.arriba {
        gauge(text, "backhand_arriba", "Measured speed; larger is faster.", arriba);
    }
}

pub(super) fn counter(text: &mut Text, name: &str, help: &str, value: u64) {
    text.family(name, Kind::Counter, "", help).count(&[], value);
}

pub(super) fn gauge(text: &mut Text, name: &str, help: &str, value: u64) {
    text.family(name, Kind::Gauge, "", help).count(&[], value);
}
