//! What an operator can see of a ring at a glance, and what leases rest on.

use alloc::vec::Vec;
use core::time::Duration;

use base::{Boot, Instant};

use crate::membership::Peer;
use crate::order::Counters;
use crate::ring::Ring;
use crate::settings::{MINOR_MIN, UNSTABLE_MAX};
use crate::view::{Daemon, View};
use crate::wire::Tag;

/// One daemon other than this one, as this one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Which.
    pub daemon: Daemon,
    /// Its place in the view, if it is a member.
    pub member: Option<usize>,
    /// Whether it is heard.
    pub heard: bool,
    /// Whether it says that it hears this daemon.
    pub hears_us: bool,
    /// Whether it hears multicast of this daemon, as far as it said.
    pub hears_multicast: bool,
    /// When the last word came that it sent to this daemon alone.
    pub last: Instant,
    /// The newest round trip of a heartbeat, without the time it lay at the other side.
    pub round_trip: Option<Duration>,
    /// The longest silence between two heartbeats within about half a minute.
    pub longest_silence: Duration,
    /// It answered, as a member of the present view, something that this daemon sent at that moment.
    pub confirmed: Option<Instant>,
    /// How many views in a row did not last because of it.
    pub breaks: u8,
    /// Until when it is kept out, if it is.
    pub kept_out: Option<Instant>,
}

/// The state of one daemon's ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The view this daemon is in, or was in last.
    pub view: Option<View>,
    /// Whether it stands, as [`Ring::stands`] says.
    pub stands: bool,
    /// How long ago it was installed.
    pub age: Duration,
    /// Views installed so far.
    pub views: u64,
    /// The minor wire version spoken in it.
    pub minor: u8,
    /// Everybody known, members first and in their order.
    pub peers: Vec<PeerStatus>,
    /// The silence after which a member counts as gone.
    pub timeout: Duration,
    /// How long the token was away when it went round last.
    pub rotation: Option<Duration>,
    /// Whether the token is here.
    pub holds_token: bool,
    /// Packets that all members together may send in one rotation, when the token was here last.
    pub window: u16,
    /// The most that it may become.
    pub window_most: u16,
    /// Packets of a visit that are sent after the token was passed on; 0 is the regular ring.
    pub accelerated: u16,
    /// The highest packet number known.
    pub high: u64,
    /// Everything up to this packet was received.
    pub received: u64,
    /// Everything up to this packet is known to be with all members.
    pub stable: u64,
    /// Packets held for delivery or for others.
    pub held: usize,
    /// Messages waiting to be sent, and their bytes.
    pub queued: usize,
    /// Bytes of those.
    pub queued_bytes: usize,
    /// What was done since the start, in all rings.
    pub counters: Counters,
    /// [`Ring::fresh_since`].
    pub fresh_since: Option<Instant>,
    /// Datagrams of known daemons in our version of the protocol that cannot be read.
    pub malformed: u64,
    /// Whether a daemon that is heard has another list of daemons.
    pub lists_differ: bool,
    /// [`Ring::excluded_by`].
    pub excluded_by: Option<Daemon>,
    /// [`Ring::hears_incompatible`].
    pub hears_incompatible: bool,
}

impl Ring {
    /// A snapshot for people. It costs a look at every peer and every held packet: not for every message.
    pub fn status(&self, now: Instant) -> Status {
        let order = self.order.as_ref();
        let mut counters = self.past;
        if let Some(order) = order {
            counters.add(&order.counters);
        }
        let mut peers: Vec<PeerStatus> =
            self.peers.iter().map(|(at, peer)| self.peer_status(now, at, peer)).collect();
        peers.sort_by_key(|peer| (peer.member.is_none(), peer.member, peer.daemon));
        Status {
            view: self.view.clone(),
            stands: self.stands(),
            age: now.since(self.installed),
            views: self.views,
            minor: self.minor(),
            peers,
            timeout: self.timeout(),
            rotation: order.and_then(|order| order.rotation),
            holds_token: order.is_some_and(|order| order.holds()),
            window: order.map_or(0, |order| order.window),
            window_most: self.settings.window,
            accelerated: self.settings.accelerated,
            high: order.map_or(0, |order| order.store.high()),
            received: order.map_or(0, |order| order.store.aru()),
            stable: order.map_or(0, |order| order.stable),
            held: order.map_or(0, |order| order.store.held()),
            queued: self.queue.messages(),
            queued_bytes: self.queue.bytes(),
            counters,
            fresh_since: self.fresh_since(now),
            malformed: self.malformed,
            lists_differ: self.lists_differ,
            excluded_by: self.excluded_by(),
            hears_incompatible: self.hears_incompatible(),
        }
    }

    /// Whose life this is, if it has proven to live and is remembered.
    pub fn proven(&self, boot: &Boot) -> Option<Daemon> {
        let peer = self.peers.at(self.peers.place(Tag::from(boot))?)?;
        (peer.daemon.boot == *boot).then_some(peer.daemon)
    }

    /// Changes [`Settings::window`](crate::Settings::window) and [`Settings::accelerated`](crate::Settings::accelerated) from
    /// the next visit of the token on. What is out of range becomes the nearest that is not.
    pub fn set_flow(&mut self, window: Option<u16>, accelerated: Option<u16>) {
        if let Some(window) = window {
            self.settings.window = window.clamp(1, UNSTABLE_MAX as u16);
        }
        if let Some(accelerated) = accelerated {
            self.settings.accelerated = accelerated;
        }
    }

    fn peer_status(&self, now: Instant, at: usize, peer: &Peer) -> PeerStatus {
        let member = self.view.as_ref().and_then(|view| view.position(&peer.daemon));
        let us = peer.statement.heard(self.tag);
        PeerStatus {
            daemon: peer.daemon,
            member,
            heard: peer.heard,
            hears_us: us.is_some(),
            hears_multicast: us.is_some_and(|us| us.multicast),
            last: peer.last,
            round_trip: peer.round_trip,
            longest_silence: peer.jitter.longest_known(),
            confirmed: peer.confirmed.filter(|_| self.ring_places().has(at)),
            breaks: peer.breaks,
            kept_out: Some(peer.kept_out).filter(|until| *until > now),
        }
    }

    /// The moment up to which it is certain that no member had gone on to another view: each has since answered, out of this
    /// view, something that was sent to it then or later. `None` while no view stands, or a member has not answered yet.
    ///
    /// A lease on something that only one member of a view may do holds from here, not from the last word heard: words
    /// can lie in a buffer while this machine is stopped, but an answer cannot be older than its question.
    pub fn fresh_since(&self, now: Instant) -> Option<Instant> {
        if !self.stands() {
            return None;
        }
        let members = self.peers.iter().filter(|(at, _)| self.ring_places().has(*at));
        members.map(|(_, peer)| peer.confirmed).try_fold(now, |oldest, one| Some(oldest.min(one?)))
    }

    /// The minor wire version of the ring: the newest that all its members speak. Before the first view, the oldest.
    pub fn minor(&self) -> u8 {
        self.order.as_ref().map_or(MINOR_MIN, |order| order.minor)
    }

    /// Who keeps this daemon out, was here first, or has another list without it: then it may own nothing.
    pub fn excluded_by(&self) -> Option<Daemon> {
        self.refused.or(self.kept_out_by).or(self.struck_by)
    }

    /// Whether another daemon of this one's name, or of a name with its virtual id, was here first: then this one is in no view, and in
    /// none before the other is gone.
    pub fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// Whether an older daemon with the very name of this one was ever met.
    pub fn had_namesake(&self) -> bool {
        self.had_namesake
    }

    /// How often another daemon was noticed to stay outside because of its name after it had been in a view: whoever it spoke for
    /// there may have been believed until then.
    pub fn pushed_out(&self) -> u64 {
        self.pushed_out
    }

    /// Whether a daemon of another major version is heard: then this one may own nothing.
    pub fn hears_incompatible(&self) -> bool {
        self.incompatible.is_some()
    }
}
