//! What one daemon tells of itself to an operator of its own machine: too much for a letter, enough for a full screen.
//!
//! Times are whole microseconds, so that the answer reads the same in every language. Counters count from the daemon's start;
//! [`Detail::up_micros`] tells how far two answers are apart, and that a daemon was started again between them.

use std::collections::BTreeMap;
use std::time::Duration;

use ring::PeerStatus;
use serde::{Deserialize, Serialize};

use crate::status::{ByService, SessionStatus, Status};

/// Sessions told of one by one, those for which most waits first.
pub const SESSIONS_MAX: usize = 50;

/// A daemon at a moment, as it sees itself and the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Detail {
    /// What it is called.
    pub name: String,
    /// Microseconds since its start.
    pub up_micros: u64,
    /// The identity of its view; empty before the first view.
    pub view: String,
    /// The first member of its view; empty before the first view.
    pub leader: String,
    /// Whether the view stands.
    pub stands: bool,
    /// Microseconds since the view was installed.
    pub view_micros: u64,
    /// Views since its start.
    pub views: u64,
    /// Microseconds of silence after which a member counts as gone.
    pub timeout_micros: u64,
    /// Microseconds that the token was away when it went round last; absent if it never did.
    pub rotation_micros: Option<u64>,
    /// Packets of all members in one rotation of the token, now.
    pub window: u64,
    /// The most that may become.
    pub window_most: u64,
    /// Packets of a visit that are sent after the token was passed on; 0 is the regular ring.
    pub accelerated: u64,
    /// The highest packet of the view.
    pub highest: u64,
    /// Everything up to this packet it has received.
    pub received_up_to: u64,
    /// Everything up to this packet all members have received.
    pub stable_up_to: u64,
    /// Packets held for delivery or for others.
    pub held: u64,
    /// What waits in the groups until the ring takes it.
    pub in_groups: Queue,
    /// What waits in the ring for the token.
    pub in_ring: Queue,
    /// Whether clients are made to wait.
    pub paused: bool,
    /// Groups with a member anywhere in the view.
    pub groups: u64,
    /// Sessions of clients.
    pub sessions: u64,
    /// Connections that have not said who they are yet.
    pub shaking: u64,
    /// How its thread stands among other work, in words.
    pub priority: String,
    /// A daemon that keeps this one out of its view.
    pub excluded_by: Option<String>,
    /// Whether daemons are heard that speak another major version.
    pub hears_incompatible: bool,
    /// Whether a daemon that is heard has another list of daemons.
    #[serde(default)]
    pub lists_differ: bool,
    /// Datagrams of daemons of this cluster that could not be read.
    #[serde(default)]
    pub malformed: u64,
    /// Everybody known, members first and in their order; the daemon itself as well.
    pub daemons: Vec<Peer>,
    /// The sessions for which most waits, at most [`SESSIONS_MAX`].
    pub slowest: Vec<Session>,
    /// Packets and tokens.
    pub packets: Packets,
    /// Datagrams.
    pub datagrams: Datagrams,
    /// What clients did.
    pub clients: Clients,
    /// Messages of clients by service; notices of members, which clients do not send, are told under `notices`.
    pub services: BTreeMap<String, Traffic>,
}

/// What waits to be ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// Messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One daemon, as the one that answers sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Peer {
    /// What it is called.
    pub name: String,
    /// Whether it is the one that answers; of that one there is only its name and its place.
    pub this: bool,
    /// Its place in the view, from 0; absent if it is no member.
    pub place: Option<u64>,
    /// Whether it is heard.
    pub heard: bool,
    /// Whether it says that it hears the one that answers.
    pub hears_this: bool,
    /// Whether it hears what is sent to all at once.
    pub hears_multicast: bool,
    /// Microseconds of the newest round trip.
    pub round_trip_micros: Option<u64>,
    /// Microseconds since its last word to this daemon alone.
    pub silence_micros: u64,
    /// Microseconds of the longest silence within about half a minute.
    pub longest_silence_micros: u64,
    /// Views in a row that did not last because of it.
    pub breaks: u64,
    /// Microseconds for which it is still kept out of views.
    pub kept_out_micros: Option<u64>,
}

/// A session for which something waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    /// Its private group.
    pub name: String,
    /// The address of its client; absent if it came by the Unix socket.
    pub client: Option<String>,
    /// What waits for it.
    pub waits: Queue,
    /// Microseconds for which it has taken nothing.
    pub stuck_micros: u64,
}

/// Packets and tokens of the ring, ever growing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Packets {
    /// Numbered and sent by this daemon.
    pub sent: u64,
    /// Of others, received for the first time.
    pub received: u64,
    /// Received although they were here already.
    pub repeated: u64,
    /// Sent again because somebody missed them.
    pub resent: u64,
    /// Asked for because they were missing here.
    pub requested: u64,
    /// Visits of the token.
    pub visits: u64,
    /// Tokens sent again.
    pub tokens_resent: u64,
}

/// Datagrams between daemons, ever growing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Datagrams {
    /// Received.
    pub received: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Sent.
    pub sent: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Not opened by any key.
    pub forged: u64,
    /// Those that came before.
    pub replayed: u64,
    /// Noise, and those from addresses that nobody accepts.
    pub refused: u64,
    /// Not taken by the system.
    pub unsent: u64,
}

/// What clients did, ever growing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Clients {
    /// Connections accepted.
    pub connections: u64,
    /// Sessions begun.
    pub begun: u64,
    /// Handshakes refused.
    pub refused: u64,
    /// Sessions ended because they broke a rule of the protocol.
    pub violations: u64,
    /// Sessions ended because they did not read.
    pub slow: u64,
}

/// Messages of one service, ever growing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traffic {
    /// Taken from clients of this daemon.
    pub taken: Queue,
    /// Given to clients of this daemon.
    pub given: Queue,
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn queue(messages: usize, bytes: usize) -> Queue {
    Queue { messages: messages as u64, bytes: bytes as u64 }
}

impl Detail {
    /// Of what a daemon knows of itself.
    pub fn new(status: &Status) -> Self {
        let (ring, groups) = (&status.ring, &status.groups);
        let (view, c, link) = (ring.view.as_ref(), &ring.counters, &status.link);
        let clients = &status.sessions;
        Self {
            name: status.name.to_string(),
            up_micros: micros(status.up),
            view: view.map(|view| view.id.to_string()).unwrap_or_default(),
            leader: view.map(|view| view.leader().name.to_string()).unwrap_or_default(),
            stands: ring.stands,
            view_micros: view.map_or(0, |_| micros(ring.age)),
            views: ring.views,
            timeout_micros: micros(ring.timeout),
            rotation_micros: ring.rotation.map(micros),
            window: ring.window.into(),
            window_most: ring.window_most.into(),
            accelerated: ring.accelerated.into(),
            highest: ring.high,
            received_up_to: ring.received,
            stable_up_to: ring.stable,
            held: ring.held as u64,
            in_groups: queue(groups.waiting.0, groups.waiting.1),
            in_ring: queue(ring.queued, ring.queued_bytes),
            paused: groups.paused,
            groups: groups.groups as u64,
            sessions: status.open as u64,
            shaking: status.shaking as u64,
            priority: status.priority.clone(),
            excluded_by: ring.excluded_by.map(|daemon| daemon.name.to_string()),
            hears_incompatible: ring.hears_incompatible,
            lists_differ: ring.lists_differ,
            malformed: ring.malformed,
            daemons: daemons(status),
            slowest: status.slowest.iter().take(SESSIONS_MAX).filter_map(session).collect(),
            packets: Packets {
                sent: c.sent,
                received: c.received,
                repeated: c.repeated,
                resent: c.resent,
                requested: c.requested,
                visits: c.visits,
                tokens_resent: c.token_resent,
            },
            datagrams: Datagrams {
                received: link.received,
                received_bytes: link.received_bytes,
                sent: link.sent,
                sent_bytes: link.sent_bytes,
                forged: link.forged,
                replayed: link.replayed,
                refused: link.refused,
                unsent: link.unsent,
            },
            clients: Clients {
                connections: clients.connections,
                begun: clients.begun,
                refused: clients.refused,
                violations: clients.violations,
                slow: clients.slow,
            },
            services: services(status),
        }
    }
}

fn services(status: &Status) -> BTreeMap<String, Traffic> {
    let c = &status.sessions;
    let pair = |messages: &ByService, bytes: &ByService| {
        let both = messages.each().zip(bytes.each());
        both.map(|((name, messages), (_, bytes))| (name, Queue { messages, bytes }))
    };
    let taken = pair(&c.multicasts, &c.multicast_bytes);
    let given = pair(&c.delivered_multicasts, &c.delivered_multicast_bytes);
    let mut all: BTreeMap<String, Traffic> = taken
        .zip(given)
        .map(|((name, taken), (_, given))| (name.into(), Traffic { taken, given }))
        .collect();
    let (messages, bytes) = all.values().fold((0, 0), |(messages, bytes), one| {
        (messages + one.given.messages, bytes + one.given.bytes)
    });
    let given = Queue {
        messages: c.delivered.saturating_sub(messages),
        bytes: c.delivered_bytes.saturating_sub(bytes),
    };
    all.insert("notices".into(), Traffic { taken: Queue::default(), given });
    all
}

/// A session for which nothing waits is of no interest.
fn session(of: &SessionStatus) -> Option<Session> {
    (of.bytes > 0).then(|| Session {
        name: of.name.clone(),
        client: of.peer.map(|ip| ip.to_string()),
        waits: queue(of.messages, of.bytes),
        stuck_micros: micros(of.stuck),
    })
}

fn daemons(status: &Status) -> Vec<Peer> {
    let members = status.ring.view.as_ref().map_or(&[][..], |view| &view.members);
    let place = members.iter().position(|member| member.name == status.name);
    let mut all: Vec<Peer> = status.ring.peers.iter().map(|of| peer(status, of)).collect();
    let this = Peer {
        name: status.name.to_string(),
        this: true,
        place: place.map(|place| place as u64),
        heard: true,
        hears_this: true,
        hears_multicast: true,
        ..Peer::default()
    };
    all.insert(place.unwrap_or(0).min(all.len()), this);
    all
}

fn peer(status: &Status, of: &PeerStatus) -> Peer {
    Peer {
        name: of.daemon.name.to_string(),
        this: false,
        place: of.member.map(|place| place as u64),
        heard: of.heard,
        hears_this: of.hears_us,
        hears_multicast: of.hears_multicast,
        round_trip_micros: of.round_trip.map(micros),
        silence_micros: micros(status.now.since(of.last)),
        longest_silence_micros: micros(of.longest_silence),
        breaks: of.breaks.into(),
        kept_out_micros: of.kept_out.map(|until| micros(until.since(status.now))),
    }
}
