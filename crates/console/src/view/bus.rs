//! The bus daemon of this machine: its view, who is heard, and what moves.

use serde::Serialize;

use super::Tone;

/// The bus daemon as it says of itself.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BusView {
    /// What the daemon is called.
    pub name: String,
    /// Whether it answered when it was asked; if not, everything here is what it said last.
    pub answers: bool,
    /// Seconds since it began.
    pub uptime_seconds: f64,
    /// Whether its view stands: messages are ordered and delivered in it.
    pub stands: bool,
    /// The identity of the view; absent before the first.
    pub view: Option<String>,
    /// The first member of the view.
    pub leader: Option<String>,
    /// Seconds since the view was installed.
    pub view_age_seconds: Option<f64>,
    /// Views installed so far.
    pub views: u64,
    /// The minor version that the daemons of the view speak.
    pub wire_minor: u8,
    /// Milliseconds of silence after which a member counts as gone.
    pub timeout_ms: f64,
    /// Milliseconds that the token was away when it went round last.
    pub token_rotation_ms: Option<f64>,
    /// Whether the token is here.
    pub holds_token: bool,
    /// Packets that all members together may send in one rotation of the token.
    pub window_packets: u16,
    /// The highest packet of the view that is known here.
    pub highest_packet: u64,
    /// Everything up to this packet was received here.
    pub received_up_to: u64,
    /// Everything up to this packet is with all members.
    pub stable_up_to: u64,
    /// Packets held for delivery or for others.
    pub held_packets: usize,
    /// The members of the view in its order, and then everybody else who is known.
    pub daemons: Vec<BusDaemon>,
    /// What waits to be ordered, in the groups and in the ring.
    pub queued: BusQueues,
    /// Groups with a member anywhere in the view.
    pub groups: usize,
    /// Whether clients are made to wait.
    pub paused: bool,
    /// Sessions of clients now.
    pub sessions: usize,
    /// Connections that have not said who they are yet.
    pub shaking: usize,
    /// The sessions for which most waits.
    pub slowest: Vec<BusSession>,
    /// A daemon that keeps this one out of its view.
    pub excluded_by: Option<String>,
    /// Whether daemons are heard that speak another major version.
    pub hears_incompatible: bool,
    /// How its thread stands among other work.
    pub priority: String,
    /// What has been counted since it began.
    pub counters: BusCounters,
    /// Messages per second taken from clients over the last interval.
    pub messages_per_second: f64,
    /// Messages per second given to clients over the last interval.
    pub delivered_per_second: f64,
    /// Messages per second taken from clients, oldest first, one sample per interval.
    pub trend_messages: Vec<f32>,
    /// Messages per second given to clients, oldest first, one sample per interval.
    pub trend_delivered: Vec<f32>,
    /// What is wrong, in words.
    pub warnings: Vec<String>,
}

/// One daemon, as this one sees it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BusDaemon {
    /// What it is called.
    pub name: String,
    /// Which of its lives this is, 32 hexadecimal digits.
    pub boot: String,
    /// Whether it is the daemon that answers.
    pub this: bool,
    /// Its place in the view, from 0; absent if it is no member.
    pub place: Option<usize>,
    /// How it is, in a few words.
    pub condition: String,
    /// How good that is.
    pub tone: Tone,
    /// Whether it is heard here.
    pub heard: bool,
    /// Whether it says that it hears this daemon.
    pub hears_this: bool,
    /// Whether it hears what this daemon says to all at once, as far as it said.
    pub hears_multicast: bool,
    /// Milliseconds since its last word to this daemon alone.
    pub silence_ms: Option<f64>,
    /// Milliseconds of the newest round trip.
    pub round_trip_ms: Option<f64>,
    /// Milliseconds of the longest silence of about the last half minute.
    pub longest_silence_ms: Option<f64>,
    /// Views in a row that did not last because of it.
    pub breaks: u8,
    /// Seconds for which it is still kept out of views.
    pub kept_out_seconds: Option<f64>,
}

/// What waits to be ordered.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct BusQueues {
    /// Messages that wait in the groups until the ring takes them.
    pub groups_messages: usize,
    /// Bytes of those.
    pub groups_bytes: usize,
    /// Messages that wait in the ring for the token.
    pub ring_messages: usize,
    /// Bytes of those.
    pub ring_bytes: usize,
}

/// A session that reads more slowly than others send.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BusSession {
    /// Its private group.
    pub name: String,
    /// The address of its client; absent if it came by the Unix socket.
    pub client: Option<String>,
    /// Bytes that wait for it.
    pub bytes: usize,
    /// Messages that wait for it.
    pub messages: usize,
    /// Milliseconds for which it has taken nothing.
    pub stuck_ms: u64,
}

/// Counters since the daemon began; each is called as in the daemon itself.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BusCounters {
    /// Packets of the ring: sent, received, repeated, resent, requested.
    pub packets: Counted,
    /// Visits of the token, and tokens sent again.
    pub token: Counted,
    /// Datagrams: sent and received, and their bytes.
    pub datagrams: Counted,
    /// Datagrams that changed nothing, by reason, and those that could not be sent.
    pub refused: Counted,
    /// Sessions: connections, begun, refused, ended for a violation, ended for slowness.
    pub sessions: Counted,
    /// Messages taken from clients, all kinds.
    pub messages: u64,
    /// Messages given to clients, all kinds.
    pub delivered: u64,
    /// Bytes given to clients.
    pub delivered_bytes: u64,
    /// Multicasts taken from clients, by service.
    pub multicasts: Counted,
    /// Multicasts given to clients, by service.
    pub delivered_multicasts: Counted,
    /// What groups found wrong or gave up.
    pub groups: Counted,
}

/// Counts by name, in an order that makes sense to people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted(pub Vec<(&'static str, u64)>);

impl Counted {
    /// The count of that name; 0 if there is none.
    pub fn of(&self, name: &str) -> u64 {
        self.0.iter().find(|(is, _)| *is == name).map_or(0, |(_, n)| *n)
    }
}

impl Serialize for Counted {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl BusView {
    /// The members of the view.
    pub fn members(&self) -> impl Iterator<Item = &BusDaemon> {
        self.daemons.iter().filter(|daemon| daemon.place.is_some())
    }
}
