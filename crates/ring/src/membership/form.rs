//! Changing the view: commit, ready, install, recovered, go.

use alloc::vec::Vec;
use core::time::Duration;

use base::Instant;

use super::ME;
use crate::bits::Bits;
use crate::notice::Why;
use crate::order::ranges;
use crate::ring::Ring;
use crate::settings::UNSTABLE_MAX;
use crate::view::{Daemon, RingId};
use crate::wire::{Commit, Data, Info, Install, Message, Missing, Ready, Tag, short};

/// Words of the change are repeated so often until they are answered.
const AGAIN: Duration = Duration::from_millis(5);
/// A change that makes no progress for so long, or for twice the timeout, is given up.
const PATIENCE: Duration = Duration::from_millis(200);
/// Packets asked for at once while recovering.
const FETCH: usize = 64;
/// The last second that is taken from a clock, in January 2038; later times only count views.
const LAST_TIME: u32 = i32::MAX as u32;
/// Bytes of member infos in one part of an install.
const PART: usize = 1100;

/// A change of view that this daemon takes part in. Its old ring is stopped.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) leader: Tag,
    pub(crate) number: u64,
    minor: u8,
    /// In member order.
    pub(crate) members: Vec<Daemon>,
    tags: Vec<Tag>,
    me: usize,
    places: Bits,
    ready: Ready,
    /// What the leader said of the new view.
    pub(crate) target: Option<Target>,
    /// Everything of our old ring is here.
    pub(crate) recovered: bool,
    /// The last progress.
    progress: Instant,
    /// When to repeat our word.
    again: Instant,
    limit: Duration,
    /// The leader's side.
    lead: Option<Lead>,
}

/// The new view, as far as it was told.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) ring: RingId,
    pub(crate) time: u32,
    pub(crate) timeout: u16,
    pub(crate) infos: Vec<Option<Info>>,
}

/// What a leader collects.
#[derive(Debug, Default)]
struct Lead {
    infos: Vec<Option<Info>>,
    recovered: Bits,
    installs: Vec<Install>,
}

impl Bound {
    pub(crate) fn deadline(&self) -> Instant {
        self.again.min(self.progress + self.limit)
    }

    pub(crate) fn my_rank(&self) -> usize {
        self.me
    }

    pub(crate) fn places(&self) -> Bits {
        self.places
    }

    pub(crate) fn minor(&self) -> u8 {
        self.minor
    }

    pub(crate) fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// The members that come from our old ring, by rank in the new view. Complete once all infos are here.
    pub(crate) fn together(&self) -> Vec<usize> {
        let Some(target) = &self.target else { return Vec::new() };
        let old = self.ready.info.ring;
        if old == RingId::default() {
            return Vec::from([self.me]);
        }
        let infos = target.infos.iter().enumerate();
        infos.filter(|(_, i)| i.as_ref().is_some_and(|i| i.ring == old)).map(|(at, _)| at).collect()
    }

    /// For each packet that a companion has and we may not: who gives it to us.
    fn holders(&self, seq: u64) -> Option<Tag> {
        let target = self.target.as_ref()?;
        let companions = self.together();
        let holders: Vec<usize> = companions
            .into_iter()
            .filter(|&at| at != self.me)
            .filter(|&at| target.infos[at].as_ref().is_some_and(|info| info.has(seq)))
            .collect();
        // In turns, so that the work is shared.
        let at = holders.get((seq % holders.len().max(1) as u64) as usize)?;
        Some(self.tags[*at])
    }

    /// The highest packet that any companion has.
    pub(crate) fn high(&self) -> u64 {
        let Some(target) = &self.target else { return 0 };
        let companions = self.together().into_iter().filter_map(|at| target.infos[at].as_ref());
        companions.map(Info::high).max().unwrap_or(0)
    }

    /// Whether any companion has the packet.
    fn exists(&self, seq: u64) -> bool {
        let Some(target) = &self.target else { return false };
        let companions = self.together().into_iter().filter_map(|at| target.infos[at].as_ref());
        companions.into_iter().any(|info| info.has(seq))
    }
}

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

    /// Member order: that of the fixed list, else by name.
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
        let mut sorted = members.clone();
        self.sort(&mut sorted);
        sorted.dedup();
        let Some(me) = commit.members.iter().position(|tag| *tag == self.tag) else { return false };
        if sorted != members {
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

    /// Asks companions for what is missing, or says that nothing is.
    fn fetch(&mut self, now: Instant) {
        let Some(bound) = &mut self.bound else { return };
        let complete = bound.target.as_ref().is_some_and(|t| t.infos.iter().all(Option::is_some));
        if !complete {
            return;
        }
        bound.again = now + AGAIN;
        if !bound.recovered
            && let Some(order) = &self.order
        {
            let (aru, high) = (order.store.aru(), bound.high());
            if high > aru + 2 * UNSTABLE_MAX {
                return; // No honest companion is so far ahead; the change is given up in time.
            }
            let wanted = (aru + 1..=high).filter(|&seq| !order.store.has(seq));
            let mut asked: Vec<(Tag, Vec<u64>)> = Vec::new();
            for seq in wanted.filter(|&seq| bound.exists(seq)).take(FETCH) {
                let Some(holder) = bound.holders(seq) else { continue };
                match asked.iter_mut().find(|(tag, _)| *tag == holder) {
                    Some((_, list)) => list.push(seq),
                    None => asked.push((holder, Vec::from([seq]))),
                }
            }
            if !asked.is_empty() {
                let ring = order.short;
                for (holder, list) in asked {
                    let ranges = ranges(list.into_iter());
                    self.outbox
                        .send(holder, &Message::Missing(Missing { ring, from: aru, ranges }));
                }
                return;
            }
        }
        if !bound.recovered {
            bound.recovered = true;
            bound.progress = now;
            // From here on companions may count on us: what they sent must be delivered here even if this change fails.
            let owed = bound.together();
            let tags = bound.tags.clone();
            let infos = bound.target.as_ref().map(|target| target.infos.clone());
            if let (Some(order), Some(infos)) = (&self.order, infos) {
                for at in owed {
                    if let Some(place) = order.members.iter().position(|tag| *tag == tags[at]) {
                        self.obligations.insert(place);
                    }
                    self.obligations |=
                        infos[at].as_ref().map(|info| info.obligations).unwrap_or_default();
                }
            }
        }
        self.say_recovered(now);
    }

    fn say_recovered(&mut self, now: Instant) {
        let Some(bound) = &self.bound else { return };
        let (leader, proposal) = (bound.leader, bound.number);
        if leader == self.tag {
            self.handle_recovered(now, leader, proposal);
        } else {
            self.outbox.send(leader, &Message::Recovered { proposal });
        }
    }

    pub(crate) fn handle_missing(&mut self, from: Tag, missing: &Missing) {
        let Some(order) = &self.order else { return };
        if order.short != missing.ring || self.bound.is_none() {
            return;
        }
        let wanted = missing.ranges.iter().flat_map(|&(first, count)| first..first + count);
        for seq in wanted.take(FETCH) {
            if let Some(packet) = order.store.get(seq) {
                let data = Data {
                    ring: order.short,
                    seq,
                    token: 0,
                    sender: packet.sender,
                    keeps: false,
                    recovery: true,
                    relay: false,
                    body: &packet.body,
                };
                self.outbox.send(from, &Message::Data(data));
            }
        }
    }

    /// A packet of our old ring that we asked for.
    pub(crate) fn handle_recovery(&mut self, now: Instant, data: &Data<'_>) {
        let (Some(bound), Some(order)) = (&mut self.bound, &mut self.order) else { return };
        if bound.recovered || data.ring != order.short || !bound.exists(data.seq) {
            return;
        }
        if usize::from(data.sender) < order.members.len()
            && order.take(data.seq, data.sender, data.body)
        {
            bound.progress = now;
            let open = (order.store.aru() + 1..=bound.high())
                .any(|seq| bound.exists(seq) && !order.store.has(seq));
            // The next batch is asked for when this one is complete, or when the time to repeat has come.
            if !open || bound.again <= now {
                self.fetch(now);
            }
        }
    }

    pub(crate) fn handle_recovered(&mut self, now: Instant, from: Tag, proposal: u64) {
        let Some(bound) = &mut self.bound else {
            // It did not hear that the view is installed.
            let mine = self.order.as_ref().is_some_and(|order| {
                order.ring.founder == self.tag.0 && order.members.contains(&from)
            });
            if mine && self.installed_number == proposal {
                self.outbox.send(from, &Message::Go { ring: self.ring_id() });
            }
            return;
        };
        let Some(rank) = bound.tags.iter().position(|tag| *tag == from) else { return };
        let Some(lead) = &mut bound.lead else { return };
        if proposal != bound.number || bound.target.is_none() {
            return;
        }
        if !lead.recovered.has(rank) {
            lead.recovered.insert(rank);
            bound.progress = now;
        }
        if lead.recovered.len() == bound.tags.len()
            && let Some(target) = &bound.target
        {
            let (ring, tags) = (target.ring, bound.tags.clone());
            for tag in tags.into_iter().filter(|tag| *tag != self.tag) {
                self.outbox.send(tag, &Message::Go { ring });
            }
            self.install(now);
        }
    }

    /// Somebody is in the ring that we wait for: then everybody had recovered.
    pub(crate) fn handle_go(&mut self, now: Instant, ring: RingId) {
        let waits = self.bound.as_ref().is_some_and(|bound| {
            bound.recovered && bound.target.as_ref().is_some_and(|target| target.ring == ring)
        });
        if waits {
            self.install(now);
        }
    }

    /// The short form of the ring that is about to be installed here.
    pub(crate) fn awaited(&self) -> Option<(u64, RingId)> {
        let bound = self.bound.as_ref().filter(|bound| bound.recovered)?;
        bound.target.as_ref().map(|target| (short(target.ring), target.ring))
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
