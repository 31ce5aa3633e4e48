//! Who could form a view with whom: pure choice over what everybody said.
//!
//! A view is a clique of daemons that hear each other, and standing views join whole or not at all. Every daemon ranks all
//! others by one key that all compute alike ([`Key`]); a leader proposes the greatest clique it can gather greedily from
//! daemons that rank below it and follow nobody better; everybody follows the best proposal that names it. On a
//! graph that does not change the best leader's choice is final at once, then that of the best of the rest, and so on: by
//! induction over the ranks everybody comes to rest, after at most as many exchanges as there are leaders.
//!
//! Ranking well-connected daemons first makes the one that lost its cable lose its place, not the rest.

use core::cmp::{Ordering, Reverse};

use alloc::vec::Vec;

use crate::bits::Bits;
use crate::name::DaemonName;
use crate::settings::MEMBERS_MAX;
use crate::view::RingId;
use crate::wire::Tag;

/// The rank of a daemon among leaders; the least is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Daemons that were in a view before those that never were.
    pub(crate) newcomer: bool,
    /// Many mutual hearings before few.
    pub(crate) degree: Reverse<u8>,
    pub(crate) name: DaemonName,
    pub(crate) tag: Tag,
}

/// What is known of one daemon. Its place in the slice is its place in the table of peers.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) key: Key,
    /// Whom it hears, by place.
    pub(crate) hears: Bits,
    pub(crate) ring: RingId,
    /// Members of that ring; only if it is intact.
    pub(crate) intact: Option<u8>,
    /// Whose proposal it follows: the key, or `Err` if that daemon is not known here.
    pub(crate) follows: Option<Result<Key, ()>>,
    /// The members it proposes, if all of them are known here.
    pub(crate) proposes: Option<Bits>,
    /// It can be in no view: it was refused, or has not said a word yet.
    pub(crate) barred: bool,
}

/// Everybody heard, and this daemon.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Option<Node>>,
    pub(crate) me: usize,
}

impl Graph {
    fn node(&self, at: usize) -> Option<&Node> {
        self.nodes.get(at)?.as_ref()
    }

    pub(crate) fn mutual(&self, a: usize, b: usize) -> bool {
        let hears = |a, b| self.node(a).is_some_and(|node| node.hears.has(b));
        a == b || hears(a, b) && hears(b, a)
    }

    /// Whether every one of `a` hears and is heard by every one of `b`.
    pub(crate) fn joined(&self, a: Bits, b: Bits) -> bool {
        a.iter().all(|a| b.iter().all(|b| self.mutual(a, b)))
    }

    fn conflict(&self, a: usize, b: usize) -> bool {
        match (self.node(a), self.node(b)) {
            (Some(x), Some(y)) => a != b && x.key.name.virtual_id() == y.key.name.virtual_id(),
            _ => true,
        }
    }

    /// The daemons that can come only together with the one at `at`; `None` if some of them are not heard here.
    fn block(&self, at: usize) -> Option<Bits> {
        let node = self.node(at)?;
        let Some(size) = node.intact else { return Some(Bits::one(at)) };
        let same = |other: &Node| other.intact == Some(size) && other.ring == node.ring;
        let places = 0..self.nodes.len();
        let block: Bits = places.filter(|&i| self.node(i).is_some_and(same)).collect();
        (block.len() == usize::from(size)).then_some(block)
    }

    /// The greatest view this daemon could lead, greedily; itself included.
    pub(crate) fn propose(&self, base: Bits) -> Option<Bits> {
        let mine = self.node(self.me)?;
        let worse = |at: usize| self.node(at).is_some_and(|node| node.key >= mine.key);
        if mine.barred || !base.iter().all(worse) {
            return None;
        }
        let free = |at: usize| {
            self.node(at).is_some_and(|node| {
                let bound = match node.follows {
                    None => false,
                    Some(Ok(key)) => key < mine.key,
                    Some(Err(())) => true,
                };
                !node.barred && !bound && node.key > mine.key
            })
        };
        let mut seen = base;
        let mut blocks: Vec<(Bits, usize)> = Vec::new();
        for at in 0..self.nodes.len() {
            if seen.has(at) || self.node(at).is_none() {
                continue;
            }
            if let Some(block) = self.block(at) {
                seen |= block;
                if block.iter().all(free) && self.joined(base, block) && self.joined(block, block) {
                    blocks.push((block, at));
                }
            }
        }
        let order = |at: usize| {
            let node = self.node(at);
            (node.is_none_or(|node| node.ring != mine.ring), node.map(|node| node.key))
        };
        blocks.sort_by(|(a, i), (b, j)| {
            let ((foreign_a, key_a), (foreign_b, key_b)) = (order(*i), order(*j));
            let by_size = b.len().cmp(&a.len());
            foreign_a.cmp(&foreign_b).then(by_size).then_with(|| match (key_a, key_b) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => Ordering::Equal,
            })
        });
        let mut set = base;
        for (block, _) in blocks {
            let clash = block.iter().any(|b| set.iter().any(|a| self.conflict(a, b)));
            if !clash && set.len() + block.len() <= MEMBERS_MAX && self.joined(set, block) {
                set |= block;
            }
        }
        Some(set)
    }

    /// Whether this daemon may follow the proposal of the daemon at `leader`.
    pub(crate) fn acceptable(&self, leader: usize, base: Bits) -> Option<(Key, Bits)> {
        let node = self.node(leader)?;
        let set = node.proposes?;
        let sound = !node.barred
            && set.has(self.me)
            && base.is_subset(&set)
            && set.len() <= MEMBERS_MAX
            && self.joined(Bits::one(self.me), set);
        sound.then_some((node.key, set))
    }
}
