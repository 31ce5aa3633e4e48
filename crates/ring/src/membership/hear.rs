//! Getting known, heartbeats, and who counts as heard.

use alloc::collections::BTreeMap;
use core::time::Duration;

use base::{Boot, Instant};

use super::{ME, Peer};
use crate::bits::Bits;
use crate::name::DaemonName;
use crate::notice::Notice;
use crate::outbox::To;
use crate::ring::Ring;
use crate::settings::MINOR_MIN;
use crate::wire::{Card, Heartbeat, Message, Nonce, Tag};

/// How long a daemon that the network calls unreachable has to say a word, before it counts as gone.
pub(crate) const HINT_PATIENCE: Duration = Duration::from_millis(10);
/// How long a daemon that could not run reads before it calls others silent.
const READING: Duration = Duration::from_millis(15);
/// Daemons outside of the ring count as heard for so many beacons.
const BEACONS: u32 = 3;
/// The timeout is so many times the longest silence seen lately.
const SILENCES: u32 = 3;
/// Up to so many members everybody sends to everybody at each heartbeat; beyond, only to the next few in the ring, and to the others in turns.
const EVERYBODY: usize = 16;
const NEIGHBOURS: usize = 2;
/// At one heartbeat in so many a daemon speaks to those it hears, who do not hear it and are not in its view.
const UNMET: usize = 4;
/// Daemons silent for so long get no signs any more, and are forgotten when there is need.
const GIVEN_UP: Duration = Duration::from_secs(600);
/// Beacons at the start come closer together, so that a daemon is found at once.
const FIRST_BEACONS: Duration = Duration::from_millis(40);
const FIRST_SPAN: Duration = Duration::from_millis(400);

impl Ring {
    pub(crate) fn card(&self, now: Instant) -> Card {
        Card {
            name: self.settings.me.name,
            minor_min: MINOR_MIN,
            minor_max: self.settings.minor,
            configuration: self.settings.configuration,
            age: now.since(self.born).as_millis() as u64,
            site: self.settings.site,
            id: self.id,
        }
    }

    /// A stranger has to prove that it lives before anything it says counts.
    pub(crate) fn ask_stranger(&mut self, now: Instant, boot: &Boot, card: Option<&Card>) {
        if let Some(name) = card.map(|card| card.name)
            && self.peers.is_deaf_stranger(now, name)
        {
            self.tell(Notice::NoAnswer { name });
        }
        let surroundings = &mut self.surroundings;
        let mut random = |out: &mut [u8]| surroundings.random(out);
        if let Some(nonce) = self.peers.question(now, boot, &mut random) {
            self.outbox.send(Tag::from(boot), &Message::Challenge { nonce });
        }
    }

    pub(crate) fn answer_challenge(&mut self, now: Instant, boot: &Boot, nonce: Nonce) {
        let card = self.card(now);
        self.outbox.send(Tag::from(boot), &Message::Proof { nonce, card });
    }

    pub(crate) fn handle_proof(&mut self, now: Instant, boot: &Boot, nonce: Nonce, card: Card) {
        if !self.peers.proves(boot, &nonce) {
            return;
        }
        self.peers.answered(&card.name);
        if let Some(notice) = self.unfit(&card) {
            if self.peers.is_news(card.name, &notice) {
                self.tell(notice);
            }
            return;
        }
        let needed = self.needed();
        let Some(place) = self.peers.admit(now, *boot, card, needed) else { return };
        self.peers.fits(&card.name);
        self.resolve_all();
        if let Some(peer) = self.peers.at(place) {
            let (name, tag) = (peer.daemon, peer.tag);
            self.tell(Notice::Met { daemon: name });
            self.suspect_namesakes(now, place);
            // It learns at once what everybody else knows of us.
            self.outbox.send(tag, &Message::Statement(self.statement.clone()));
        }
        self.dirty = true;
    }

    /// A member says that our ring is over: whom it does not hear any more has to show that it lives, so that those who
    /// hear less of it do not wait until they miss it themselves.
    pub(crate) fn suspect_unheard(&mut self, now: Instant, by: usize) {
        let hears = self.peers.at(by).map(|peer| peer.hears).unwrap_or_default();
        let ring = self.ring_places();
        let lost = ring.iter().filter(|&at| at != by && !hears.has(at));
        let lost = lost.filter_map(|at| self.peers.at(at)).map(|peer| peer.tag);
        let lost: alloc::vec::Vec<Tag> = lost.collect();
        lost.into_iter().for_each(|tag| self.hint(now, tag));
    }

    /// Why a daemon cannot be in a view with this one.
    fn unfit(&self, card: &Card) -> Option<Notice> {
        let name = card.name;
        if !self.has_same_kind_of_list(card) {
            return Some(Notice::OtherConfiguration { name });
        }
        if !self.lists(card) {
            return Some(Notice::NotListed { name });
        }
        let common = self.settings.minor.min(card.minor_max);
        #[expect(
            clippy::absurd_extreme_comparisons,
            reason = "the oldest version is 0 only as yet"
        )]
        (common < card.minor_min || common < MINOR_MIN).then_some(Notice::OtherVersion { name })
    }

    /// A new boot of a name that is in our ring: the old one has to show at once that it lives.
    fn suspect_namesakes(&mut self, now: Instant, place: usize) {
        let Some(name) = self.peers.at(place).map(|peer| peer.daemon.name) else { return };
        let same = |(at, peer): (usize, &Peer)| {
            (at != place && peer.daemon.name == name && peer.heard).then_some(peer.tag)
        };
        let old: alloc::vec::Vec<Tag> = self.peers.iter().filter_map(same).collect();
        old.into_iter().for_each(|tag| self.hint(now, tag));
    }

    pub(crate) fn note_hello(&mut self, now: Instant, place: usize, to_group: bool) {
        if let Some(peer) = self.peers.at_mut(place).filter(|_| to_group) {
            self.dirty |= peer.multicast.is_none();
            peer.multicast = Some(now);
        }
    }

    pub(crate) fn note_leave(&mut self, place: usize) {
        if let Some(peer) = self.peers.at_mut(place) {
            peer.left = true;
            self.dirty = true;
        }
    }

    /// The network says that nobody is at this daemon's address. It may lie, so a word in time clears it.
    pub(crate) fn hint(&mut self, now: Instant, tag: Tag) {
        let Some(place) = self.peers.place(tag) else { return };
        if let Some(peer) = self.peers.at_mut(place)
            && peer.heard
            && peer.hinted.is_none()
        {
            peer.hinted = Some(now);
            let until = now + HINT_PATIENCE;
            self.judge_at = Some(self.judge_at.map_or(until, |at| at.min(until)));
            self.send_heartbeat(now, place, true);
        }
    }

    /// A word from `place` to us alone: it lives and we hear it.
    pub(crate) fn heard(&mut self, now: Instant, place: usize) {
        let Some(peer) = self.peers.at_mut(place) else { return };
        peer.last = now;
        peer.hinted = None;
        peer.denied = false;
        if !peer.heard && !peer.left {
            peer.heard = true;
            peer.heartbeat = now;
            self.dirty = true;
        }
    }

    pub(crate) fn handle_heartbeat(&mut self, now: Instant, place: usize, heartbeat: &Heartbeat) {
        let ring = self.ring_id();
        let mine = self.statement.number;
        let stride = self.stride();
        let member = self.ring_places().has(place);
        // Who could not run itself heard nobody, which says nothing about the others.
        let slept = now.since(self.beat_at) > self.settings.heartbeat || now < self.reads_until();
        let Some(peer) = self.peers.at_mut(place) else { return };
        let gap = now.since(peer.heartbeat);
        peer.heartbeat = now;
        let planned = self.settings.heartbeat * (stride - 1);
        if peer.regular && !slept && gap < self.settings.timeout_ceiling {
            peer.jitter.record(now, gap.saturating_sub(planned));
        }
        peer.regular = member && heartbeat.ring == ring;
        peer.stamp = (heartbeat.stamp, now);
        peer.has = heartbeat.has;
        if heartbeat.echo != 0 {
            let sent = Instant::from_nanos(heartbeat.echo.saturating_mul(1000));
            let away = now.since(sent);
            peer.round_trip = away.checked_sub(Duration::from_micros(heartbeat.held));
            if heartbeat.ring == ring {
                peer.confirmed = peer.confirmed.max(Some(sent));
            }
        }
        let tag = peer.tag;
        let stale = peer.has < mine;
        if heartbeat.ring == ring && self.is_intact() {
            self.with_order(now, |order, step| order.handle_heartbeat(heartbeat, step));
        }
        if stale {
            self.outbox.send(tag, &Message::Statement(self.statement.clone()));
        }
        if heartbeat.ping {
            self.send_heartbeat(now, place, false);
        }
    }

    pub(crate) fn send_heartbeat(&mut self, now: Instant, place: usize, ping: bool) {
        let Some(peer) = self.peers.at(place) else { return };
        let (stamp, came) = peer.stamp;
        let order = self.order.as_ref().filter(|_| self.broken.is_none());
        let heartbeat = Heartbeat {
            ring: self.ring_id(),
            token: order.map_or(0, |order| order.top()),
            stable: order.map_or(0, |order| order.stable),
            holds: order.is_some_and(|order| order.holds()),
            ping,
            statement: self.statement.number,
            has: peer.statement.number,
            stamp: (now.as_nanos() / 1000).max(1),
            echo: stamp,
            held: now.since(came).as_micros() as u64,
        };
        self.outbox.send(peer.tag, &Message::Heartbeat(heartbeat));
    }

    /// The heartbeat tick: to the ring, and while nothing is settled to everybody heard.
    pub(crate) fn beat(&mut self, now: Instant) {
        self.beats = self.beats.wrapping_add(1);
        let ring = self.ring_places();
        let settled = self.is_settled();
        let count = ring.len() + 1;
        let stride = if settled { self.stride() as usize } else { 1 };
        let my_rank = self.peers_rank();
        let targets: alloc::vec::Vec<(usize, bool)> = self
            .peers
            .iter()
            .filter_map(|(at, peer)| {
                if peer.left {
                    return None;
                }
                let member = ring.has(at);
                if !member {
                    let recent = now.since(peer.last) < 4 * self.settings.timeout_ceiling;
                    // To meet takes three words, each of which may be lost: whoever is heard and does not hear us gets
                    // more of them than a beacon has.
                    let unmet = settled && peer.heard && !peer.hears.has(ME);
                    let turn = (self.beats as usize + at).is_multiple_of(UNMET);
                    return (recent && (!settled || unmet && turn)).then_some((at, !settled));
                }
                let distance = (self.rank_of(at) + count - my_rank) % count;
                let turn = (self.beats as usize + distance).is_multiple_of(stride);
                // Who was with us in a view that broke and is in another now does not beat for us, and has to be asked.
                let gone_on = peer.statement.ring != self.ring_id();
                (distance <= NEIGHBOURS || turn)
                    .then_some((at, !settled && (!peer.heard || gone_on)))
            })
            .collect();
        for (at, ping) in targets {
            self.send_heartbeat(now, at, ping);
        }
    }

    /// The beacon: strangers learn of us, and those who were cut off get a chance to hear us again.
    pub(crate) fn beacon(&mut self, now: Instant) {
        let card = self.card(now);
        if self.settings.group {
            let hello = Message::Hello { card, to_group: true };
            self.outbox.put(To::Group, hello.encode().into());
        }
        let hello = bytes::Bytes::from(Message::Hello { card, to_group: false }.encode());
        self.outbox.put(To::Seeds, hello.clone());
        for tag in self.doors(now) {
            self.outbox.put(To::Door(tag), hello.clone());
        }
        let statement = Message::Statement(self.statement.clone());
        let datagram = bytes::Bytes::from(statement.encode());
        let near = |peer: &Peer| !peer.left && now.since(peer.last) < GIVEN_UP;
        let tags = self.peers.iter().filter(|(_, peer)| near(peer)).map(|(_, peer)| peer.tag);
        let tags: alloc::vec::Vec<Tag> = tags.collect();
        tags.into_iter().for_each(|tag| self.outbox.put(To::Peer(tag), datagram.clone()));
        let early = now.since(self.born) < FIRST_SPAN;
        let next = if early { FIRST_BEACONS } else { self.settings.beacon };
        // A tenth up or down, so that many daemons do not speak at once.
        let jitter = next.mul_f64(0.9 + 0.2 * self.dice.unit());
        self.beacon_at = now + jitter;
    }

    /// Where daemons were of whose name nobody is heard: what runs there since may know nobody, and where multicast does
    /// not pass nobody else would find it. (Found by the simulator, seed 102809.) The newest of each name.
    fn doors(&self, now: Instant) -> alloc::vec::Vec<Tag> {
        let mut newest: BTreeMap<DaemonName, &Peer> = BTreeMap::new();
        for (_, peer) in self.peers.iter() {
            let known = newest.entry(peer.daemon.name).or_insert(peer);
            if (peer.heard, peer.last) > (known.heard, known.last) {
                *known = peer;
            }
        }
        newest.remove(&self.settings.me.name);
        let gone = |peer: &&Peer| !peer.heard && now.since(peer.last) < GIVEN_UP;
        newest.into_values().filter(gone).map(|peer| peer.tag).collect()
    }

    /// At a settled heartbeat, one in so many members is told.
    fn stride(&self) -> u32 {
        (self.ring_places().len() + 1).div_ceil(EVERYBODY) as u32
    }

    /// How long a peer may be silent.
    pub(crate) fn patience(&self, place: usize) -> Duration {
        let ring = self.ring_places();
        let timeout = self.timeout();
        if ring.has(place) {
            timeout + self.settings.heartbeat * (self.stride() - 1)
        } else if self.is_settled() {
            (self.settings.beacon * BEACONS).max(timeout)
        } else {
            timeout
        }
    }

    /// A daemon that could not run has not read either: what others said meanwhile lies in its sockets and must be heard
    /// before it calls them silent. Not at every beat, so that a slow machine still notices who is gone.
    pub(crate) fn note_sleep(&mut self, now: Instant) {
        let slept = now.since(self.beat_at) > self.settings.heartbeat;
        if slept && now.since(self.woke) > self.timeout() * 2 {
            self.woke = now;
        }
    }

    /// Until then this daemon, which could not run, reads what was said meanwhile and calls nobody silent and no token lost.
    pub(crate) fn reads_until(&self) -> Instant {
        self.woke + READING
    }

    /// Who was silent for too long. `true` if anybody is not heard any more.
    pub(crate) fn judge_silence(&mut self, now: Instant) -> bool {
        let since = self.unsettled_since.unwrap_or(Instant::ORIGIN);
        let reading = now < self.reads_until();
        let ring = self.ring_places();
        let mut changed = false;
        for place in 1..self.peers.end() {
            let patience = self.patience(place);
            let Some(peer) = self.peers.at_mut(place) else { continue };
            // Strangers to the ring were not asked to speak often before it broke.
            let from = if ring.has(place) { peer.last } else { peer.last.max(since) };
            let silent = now.since(from) > patience;
            let denied = peer.hinted.is_some_and(|at| now.since(at) >= HINT_PATIENCE);
            if peer.heard && (peer.left || (silent || denied) && !reading) {
                peer.heard = false;
                changed = true;
            }
        }
        self.dirty |= changed;
        changed
    }

    /// When the next peer will have been silent for too long.
    pub(crate) fn silence_deadline(&self) -> Option<Instant> {
        let since = self.unsettled_since.unwrap_or(Instant::ORIGIN);
        let ring = self.ring_places();
        let heard = self.peers.iter().filter(|(_, peer)| peer.heard);
        let deadline = |(at, peer): (usize, &Peer)| {
            let from = if ring.has(at) { peer.last } else { peer.last.max(since) };
            let silence = from + self.patience(at) + Duration::from_nanos(1);
            peer.hinted.map_or(silence, |hinted| silence.min(hinted + HINT_PATIENCE))
        };
        heard.map(deadline).min().map(|at| at.max(self.reads_until()))
    }

    /// The timeout this daemon would like: what it has seen of its ring's heartbeats, within floor and ceiling.
    pub(crate) fn wish(&mut self, now: Instant) -> Duration {
        let ring = self.ring_places();
        let members = self.peers.iter_mut().filter(|(at, _)| ring.has(*at));
        let longest = members.map(|(_, peer)| peer.jitter.longest(now)).max().unwrap_or_default();
        (longest * SILENCES).clamp(self.settings.timeout_floor, self.settings.timeout_ceiling)
    }

    /// The timeout in force: the ring's, or our own wish where there is none.
    pub(crate) fn timeout(&self) -> Duration {
        let ring = self.order.as_ref().map_or(self.settings.timeout_floor, |order| order.timeout);
        ring.clamp(self.settings.timeout_floor, self.settings.timeout_ceiling)
    }

    /// Peers that must not be forgotten.
    fn needed(&self) -> Bits {
        self.ring_places() | self.bound_places() | Bits::one(ME)
    }
}
