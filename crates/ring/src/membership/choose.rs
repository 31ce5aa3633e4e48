//! The judgement: is our view still one, and which would be better?

use alloc::vec::Vec;
use core::time::Duration;

use base::Instant;

use super::{Graph, Key, ME};
use crate::bits::Bits;
use crate::notice::{Notice, Why};
use crate::outbox::Fan;
use crate::ring::Ring;
use crate::wire::{Message, Tag};

/// Up to so many others are heard, every word is judged at once; with more, so long for each passes between judgements.
const FEW: u32 = 16;
const SPACING: Duration = Duration::from_micros(25);
/// A daemon that starts waits so long for an invitation before it forms a view alone.
pub(crate) const INVITATION: Duration = Duration::from_millis(150);
/// A standing view is not joined with another before it is so old.
const YOUNG: Duration = Duration::from_millis(50);
/// A leader waits so long for those without a view whom it leaves out although all in its proposal hear them: words about what just broke cross each
/// other, and a moment later all may agree on more.
const CALM: Duration = Duration::from_millis(40);
/// A view that breaks so soon was none; one that lasts so long makes up for those.
const SHORT: Duration = Duration::from_millis(200);
const LASTING: Duration = Duration::from_secs(1);
/// The first thinking after a short-lived view; it doubles up to 160 ms.
const THINKING: Duration = Duration::from_micros(2500);
/// A member of a new view that has not said so after this time did not come along.
const STRAGGLER: Duration = Duration::from_millis(300);
/// Two daemons of one name that both believe to be the older one look at each other for so long.
const CONTEST: Duration = Duration::from_millis(500);
/// A daemon that hears us without being heard is told of in the log after this time.
const DEAF: Duration = Duration::from_secs(3);

/// What this daemon would lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proposal {
    pub(crate) number: u64,
    pub(crate) set: Bits,
    pub(crate) since: Instant,
}

impl Ring {
    /// With many daemons a change is heard of in many words, and each judgement looks at all of them and may end in a word
    /// to all: judgements keep a distance, so that work does not grow with the third power.
    pub(crate) fn spacing(&self) -> Duration {
        match self.statement.hears.len() as u32 {
            0..=FEW => Duration::ZERO,
            many => SPACING * many,
        }
    }

    pub(crate) fn evaluate_if_due(&mut self, now: Instant) {
        if self.dirty && now >= self.judged + self.spacing() {
            self.evaluate(now);
        }
    }

    /// Draws the consequences of everything that was heard.
    pub(crate) fn evaluate(&mut self, now: Instant) {
        self.dirty = false;
        self.judged = now;
        self.judge_silence(now);
        self.judge_name(now);
        let mut graph = self.graph(now);
        if let Some(why) = self.flaw(now, &graph) {
            self.break_ring(now, why);
            if let Why::Late(daemon) = why {
                // Perhaps it cannot be heard at all, and the next view would wait for it again.
                self.hint(now, (&daemon).into());
            }
            graph = self.graph(now);
        }
        if self.bound.is_some() {
            self.judge_bound(now);
        }
        if self.bound.is_none() {
            self.choose(now, &graph);
        }
        self.note_settled(now);
        self.state(now);
        self.refan(now);
        if self.bound.is_none() && self.is_followed(now, &graph) {
            self.commit(now);
        }
        self.note_peers(now);
        let times = [self.silence_deadline(), self.choose_deadline(now)];
        self.judge_at = times.into_iter().flatten().min();
    }

    /// Of two daemons with one name, or two names with one virtual id, the younger stays outside. Ages are compared over the
    /// network, so two that started together may both believe to be the older: then the tags decide after a while.
    fn judge_name(&mut self, now: Instant) {
        let id = self.settings.me.name.virtual_id();
        let born = i64::try_from(self.born.as_nanos()).unwrap_or(i64::MAX);
        let rivals = || {
            self.peers.iter().map(|(_, peer)| peer).filter(|peer| {
                let rival = peer.heard && peer.statement.number > 0 && !peer.statement.refused;
                rival && peer.daemon.name.virtual_id() == id
            })
        };
        let lesser = rivals().find(|peer| peer.tag < self.tag && peer.hears.has(ME));
        let contested = lesser.map(|_| self.contested.unwrap_or(now));
        let older = rivals()
            .find(|peer| (peer.started, peer.tag) < (born, self.tag))
            .or(lesser.filter(|_| contested.is_some_and(|since| now.since(since) >= CONTEST)))
            .map(|peer| peer.daemon);
        self.contested = contested;
        if older.is_some() != self.refused.is_some() {
            match older {
                Some(older) => self.tell(Notice::Refused { older }),
                None => self.tell(Notice::Admitted),
            }
        }
        self.had_namesake |= older.is_some_and(|older| older.name == self.settings.me.name);
        self.refused = older;
    }

    /// What is wrong with our ring, if it stands.
    fn flaw(&self, now: Instant, graph: &Graph) -> Option<Why> {
        let order = self.order.as_ref().filter(|_| self.broken.is_none())?;
        if let Some(older) = self.refused {
            return Some(Why::Told(older));
        }
        let ring = self.ring_places();
        for (_, peer) in self.peers.iter().filter(|(at, _)| ring.has(*at)) {
            let daemon = peer.daemon;
            if peer.left {
                return Some(Why::Left(daemon));
            }
            if !peer.heard {
                return Some(match peer.hinted {
                    Some(_) if peer.denied => Why::Unreachable(daemon),
                    _ => Why::Silent(daemon),
                });
            }
            let said = &peer.statement;
            let here = said.ring == order.ring;
            if here && !said.intact || said.ring.counter > order.ring.counter || said.refused {
                return Some(Why::Told(daemon));
            }
            if !here && now.since(self.installed) > STRAGGLER {
                return Some(Why::Late(daemon));
            }
        }
        // Only what was said in this view counts: words from before it may tell less than its leader knew.
        let all = ring | Bits::one(ME);
        let said_here = |at: &usize| match self.peers.at(*at) {
            Some(peer) => peer.statement.ring == order.ring,
            None => *at == ME,
        };
        for a in all.iter().filter(said_here) {
            let hears = graph.nodes.get(a).and_then(Option::as_ref).map(|node| node.hears);
            let hears = hears.unwrap_or_default() | Bits::one(a);
            if let Some(b) = all.iter().find(|&b| !hears.has(b)) {
                let name = |at| self.peers.at(at).map_or(self.settings.me, |peer| peer.daemon);
                return Some(Why::Deaf(name(a), name(b)));
            }
        }
        if let Some(struck) = self.struck() {
            return Some(Why::Struck(struck));
        }
        (order.is_token_lost(now) && now >= self.reads_until()).then_some(Why::Token)
    }

    pub(crate) fn break_ring(&mut self, now: Instant, reason: Why) {
        if self.is_intact() {
            let age = now.since(self.installed);
            if age >= LASTING {
                self.short_lived = 0;
            } else if age < SHORT && reason != Why::Joining {
                self.short_lived = self.short_lived.saturating_add(1);
            }
            self.broken = Some(now);
            self.tell(Notice::Broken { view: self.ring_id(), reason });
        }
    }

    /// Whose proposal is the best, our own among them.
    fn choose(&mut self, now: Instant, graph: &Graph) {
        let base = self.base();
        let waits = self.is_fresh(now)
            || self.refused.is_some()
            || self.is_intact() && now.since(self.installed) < YOUNG;
        let own = if waits { None } else { graph.propose(base) };
        let own = own.filter(|set| !self.is_intact() || set.len() > base.len());
        match own {
            Some(set) if self.proposal.is_none_or(|p| p.set != set) => {
                self.proposals += 1;
                self.proposal = Some(Proposal { number: self.proposals, set, since: now });
            }
            Some(_) => {}
            None => self.proposal = None,
        }
        let mine = graph.nodes[ME].as_ref().map(|node| node.key);
        let mut best: Option<(Key, (Tag, u64))> = None;
        if let (Some(key), Some(proposal)) = (mine, self.proposal) {
            best = Some((key, (self.tag, proposal.number)));
        }
        if self.refused.is_none() {
            for (at, peer) in self.peers.iter().filter(|(_, peer)| peer.heard) {
                let Some((key, _)) = graph.acceptable(at, base) else { continue };
                let offer = peer.statement.follows;
                let new =
                    |(leader, number): &(Tag, u64)| *leader == peer.tag && *number > peer.committed;
                let offer = offer.filter(new);
                if let Some(offer) = offer
                    && best.is_none_or(|(than, _)| key < than)
                {
                    best = Some((key, offer));
                }
            }
        }
        self.follows = best.map(|(_, offer)| offer);
    }

    /// Whether everybody we propose follows us, and nobody else is about to.
    fn is_followed(&self, now: Instant, graph: &Graph) -> bool {
        let Some(proposal) = self.proposal.filter(|_| self.leads()) else { return false };
        let follows = |at: usize| {
            let peer = self.peers.at(at).filter(|peer| peer.heard);
            peer.is_some_and(|p| p.statement.follows == Some((self.tag, proposal.number)))
        };
        let all = proposal.set.iter().filter(|&at| at != ME).all(follows);
        let undecided = |at: &usize| {
            let node = graph.nodes.get(*at).and_then(Option::as_ref);
            node.is_some_and(|n| n.intact.is_none() && !n.barred)
                && !proposal.set.has(*at)
                && graph.joined(proposal.set, Bits::one(*at))
        };
        let calm = (1..self.peers.end()).find(undecided).is_none();
        let age = now.since(proposal.since);
        all && (calm || age >= CALM) && age >= self.thinks()
    }

    /// After views that broke at once a leader thinks before the next, longer each time: whatever is wrong, it is not gone by
    /// doing the same again, and views that come and go stop everybody.
    fn thinks(&self) -> Duration {
        match self.short_lived {
            0 => Duration::ZERO,
            views => THINKING * (1 << (views - 1).min(6)),
        }
    }

    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        self.order.is_none() && now.since(self.born) < INVITATION
    }

    /// Says what changed, to everybody who lives.
    fn state(&mut self, now: Instant) {
        let statement = self.compose(now);
        if statement == self.statement {
            return;
        }
        self.statement = statement;
        self.statement.number += 1;
        let datagram = bytes::Bytes::from(Message::Statement(self.statement.clone()).encode());
        let ring = self.ring_places();
        let tags: Vec<Tag> = self
            .peers
            .iter()
            .filter(|(at, peer)| !peer.left && (peer.heard || ring.has(*at)))
            .map(|(_, peer)| peer.tag)
            .collect();
        for tag in tags {
            self.outbox.put(crate::outbox::To::Peer(tag), datagram.clone());
        }
    }

    fn note_settled(&mut self, now: Instant) {
        let settled = self.is_intact() && self.bound.is_none() && self.follows.is_none();
        self.unsettled_since = match (settled, self.unsettled_since) {
            (true, _) => None,
            (false, None) => Some(now),
            (false, since) => since,
        };
    }

    /// How data reaches the members: by multicast to those who said that they hear ours.
    fn refan(&mut self, now: Instant) {
        let ring = self.ring_places();
        // Where the group has changed, what was said of hearing us is about the one before.
        let group = self.settings.group && now >= self.regrouped;
        let members = self.peers.iter().filter(|(at, _)| ring.has(*at));
        let (near, far): (Vec<_>, Vec<_>) =
            members.partition(|(_, peer)| peer.card.site == self.settings.site);
        let relays = self.relays(&far);
        let members = near.into_iter();
        let (hear, deaf): (Vec<_>, Vec<_>) = members.partition(|(_, peer)| {
            group && peer.statement.heard(self.tag).is_some_and(|me| me.multicast)
        });
        let tags = |list: &[(usize, &super::Peer)]| list.iter().map(|(_, p)| p.tag).collect();
        self.fan = if hear.len() >= 2 {
            Fan { group: true, singly: tags(&deaf), relays }
        } else {
            let all: Vec<_> = hear.iter().chain(&deaf).copied().collect();
            Fan { group: false, singly: tags(&all), relays }
        };
        // Who does not hear us at all has another trouble.
        let heard = |peer: &super::Peer| group && peer.statement.heard(self.tag).is_some();
        let deaf = deaf.iter().filter(|(_, peer)| heard(peer)).map(|(at, _)| *at);
        let deaf: Bits = deaf.collect();
        self.tell_deaf_to_multicast(now, deaf);
    }

    /// Says once of each member that it does not hear our multicast, when it has not for long enough: one that was frozen, or
    /// heard one that was, has not heard any for a moment only.
    fn tell_deaf_to_multicast(&mut self, now: Instant, deaf: Bits) {
        let mut told = Vec::new();
        for (at, peer) in self.peers.iter_mut() {
            if !deaf.has(at) {
                peer.singly_since = None;
                continue;
            }
            let since = *peer.singly_since.get_or_insert(now);
            if now.since(since) > DEAF && !peer.told_multicast {
                peer.told_multicast = true;
                told.push(peer.daemon);
            }
        }
        told.into_iter().for_each(|daemon| self.tell(Notice::NoMulticast { daemon }));
    }

    /// For each other site the first of its members, in member order.
    fn relays(&self, far: &[(usize, &super::Peer)]) -> Vec<Tag> {
        let order = self.order.as_ref().map(|order| order.members.as_slice()).unwrap_or_default();
        let at = |tag: Tag| far.iter().find(|(_, peer)| peer.tag == tag).map(|(_, peer)| peer);
        let mut sites = Vec::new();
        let mut relays = Vec::new();
        for peer in order.iter().filter_map(|tag| at(*tag)) {
            if !sites.contains(&peer.card.site) {
                sites.push(peer.card.site);
                relays.push(peer.tag);
            }
        }
        relays
    }

    /// Who hears us not, and who keeps us out.
    fn note_peers(&mut self, now: Instant) {
        let mut notices = Vec::new();
        let tag = self.tag;
        let mut kept_out = None;
        for (_, peer) in self.peers.iter_mut() {
            let hears_us = peer.statement.heard(tag).is_some();
            // Where a list lacks one of two, not being heard is no fault of the network.
            let listed = peer.listed && self.unlisted_by.is_none();
            let deaf = listed && peer.heard && peer.statement.number > 0 && !hears_us;
            peer.deaf_since = if deaf { peer.deaf_since.or(Some(now)) } else { None };
            if peer.deaf_since.is_some_and(|since| now.since(since) > DEAF) && !peer.told_deaf {
                peer.told_deaf = true;
                notices.push(Notice::OneWay { daemon: peer.daemon });
            }
            peer.told_deaf &= deaf;
            if peer.heard && peer.statement.heard(tag).is_some_and(|me| me.kept_out) {
                kept_out = kept_out.or(Some(peer.daemon));
            }
        }
        if let Some(by) = kept_out
            && self.kept_out_by.is_none()
        {
            notices.push(Notice::KeptOut { by });
        }
        self.kept_out_by = kept_out;
        self.note_lists(&mut notices);
        notices.into_iter().for_each(|notice| self.tell(notice));
    }

    /// Moments at which something must be judged again without any word.
    pub(crate) fn choose_deadline(&self, now: Instant) -> Option<Instant> {
        let fresh = self.is_fresh(now).then(|| self.born + INVITATION);
        let young =
            (self.is_intact() && now.since(self.installed) < YOUNG).then(|| self.installed + YOUNG);
        let straggler = (self.is_intact() && now.since(self.installed) <= STRAGGLER)
            .then(|| self.installed + STRAGGLER + Duration::from_nanos(1));
        let calm =
            self.proposal.filter(|_| self.leads() && self.bound.is_none()).and_then(|proposal| {
                let times = [proposal.since + CALM, proposal.since + self.thinks()];
                times.into_iter().filter(|at| *at > now).min()
            });
        let released =
            self.peers.iter().map(|(_, peer)| peer.kept_out).filter(|at| *at > now).min();
        [fresh, young, straggler, calm, released].into_iter().flatten().min()
    }
}
