//! The other daemons: who has proven to live, who is heard, and what they said last.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use base::{Boot, Instant};

use crate::bits::Bits;
use crate::name::DaemonName;
use crate::notice::Notice;
use crate::settings::PEERS_MAX;
use crate::view::{Daemon, RingId};
use crate::wire::{Card, Nonce, Statement, Tag};

/// Strangers of whom a proof was asked, at most.
const STRANGERS_MAX: usize = 64;
/// How long an unanswered request for a proof stands before it is made again.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// How long a request for a proof can be answered.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A daemon that gives signs for so long without any answer is told of in the log.
const NO_ANSWER: Duration = Duration::from_secs(3);
/// After so long without a sign nobody is waited for.
const FORGET_SIGNS: Duration = Duration::from_secs(10);
/// The time over which the longest silence of a living peer is remembered; at least one, at most two of it.
const JITTER_SPAN: Duration = Duration::from_secs(30);

/// The longest recent silence between two heartbeats of a living peer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Jitter {
    now: Duration,
    before: Duration,
    since: Instant,
}

impl Jitter {
    pub(crate) fn record(&mut self, now: Instant, gap: Duration) {
        self.turn(now);
        self.now = self.now.max(gap);
    }

    fn turn(&mut self, now: Instant) {
        if now.since(self.since) >= JITTER_SPAN {
            (self.before, self.now, self.since) = (self.now, Duration::ZERO, now);
        }
    }

    /// The same without looking whether it is old by now.
    pub(crate) fn longest_known(&self) -> Duration {
        self.now.max(self.before)
    }

    pub(crate) fn longest(&mut self, now: Instant) -> Duration {
        self.turn(now);
        self.now.max(self.before)
    }
}

/// A daemon whose boot has proven to live.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) daemon: Daemon,
    pub(crate) tag: Tag,
    pub(crate) card: Card,
    /// Our list has it.
    pub(crate) listed: bool,
    /// When it started, in nanoseconds of our clock; before our own start that is negative.
    pub(crate) started: i64,
    /// It is heard: a word of its own to us came lately.
    pub(crate) heard: bool,
    /// When the last came.
    pub(crate) last: Instant,
    /// When its last sign by multicast came.
    pub(crate) multicast: Option<Instant>,
    /// The network said that nobody is there; a word proves otherwise.
    pub(crate) hinted: Option<Instant>,
    /// It was the network that said so, and not another member that does not hear it.
    pub(crate) denied: bool,
    /// It said that it goes.
    pub(crate) left: bool,
    pub(crate) statement: Statement,
    /// Of which view of its own, which is over, it was last noticed that it stays outside of any because another has its name.
    pub(crate) outside_since: Option<RingId>,
    /// Whom it hears and does not keep out, and whom it proposes, by place here.
    pub(crate) hears: Bits,
    /// Those of them whom its list does not have.
    pub(crate) unlists: Bits,
    pub(crate) proposes: Option<Bits>,
    /// The newest statement of ours that it has.
    pub(crate) has: u64,
    pub(crate) jitter: Jitter,
    pub(crate) heartbeat: Instant,
    /// That one came while it was a member of our view: from then on they come regularly.
    pub(crate) regular: bool,
    /// Its newest stamp, and when it came.
    pub(crate) stamp: (u64, Instant),
    /// The last stamp of ours that it returned from within our ring: it was alive there then. A new view begins without.
    pub(crate) confirmed: Option<Instant>,
    pub(crate) round_trip: Option<Duration>,
    /// When it was last asked for a sign because another member hears it.
    pub(crate) greeted: Instant,
    /// Its newest proposal that we let bind us. Each binds once: what we said we have must not change under it.
    pub(crate) committed: u64,
    /// Views with it did not last: how often in a row, when last, and until when it is kept out.
    pub(crate) breaks: u8,
    pub(crate) broke: Instant,
    pub(crate) kept_out: Instant,
    /// Since when it is heard without hearing us.
    pub(crate) deaf_since: Option<Instant>,
    /// Since when it is a member and does not say that it hears our multicast.
    pub(crate) singly_since: Option<Instant>,
    /// What was said about it in the log already.
    pub(crate) told_deaf: bool,
    pub(crate) told_multicast: bool,
    /// What it sends cannot be read, and that was said.
    pub(crate) told_malformed: bool,
}

#[derive(Debug)]
struct Stranger {
    boot: Boot,
    nonce: Nonce,
    asked: Instant,
}

/// A name whose signs come without an answer to any question.
#[derive(Debug)]
struct Unanswered {
    since: Instant,
    last: Instant,
    told: bool,
}

/// All of them. Places are stable while a peer is remembered; place 0 is this daemon and never in here.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    slots: Vec<Option<Peer>>,
    places: BTreeMap<Tag, usize>,
    strangers: Vec<Stranger>,
    unanswered: BTreeMap<DaemonName, Unanswered>,
    /// What was said last of those that cannot be in a view with us.
    unfit: BTreeMap<DaemonName, Notice>,
}

/// The place of this daemon.
pub(crate) const ME: usize = 0;

impl Peers {
    pub(crate) fn place(&self, tag: Tag) -> Option<usize> {
        self.places.get(&tag).copied()
    }

    pub(crate) fn at(&self, place: usize) -> Option<&Peer> {
        self.slots.get(place)?.as_ref()
    }

    pub(crate) fn at_mut(&mut self, place: usize) -> Option<&mut Peer> {
        self.slots.get_mut(place)?.as_mut()
    }

    pub(crate) fn tagged(&mut self, tag: Tag) -> Option<&mut Peer> {
        self.at_mut(self.place(tag)?)
    }

    /// One more than the highest place in use.
    pub(crate) fn end(&self) -> usize {
        self.slots.len().max(1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Peer)> {
        self.slots.iter().enumerate().filter_map(|(at, peer)| Some((at, peer.as_ref()?)))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Peer)> {
        self.slots.iter_mut().enumerate().filter_map(|(at, peer)| Some((at, peer.as_mut()?)))
    }

    /// A sign of a daemon that has not answered yet; `true` once, when it has given signs for too long without any answer.
    pub(crate) fn is_deaf_stranger(&mut self, now: Instant, name: DaemonName) -> bool {
        self.unanswered.retain(|_, one| now.since(one.last) < FORGET_SIGNS);
        if self.unanswered.len() >= STRANGERS_MAX && !self.unanswered.contains_key(&name) {
            return false;
        }
        let fresh = Unanswered { since: now, last: now, told: false };
        let one = self.unanswered.entry(name).or_insert(fresh);
        one.last = now;
        let late = now.since(one.since) > NO_ANSWER;
        late && !core::mem::replace(&mut one.told, late)
    }

    /// A daemon cannot be in a view with us; whether that is news.
    pub(crate) fn is_news(&mut self, name: DaemonName, notice: &Notice) -> bool {
        if self.unfit.get(&name) == Some(notice) {
            return false;
        }
        if self.unfit.len() >= PEERS_MAX {
            self.unfit.pop_first();
        }
        self.unfit.insert(name, notice.clone());
        true
    }

    /// It could be in a view with us now.
    pub(crate) fn fits(&mut self, name: &DaemonName) {
        self.unfit.remove(name);
    }

    /// A daemon of this name has answered, whether it fits or not.
    pub(crate) fn answered(&mut self, name: &DaemonName) {
        self.unanswered.remove(name);
    }

    /// What to ask a stranger, unless it was asked a moment ago.
    pub(crate) fn question(
        &mut self,
        now: Instant,
        boot: &Boot,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Option<Nonce> {
        if let Some(stranger) = self.strangers.iter_mut().find(|s| s.boot == *boot) {
            if now.since(stranger.asked) < ASK_AGAIN {
                return None;
            }
            if now.since(stranger.asked) < ANSWER_WITHIN {
                // The same number once more: the answer to the first may be on its way.
                stranger.asked = now;
                return Some(stranger.nonce);
            }
        }
        self.strangers.retain(|s| s.boot != *boot && now.since(s.asked) < ANSWER_WITHIN);
        if self.strangers.len() >= STRANGERS_MAX {
            return None;
        }
        let mut nonce = Nonce::default();
        random(&mut nonce);
        self.strangers.push(Stranger { boot: *boot, nonce, asked: now });
        Some(nonce)
    }

    /// Whether this answers what was asked of `boot`; good once.
    pub(crate) fn proves(&mut self, boot: &Boot, nonce: &Nonce) -> bool {
        let found = self.strangers.iter().position(|s| s.boot == *boot && s.nonce == *nonce);
        found.map(|at| self.strangers.swap_remove(at)).is_some()
    }

    /// Remembers a proven daemon, instead of the longest silent one of those not in `needed` if the table is full.
    pub(crate) fn admit(
        &mut self,
        now: Instant,
        boot: Boot,
        card: Card,
        needed: Bits,
    ) -> Option<usize> {
        let daemon = Daemon { name: card.name, boot };
        let tag = Tag::from(&daemon);
        if self.places.contains_key(&tag) {
            return None;
        }
        let free = (1..=PEERS_MAX).find(|&at| self.at(at).is_none());
        let place = free.or_else(|| {
            let idle = self.iter().filter(|(at, peer)| !needed.has(*at) && !peer.heard);
            let (at, _) = idle.min_by_key(|(_, peer)| peer.last)?;
            self.forget(at);
            Some(at)
        })?;
        if self.slots.len() <= place {
            self.slots.resize_with(place + 1, || None);
        }
        let age = i64::try_from(card.age.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
        let clock = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        self.slots[place] = Some(Peer {
            daemon,
            tag,
            card,
            listed: true,
            started: clock.saturating_sub(age),
            heard: true,
            last: now,
            multicast: None,
            hinted: None,
            denied: false,
            left: false,
            statement: Statement::default(),
            outside_since: None,
            hears: Bits::default(),
            unlists: Bits::default(),
            proposes: None,
            has: 0,
            jitter: Jitter { since: now, ..Jitter::default() },
            heartbeat: now,
            regular: false,
            stamp: (0, now),
            confirmed: None,
            round_trip: None,
            greeted: Instant::ORIGIN,
            committed: 0,
            breaks: 0,
            broke: Instant::ORIGIN,
            kept_out: Instant::ORIGIN,
            deaf_since: None,
            singly_since: None,
            told_deaf: false,
            told_multicast: false,
            told_malformed: false,
        });
        self.places.insert(tag, place);
        Some(place)
    }

    pub(crate) fn forget(&mut self, place: usize) {
        if let Some(peer) = self.slots.get_mut(place).and_then(Option::take) {
            self.places.remove(&peer.tag);
        }
    }
}
