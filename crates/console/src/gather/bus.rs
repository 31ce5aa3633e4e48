//! The bus daemon of this machine, asked how it is.
//!
//! It answers between two of its turns, so a bound on the waiting is all that is needed; whoever does not answer within
//! [`PATIENCE`] is shown as it was, and as silent.

use std::time::Duration;

use spread_daemon::{Observer, Status};

use crate::view::{
    BusCounters, BusDaemon, BusQueues, BusSession, BusView, Counted, StatusView, Tone,
};

/// How long an answer is waited for. The desk does nothing else meanwhile.
const PATIENCE: Duration = Duration::from_millis(200);

/// It ends before the rest of the program if an operator wants it, or the machine drains.
const ENDED: &str = "The bus daemon has ended, for an operator told it to with a monitor; the log says when. Everything else goes on; start the program \
     again to have the bus back. What is shown is what it said last.";
const LEFT: &str =
    "This machine drains and has left the bus. What is shown is what its daemon said last.";
const SILENT: &str = "The bus daemon does not answer: its thread gets no time, or stands still. What is shown is what it said last; the log says more.";

/// The bus daemon, if there is one.
#[derive(Debug, Default)]
pub(super) struct Bus {
    observer: Option<Observer>,
    last: BusView,
}

impl Bus {
    pub(super) fn new(observer: Option<Observer>) -> Self {
        Self { observer, last: BusView::default() }
    }

    /// How it is, on a machine that drains or does not; `None` if there is no bus on this machine.
    pub(super) fn view(&mut self, draining: bool) -> Option<BusView> {
        let status = self.observer.as_ref()?.status(PATIENCE);
        match status {
            Some(status) => self.last = view(&status),
            None => {
                self.last.answers = false;
                let ended = self.observer.as_ref().is_some_and(Observer::has_ended);
                let why = match (ended, draining) {
                    (true, true) => LEFT,
                    (true, false) => ENDED,
                    (false, _) => SILENT,
                };
                self.last.warnings = vec![why.into()];
            }
        }
        Some(self.last.clone())
    }
}

/// Sentences for the head of the page, where they are seen first.
pub(super) fn warnings(view: &StatusView) -> impl Iterator<Item = String> + '_ {
    view.bus.iter().flat_map(|bus| bus.warnings.iter().map(|warning| format!("Bus: {warning}")))
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn view(status: &Status) -> BusView {
    let ring = &status.ring;
    let installed = ring.view.as_ref();
    BusView {
        name: status.name.to_string(),
        answers: true,
        uptime_seconds: status.up.as_secs_f64(),
        stands: ring.stands,
        view: installed.map(|view| view.id.to_string()),
        leader: installed.map(|view| view.leader().name.to_string()),
        view_age_seconds: installed.map(|_| ring.age.as_secs_f64()),
        views: ring.views,
        wire_minor: ring.minor,
        timeout_ms: millis(ring.timeout),
        token_rotation_ms: ring.rotation.map(millis),
        holds_token: ring.holds_token,
        window_packets: ring.window,
        highest_packet: ring.high,
        received_up_to: ring.received,
        stable_up_to: ring.stable,
        held_packets: ring.held,
        daemons: daemons(status),
        queued: BusQueues {
            groups_messages: status.groups.waiting.0,
            groups_bytes: status.groups.waiting.1,
            ring_messages: ring.queued,
            ring_bytes: ring.queued_bytes,
        },
        groups: status.groups.groups,
        paused: status.groups.paused,
        sessions: status.open,
        shaking: status.shaking,
        slowest: status.slowest.iter().map(session).collect(),
        excluded_by: ring.excluded_by.map(|daemon| daemon.name.to_string()),
        hears_incompatible: ring.hears_incompatible,
        priority: status.priority.clone(),
        counters: counters(status),
        warnings: sentences(status),
        ..BusView::default()
    }
}

fn session(session: &spread_daemon::status::SessionStatus) -> BusSession {
    BusSession {
        name: session.name.clone(),
        client: session.peer.map(|ip| ip.to_string()),
        bytes: session.bytes,
        messages: session.messages,
        stuck_ms: u64::try_from(session.stuck.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Members in their order, this one among them, and then everybody else.
fn daemons(status: &Status) -> Vec<BusDaemon> {
    let ring = &status.ring;
    let members = ring.view.as_ref().map_or(&[][..], |view| &view.members);
    let mut daemons: Vec<BusDaemon> = ring.peers.iter().map(|peer| other(status, peer)).collect();
    let me = members.iter().position(|member| member.name == status.name);
    let alone = members.is_empty();
    let (condition, tone) = match (ring.stands, ring.excluded_by) {
        (_, Some(_)) => ("kept out by others", Tone::Bad),
        (true, None) => ("member", Tone::Good),
        (false, None) => ("forming a view", Tone::Warn),
    };
    let this = BusDaemon {
        name: status.name.to_string(),
        boot: me.map(|me| members[me].boot.to_string()).unwrap_or_default(),
        this: true,
        place: me,
        condition: if alone { "alone, no view yet" } else { condition }.into(),
        tone,
        heard: true,
        hears_this: true,
        hears_multicast: true,
        ..BusDaemon::default()
    };
    daemons.insert(me.unwrap_or(0).min(daemons.len()), this);
    daemons
}

fn other(status: &Status, peer: &ring::PeerStatus) -> BusDaemon {
    let kept_out = peer.kept_out.map(|until| until.since(status.now).as_secs_f64());
    let (condition, tone) = if kept_out.is_some() {
        ("kept out", Tone::Bad)
    } else {
        match (peer.member.is_some(), peer.heard, peer.hears_us) {
            (true, true, true) => ("member", Tone::Good),
            (true, true, false) => ("member, does not hear this one", Tone::Warn),
            (true, false, _) => ("member, not heard", Tone::Bad),
            (false, true, true) => ("heard, in no view with this one", Tone::Warn),
            (false, true, false) => ("heard, does not hear this one", Tone::Warn),
            (false, false, _) => ("not heard any more", Tone::Quiet),
        }
    };
    BusDaemon {
        name: peer.daemon.name.to_string(),
        boot: peer.daemon.boot.to_string(),
        this: false,
        place: peer.member,
        condition: condition.into(),
        tone,
        heard: peer.heard,
        // Whoever is not heard says nothing; what it said last is not so any more.
        hears_this: peer.heard && peer.hears_us,
        hears_multicast: peer.heard && peer.hears_multicast,
        silence_ms: Some(millis(status.now.since(peer.last))),
        round_trip_ms: peer.round_trip.map(millis),
        longest_silence_ms: Some(millis(peer.longest_silence)),
        breaks: peer.breaks,
        kept_out_seconds: kept_out,
    }
}

fn counters(status: &Status) -> BusCounters {
    let (ring, link) = (&status.ring.counters, &status.link);
    let (sessions, groups) = (&status.sessions, &status.groups.counters);
    BusCounters {
        packets: Counted(vec![
            ("sent", ring.sent),
            ("received", ring.received),
            ("repeated", ring.repeated),
            ("resent", ring.resent),
            ("requested", ring.requested),
        ]),
        token: Counted(vec![("visits", ring.visits), ("resent", ring.token_resent)]),
        datagrams: Counted(vec![
            ("sent", link.sent),
            ("received", link.received),
            ("sent_bytes", link.sent_bytes),
            ("received_bytes", link.received_bytes),
        ]),
        refused: Counted(vec![
            ("forged", link.forged),
            ("replayed", link.replayed),
            ("refused", link.refused),
            ("unsent", link.unsent),
            ("unreachable", link.unreachable),
            ("malformed", status.ring.malformed),
        ]),
        sessions: Counted(vec![
            ("connections", sessions.connections),
            ("begun", sessions.begun),
            ("refused", sessions.refused),
            ("tls_begun", sessions.tls_begun),
            ("tls_failed", sessions.tls_failed),
            ("violations", sessions.violations),
            ("slow", sessions.slow),
        ]),
        messages: sessions.messages,
        delivered: sessions.delivered,
        delivered_bytes: sessions.delivered_bytes,
        multicasts: Counted(sessions.multicasts.each().collect()),
        delivered_multicasts: Counted(sessions.delivered_multicasts.each().collect()),
        groups: Counted(vec![
            ("malformed", groups.malformed),
            ("unknown", groups.unknown),
            ("stale", groups.stale),
            ("malformed_states", groups.malformed_states),
            ("dropped", groups.dropped),
            ("rejected", groups.rejected),
            ("exchanges", groups.exchanges),
            ("cut_off", groups.cut_off),
        ]),
    }
}

/// What an operator should know, with the remedy.
fn sentences(status: &Status) -> Vec<String> {
    let ring = &status.ring;
    let mut out = Vec::new();
    match (&ring.view, ring.stands) {
        (None, _) => out.push("No view is installed yet; clients wait.".into()),
        (Some(_), false) => {
            out.push(
                "The view does not stand: a new one is being formed, and messages wait.".into(),
            );
        }
        (Some(_), true) => {}
    }
    if let Some(by) = ring.excluded_by {
        out.push(format!(
            "{by} keeps this daemon out of its view, because views with it did not last, an older daemon of this name lives, or its list does not have it; it \
             may own nothing meanwhile. Look for loss or one-way cuts on this machine's network, or give it a bus.name of its own."
        ));
    }
    if ring.hears_incompatible {
        out.push(
            "Daemons of another major version are heard and form a ring of their own; this one may own nothing until they are \
             gone. Run one major version on all machines."
                .into(),
        );
    }
    if ring.lists_differ {
        out.push(
            "Daemons have different lists of daemons: bring the same spread.conf to all and let them read it again; until then a new \
             view has only daemons that list each other."
                .into(),
        );
    }
    if ring.malformed > 0 {
        out.push(format!(
            "{} datagrams of daemons of this cluster could not be read: run the same release on all machines.",
            ring.malformed
        ));
    }
    let mut kept = ring.peers.iter().filter(|peer| peer.kept_out.is_some()).map(|peer| peer.daemon);
    if let Some(first) = kept.next() {
        let more = kept.count();
        let others = if more > 0 { format!(" and {more} more") } else { String::new() };
        out.push(format!(
            "{first}{others} is kept out of the view for a while: views with it did not last."
        ));
    }
    let mut deaf = ring.peers.iter().filter(|peer| peer.heard && !peer.hears_us);
    if let Some(first) = deaf.next() {
        let more = deaf.count();
        let others = if more > 0 { format!(" and {more} more") } else { String::new() };
        out.push(format!(
            "{}{others} is heard but does not hear this daemon: a firewall or a one-way fault; let UDP of the bus pass in both \
             directions.",
            first.daemon
        ));
    }
    if status.link.forged > 0 {
        out.push(format!(
            "{} datagrams came that no key here opens: a daemon of another cluster, or one with another key.",
            status.link.forged
        ));
    }
    if status.sessions.slow > 0 {
        out.push(format!(
            "{} clients were disconnected because they did not read; raise bus.backlog if they are to be waited for.",
            status.sessions.slow
        ));
    }
    out
}
