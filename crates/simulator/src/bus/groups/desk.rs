//! The groups of one daemon, and the sessions at it: what the daemon's driver does, without sockets.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use base::Instant;
use bytes::Bytes;
use groups::{Departure, Groups, Limits, Output, SessionId};
use ring::{Daemon, Event, Ring, RingId};
use spread_wire::{ClientMessage, PrivateName};

use super::client::{Client, End, understand};
use super::crowd::Crowd;

/// Messages that wait for a reader at which writers are slowed down.
const HELD_UP: usize = 20;
/// A reader that takes nothing for so long is dropped.
const PATIENCE: Duration = Duration::from_millis(200);

/// How a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// At once.
    Fast,
    /// A little now and then.
    Slow,
    /// Not since then.
    Stopped(Instant),
}

/// One session.
pub(super) struct Seat {
    /// Which client it is.
    pub(super) client: usize,
    pub(super) session: SessionId,
    pub(super) private: PrivateName,
    /// Joined everything first, and stays.
    pub(super) anchor: bool,
    pub(super) pace: Pace,
    /// What the client has written and the daemon has not read.
    pub(super) written: VecDeque<ClientMessage>,
    /// What the daemon has written and the client has not read.
    unread: VecDeque<(Instant, Bytes)>,
    /// The client has said that it goes, and reads no more.
    pub(super) gone: bool,
}

/// A session of the storey above.
pub(in crate::bus) struct Guest {
    pub(in crate::bus) session: SessionId,
    /// What it has written and the daemon has not read.
    pub(in crate::bus) written: VecDeque<ClientMessage>,
    /// What the daemon has written and it has not read.
    pub(in crate::bus) mail: Vec<Bytes>,
}

/// The second storey of one machine.
pub(in crate::bus) struct Desk {
    pub(in crate::bus) groups: Groups,
    pub(super) seats: Vec<Seat>,
    /// Names that were used here before.
    pub(super) used: Vec<PrivateName>,
    ahead: usize,
    /// A session that is no client of ours but of the storey above.
    pub(in crate::bus) guest: Option<Guest>,
    /// The view of the ring and how much of it was delivered; none after its end.
    at: Option<(RingId, u32)>,
}

/// The table of each view after each of its messages, as the first daemon had it.
pub(in crate::bus) type Digests = BTreeMap<(RingId, u32), u64>;

impl Desk {
    pub(in crate::bus) fn new(me: Daemon, crowd: &Crowd) -> Self {
        let limits = Limits { pause_messages: crowd.pause, ..Limits::default() };
        Self {
            groups: Groups::new(me, limits),
            seats: Vec::new(),
            used: Vec::new(),
            ahead: crowd.ahead,
            guest: None,
            at: None,
        }
    }

    /// Takes an event of the ring.
    ///
    /// # Errors
    /// The table is another than that of a daemon of the same view after the same message.
    pub(in crate::bus) fn handle(
        &mut self,
        event: &Event,
        digests: &mut Digests,
    ) -> Result<(), String> {
        match event {
            Event::Installed(view) => self.at = Some((view.id, 0)),
            Event::Transitional { .. } => self.at = None,
            Event::Delivered { .. } => {
                self.at = self.at.map(|(view, count)| (view, count + 1));
            }
        }
        self.groups.handle_event(event);
        if let Some(at) = self.at.filter(|_| self.groups.is_settled()) {
            let digest = self.groups.state_digest();
            if *digests.entry(at).or_insert(digest) != digest {
                return Err(format!("tables differ after message {} of {}", at.1, at.0));
            }
        }
        Ok(())
    }

    /// Reads clients and gives the ring what is for it, as far as both are possible; whether there was anything.
    pub(in crate::bus) fn submit(&mut self, ring: &mut Ring) -> bool {
        let mut moved = false;
        let mut more = true;
        while core::mem::take(&mut more) {
            let held_up = self.held_up();
            for seat in &mut self.seats {
                if self.groups.is_paused() || held_up {
                    break;
                }
                if let Some(message) = seat.written.pop_front() {
                    self.groups.handle_client(seat.session, message);
                    more = true;
                }
            }
            if let Some(guest) = &mut self.guest
                && !self.groups.is_paused()
                && !held_up
                && let Some(message) = guest.written.pop_front()
            {
                self.groups.handle_client(guest.session, message);
                more = true;
            }
            while ring.queued_bytes() < self.ahead
                && let Some(submission) = self.groups.poll_submission()
            {
                // What does not get in is missed at the end.
                moved |= ring.submit(submission.message, submission.service).is_ok();
                more = true;
            }
        }
        moved
    }

    /// Gives sessions what is for them.
    pub(in crate::bus) fn deliver(&mut self, now: Instant, clients: &mut [Client]) {
        while let Some(output) = self.groups.poll_output() {
            match output {
                Output::Deliver { session, message } => {
                    if let Some(guest) = &mut self.guest
                        && guest.session == session
                    {
                        guest.mail.push(message);
                        continue;
                    }
                    let seat = self.seats.iter_mut().find(|seat| seat.session == session);
                    if let Some(seat) = seat.filter(|seat| !seat.gone) {
                        seat.unread.push_back((now, message));
                    }
                }
                Output::Close { session } => self.seats.retain(|seat| seat.session != session),
                Output::Pause | Output::Resume => {}
            }
        }
        for seat in &mut self.seats {
            if seat.pace == Pace::Fast {
                seat.read(clients, usize::MAX);
            }
        }
    }

    /// A client that reads makes all writers wait; one that has stopped does not.
    pub(in crate::bus) fn held_up(&self) -> bool {
        self.seats.iter().any(|seat| seat.pace == Pace::Slow && seat.unread.len() > HELD_UP)
    }

    /// Ends a session whose connection is lost.
    pub(super) fn lose(&mut self, at: usize, clients: &mut [Client]) {
        let seat = self.seats.swap_remove(at);
        clients[seat.client].end.get_or_insert(End::Lost);
        self.used.push(seat.private);
        self.groups.disconnect(seat.session, Departure::Lost);
    }

    /// Slow readers take a little; those that stopped long ago are dropped.
    pub(super) fn pass(&mut self, now: Instant, some: usize, clients: &mut [Client]) {
        let mut at = 0;
        while let Some(seat) = self.seats.get_mut(at) {
            match seat.pace {
                Pace::Stopped(since) if now.since(since) > PATIENCE => {
                    self.lose(at, clients);
                    continue;
                }
                Pace::Slow => seat.read(clients, some),
                _ => {}
            }
            at += 1;
        }
    }

    /// From now on all who are there read at once.
    pub(in crate::bus) fn hurry(&mut self, clients: &mut [Client]) {
        for seat in &mut self.seats {
            seat.pace = Pace::Fast;
            seat.read(clients, usize::MAX);
        }
    }

    /// What has not been said or told yet.
    pub(in crate::bus) fn unfinished(&self) -> bool {
        !self.groups.is_settled()
            || self.groups.waiting_submissions() != (0, 0)
            || self.seats.iter().any(|seat| !seat.written.is_empty() || !seat.unread.is_empty())
    }

    /// The daemon dies with all its sessions.
    pub(in crate::bus) fn die(&self, clients: &mut [Client]) {
        for seat in &self.seats {
            clients[seat.client].end.get_or_insert(End::Daemon);
        }
    }
}

impl Seat {
    pub(super) fn new(client: usize, session: SessionId, private: PrivateName) -> Self {
        Self {
            client,
            session,
            private,
            anchor: false,
            pace: Pace::Fast,
            written: VecDeque::new(),
            unread: VecDeque::new(),
            gone: false,
        }
    }

    /// The client reads so many messages.
    fn read(&mut self, clients: &mut [Client], some: usize) {
        for (at, message) in self.unread.drain(..some.min(self.unread.len())) {
            match understand(clients, &message) {
                Ok(item) => clients[self.client].heard.push((at, item)),
                Err(what) => _ = clients[self.client].corrupt.get_or_insert(what),
            }
        }
    }
}
