//! The clients: from the first byte to the last, each for itself.
//!
//! Every socket is watched once, for both directions, edge by edge; who can be read stands in one list and is read in
//! turns, a bounded piece each, so that nobody's flood is another's drought. While the groups say that clients are to
//! wait, the list waits. What a client does wrong ends that client.

mod connection;
mod ledger;
mod pot;
mod shake;
mod tls;
mod told;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use base::{Instant, Random};
use bytes::Bytes;
use groups::{Departure, Groups, SessionId};
use spread_wire::client_message::ClientMessage;
use spread_wire::server::{Handshake, Methods, Policy};
use spread_wire::{Service, ServiceType};

use self::connection::{Connection, Read, Stage};
use self::ledger::Ledger;
use self::pot::Pot;
use self::told::Told;
use crate::activity::Change;
use crate::conf::AuthMethod;
use crate::config::Clients;
use crate::listen::Arrival;
use crate::poll::{Poll, Token};
use crate::status::{SESSIONS_TOLD, SessionCounters, SessionStatus};

/// How long a client may take to say who it is.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a connection that is over may take what still waits for it.
const FAREWELL: Duration = Duration::from_secs(2);
/// Bytes read from one client in its turn.
const PIECE: usize = 64 << 10;
/// Bytes written to clients between two looks at the other daemons; the last of them may take a backlog more. A long message to
/// thousands of clients would otherwise hold up the token for longer than a daemon may be silent.
const FLUSH: usize = 4 << 20;
/// Over all clients so many times as much may wait as for one.
const BACKLOGS: u64 = 16;
/// Turns between two looks at the other daemons.
const TURNS: usize = 4;
/// With so many bytes waiting for a client that does take some, nobody's messages are read: a reader that is only slower
/// than the writers slows them down and is not cut off.
const BEHIND: usize = 1 << 20;
/// A client that takes nothing for so long does not hold up others any more.
const IDLE: Duration = Duration::from_millis(50);

/// All connections of clients.
pub(crate) struct Sessions {
    config: Clients,
    policy: Policy,
    slots: Vec<Option<Connection>>,
    free: Vec<usize>,
    by_id: BTreeMap<SessionId, usize>,
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
    /// Connections there were.
    serials: u64,
    swept: Instant,
    /// What waits for all.
    ledger: Ledger,
    /// For whom something waits.
    waiting: BTreeSet<usize>,
    /// One of them takes what it can.
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
        Self {
            config,
            policy,
            slots: Vec::new(),
            free: Vec::new(),
            by_id: BTreeMap::new(),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            scratch: vec![0; PIECE],
            dice,
            shaking: 0,
            by_tcp: Pot::default(),
            by_unix: Pot::default(),
            crowded: Told::default(),
            broke: Told::default(),
            serials: 0,
            swept: Instant::ORIGIN,
            ledger: Ledger::default(),
            waiting: BTreeSet::new(),
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

    /// Whether a client that reads has to be waited for.
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

    /// A client has connected.
    pub(crate) fn accept(
        &mut self,
        now: Instant,
        poll: &Poll,
        groups: &mut Groups,
        arrival: Arrival,
    ) {
        self.counters.connections += 1;
        let Some(tls) = self.secure(&arrival) else {
            self.counters.refused += 1;
            return;
        };
        let Arrival { socket, peer, .. } = arrival;
        self.make_room(now, groups, peer);
        if self.by_id.len() < self.config.sessions {
            let handshake = Box::new(Handshake::new(self.policy));
            let stage = Stage::Shaking { handshake, session: None, until: now + HANDSHAKE };
            if self.keep(poll, Connection::new(socket, peer, stage).over(tls)).is_some() {
                self.shaking += 1;
            }
            return;
        }
        // As the original: one byte before anything is read (REJECT_QUOTA).
        self.counters.refused += 1;
        let stage = Stage::Closing { until: now + FAREWELL };
        let mut connection = Connection::new(socket, peer, stage).over(tls);
        connection.queue(Bytes::from_static(&[-3_i8 as u8]));
        if let Some(at) = self.keep(poll, connection) {
            self.touch(at);
        }
    }

    /// Gives a connection a place and watches it.
    fn keep(&mut self, poll: &Poll, mut connection: Connection) -> Option<usize> {
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        if let Err(error) = poll.add_edges(connection.socket(), Token::Session(at)) {
            tracing::warn!(%error, "a client cannot be watched and is turned away");
            self.free.push(at);
            return None;
        }
        self.serials += 1;
        let (peer, serial) = (connection.peer, self.serials);
        connection.serial = serial;
        self.slots[at] = Some(connection);
        self.pot(peer).insert(peer, serial, at);
        Some(at)
    }

    /// The kernel says that something is possible.
    pub(crate) fn notice(&mut self, at: usize, readable: bool, writable: bool, ended: bool) {
        let Some(connection) = self.slots.get_mut(at).and_then(Option::as_mut) else { return };
        connection.finished |= ended;
        if readable {
            connection.readable = true;
            if !connection.listed {
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
        !self.paused && !self.held_up && !self.ready.is_empty()
    }

    /// Whether somebody may have to be written to.
    pub(crate) fn has_output(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Reads whose turn it is. Returns after a bounded number of turns.
    pub(crate) fn turns(&mut self, now: Instant, groups: &mut Groups) {
        for _ in 0..TURNS.min(self.ready.len()) {
            if self.paused || self.held_up || groups.is_paused() {
                return;
            }
            let Some(at) = self.ready.pop_front() else { return };
            let Some(connection) = self.slots[at].as_mut() else { continue };
            connection.listed = false;
            if !connection.readable {
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
            if let Some(connection) = self.slots[at].as_mut()
                && connection.readable
                && !connection.listed
            {
                connection.listed = true;
                self.ready.push_back(at);
            }
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
        if let Some(violation) = broken {
            self.violated(now, groups, at, &violation.to_string());
        }
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

    /// Gives a message to a session.
    pub(crate) fn deliver(&mut self, session: SessionId, message: Bytes) {
        let Some(&at) = self.by_id.get(&session) else { return };
        let Some(connection) = self.slots[at].as_mut() else { return };
        self.counters.delivered += 1;
        self.counters.delivered_bytes += message.len() as u64;
        if let Some(service) = service_of(&message) {
            self.counters.delivered_multicasts.add(service, 1);
            self.counters.delivered_multicast_bytes.add(service, message.len() as u64);
        }
        connection.queue(message);
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(at);
        }
    }

    /// The session is over; what waits for it is written first.
    pub(crate) fn end(&mut self, now: Instant, groups: &mut Groups, session: SessionId) {
        if let Some(at) = self.by_id.get(&session).copied() {
            self.close(now, groups, at, Departure::Asked);
            self.touch(at);
        }
    }

    /// Writes what waits, and drops who is gone or too slow. After much was written the rest waits for the next turn.
    pub(crate) fn flush(&mut self, now: Instant, groups: &mut Groups) {
        let mut dirty = std::mem::take(&mut self.dirty).into_iter();
        let mut left = FLUSH;
        while left > 0
            && let Some(at) = dirty.next()
        {
            let Some(connection) = self.slots[at].as_mut() else {
                self.waiting.remove(&at);
                continue;
            };
            connection.dirty = false;
            let (before, _) = connection.backlog();
            let mut gone = connection.flush(now, &mut self.ledger).is_err();
            if gone && matches!(connection.stage, Stage::Open { .. }) {
                connection.give_up_writing(now, &mut self.ledger);
                gone = false;
            }
            connection.weigh(&mut self.ledger);
            let (bytes, messages) = connection.backlog();
            left = left.saturating_sub(before.saturating_sub(bytes));
            if bytes > 0 || connection.deaf {
                self.waiting.insert(at);
            } else {
                self.waiting.remove(&at);
            }
            let limit = &self.config.backlog;
            let open = matches!(connection.stage, Stage::Open { .. });
            let much = too_much(limit, bytes, messages).filter(|_| open);
            if gone {
                self.lose(groups, at, "the client is gone");
            } else if let Some(why) = much {
                self.drop_slow(now, groups, at, why);
            } else if bytes == 0 && matches!(connection.stage, Stage::Closing { .. }) {
                // Closing now would throw away what the client has not read yet if it still sends; it may close first.
                connection.shut(now, &mut self.ledger);
            }
        }
        // For them something waits, which slows writers down if it becomes much.
        self.waiting.extend(dirty.as_slice());
        for &at in dirty.as_slice() {
            if let Some(connection) = self.slots[at].as_mut() {
                connection.weigh(&mut self.ledger);
            }
        }
        self.dirty.splice(0..0, dirty);
        self.limit_all(now, groups);
        self.judge_behind(now);
    }

    /// While too much waits over all clients, the one goes for whom most waits.
    fn limit_all(&mut self, now: Instant, groups: &mut Groups) {
        while self.ledger.bytes() > self.config.backlog.bytes.saturating_mul(BACKLOGS) {
            let waits = |&at: &usize| Some((self.slots[at].as_ref()?.backlog(), at));
            let most = self.waiting.iter().filter_map(waits).max();
            let Some((_, at)) = most.filter(|&((bytes, _), _)| bytes > 0) else { return };
            let why = "more waits for all clients together than 16 times bus.backlog, and most of it for this one";
            self.drop_slow(now, groups, at, why);
        }
    }

    /// Whether somebody who reads has to be waited for.
    fn judge_behind(&mut self, now: Instant) {
        let reads = |at: &usize| {
            let connection = self.slots.get(*at).and_then(Option::as_ref);
            connection.is_some_and(|c| c.backlog().0 > BEHIND && c.stuck_for(now) < IDLE)
        };
        self.held_up = self.waiting.iter().any(reads);
    }

    fn drop_slow(&mut self, now: Instant, groups: &mut Groups, at: usize, why: &str) {
        let Some(connection) = self.slots[at].as_ref() else { return };
        let client = match &connection.stage {
            Stage::Open { group, .. } => group.to_string(),
            _ => String::new(),
        };
        let (bytes, messages) = connection.backlog();
        self.counters.slow += 1;
        tracing::warn!(
            %client,
            bytes,
            messages,
            took_nothing_for = ?connection.stuck_for(now),
            "a client does not read and is disconnected: {why}; raise that if it is to be waited for"
        );
        self.lose(groups, at, "it did not read");
    }

    /// Everything whose time has come: cheap enough to be called often.
    pub(crate) fn sweep(&mut self, now: Instant, groups: &mut Groups) {
        if now.since(self.swept) < Duration::from_millis(100) {
            return;
        }
        self.swept = now;
        self.look_at_certificates(now);
        self.judge_behind(now);
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
        (waits || !self.waiting.is_empty()).then(|| self.swept + Duration::from_millis(100))
    }

    /// The connection ends without what still waits.
    fn lose(&mut self, groups: &mut Groups, at: usize, why: &str) {
        self.change(at, false);
        let Some(connection) = self.slots[at].as_ref() else { return };
        if let Some(session) = connection.session() {
            tracing::debug!(?session, why, "a session ends");
            groups.disconnect(session, Departure::Lost);
            self.by_id.remove(&session);
        }
        self.remove(at);
    }

    /// The connection ends once what waits is written.
    fn close(&mut self, now: Instant, groups: &mut Groups, at: usize, departure: Departure) {
        self.change(at, false);
        let Some(connection) = self.slots[at].as_mut() else { return };
        if let Some(session) = connection.session() {
            groups.disconnect(session, departure);
            self.by_id.remove(&session);
        }
        if matches!(connection.stage, Stage::Shaking { .. }) {
            self.shaking -= 1;
        }
        connection.stage = Stage::Closing { until: now + FAREWELL };
    }

    fn remove(&mut self, at: usize) {
        self.waiting.remove(&at);
        if let Some(mut connection) = self.slots[at].take() {
            connection.forget(&mut self.ledger);
            if matches!(connection.stage, Stage::Shaking { .. }) {
                self.shaking -= 1;
            }
            self.pot(connection.peer).remove(connection.peer, connection.serial, at);
            self.free.push(at);
        }
    }
}

/// Which limit of what may wait for a client is passed.
fn too_much(limit: &crate::config::Backlog, bytes: usize, messages: usize) -> Option<&'static str> {
    if bytes as u64 > limit.bytes {
        Some("more bytes wait for it than bus.backlog allows")
    } else if limit.messages.is_some_and(|most| messages > most) {
        Some("more wait for it than bus.backlog_messages (MaxSessionMessages) allows")
    } else {
        None
    }
}

/// The service of a message to a client; none if it is a notice of members.
fn service_of(message: &[u8]) -> Option<Service> {
    let first = u32::from_le_bytes(*message.first_chunk()?);
    let little = first & ServiceType::ENDIAN_MARK == ServiceType::ENDIAN_MARK;
    ServiceType::from_bits(if little { first } else { first.swap_bytes() }).service()
}

/// The toolkit's methods of authentication, as the handshake knows them.
fn policy(config: &Clients) -> Policy {
    let methods = |list: &[AuthMethod]| Methods {
        null: list.contains(&AuthMethod::Null),
        ip: list.contains(&AuthMethod::Ip),
    };
    Policy { allowed: methods(&config.auth.allowed), required: methods(&config.auth.required) }
}
