//! One ring at work: the token, numbering, receiving, asking again, and knowing what everybody has.
//!
//! Totem's single ring with three changes. The token carries what *every* member has received, so what is stable is
//! their least and needs no second rotation to be known. A member that alone has something to send keeps the
//! token for a moment instead of sending it round for each message, and when all is known everywhere the token rests.
//! Whoever then wants it asks the one that has it and gets it directly; order does not depend on the way the token goes.
//!
//! A packet that was sent after the token (the accelerated ring) may still be on its way when the token
//! arrives, so only holes below the number that the token had on its visit before are asked for.

mod delivery;
mod queue;
mod store;
mod visit;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use base::Instant;
use bytes::Bytes;

pub(crate) use delivery::Delivery;
pub(crate) use queue::Queue;
pub use queue::SubmitError;
pub(crate) use store::{Packet, Store, ranges};

use crate::event::Event;
use crate::outbox::{Fan, Outbox};
use crate::settings::Settings;
use crate::view::RingId;
use crate::wire::{Data, Heartbeat, Message, Rest, Tag, Token, short};

/// How long the only sender keeps the token after sending, so that its next message needs no rotation.
const LINGER: Duration = Duration::from_millis(1);
/// A member is the only sender if nothing new of another came for so long.
const QUIET: Duration = Duration::from_millis(2);
/// How long to wait for a sign that a passed token arrived, at first and at most.
const RESEND_FIRST: Duration = Duration::from_millis(3);
const RESEND_MOST: Duration = Duration::from_millis(25);
/// How long a request for the token waits before it is made again, at least. A token that goes round needs no request: it is given
/// the time of two rotations, and at most [`RESEND_MOST`] and [`WANT_EACH`] for each member.
const WANT_AGAIN: Duration = Duration::from_millis(2);
const WANT_EACH: Duration = Duration::from_millis(1);

/// What an order needs for one step.
pub(crate) struct Step<'a> {
    pub(crate) now: Instant,
    pub(crate) settings: &'a Settings,
    pub(crate) queue: &'a mut Queue,
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) events: &'a mut VecDeque<Event>,
    pub(crate) fan: &'a Fan,
    /// What was delivered here is not taken fast enough: nothing more is acknowledged.
    pub(crate) held_up: bool,
}

/// A token that was passed on and of whose arrival nothing is known yet.
#[derive(Debug)]
struct Passed {
    number: u64,
    to: Tag,
    datagram: Bytes,
    again: Instant,
    wait: Duration,
}

/// What this member did in its ring, ever growing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets numbered and sent by this member.
    pub sent: u64,
    /// Packets of others received for the first time.
    pub received: u64,
    /// Packets received that were here already.
    pub repeated: u64,
    /// Packets sent again because somebody missed them.
    pub resent: u64,
    /// Packets asked for because they were missing here.
    pub requested: u64,
    /// Visits of the token.
    pub visits: u64,
    /// Tokens passed on a second time because no sign of their arrival came.
    pub token_resent: u64,
}

impl Counters {
    /// Adds those of a ring that is over.
    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.received += other.received;
        self.repeated += other.repeated;
        self.resent += other.resent;
        self.requested += other.requested;
        self.visits += other.visits;
        self.token_resent += other.token_resent;
    }
}

#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) ring: RingId,
    pub(crate) short: u64,
    pub(crate) me: usize,
    pub(crate) members: Vec<Tag>,
    pub(crate) store: Store,
    pub(crate) delivery: Delivery,
    /// Everything up to here is with all members.
    pub(crate) stable: u64,
    /// The timeout in force, carried in the token.
    pub(crate) timeout: Duration,
    /// The timeout this member would like.
    pub(crate) wish: Duration,
    pub(crate) counters: Counters,
    /// The minor wire version spoken in this ring.
    pub(crate) minor: u8,
    /// The window, when the token was here last.
    pub(crate) window: u16,
    /// How long the token was away the last time it went round without a rest, as far as was seen here.
    pub(crate) rotation: Option<Duration>,
    /// The token, while it is here.
    token: Option<Token>,
    /// The highest token number anybody was seen to have.
    top: u64,
    /// The highest that was here.
    seen: u64,
    passed: Option<Passed>,
    passed_at: Instant,
    /// Who keeps the token, if it does not go round.
    resting: Option<usize>,
    /// When the token, kept after sending, must go round.
    linger: Option<Instant>,
    /// When to ask for the token.
    want: Option<Instant>,
    /// Holes up to here are asked for.
    limit: u64,
    /// What this member added to the token's counts on its last visit.
    my_sent: u32,
    my_backlog: bool,
    /// When something new of another member came.
    others: Instant,
    /// When the token was last known to be alive.
    sign: Instant,
}

impl Order {
    /// A ring that was just installed. `first`: the token begins here.
    #[allow(clippy::too_many_arguments)] // Each is a word of the install.
    pub(crate) fn new(
        now: Instant,
        ring: RingId,
        members: Vec<Tag>,
        me: usize,
        timeout: Duration,
        first: bool,
        minor: u8,
        settings: &Settings,
    ) -> Self {
        let n = members.len();
        let token = Token {
            ring: short(ring),
            arus: alloc::vec![0; n],
            window: settings.window.min(64),
            timeout: u16::try_from(timeout.as_millis()).unwrap_or(u16::MAX),
            last_sender: me as u8,
            ..Token::default()
        };
        Self {
            ring,
            short: short(ring),
            me,
            members,
            store: Store::default(),
            delivery: Delivery::new(n),
            stable: 0,
            timeout,
            wish: timeout,
            counters: Counters::default(),
            minor,
            window: token.window,
            rotation: None,
            token: first.then_some(token),
            top: 0,
            seen: 0,
            passed: None,
            passed_at: now,
            resting: None,
            linger: None,
            want: None,
            limit: 0,
            my_sent: 0,
            my_backlog: false,
            others: Instant::ORIGIN,
            sign: now,
        }
    }

    /// Begins: the founder has the token, and says where it is.
    pub(crate) fn start(&mut self, step: &mut Step<'_>) {
        if let Some(token) = self.token.take() {
            self.send_and_decide(token, step);
        }
    }

    pub(crate) fn holds(&self) -> bool {
        self.token.is_some()
    }

    /// The highest token number known here, for heartbeats.
    pub(crate) fn top(&self) -> u64 {
        self.top
    }

    fn alone(&self) -> bool {
        self.members.len() == 1
    }

    /// Somebody's word that a token with this number exists.
    fn learn(&mut self, now: Instant, number: u64) {
        if number > self.top {
            self.top = number;
            self.sign = now;
        }
        if self.passed.as_ref().is_some_and(|passed| number >= passed.number) {
            self.passed = None;
        }
    }

    pub(crate) fn handle_heartbeat(&mut self, heartbeat: &Heartbeat, step: &mut Step<'_>) {
        self.learn(step.now, heartbeat.token);
        if heartbeat.holds {
            self.sign = step.now;
        }
        // The word that the token rests may have been lost.
        let stable = heartbeat.stable.min(self.store.aru());
        if stable > self.stable {
            self.settle(stable, step.events);
        }
    }

    /// `true` if it was the token of before once more, whose sender has to be told that it arrived.
    pub(crate) fn handle_token(&mut self, token: Token, step: &mut Step<'_>) -> bool {
        if token.ring != self.short || token.arus.len() != self.members.len() {
            return false;
        }
        if token.number <= self.seen {
            return true;
        }
        self.seen = token.number;
        self.learn(step.now, token.number);
        if self.resting.is_none() {
            self.rotation = Some(step.now.since(self.passed_at));
        }
        self.passed = None;
        self.resting = None;
        self.want = None;
        self.counters.visits += 1;
        self.visit(token, step);
        false
    }

    pub(crate) fn handle_data(&mut self, data: &Data<'_>, step: &mut Step<'_>) {
        if data.ring != self.short || usize::from(data.sender) >= self.members.len() {
            return;
        }
        if data.token >= self.top {
            self.resting = data.keeps.then_some(usize::from(data.sender));
        }
        self.learn(step.now, data.token);
        if self.take(data.seq, data.sender, data.body) {
            if data.relay {
                let near = Data { relay: false, ..data.clone() };
                step.outbox.fan_near(step.fan, &Message::Data(near));
            }
            self.others = step.now;
            self.delivery.advance(&self.store, self.stable, step.events);
        }
        if self.resting.is_some() && !step.queue.is_empty() && !self.holds() {
            self.ask(step);
        }
    }

    /// Keeps a packet; `false` if it was here.
    pub(crate) fn take(&mut self, seq: u64, sender: u8, body: &[u8]) -> bool {
        if self.store.has(seq) {
            self.counters.repeated += 1;
            return false;
        }
        let new = self.store.insert(seq, Packet::new(sender, Bytes::copy_from_slice(body)));
        self.counters.received += u64::from(new);
        new
    }

    pub(crate) fn handle_rest(&mut self, rest: Rest, step: &mut Step<'_>) {
        if rest.ring != self.short || rest.number < self.top {
            return;
        }
        if rest.relay {
            step.outbox.fan_near(step.fan, &Message::Rest(Rest { relay: false, ..rest }));
        }
        self.learn(step.now, rest.number);
        let holder = usize::from(rest.holder);
        self.resting = (holder < self.members.len()).then_some(holder);
        // Everybody has everything up to there; if this member should not, it has not said so.
        self.settle(rest.seq.min(self.store.aru()), step.events);
        if !step.queue.is_empty() {
            self.ask(step);
        }
    }

    /// Somebody has something to send: it gets the token if it is here and nothing else is to be done with it.
    pub(crate) fn handle_want(&mut self, from: Tag, ring: u64, step: &mut Step<'_>) {
        if ring == self.short
            && self.members.contains(&from)
            && let Some(token) = self.token.take()
        {
            self.pass(token, from, step);
        }
    }

    /// Something was put into the queue.
    pub(crate) fn handle_queued(&mut self, step: &mut Step<'_>) {
        if step.queue.is_empty() {
            return;
        }
        if let Some(token) = self.token.take() {
            self.send_and_decide(token, step);
        } else if self.want.is_none() {
            match self.resting {
                Some(_) => self.ask(step),
                None => self.want = Some(self.comes_by().max(step.now + WANT_AGAIN)),
            }
        }
    }

    /// A token that goes round is here again by then.
    pub(super) fn comes_by(&self) -> Instant {
        let most = RESEND_MOST + WANT_EACH * self.members.len() as u32;
        self.passed_at + (self.rotation.unwrap_or_default() * 2).clamp(WANT_AGAIN, most)
    }

    fn ask(&mut self, step: &mut Step<'_>) {
        let message = Message::Want { ring: self.short };
        match self.resting.filter(|&at| at != self.me) {
            Some(at) => step.outbox.send(self.members[at], &message),
            None => {
                let others = self.members.iter().enumerate().filter(|(at, _)| *at != self.me);
                others.for_each(|(_, tag)| step.outbox.send(*tag, &message));
            }
        }
        let again = self.comes_by().since(self.passed_at);
        self.want = Some(step.now + again);
    }

    /// Everything up to `stable` is with all.
    fn settle(&mut self, stable: u64, events: &mut VecDeque<Event>) {
        self.stable = self.stable.max(stable);
        self.delivery.advance(&self.store, self.stable, events);
        self.store.drop_to(self.stable.min(self.delivery.done()));
    }

    /// Whether the token must be lost: nobody showed it for longer than the timeout.
    pub(crate) fn is_token_lost(&self, now: Instant) -> bool {
        !self.holds() && now.since(self.sign) > self.timeout
    }

    pub(crate) fn handle_timeout(&mut self, step: &mut Step<'_>) {
        if self.linger.is_some_and(|at| at <= step.now) {
            self.linger = None;
            if let Some(token) = self.token.take() {
                self.pass_on(token, step);
            }
        }
        if let Some(passed) = self.passed.as_mut().filter(|passed| passed.again <= step.now) {
            passed.wait = (passed.wait * 2).min(RESEND_MOST);
            passed.again = step.now + passed.wait;
            step.outbox.put(crate::outbox::To::Peer(passed.to), passed.datagram.clone());
            self.counters.token_resent += 1;
        }
        if self.want.is_some_and(|at| at <= step.now) {
            self.want = None;
            if !self.holds() && !step.queue.is_empty() {
                // Whoever was asked did not answer: somebody else may have it by now.
                self.ask(step);
                self.resting = None;
            }
        }
    }

    /// When the token will have to be called lost if nobody shows it.
    pub(crate) fn lost_at(&self) -> Option<Instant> {
        (!self.holds()).then(|| self.sign + self.timeout + Duration::from_nanos(1))
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let again = self.passed.as_ref().map(|passed| passed.again);
        [self.linger, again, self.want].into_iter().flatten().min()
    }
}
