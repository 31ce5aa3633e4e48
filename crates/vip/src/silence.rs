//! Members that are in the view and say nothing: the others go on without them, and take them in again when they speak.

use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use base::Instant;

use crate::gather::take_in;
use crate::memory::Phase;
use crate::message::Message;
use crate::outside::{Action, Event, Service, ViewId};
use crate::reason::Reason;
use crate::table::Moving;
use crate::vip::Vip;

/// A member that has never said anything is not waited for longer than this: a client that only looks on.
const STRANGER_PATIENCE: Duration = Duration::from_secs(1);

impl Vip {
    pub(crate) fn alive(&mut self, at: usize, sequence: u64) {
        if at != self.me {
            return;
        }
        while let Some((number, sent)) =
            self.echoes.front().copied().filter(|(n, _)| *n <= sequence)
        {
            self.echoes.pop_front();
            if number == sequence {
                self.echoed = Some(sent);
            }
        }
    }

    /// Members that say nothing are told of by the first that speaks, or by any other a little later.
    pub(crate) fn look_for_silent(&mut self, now: Instant, view: ViewId) {
        let speaking = self.members.iter().filter(|member| !member.silent && member.peer.is_some());
        let rank = speaking.take_while(|member| member.name != self.members[self.me].name).count();
        let grace =
            STRANGER_PATIENCE.saturating_mul(u32::try_from(rank).unwrap_or(u32::MAX).min(8));
        let longest = self.longest_lease();
        // Those that meet may have an address twice until the table is made, and whoever is left out for a lease after that.
        let patience = longest / 2;
        let gathering = match self.phase {
            Phase::Gather { since } => Some(since),
            Phase::Run | Phase::Away => None,
        };
        let is_silent = |at: &usize| {
            let member = &self.members[*at];
            if member.silent || *at == self.me {
                return false;
            }
            let silent_for = |since: Instant| now.since(since.max(self.resumed));
            match (gathering, &member.peer) {
                // It has never said anything since we met. If it has something under quorum after all, its lease is waited for.
                (Some(since), None) if member.heard <= member.since => {
                    silent_for(since) >= STRANGER_PATIENCE + grace
                }
                (Some(since), None) => silent_for(since) >= patience + grace,
                (Some(_), Some(_)) => false,
                (None, _) => silent_for(member.heard) >= longest + grace,
            }
        };
        let silent: Vec<usize> = (0..self.members.len()).filter(is_silent).collect();
        if !silent.is_empty() {
            self.send(Service::Agreed, &Message::Exclude(view, silent));
        }
    }

    /// The longest time for which any member, or this one, may answer after it was lost.
    pub(crate) fn longest_lease(&self) -> Duration {
        let peers = self.members.iter().filter_map(|member| member.peer.as_ref());
        peers.map(|peer| peer.lease).chain([self.settings.lease()]).max().unwrap_or_default()
    }

    /// Members of which nothing is heard.
    pub(crate) fn exclude(&mut self, now: Instant, silent: &[usize]) {
        for at in silent.iter().copied() {
            let Some(member) = self.members.get_mut(at).filter(|member| !member.silent) else {
                continue;
            };
            // One that has spoken in the meantime is not silent.
            if matches!(self.phase, Phase::Gather { .. }) && member.peer.is_some() {
                continue;
            }
            if at == self.me {
                self.step_out(now, Reason::Excluded);
                self.actions.push_back(Action::Rejoin);
                return;
            }
            member.silent = true;
            let (machine, name) = (member.shown().to_string(), member.name.clone());
            let lease = member.peer.as_ref().map(|peer| (now + peer.lease, peer.boot));
            self.memory.silent.insert(name);
            self.events.push_back(Event::Silent { machine });
            if self.phase == Phase::Run {
                self.drop_member(at, lease, now);
            }
        }
        match self.phase {
            Phase::Gather { .. } => self.complete(now),
            Phase::Run => self.settle(now),
            Phase::Away => {}
        }
    }

    /// What a silent member had is free once its kernel has certainly let go.
    fn drop_member(&mut self, at: usize, lease: Option<(Instant, u64)>, now: Instant) {
        for row in &mut self.table.rows {
            let had = row.holders().contains(&at)
                || row.moving.as_ref().is_some_and(|moving| moving.to == at);
            row.going.remove(&at);
            if let Some(moving) = &mut row.moving {
                moving.from.retain(|from| *from != at);
                if moving.to == at {
                    row.owner = (!moving.acquired).then(|| moving.from.first().copied()).flatten();
                    row.moving = None;
                } else if moving.from.is_empty() {
                    row.owner = (!moving.break_first).then_some(moving.to);
                    row.moving = None;
                }
            }
            if row.owner == Some(at) {
                row.owner = None;
            }
            if had && let Some((until, boot)) = lease {
                self.memory.lose(row.set.key(), &row.set, boot, until);
                row.lost.insert(boot);
                row.pending = row.pending.max(Some(until));
                row.waits = row.quorum && row.owner.is_none();
                row.since = now;
                if row.destined().is_none() {
                    row.reason = Reason::Lost;
                }
            }
        }
    }

    /// What a member says after the others went on without it.
    pub(crate) fn late(&mut self, now: Instant, at: usize) {
        let Some(sets) = self.said.remove(&at) else { return };
        if let Some(member) = self.members.get_mut(at) {
            member.silent = false;
        }
        self.mature_together();
        self.silent_said.clear();
        self.judge(now);
        let boots: BTreeSet<u64> =
            self.members.iter().filter_map(|m| Some(m.peer.as_ref()?.boot)).collect();
        let count = self.members.len();
        let before = self.under_quorum();
        let mut claims = Vec::new();
        for said in sets {
            let row = self.table.row_of(&said.set, count, now);
            take_in(row, at, &said);
            let key = said.set.key();
            if said.held {
                claims.push(key);
            } else if row.destined().is_none() {
                // It may be the only one that knows who had it.
                for (boot, time) in said.lost.iter().filter(|(boot, _)| !boots.contains(boot)) {
                    row.lost.insert(*boot);
                    row.pending = row.pending.max(Some(now + *time));
                    row.reason = Reason::Lost;
                    self.memory.lose(key, &said.set, *boot, now + *time);
                }
            }
        }
        self.wait_if_new(&before);
        self.tell_differences();
        for key in claims {
            let Some(row) = self.table.row_mut(key) else { continue };
            row.waits = false;
            match (&mut row.moving, row.owner) {
                (Some(moving), _) if moving.to != at => moving.from.push(at),
                (Some(_), _) => {}
                (None, Some(owner)) if owner != at => {
                    row.moving = Some(Moving::conflict(row.quorum, [at].into(), owner, now));
                }
                (None, _) => {
                    row.owner = Some(at);
                    row.reason = Reason::Held;
                }
            }
        }
        self.announce_winners();
        self.settle(now);
    }
}
