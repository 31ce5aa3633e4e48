//! What this daemon knows, as a graph, and what it says of itself.

use alloc::vec::Vec;
use core::cmp::Reverse;

use base::Instant;

use super::{Graph, Key, ME, Node, Peer};
use crate::bits::Bits;
use crate::ring::Ring;
use crate::view::RingId;
use crate::wire::{Heard, Statement, Tag};

impl Ring {
    pub(crate) fn ring_id(&self) -> RingId {
        self.order.as_ref().map_or_else(RingId::default, |order| order.ring)
    }

    /// Members of our ring by place, without this daemon.
    pub(crate) fn ring_places(&self) -> Bits {
        self.members_at
    }

    /// A member's rank in our ring; this daemon's own is `peers_rank`.
    pub(crate) fn rank_of(&self, place: usize) -> usize {
        let tag = self.peers.at(place).map(|peer| peer.tag);
        let order = self.order.as_ref();
        order.and_then(|o| o.members.iter().position(|m| Some(*m) == tag)).unwrap_or(0)
    }

    pub(crate) fn peers_rank(&self) -> usize {
        self.order.as_ref().map_or(0, |order| order.me)
    }

    pub(crate) fn is_intact(&self) -> bool {
        self.order.is_some() && self.broken.is_none()
    }

    /// Whether everybody is content, so that words may come slowly.
    pub(crate) fn is_settled(&self) -> bool {
        self.unsettled_since.is_none()
    }

    /// The members that a proposal of ours must keep: those of an intact ring, else only this daemon.
    pub(crate) fn base(&self) -> Bits {
        let mine = Bits::one(ME);
        if self.is_intact() { mine | self.ring_places() } else { mine }
    }

    fn key(peer: &Peer) -> Key {
        Key {
            newcomer: peer.statement.ring == RingId::default(),
            degree: Reverse(peer.statement.degree),
            name: peer.daemon.name,
            tag: peer.tag,
        }
    }

    fn my_degree(&self) -> u8 {
        let hears_me =
            |peer: &Peer| peer.heard && peer.listed && peer.hears.has(ME) && !peer.unlists.has(ME);
        self.peers.iter().filter(|(_, peer)| hears_me(peer)).count() as u8
    }

    /// Everybody heard, and this daemon.
    pub(crate) fn graph(&self, now: Instant) -> Graph {
        let mut nodes: Vec<Option<Node>> = (0..self.peers.end()).map(|_| None).collect();
        let ring = self.ring_id();
        nodes[ME] = Some(Node {
            key: Key {
                newcomer: ring == RingId::default(),
                degree: Reverse(self.my_degree()),
                name: self.settings.me.name,
                tag: self.tag,
            },
            hears: self
                .peers
                .iter()
                .filter(|(_, peer)| peer.heard && peer.kept_out <= now)
                .map(|(at, _)| at)
                .collect(),
            ring,
            intact: self.is_intact().then(|| (self.ring_places().len() + 1) as u8),
            follows: None,
            proposes: None,
            barred: self.refused.is_some(),
        });
        for (at, peer) in self.peers.iter().filter(|(_, peer)| peer.heard) {
            let said = &peer.statement;
            // Our ring is over for all its members as soon as it is for one.
            let ours = said.ring == ring && self.broken.is_some();
            let follows = said.follows.map(|(leader, _)| {
                if leader == self.tag {
                    return nodes[ME].as_ref().map(|node| node.key).ok_or(());
                }
                self.peers.place(leader).and_then(|at| self.peers.at(at)).map(Self::key).ok_or(())
            });
            nodes[at] = Some(Node {
                key: Self::key(peer),
                hears: peer.hears,
                ring: said.ring,
                intact: (said.intact && !ours).then_some(said.size),
                follows,
                proposes: peer.proposes,
                barred: said.number == 0 || said.refused,
            });
        }
        let mut graph = Graph { nodes, me: ME };
        self.mind_lists(&mut graph);
        graph
    }

    /// A daemon says what it hears and follows.
    pub(crate) fn handle_statement(&mut self, now: Instant, place: usize, statement: Statement) {
        let current = self.ring_id();
        let Some(peer) = self.peers.at_mut(place) else { return };
        if statement.number <= peer.statement.number {
            if statement.number == peer.statement.number {
                self.ask_where(place);
            }
            return;
        }
        self.counter = self.counter.max(statement.ring.counter);
        let ring = statement.ring;
        let over = ring == current && !statement.intact;
        peer.statement = statement;
        if peer.statement.refused && ring != RingId::default() && peer.outside_since != Some(ring) {
            peer.outside_since = Some(ring);
            self.pushed_out += 1;
        }
        self.resolve(place);
        self.dirty = true;
        if over {
            self.suspect_unheard(now, place);
        }
        self.handle_go(now, ring);
        self.greet(now, place);
    }

    /// Places for the tags of a peer's statement.
    pub(crate) fn resolve(&mut self, place: usize) {
        let Some(peer) = self.peers.at(place) else { return };
        let find = |tag: Tag| if tag == self.tag { Some(ME) } else { self.peers.place(tag) };
        let said = &peer.statement;
        // Whom it keeps out it will be in no view with, as if it did not hear it; so all take that into account alike.
        let wanted = said.hears.iter().filter(|heard| !heard.kept_out);
        let unlisted = wanted.clone().filter(|heard| heard.unlisted);
        let unlists = unlisted.filter_map(|heard| find(heard.tag)).collect();
        let hears = wanted.filter_map(|heard| find(heard.tag)).collect();
        let proposes = said.follows.filter(|(leader, _)| *leader == peer.tag).and_then(|_| {
            let members = said.hears.iter().filter(|heard| heard.proposed);
            let known: Option<Bits> = members.map(|heard| find(heard.tag)).collect();
            known.map(|known| known | Bits::one(place))
        });
        if let Some(peer) = self.peers.at_mut(place) {
            (peer.hears, peer.unlists, peer.proposes) = (hears, unlists, proposes);
        }
    }

    /// A new peer has a place: statements that name it mean more now.
    pub(crate) fn resolve_all(&mut self) {
        (1..self.peers.end()).for_each(|place| self.resolve(place));
    }

    /// What this daemon would say now; its number is that of the last it said.
    pub(crate) fn compose(&self, now: Instant) -> Statement {
        let proposed = self.proposal.filter(|_| self.leads()).map(|proposal| proposal.set);
        let mut hears: Vec<Heard> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.heard)
            .map(|(at, peer)| Heard {
                tag: peer.tag,
                multicast: peer
                    .multicast
                    .is_some_and(|last| now.since(last) < self.settings.beacon * 4),
                proposed: proposed.is_some_and(|set| set.has(at)),
                kept_out: peer.kept_out > now,
                unlisted: !peer.listed,
            })
            .collect();
        hears.sort_unstable_by_key(|heard| heard.tag);
        Statement {
            number: self.statement.number,
            ring: self.ring_id(),
            size: (self.ring_places().len() + 1) as u8,
            intact: self.is_intact(),
            refused: self.refused.is_some(),
            fresh: self.is_fresh(now),
            degree: self.my_degree(),
            follows: self.follows,
            hears,
        }
    }

    /// Whether the proposal followed is our own.
    pub(crate) fn leads(&self) -> bool {
        self.follows.is_some_and(|(leader, _)| leader == self.tag)
    }
}
