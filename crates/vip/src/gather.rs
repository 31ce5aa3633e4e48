//! From a view to a table: what every member says of itself, and what follows from all of it.
//!
//! Whatever the members held before, the table is made anew from what they say they hold, so any overlap is repaired and any
//! hole is filled (paper, lemmas 1 and 2). Nothing is taken off meanwhile.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base::Instant;

use crate::allocate;
use crate::message::{MEMBERS_MAX, Message, Said, State};
use crate::quorum;
use crate::reason::Reason;
use crate::set::{Set, SetKey};
use crate::table::{May, Member, Moving, Row, Table, Was};
use crate::vip::{Able, Event, Holder, Phase, Service, View, Vip};

impl Vip {
    /// The members of the group have changed. A view without this machine changes nothing. Of more than 1,024 members, all machines
    /// take the first 1,024 for the group, since the order is the same everywhere; a machine behind them lets everything go.
    pub fn handle_view(&mut self, now: Instant, mut view: View) {
        if view.me >= view.members.len() {
            return;
        }
        if view.members.len() > MEMBERS_MAX {
            let (members, left_out) = (view.members.len(), view.me >= MEMBERS_MAX);
            self.events.push_back(Event::Crowded { members, left_out });
            if left_out {
                self.step_out(now, Reason::Excluded);
                self.handle_connected(now);
                return;
            }
            view.members.truncate(MEMBERS_MAX);
        }
        self.listen(now);
        self.remember_where();
        self.remember_lost(now, &view.members);
        let before = core::mem::take(&mut self.members);
        let left = |member: &Member| !view.members.contains(&member.name);
        if self.view.is_none() || before.iter().any(left) {
            self.unbroken = now;
        }
        let new = |name: &&String| !before.iter().any(|member| member.name == **name);
        let newcomers: Vec<String> = view.members.iter().filter(new).cloned().collect();
        let grown = !newcomers.is_empty();
        self.newcomers.retain(|name| view.members.contains(name));
        self.memory.silent.retain(|name| view.members.contains(name));
        self.newcomers.extend(newcomers);
        self.members = view
            .members
            .into_iter()
            .map(|name| match before.iter().find(|member| member.name == name) {
                Some(old) => Member { peer: None, silent: false, ..old.clone() },
                None => Member::new(name, now),
            })
            .collect();
        self.view = Some(view.id);
        self.me = view.me;
        let met = self.members.len() > 1;
        for able in self.able.values_mut() {
            match able {
                // Those that an interface was waiting for have been met; whoever is in a view after a standstill lives.
                Able::After(_) if grown => *able = Able::Yes,
                Able::Unmet(_) if met => *able = Able::Yes,
                _ => {}
            }
        }
        self.originals.retain(|name| self.members.iter().any(|member| member.name == *name));
        if self.aside && self.originals.is_empty() {
            self.aside = false;
            self.mature_at = Some(now + self.settings.mature);
        }
        // What was said in the view before and is not yet sent would not be heard.
        self.transmits.clear();
        self.acquired.clear();
        self.released.clear();
        self.releasing.clear();
        self.uncertain = None;
        self.failed.clear();
        self.cancelled.clear();
        self.orders.values_mut().for_each(|said| *said = false);
        self.echoes.clear();
        self.echoed = None;
        self.alive_at = now;
        self.balance_at = None;
        self.claimed.clear();
        self.phase = Phase::Gather { since: now };
        self.changed = false;
        let state = self.own_state(now, view.id);
        self.send(Service::Agreed, &Message::State(state));
    }

    /// How it is with each set, for people: a view in which nothing has happened to it changes nothing of that.
    fn remember_where(&mut self) {
        // Before there is a table, what is remembered is of the view before that.
        if self.phase == Phase::Run {
            let of = |row: &Row| Was {
                owner: row.owner.and_then(|at| self.members.get(at)).map(|one| one.name.clone()),
                since: row.since,
                why: row.shown_why(),
            };
            self.were = self.table.rows.iter().map(|row| (row.set.key(), of(row))).collect();
        }
    }

    /// What was so before, and is so still.
    fn recall_where(&mut self) {
        let were = core::mem::take(&mut self.were);
        for row in &mut self.table.rows {
            let Some(was) = were.get(&row.set.key()) else { continue };
            let owner = row.owner.and_then(|at| self.members.get(at)).map(|one| &one.name);
            if row.moving.is_none() && owner == was.owner.as_ref() {
                row.since = was.since;
                row.was = Some(was.why).filter(|_| owner.is_some());
            }
        }
    }

    /// What members that are not there any more had may be answered for by their kernels for a while. A loss counts from the
    /// first view without the member, however often the view changes before there is a table again.
    fn remember_lost(&mut self, now: Instant, names: &[String]) {
        let mut holders = core::mem::take(&mut self.holders);
        let mut add = |set: &Set, at: usize, members: &[Member]| {
            let Some((member, peer)) = members.get(at).and_then(|m| Some((m, m.peer.as_ref()?)))
            else {
                return;
            };
            let (set, name) = (set.clone(), member.name.clone());
            let key = set.key();
            let holder = Holder { set, name, boot: peer.boot, lease: peer.lease };
            let all: &mut Vec<Holder> = holders.entry(key).or_default();
            if !all.iter().any(|one| one.boot == holder.boot) {
                all.push(holder);
            }
        };
        for row in &self.table.rows {
            row.holders().into_iter().for_each(|at| add(&row.set, at, &self.members));
        }
        for (at, sets) in &self.said {
            sets.iter()
                .filter(|said| said.held || said.going)
                .for_each(|said| add(&said.set, *at, &self.members));
        }
        self.table = Table::default();
        self.said.clear();
        self.silent_said.clear();
        for (key, all) in &mut holders {
            all.retain(|holder| {
                if names.contains(&holder.name) {
                    return true;
                }
                self.memory.lose(*key, &holder.set, holder.boot, now + holder.lease);
                false
            });
        }
        holders.retain(|_, all| !all.is_empty());
        self.holders = holders;
        self.memory.lost.retain(|_, lost| {
            lost.runs.retain(|_, until| *until > now);
            !lost.runs.is_empty()
        });
    }

    /// Whether this machine's own word in this view has come back.
    pub(crate) fn has_spoken(&self) -> bool {
        self.members.get(self.me).is_some_and(|me| me.peer.is_some())
    }

    /// A member's word.
    pub(crate) fn state(&mut self, now: Instant, at: usize, state: State) {
        let Some(member) = self.members.get_mut(at) else { return };
        if member.peer.is_some() {
            return;
        }
        member.peer = Some(state.peer);
        self.look_for_namesakes(at);
        self.said.insert(at, state.sets);
        self.silent_said.extend(state.silent);
        match self.phase {
            Phase::Gather { .. } => self.complete(now),
            Phase::Run => self.late(now, at),
            Phase::Away => {}
        }
    }

    /// Makes the table once nobody is waited for any more. That is so after the same word everywhere.
    pub(crate) fn complete(&mut self, now: Instant) {
        let Phase::Gather { since } = self.phase else { return };
        let missing = |member: &Member| {
            member.peer.is_none() && !member.silent && !self.silent_said.contains(&member.name)
        };
        if self.members.iter().any(missing) {
            return;
        }
        for member in self.members.iter_mut().filter(|member| member.peer.is_none()) {
            member.silent = true;
            self.memory.silent.insert(member.name.clone());
        }
        self.phase = Phase::Run;
        self.meet(now);
        self.mature_together();
        self.stay_for_the_next_image(now);
        self.make_table(now);
        self.announce_winners();
        self.settle(now);
        self.balance_at = Some(now + self.settings.balance_every);
        let machines =
            self.members.iter().filter(|m| !m.silent).map(|m| m.shown().to_string()).collect();
        let lists =
            self.members.iter().filter_map(Member::speaks).any(|peer| !peer.quorum.is_empty());
        let majority = lists.then_some(self.standing.majority);
        self.events.push_back(Event::Gathered { machines, took: now.since(since), majority });
    }

    /// This machine goes and is about to be back (an upgrade), and nobody is there any more to have anything until then: its next image
    /// goes on with what it has, also with what others had that have died since. Not with what those keep that are about to be back, too.
    fn stay_for_the_next_image(&mut self, now: Instant) {
        let others = self.members.iter().enumerate().filter(|(at, _)| *at != self.me);
        let alone = others.filter_map(|(_, member)| member.speaks()).count() == 0;
        let waited_for = self.memory.expected.values().any(|until| *until > now);
        let own = self.members.get_mut(self.me).and_then(|member| member.peer.as_mut());
        if let Some(own) = own.filter(|own| own.back_within.is_some() && alone && !waited_for) {
            own.leaving = false;
        }
    }

    /// Members that are new here, or are another run of the program than before.
    fn meet(&mut self, now: Instant) {
        for at in 0..self.members.len() {
            let Some(peer) = self.members[at].peer.as_ref() else { continue };
            let machine = peer.machine.clone();
            if self.newcomers.contains(&self.members[at].name) {
                self.damping.came(&machine, now);
            }
            self.memory.expected.remove(&machine);
        }
        self.newcomers.clear();
    }

    /// One that is mature makes all of them mature: the cluster runs already.
    pub(crate) fn mature_together(&mut self) {
        if self.members.iter().filter_map(Member::speaks).any(|peer| peer.mature) {
            self.ripen();
        }
    }

    /// All take part, but those that stand aside for the original and say so.
    fn ripen(&mut self) {
        for peer in self.members.iter_mut().filter_map(|member| member.peer.as_mut()) {
            peer.mature |= !peer.aside;
        }
        let me = self.members.get(self.me).and_then(|me| me.peer.as_ref());
        if !self.mature && me.is_none_or(|me| !me.aside) {
            self.mature = true;
            self.mature_at = None;
            self.events.push_back(Event::Mature);
        }
    }

    /// Somebody has waited long enough.
    pub(crate) fn all_mature(&mut self, now: Instant) {
        self.ripen();
        if self.phase == Phase::Run {
            self.settle(now);
        }
    }

    /// The table, from nothing but what was said.
    fn make_table(&mut self, now: Instant) {
        self.standing = quorum::standing(&self.members);
        let count = self.members.len();
        let mut table = Table::default();
        let mut claims: Vec<(usize, SetKey)> = Vec::new();
        let boots: BTreeSet<u64> =
            self.members.iter().filter_map(|m| Some(m.peer.as_ref()?.boot)).collect();
        for (at, sets) in core::mem::take(&mut self.said) {
            for said in sets {
                let key = said.set.key();
                take_in(table.row_of(&said.set, count, now), at, &said);
                if said.held {
                    claims.push((at, key));
                }
                let row = table.row_of(&said.set, count, now);
                let newest = self.members[at]
                    .peer
                    .as_ref()
                    .is_some_and(|peer| peer.epoch == self.standing.epoch);
                if row.quorum && self.standing.certain && !newest {
                    continue;
                }
                // Those that are back say themselves what they hold.
                for (boot, time) in said.lost.iter().filter(|(boot, _)| !boots.contains(boot)) {
                    row.lost.insert(*boot);
                    row.pending = row.pending.max(Some(now + *time));
                    // Who has heard of it knows it too, and may be the only one of them in the next view.
                    self.memory.lose(key, &said.set, *boot, now + *time);
                }
            }
        }
        self.table = table;
        self.silent_said.clear();
        self.holders.clear();
        self.memory.lost.retain(|_, lost| {
            lost.runs.retain(|boot, _| !boots.contains(boot));
            !lost.runs.is_empty()
        });
        self.learn_of_holders();
        self.tell_differences();
        self.settle_claims(now, &claims);
        self.wait_for_leases(now);
        self.recall_where();
        self.count_view();
    }

    /// Who had a set that this machine could not have, because somebody answered for it whom it did not know, may be here now: it is
    /// not tried less than others.
    fn learn_of_holders(&mut self) {
        for row in self.table.rows.iter().filter(|row| row.known) {
            let key = row.set.key();
            let state = self.able.get_mut(&key).filter(|_| !self.memory.known.contains(&key));
            if let Some(state @ Able::FailedUntil(_)) = state {
                *state = Able::Yes;
                self.changed = true;
            }
        }
    }

    /// A majority counts its views.
    fn count_view(&mut self) {
        if !self.standing.majority {
            return;
        }
        self.memory.epoch = self.standing.epoch + 1;
        for member in &mut self.members {
            if let Some(peer) = &mut member.peer {
                peer.epoch = self.standing.epoch + 1;
            }
        }
    }

    /// Judges the view again, because a list of those that count has changed in it, or a member speaks late.
    pub(crate) fn judge(&mut self, now: Instant) {
        let had = self.standing.majority;
        self.standing = quorum::standing(&self.members);
        if self.standing.majority && !had {
            self.wait_for_leases(now);
            self.count_view();
        }
    }

    /// One holder stays; of several one wins, and the others let go once it has announced itself.
    fn settle_claims(&mut self, now: Instant, claims: &[(usize, SetKey)]) {
        for (at, key) in claims {
            let Some(row) = self.table.row_mut(*key) else { continue };
            match &mut row.moving {
                Some(moving) => moving.from.push(*at),
                None if row.owner.is_some() => {
                    let first = row.owner.take();
                    let from = first.into_iter().chain([*at]).collect();
                    row.moving = Some(Moving::conflict(row.quorum, from, usize::MAX, now));
                }
                None => {
                    row.owner = Some(*at);
                    row.up_at = Some(*at);
                    row.reason = Reason::Held;
                }
            }
        }
        let mut counts = self.table.counts(self.members.len());
        let majority = self.standing.majority;
        for row in &mut self.table.rows {
            let Some(moving) = &row.moving else { continue };
            let claimants = moving.from.clone();
            let Some(winner) = allocate::winner(row, &claimants, &counts, &self.members, majority)
            else {
                continue;
            };
            if let Some(count) = counts.get_mut(winner) {
                *count += 1;
            }
            row.owner = Some(winner);
            if let Some(moving) = &mut row.moving {
                moving.to = winner;
                moving.from.retain(|at| *at != winner);
            }
        }
    }

    /// What is free, and what has to wait for a lease to run out.
    fn wait_for_leases(&mut self, now: Instant) {
        let longest = now + self.longest_lease();
        // A wait goes on in the next majority, however certain that one is of this one.
        let newest = self.members.iter().filter_map(Member::speaks);
        let newest = newest.filter(|peer| peer.epoch == self.standing.epoch);
        let left = newest.map(|peer| peer.uncertain).max().unwrap_or_default();
        let remembered = (!left.is_zero()).then(|| now + left);
        self.uncertain = if self.standing.certain { remembered } else { Some(longest) };
        if self.standing.majority {
            self.memory.uncertain = self.uncertain;
        }
        for row in &mut self.table.rows {
            if row.owner.is_some() || row.moving.is_some() {
                row.pending = None;
                row.lost.clear();
                continue;
            }
            if row.quorum {
                row.pending = row.pending.max(self.uncertain);
            }
            row.waits = row.quorum && row.pending.is_some();
            if !row.lost.is_empty() {
                row.reason = Reason::Lost;
            }
        }
    }

    /// The sets that are under quorum now.
    pub(crate) fn under_quorum(&self) -> BTreeSet<SetKey> {
        self.table.rows.iter().filter(|row| row.quorum).map(|row| row.set.key()).collect()
    }

    /// What is under quorum now and was not before, waits if something may have happened elsewhere.
    pub(crate) fn wait_if_new(&mut self, before: &BTreeSet<SetKey>) {
        for row in &mut self.table.rows {
            row.wait_if_new(before.contains(&row.set.key()), self.uncertain);
        }
    }

    /// A member has changed what it is or may hold.
    pub(crate) fn update(&mut self, now: Instant, at: usize, state: State) {
        let count = self.members.len();
        let Some(member) = self.members.get_mut(at) else { return };
        let Some(old) = &member.peer else { return };
        let mut peer = state.peer;
        // Maturity only grows, and an epoch is of the view.
        peer.mature |= old.mature && !peer.aside;
        peer.epoch = old.epoch;
        let relisted = peer.quorum != old.quorum;
        if peer.drained != old.drained {
            self.events
                .push_back(Event::Drained { machine: peer.machine.clone(), drained: peer.drained });
        }
        if peer.leaving && !old.leaving {
            let (machine, back_within) = (peer.machine.clone(), peer.back_within);
            if let Some(within) = back_within {
                self.memory.expected.insert(machine.clone(), now + within);
            }
            self.events.push_back(Event::Leaving { machine, back_within });
        }
        if at == self.me {
            self.mature = peer.mature;
        }
        member.peer = Some(peer);
        if self.phase != Phase::Run {
            self.said.insert(at, state.sets);
            return;
        }
        if relisted {
            self.judge(now);
        }
        let before = self.under_quorum();
        for row in &mut self.table.rows {
            if let Some(may) = row.may.get_mut(at) {
                *may = May::default();
            }
        }
        for said in state.sets {
            let row = self.table.row_of(&said.set, count, now);
            let going = row.going.clone();
            take_in(row, at, &said);
            // What is there was said when the table was made; what comes off since then follows from the table.
            row.going = going;
        }
        self.table.rows.iter_mut().for_each(Row::judge_quorum);
        self.wait_if_new(&before);
        self.tell_differences();
        self.settle(now);
    }
}

/// What a member says of a set, entered.
pub(crate) fn take_in(row: &mut Row, at: usize, said: &Said) {
    row.known |= said.known;
    row.pinned |= said.pinned && said.held;
    if said.going {
        row.going.insert(at);
    }
    if let Some(may) = row.may.get_mut(at) {
        may.listed = said.listed;
        may.able = said.able;
        may.off = !said.able && !said.held;
        may.preferred = said.preferred;
        may.quorum = said.quorum;
    }
    row.judge_quorum();
}
