//! The first half of a change of view: commit, ready, install; and giving it up.

use alloc::vec::Vec;
use core::time::Duration;

use base::Instant;

use super::ME;
use super::bound::{Bound, Lead, Target};
use crate::bits::Bits;
use crate::notice::Why;
use crate::ring::Ring;
use crate::view::{Daemon, RingId};
use crate::wire::{Commit, Info, Install, Message, Ready, Tag};

/// Words of the change are repeated so often until they are answered.
pub(super) const AGAIN: Duration = Duration::from_millis(5);
/// A change that makes no progress for so long, or for twice the timeout, is given up.
const PATIENCE: Duration = Duration::from_millis(200);
/// The last second that is taken from a clock, in January 2038; later times only count views.
const LAST_TIME: u32 = i32::MAX as u32;
/// Bytes of member infos in one part of an install.
const PART: usize = 1100;

impl Ring {
    pub(crate) fn bound_places(&self) -> Bits {
        self.bound.as_ref().map(Bound::places).unwrap_or_default()
    }

    /// Everybody follows our proposal: the old rings stop now.
    pub(crate) fn commit(&mut self, now: Instant) {
        let Some(proposal) = self.proposal else { return };
        let places = proposal.set.iter();
        let mut members: Vec<Daemon> = places
            .filter_map(|at| match at {
                ME => Some(self.settings.me),
                at => self.peers.at(at).map(|peer| peer.daemon),
            })
            .collect();
        self.sort(&mut members);
        let minors = proposal.set.iter().filter_map(|at| self.peers.at(at));
        let minor = minors.map(|p| p.card.minor_max).fold(self.settings.minor, u8::min);
        let tags: Vec<Tag> = members.iter().map(Tag::from).collect();
        let commit = Commit { proposal: proposal.number, minor, members: tags };
        let me = self.tag;
        let count = members.len();
        if !self.bind(now, me, &commit) {
            return;
        }
        if let Some(bound) = &mut self.bound {
            bound.lead = Some(Lead { infos: alloc::vec![None; count], ..Lead::default() });
        }
        for tag in commit.members.iter().filter(|tag| **tag != me) {
            self.outbox.send(*tag, &Message::Commit(commit.clone()));
        }
        self.say_ready(now);
    }

    /// Member order: that of our fixed list, else by name.
    pub(crate) fn sort(&self, members: &mut [Daemon]) {
        match &self.settings.fixed {
            Some(list) => members.sort_by_key(|member| {
                (list.iter().position(|name| *name == member.name), member.name)
            }),
            None => members.sort_unstable(),
        }
    }

    pub(crate) fn handle_commit(&mut self, now: Instant, from: Tag, commit: &Commit) {
        let answers = match &self.bound {
            Some(bound) => {
                bound.leader == from && bound.number == commit.proposal && bound.target.is_none()
            }
            None => self.follows == Some((from, commit.proposal)) && self.bind(now, from, commit),
        };
        if answers {
            self.say_ready(now);
        }
    }

    /// Stops the old ring and takes part in the change.
    fn bind(&mut self, now: Instant, leader: Tag, commit: &Commit) -> bool {
        let find = |tag: &Tag| {
            if *tag == self.tag {
                Some((ME, self.settings.me))
            } else {
                self.peers.place(*tag).and_then(|at| Some((at, self.peers.at(at)?.daemon)))
            }
        };
        let found: Option<Vec<(usize, Daemon)>> = commit.members.iter().map(find).collect();
        let Some(found) = found else { return false };
        let members: Vec<Daemon> = found.iter().map(|(_, daemon)| *daemon).collect();
        let Some(me) = commit.members.iter().position(|tag| *tag == self.tag) else { return false };
        if !self.is_possible_order(&found) {
            return false;
        }
        if let Some(peer) = self.peers.tagged(leader) {
            if commit.proposal <= peer.committed {
                return false;
            }
            peer.committed = commit.proposal;
        }
        self.break_ring(now, Why::Joining);
        let info = self.info(now);
        self.bound = Some(Bound {
            leader,
            number: commit.proposal,
            minor: commit.minor,
            tags: commit.members.clone(),
            members,
            me,
            places: found.iter().map(|(at, _)| *at).collect(),
            ready: Ready { proposal: commit.proposal, info },
            target: None,
            recovered: false,
            progress: now,
            again: now + AGAIN,
            limit: (self.timeout() * 2).max(PATIENCE),
            lead: None,
        });
        self.dirty = true;
        true
    }

    /// What we have of our old ring.
    fn info(&mut self, now: Instant) -> Info {
        let timeout = self.wish(now).as_millis() as u16;
        let (counter, time) = (self.counter, self.time);
        let obligations = self.obligations;
        match &self.order {
            None => Info { counter, time, timeout, ..Info::default() },
            Some(order) => Info {
                ring: order.ring,
                aru: order.store.aru(),
                stable: order.stable.min(order.store.aru()),
                above: order.store.above(),
                obligations,
                counter,
                time,
                timeout,
            },
        }
    }

    fn say_ready(&mut self, now: Instant) {
        let Some(bound) = &mut self.bound else { return };
        bound.again = now + AGAIN;
        let (leader, ready) = (bound.leader, bound.ready.clone());
        if leader == self.tag {
            self.handle_ready(now, leader, ready);
        } else {
            self.outbox.send(leader, &Message::Ready(ready));
        }
    }

    pub(crate) fn handle_ready(&mut self, now: Instant, from: Tag, ready: Ready) {
        // A clock far beyond reason must not spend all times there are: views would have no greater one.
        let unix = self.surroundings.unix_seconds().min(LAST_TIME);
        let Some(bound) = &mut self.bound else { return };
        let Some(rank) = bound.tags.iter().position(|tag| *tag == from) else { return };
        let Some(lead) = &mut bound.lead else { return };
        if ready.proposal != bound.number {
            return;
        }
        if bound.target.is_some() {
            // It asks again: what it was told was lost.
            let installs = lead.installs.clone();
            installs.into_iter().for_each(|i| self.outbox.send(from, &Message::Install(i)));
            return;
        }
        bound.progress = now;
        lead.infos[rank] = Some(ready.info);
        let Some(infos) = lead.infos.iter().cloned().collect::<Option<Vec<Info>>>() else { return };
        let most = |f: fn(&Info) -> u64| infos.iter().map(f).max().unwrap_or(0);
        let counter = most(|info| info.counter).saturating_add(1);
        let time = most(|info| info.time.into()) as u32;
        let timeout = most(|info| info.timeout.into()) as u16;
        let ring = RingId { counter, founder: self.tag.0 };
        let time = unix.max(time.saturating_add(1));
        let part = |first: usize, infos: &[Info]| Install {
            proposal: bound.number,
            ring,
            time,
            timeout,
            first: first as u8,
            infos: infos.to_vec(),
        };
        let mut first = 0;
        while first < infos.len() {
            let mut end = first + 1;
            while end < infos.len()
                && Message::Install(part(first, &infos[first..=end])).encode().len() <= PART
            {
                end += 1;
            }
            lead.installs.push(part(first, &infos[first..end]));
            first = end;
        }
        let (installs, tags) = (lead.installs.clone(), bound.tags.clone());
        for install in installs {
            for tag in tags.iter().filter(|tag| **tag != self.tag) {
                self.outbox.send(*tag, &Message::Install(install.clone()));
            }
            self.handle_install(now, self.tag, install);
        }
    }

    pub(crate) fn handle_install(&mut self, now: Instant, from: Tag, install: Install) {
        let Some(bound) = &mut self.bound else { return };
        let forward = install.ring.counter > self.order.as_ref().map_or(0, |o| o.ring.counter);
        if bound.leader != from || bound.number != install.proposal || !forward {
            return;
        }
        let count = bound.tags.len();
        let target = bound.target.get_or_insert_with(|| Target {
            ring: install.ring,
            time: install.time,
            timeout: install.timeout,
            infos: alloc::vec![None; count],
        });
        if target.ring != install.ring {
            return;
        }
        // Numbers that were told are spent, even if nothing comes of this change: another attempt must not give another view
        // the same, and somebody may install this one although we do not.
        self.counter = self.counter.max(install.ring.counter);
        self.time = self.time.max(install.time);
        let first = usize::from(install.first);
        for (at, info) in install.infos.into_iter().enumerate() {
            if let Some(slot) = target.infos.get_mut(first + at) {
                *slot = Some(info);
            }
        }
        bound.progress = now;
        self.fetch(now);
    }

    /// Whether the change still goes on for everybody.
    pub(crate) fn judge_bound(&mut self, now: Instant) {
        let Some(bound) = &self.bound else { return };
        let leads = bound.lead.is_some();
        let agreed = Some((bound.leader, bound.number));
        let target = bound.target.as_ref().map(|target| target.ring);
        let sound = |at: usize| {
            self.peers.at(at).is_some_and(|peer| {
                let told = &peer.statement;
                let asked = leads || peer.tag == bound.leader;
                let keeps = told.follows == agreed || target.is_some_and(|ring| told.ring == ring);
                peer.heard && (!asked || keeps)
            })
        };
        let all = bound.places.iter().filter(|at| *at != ME).all(sound);
        if !all || now.since(bound.progress) >= bound.limit || self.refused.is_some() {
            self.abandon();
        }
    }

    fn abandon(&mut self) {
        self.bound = None;
        self.proposal = None;
        self.follows = None;
        self.dirty = true;
    }

    /// Repeats what was not answered.
    pub(crate) fn form_timeout(&mut self, now: Instant) {
        let Some(bound) = self.bound.as_mut().filter(|bound| bound.again <= now) else { return };
        bound.again = now + AGAIN;
        if bound.target.is_some() {
            self.fetch(now);
        } else if bound.lead.is_none() {
            self.say_ready(now);
        }
        let Some(bound) = &self.bound else { return };
        let Some(lead) = &bound.lead else { return };
        let mut again = Vec::new();
        for (rank, tag) in bound.tags.iter().enumerate().filter(|(_, tag)| **tag != self.tag) {
            if lead.infos[rank].is_none() {
                let members = bound.tags.clone();
                let commit = Commit { proposal: bound.number, minor: bound.minor, members };
                again.push((*tag, Message::Commit(commit)));
            } else if !lead.recovered.has(rank) {
                again.extend(lead.installs.iter().map(|i| (*tag, Message::Install(i.clone()))));
            }
        }
        again.into_iter().for_each(|(tag, message)| self.outbox.send(tag, &message));
    }
}
