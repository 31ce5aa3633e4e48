//! The whole of one daemon's part in the ring: words in, words out.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::fmt;

use base::{Boot, Instant, Random};
use bytes::Bytes;

use crate::bits::Bits;
use crate::event::{Event, Service};
use crate::membership::{Bound, Peers, Proposal};
use crate::notice::Notice;
use crate::order::{Counters, Order, Queue, SubmitError};
use crate::outbox::{Fan, Outbox, Transmit};
use crate::settings::{QUEUE_BYTES_MAX, Settings, Surroundings};
use crate::view::{Daemon, View};
use crate::wire::{Malformed, Message, Statement, Tag};

/// Notices kept until they are fetched; beyond, the oldest are dropped.
const NOTICES_MAX: usize = 256;

/// One daemon.
///
/// The driver hands in every datagram with the boot that sealed it, calls [`handle_timeout`](Self::handle_timeout) when
/// [`next_timeout`](Self::next_timeout) has come, and after each call fetches what is to be sent and what happened.
pub struct Ring {
    pub(crate) settings: Settings,
    pub(crate) surroundings: Box<dyn Surroundings + Send>,
    pub(crate) tag: Tag,
    /// What clients see as the id of this daemon, for its life.
    pub(crate) id: u32,
    pub(crate) born: Instant,
    pub(crate) dice: Random,
    pub(crate) peers: Peers,
    pub(crate) outbox: Outbox,
    pub(crate) events: VecDeque<Event>,
    notices: VecDeque<Notice>,
    pub(crate) queue: Queue,
    /// The last installed ring, at work or over.
    pub(crate) order: Option<Order>,
    pub(crate) view: Option<View>,
    /// Its other members, by place.
    pub(crate) members_at: Bits,
    pub(crate) installed: Instant,
    /// The proposal it was installed from.
    pub(crate) installed_number: u64,
    /// Since when it is over.
    pub(crate) broken: Option<Instant>,
    /// Views in a row that broke as soon as they were installed.
    pub(crate) short_lived: u32,
    pub(crate) unsettled_since: Option<Instant>,
    pub(crate) bound: Option<Bound>,
    pub(crate) statement: Statement,
    pub(crate) proposal: Option<Proposal>,
    pub(crate) proposals: u64,
    pub(crate) follows: Option<(Tag, u64)>,
    pub(crate) refused: Option<Daemon>,
    /// An older daemon with the very name of this one was met.
    pub(crate) had_namesake: bool,
    /// How often another daemon was noticed to stay outside for such a reason after it had been in a view.
    pub(crate) pushed_out: u64,
    /// Since when a daemon of our name with a lesser tag stands against us.
    pub(crate) contested: Option<Instant>,
    /// When this daemon came back from a time in which it did nothing.
    pub(crate) woke: Instant,
    pub(crate) kept_out_by: Option<Daemon>,
    /// Somebody whom our list has does not list us.
    pub(crate) unlisted_by: Option<Daemon>,
    /// The same of somebody outside of our view.
    pub(crate) struck_by: Option<Daemon>,
    /// Somebody who is heard has another list.
    pub(crate) lists_differ: bool,
    /// Until then nobody can have heard our multicast, because the group has changed.
    pub(crate) regrouped: Instant,
    /// Datagrams of our version that cannot be read.
    pub(crate) malformed: u64,
    /// Members of the old ring whose messages are owed even behind a gap.
    pub(crate) obligations: Bits,
    /// The greatest counter of any ring, and the greatest time of any view, known here.
    pub(crate) counter: u64,
    pub(crate) time: u32,
    pub(crate) fan: Fan,
    pub(crate) held_up: bool,
    pub(crate) beats: u64,
    pub(crate) beat_at: Instant,
    pub(crate) beacon_at: Instant,
    /// When something must be judged again without any word. Words only make it later, so it is worked out when judging.
    pub(crate) judge_at: Option<Instant>,
    /// When everything was judged last.
    pub(crate) judged: Instant,
    /// Something changed that has to be judged.
    pub(crate) dirty: bool,
    pub(crate) views: u64,
    pub(crate) past: Counters,
    /// It was said that somebody unknown cannot be read.
    pub(crate) told_unreadable: bool,
    /// When a datagram of another major version came last.
    pub(crate) incompatible: Option<Instant>,
    gone: bool,
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("me", &self.settings.me)
            .field("ring", &self.ring_id())
            .field("broken", &self.broken)
            .field("bound", &self.bound)
            .field("follows", &self.follows)
            .field("order", &self.order)
            .field("queued", &self.queue.messages())
            .field("statement", &self.statement)
            .finish_non_exhaustive()
    }
}

impl Ring {
    /// A daemon that starts now. `seed` is for dice that need no secrecy.
    pub fn new(
        now: Instant,
        settings: Settings,
        surroundings: Box<dyn Surroundings + Send>,
        seed: u64,
    ) -> Self {
        Self {
            tag: Tag::from(&settings.me),
            id: settings.ids.of(&settings.me.name),
            settings,
            surroundings,
            born: now,
            dice: Random::new(seed),
            peers: Peers::default(),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            notices: VecDeque::new(),
            queue: Queue::default(),
            order: None,
            view: None,
            members_at: Bits::default(),
            installed: now,
            installed_number: 0,
            broken: None,
            short_lived: 0,
            unsettled_since: Some(now),
            bound: None,
            statement: Statement::default(),
            proposal: None,
            proposals: 0,
            follows: None,
            refused: None,
            had_namesake: false,
            pushed_out: 0,
            contested: None,
            woke: Instant::ORIGIN,
            kept_out_by: None,
            unlisted_by: None,
            struck_by: None,
            lists_differ: false,
            regrouped: Instant::ORIGIN,
            malformed: 0,
            obligations: Bits::default(),
            counter: 0,
            time: 0,
            fan: Fan::default(),
            held_up: false,
            beats: 0,
            beat_at: now,
            beacon_at: now,
            judge_at: None,
            judged: Instant::ORIGIN,
            dirty: true,
            views: 0,
            past: Counters::default(),
            told_unreadable: false,
            incompatible: None,
            gone: false,
        }
    }

    /// A datagram that `boot` sealed, which the driver has checked. Returns whether it was one of ours.
    pub fn handle_datagram(&mut self, now: Instant, boot: &Boot, datagram: &[u8]) -> bool {
        let tag = Tag::from(boot);
        if self.gone || tag == self.tag {
            return true;
        }
        // Before anything is judged: this may be the first word after a long time in which this daemon did not run.
        self.note_sleep(now);
        let message = match Message::decode(datagram) {
            Ok(message) => message,
            Err(Malformed::Version(major)) => {
                if self.incompatible.is_none() {
                    self.tell(Notice::Incompatible { major });
                }
                self.incompatible = Some(now);
                return false;
            }
            Err(Malformed::Unknown) => return false,
            Err(Malformed::Bad) => {
                self.note_malformed(tag);
                return false;
            }
        };
        match message {
            Message::Challenge { nonce } => self.answer_challenge(now, boot, nonce),
            Message::Proof { nonce, card } => self.handle_proof(now, boot, nonce, card),
            message => {
                match self
                    .peers
                    .place(tag)
                    .filter(|&at| self.peers.at(at).is_some_and(|peer| peer.daemon.boot == *boot))
                {
                    Some(place) => self.dispatch(now, place, tag, message),
                    None => {
                        let card = match &message {
                            Message::Hello { card, .. } => Some(card),
                            _ => None,
                        };
                        self.ask_stranger(now, boot, card);
                    }
                }
            }
        }
        self.evaluate_if_due(now);
        true
    }

    fn dispatch(&mut self, now: Instant, place: usize, tag: Tag, message: Message<'_>) {
        let by_group =
            matches!(message, Message::Hello { .. } | Message::Data(_) | Message::Rest(_));
        if !by_group {
            self.heard(now, place);
        }
        let intact = self.is_intact();
        if let Some((short, ring)) = self.awaited()
            && match &message {
                Message::Data(data) => data.ring == short,
                Message::Rest(rest) => rest.ring == short,
                Message::Token(token) => token.ring == short,
                _ => false,
            }
        {
            self.handle_go(now, ring);
        }
        let works = intact || self.is_intact();
        match message {
            Message::Hello { card, to_group } => {
                self.note_hello(now, place, to_group);
                self.note_card(place, card);
            }
            Message::Heartbeat(heartbeat) => self.handle_heartbeat(now, place, &heartbeat),
            Message::Statement(statement) => self.handle_statement(now, place, statement),
            Message::Commit(commit) => self.handle_commit(now, tag, &commit),
            Message::Ready(ready) => self.handle_ready(now, tag, ready),
            Message::Install(install) => self.handle_install(now, tag, install),
            Message::Recovered { proposal } => self.handle_recovered(now, tag, proposal),
            Message::Go { ring } => self.handle_go(now, ring),
            Message::Missing(missing) => self.handle_missing(tag, &missing),
            Message::Leave => self.note_leave(place),
            Message::Where { tag: about } => self.handle_where(tag, about),
            Message::Introduce { tag, address } => self.handle_introduce(now, place, tag, address),
            Message::Data(data) if data.recovery => self.handle_recovery(now, &data),
            // A ring that is over still receives until it is accounted for, but sends no more.
            Message::Data(data) if self.bound.is_none() => {
                self.with_order(now, |order, step| order.handle_data(&data, step));
            }
            Message::Token(token) if works => {
                let again = self.with_order(now, |order, step| order.handle_token(token, step));
                if again == Some(true) {
                    self.send_heartbeat(now, place, false);
                }
            }
            Message::Rest(rest) if works => {
                self.with_order(now, |order, step| order.handle_rest(rest, step));
            }
            Message::Want { ring } if works => {
                self.with_order(now, |order, step| order.handle_want(tag, ring, step));
            }
            _ => {}
        }
    }

    /// The network says that nobody listens at the address of this daemon.
    pub fn handle_unreachable(&mut self, now: Instant, tag: Tag) {
        self.hint(now, tag);
        if let Some(peer) = self.peers.tagged(tag) {
            peer.denied = peer.hinted.is_some();
        }
    }

    /// Puts a message into the queue. Call [`handle_submitted`](Self::handle_submitted) after one or several.
    ///
    /// # Errors
    /// [`SubmitError`] if it is too long or too much waits.
    pub fn submit(&mut self, message: Bytes, service: Service) -> Result<(), SubmitError> {
        self.queue.push(message, service)
    }

    /// Sends what was submitted, as far as that is possible now.
    pub fn handle_submitted(&mut self, now: Instant) {
        if self.is_intact() {
            self.with_order(now, Order::handle_queued);
        }
    }

    /// Says whether what is delivered here is taken fast enough. While it is not, this daemon acknowledges nothing, so the
    /// others can send at most [`UNSTABLE_MAX`](crate::settings::UNSTABLE_MAX) packets more: readers slow writers down instead
    /// of being cut off. Do not say it of a reader that has stopped.
    pub fn set_held_up(&mut self, held_up: bool) {
        self.held_up = held_up;
    }

    /// Bytes that may still be submitted.
    pub fn room(&self) -> usize {
        QUEUE_BYTES_MAX.saturating_sub(self.queue.bytes())
    }

    /// Bytes waiting to be sent.
    pub fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// Messages waiting to be sent.
    pub fn queued(&self) -> usize {
        self.queue.messages()
    }

    /// Tells the others that this daemon goes; nothing is heard or said after that.
    pub fn leave(&mut self) {
        let heard = self.peers.iter().filter(|(_, peer)| peer.heard).map(|(_, peer)| peer.tag);
        let tags: alloc::vec::Vec<Tag> = heard.collect();
        // Twice, because nobody will be here to repeat it.
        let twice = tags.iter().chain(&tags);
        twice.for_each(|&tag| self.outbox.send(tag, &Message::Leave));
        self.gone = true;
    }

    /// When something has to be done without any datagram.
    pub fn next_timeout(&self, now: Instant) -> Option<Instant> {
        if self.gone {
            return None;
        }
        let order = self.order.as_ref().filter(|_| self.is_intact());
        // What calls for a judgement, and not before the next one may be.
        let judgements = [
            self.dirty.then_some(now),
            self.judge_at,
            self.bound.as_ref().map(Bound::deadline),
            order.and_then(Order::lost_at).map(|at| at.max(self.reads_until())),
        ];
        let judgement = judgements.into_iter().flatten().min();
        let times = [
            Some(self.beat_at),
            Some(self.beacon_at),
            judgement.map(|at| at.max(self.judged + self.spacing())),
            order.and_then(Order::next_timeout),
        ];
        times.into_iter().flatten().min()
    }

    /// Makes this daemon known at once to all that could be near: something else than the ring has seen one of them. Often asked
    /// is asked once in a quarter of the time between two beacons.
    pub fn seek(&mut self, now: Instant) {
        let soon = self.settings.beacon.mul_f64(0.75);
        if self.beacon_at.since(now) <= soon {
            self.beacon_at = now;
        }
    }

    /// Does what has become due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.gone {
            return;
        }
        if self.beacon_at <= now {
            self.beacon(now);
        }
        let judged = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let lost = self.order.as_ref().is_some_and(|order| order.is_token_lost(now));
        self.dirty |= self.beat_at <= now
            || lost
            || judged(self.judge_at)
            || judged(self.bound.as_ref().map(Bound::deadline));
        self.note_sleep(now);
        if self.beat_at <= now {
            // A daemon that was stopped for a while does not make up for the beats it missed.
            self.beat_at = now + self.settings.heartbeat;
            self.beat(now);
            let wish = self.wish(now);
            if let Some(order) = &mut self.order {
                order.wish = wish;
            }
            let ceiling = self.settings.timeout_ceiling * 4;
            self.incompatible = self.incompatible.filter(|at| now.since(*at) < ceiling);
        }
        if self.is_intact() {
            self.with_order(now, Order::handle_timeout);
        }
        self.form_timeout(now);
        self.evaluate_if_due(now);
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next thing worth a line in the log.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    pub(crate) fn tell(&mut self, notice: Notice) {
        if self.notices.len() >= NOTICES_MAX {
            self.notices.pop_front();
        }
        self.notices.push_back(notice);
    }

    /// The view this daemon is in, or was in last.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// Whether the view stands: nobody in it is known to be gone and the token goes round.
    pub fn stands(&self) -> bool {
        self.is_intact() && self.bound.is_none()
    }
}
