//! The clients: from the first byte to the last, each for itself.
//!
//! Every socket is watched once, for both directions, edge by edge; who can be read stands in one list and is read in
//! turns, a bounded piece each, so that nobody's flood is another's drought. While the groups say that clients are to
//! wait, the list waits; who writes to a reader that is `behind` waits alone. What a client does wrong ends that client.

mod behind;
mod connection;
mod half;
mod ledger;
mod output;
mod pace;
mod pot;
mod shake;
mod tls;
mod told;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use base::{Instant, Random};
use groups::{Departure, Groups, SessionId};
use spread_wire::GroupName;
use spread_wire::client_message::ClientMessage;
use spread_wire::server::{Methods, Policy};

use self::connection::{Connection, Read, Stage};
use self::half::Halves;
use self::ledger::Ledger;
use self::pot::Pot;
use self::told::Told;
use crate::activity::Change;
use crate::conf::AuthMethod;
use crate::config::Clients;
use crate::status::{SESSIONS_TOLD, SessionCounters, SessionStatus};

/// How long a client may take to say who it is.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a connection that is over may take what still waits for it.
const FAREWELL: Duration = Duration::from_secs(2);
/// Bytes read from one client in its turn.
const PIECE: usize = 64 << 10;
/// Turns between two looks at the other daemons.
const TURNS: usize = 4;

/// All connections of clients.
pub(crate) struct Sessions {
    config: Clients,
    policy: Policy,
    slots: Vec<Option<Connection>>,
    free: Vec<usize>,
    by_id: BTreeMap<SessionId, usize>,
    by_group: BTreeMap<GroupName, usize>,
    /// Who can be read, in turns.
    ready: VecDeque<usize>,
    /// Who has something to be written.
    dirty: Vec<usize>,
    scratch: Vec<u8>,
    dice: Random,
    shaking: usize,
    /// Connections that are no session yet.
    by_tcp: Pot,
    by_unix: Pot,
    /// What was said of too many of them.
    crowded: Told,
    /// What was said of clients that broke the protocol.
    broke: Told,
    /// What was said of clients that stop in the middle of a message.
    stalls: Told,
    /// Connections there were.
    serials: u64,
    swept: Instant,
    /// What waits for all.
    ledger: Ledger,
    /// What all have begun to say.
    halves: Halves,
    /// For whom something waits.
    waiting: BTreeSet<usize>,
    /// Those of them for whom much waits.
    behind: BTreeSet<usize>,
    /// The ring is to wait for one of them.
    held_up: bool,
    pub(crate) paused: bool,
    /// What began and ended, if somebody wants to know.
    changes: Option<Vec<Change>>,
    /// What was said of clients that do not come in by TLS.
    turned: tls::Turned,
    pub(crate) counters: SessionCounters,
}

impl Sessions {
    pub(crate) fn new(config: Clients, dice: Random) -> Self {
        let policy = policy(&config);
        tls::tell(&config);
        let scratch = vec![0; Self::piece(config.backlog.bytes)];
        Self {
            config,
            policy,
            slots: Vec::new(),
            free: Vec::new(),
            by_id: BTreeMap::new(),
            by_group: BTreeMap::new(),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            scratch,
            dice,
            shaking: 0,
            by_tcp: Pot::default(),
            by_unix: Pot::default(),
            crowded: Told::default(),
            broke: Told::default(),
            stalls: Told::default(),
            serials: 0,
            swept: Instant::ORIGIN,
            ledger: Ledger::default(),
            halves: Halves::default(),
            waiting: BTreeSet::new(),
            behind: BTreeSet::new(),
            held_up: false,
            paused: false,
            changes: None,
            turned: tls::Turned::default(),
            counters: SessionCounters::default(),
        }
    }

    /// Other limits and other rules for those who come from now on; nobody who is here is sent away.
    pub(crate) fn reload(&mut self, mut config: Clients) {
        tls::tell(&config);
        // Who listens goes on listening.
        config.tls = config.tls.or(self.config.tls.take());
        self.policy = policy(&config);
        self.scratch = vec![0; Self::piece(config.backlog.bytes)];
        self.config = config;
    }

    /// Connections, those included that have not said who they are.
    pub(crate) fn connections(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// From now on, remembers what begins and ends.
    pub(crate) fn watch(&mut self) {
        self.changes = Some(Vec::new());
    }

    /// What began and ended since the last call.
    pub(crate) fn changes(&mut self) -> Vec<Change> {
        self.changes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn change(&mut self, at: usize, begins: bool) {
        let (Some(changes), Some(connection)) = (&mut self.changes, &self.slots[at]) else {
            return;
        };
        if let Stage::Open { group, .. } = &connection.stage {
            let (_, left) = connection.backlog();
            let (name, peer) = (group.to_string(), connection.peer);
            changes.push(Change { begins, number: at, peer, name, left });
        }
    }

    /// Whether the ring has to wait for a client that reads.
    pub(crate) fn held_up(&self) -> bool {
        self.held_up
    }

    /// Sessions, and connections that are none yet.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.by_id.len(), self.shaking)
    }

    /// The sessions for which most waits.
    pub(crate) fn slowest(&self, now: Instant) -> Vec<SessionStatus> {
        let mut all: Vec<&Connection> = self.slots.iter().flatten().collect();
        all.sort_by_key(|connection| std::cmp::Reverse(connection.backlog()));
        let open = all.into_iter().filter_map(|connection| {
            let Stage::Open { group, .. } = &connection.stage else { return None };
            let (bytes, messages) = connection.backlog();
            let (name, peer) = (group.to_string(), connection.peer);
            Some(SessionStatus { name, peer, bytes, messages, stuck: connection.stuck_for(now) })
        });
        open.take(SESSIONS_TOLD).collect()
    }

    /// The kernel says that something is possible.
    pub(crate) fn notice(&mut self, at: usize, readable: bool, writable: bool, ended: bool) {
        let Some(connection) = self.slots.get_mut(at).and_then(Option::as_mut) else { return };
        connection.finished |= ended;
        if readable {
            connection.readable = true;
            if !connection.listed && connection.held == 0 {
                connection.listed = true;
                self.ready.push_back(at);
            }
        }
        if writable {
            connection.writable = true;
            if !connection.dirty {
                connection.dirty = true;
                self.dirty.push(at);
            }
        }
    }

    /// Whether somebody can be read now.
    pub(crate) fn has_work(&self) -> bool {
        !self.paused && !self.ready.is_empty()
    }

    /// Whether somebody may have to be written to.
    pub(crate) fn has_output(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Reads whose turn it is. Returns after a bounded number of turns.
    pub(crate) fn turns(&mut self, now: Instant, groups: &mut Groups) {
        for _ in 0..TURNS.min(self.ready.len()) {
            if self.paused || groups.is_paused() {
                return;
            }
            let Some(at) = self.ready.pop_front() else { return };
            let Some(connection) = self.slots[at].as_mut() else { continue };
            connection.listed = false;
            if !connection.readable || connection.held > 0 {
                continue;
            }
            match connection.read(&mut self.scratch) {
                Read::Some => self.digest(now, groups, at),
                Read::Nothing => {}
                Read::End => self.lose(groups, at, "the client closed its connection"),
                Read::Broken(error) => self.break_tls(now, groups, at, &error),
            }
            if self.slots[at].as_ref().is_some_and(Connection::has_own_words) {
                self.touch(at);
            }
            self.list(at);
        }
    }

    /// Makes something of the bytes that came.
    fn digest(&mut self, now: Instant, groups: &mut Groups, at: usize) {
        let Some(connection) = self.slots[at].as_mut() else { return };
        if let Stage::Shaking { .. } = connection.stage {
            self.shake(now, groups, at);
        }
        let Some(connection) = self.slots[at].as_mut() else { return };
        if let Stage::Closing { .. } = connection.stage {
            connection.input.clear();
            return;
        }
        let Stage::Open { session, decoder, .. } = &mut connection.stage else { return };
        let session = *session;
        let mut broken = None;
        loop {
            match decoder.decode(&mut connection.input) {
                Ok(Some(message)) => {
                    self.counters.messages += 1;
                    if let ClientMessage::Multicast(regular) = &message
                        && let Some(service) = regular.service()
                    {
                        self.counters.multicasts.add(service, 1);
                        self.counters.multicast_bytes.add(service, regular.encoded_len() as u64);
                    }
                    groups.handle_client(session, message);
                }
                Ok(None) => break,
                Err(violation) => {
                    broken = Some(violation);
                    break;
                }
            }
        }
        if connection.input.is_empty() {
            // An idle session keeps no buffer.
            connection.input = bytes::BytesMut::new();
        }
        self.count_half(now, at);
        if let Some(violation) = broken {
            self.violated(now, groups, at, &violation.to_string());
        }
        self.limit_halves(now, groups);
    }

    /// A session that broke the protocol ends.
    fn violated(&mut self, now: Instant, groups: &mut Groups, at: usize, why: &str) {
        self.counters.violations += 1;
        self.tell_violation(now, at, why);
        self.lose(groups, at, why);
    }

    fn tell_violation(&mut self, now: Instant, at: usize, why: &str) {
        let Some(Connection { stage: Stage::Open { group, .. }, peer, .. }) = &self.slots[at]
        else {
            return;
        };
        let from = peer.map_or("the Unix socket".into(), |peer| peer.to_string());
        match self.broke.pass(now) {
            Some(before) => tracing::warn!(
                client = %group,
                from,
                before,
                "a client breaks the protocol and is disconnected: {why}; look at the program and its library"
            ),
            None => tracing::debug!(client = %group, from, why, "a client breaks the protocol"),
        }
    }

    fn touch(&mut self, at: usize) {
        if let Some(connection) = self.slots[at].as_mut().filter(|c| !c.dirty) {
            connection.dirty = true;
            self.dirty.push(at);
        }
    }

    /// Everything whose time has come: cheap enough to be called often.
    pub(crate) fn sweep(&mut self, now: Instant, groups: &mut Groups) {
        if now.since(self.swept) < Duration::from_millis(100) {
            return;
        }
        self.swept = now;
        self.look_at_certificates(now);
        self.look_at_readers(now);
        self.limit_halves(now, groups);
        for at in 0..self.slots.len() {
            let Some(connection) = self.slots[at].as_ref() else { continue };
            match connection.stage {
                Stage::Shaking { until, .. } if until <= now => {
                    self.counters.refused += 1;
                    self.lose(groups, at, "it did not say who it is");
                }
                Stage::Closing { until } if until <= now => self.remove(at),
                Stage::Open { .. } if connection.stuck_for(now) > self.config.backlog.time => {
                    let why = "it took nothing for longer than bus.backlog_time";
                    self.drop_slow(now, groups, at, why);
                }
                _ => {}
            }
        }
    }

    /// When [`sweep`](Self::sweep) is due.
    pub(crate) fn next_sweep(&self) -> Option<Instant> {
        let waits = self.shaking > 0 || self.connections() > self.by_id.len() + self.shaking;
        (waits || !self.waiting.is_empty() || self.has_many_halves())
            .then(|| self.swept + Duration::from_millis(100))
    }

    /// The connection ends without what still waits.
    fn lose(&mut self, groups: &mut Groups, at: usize, why: &str) {
        self.change(at, false);
        self.unname(at);
        let Some(connection) = self.slots[at].as_ref() else { return };
        if let Some(session) = connection.session() {
            tracing::debug!(?session, why, "a session ends");
            groups.disconnect(session, Departure::Lost);
        }
        self.remove(at);
    }

    /// The connection ends once what waits is written.
    fn close(&mut self, now: Instant, groups: &mut Groups, at: usize, departure: Departure) {
        self.change(at, false);
        self.unname(at);
        self.release(now, at);
        let Some(connection) = self.slots[at].as_mut() else { return };
        if let Some(session) = connection.session() {
            groups.disconnect(session, departure);
        }
        connection.held = 0;
        if matches!(connection.stage, Stage::Shaking { .. }) {
            self.shaking -= 1;
        }
        connection.stage = Stage::Closing { until: now + FAREWELL };
        self.list(at);
    }

    /// What is at `at` is a session no more.
    fn unname(&mut self, at: usize) {
        if let Some(Connection { stage: Stage::Open { session, group, .. }, .. }) = &self.slots[at]
        {
            self.by_id.remove(session);
            self.by_group.remove(group.group());
        }
    }

    fn remove(&mut self, at: usize) {
        self.release(self.swept, at);
        self.waiting.remove(&at);
        if let Some(mut connection) = self.slots[at].take() {
            connection.forget(&mut self.ledger);
            self.forget_half(at, connection.half.take());
            if matches!(connection.stage, Stage::Shaking { .. }) {
                self.shaking -= 1;
            }
            self.pot(connection.peer).remove(connection.peer, connection.serial, at);
            self.free.push(at);
        }
    }
}

/// The toolkit's methods of authentication, as the handshake knows them.
fn policy(config: &Clients) -> Policy {
    let methods = |list: &[AuthMethod]| Methods {
        null: list.contains(&AuthMethod::Null),
        ip: list.contains(&AuthMethod::Ip),
    };
    Policy { allowed: methods(&config.auth.allowed), required: methods(&config.auth.required) }
}
