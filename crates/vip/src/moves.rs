//! Moves: the new owner adds and announces, the old one releases, the new one announces again, each on the ordered word of
//! the one before. The table's settling after each word, and what is done when time passes.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use base::Instant;

use crate::allocate;
use crate::forms;
use crate::message::Message;
use crate::reason::Reason;
use crate::set::SetKey;
use crate::settings::PerRound;
use crate::table::{Member, Moving, Row};
use crate::vip::{Able, Action, Event, FAILED_FOR, Hold, Phase, Service, ViewId, Vip};

/// A move that has not come so far by then is given up.
const PATIENCE: Duration = Duration::from_secs(5);
/// Balancing that finds moves under way, or a machine on its way back, looks again after this.
const LATER: Duration = Duration::from_secs(1);
/// The most moves of one word: more follow in the next round, when these are done.
const AT_ONCE: usize = 256;

impl Vip {
    /// What follows from the table as it is now: contradictions, holes, holders that should not hold.
    pub(crate) fn settle(&mut self, now: Instant) {
        if self.phase != Phase::Run {
            return;
        }
        let majority = self.standing.majority;
        // However it came about: what a lost holder may still have is claimed before it is given.
        for row in self.table.rows.iter_mut().filter(|row| row.quorum && row.pending.is_some()) {
            row.waits |= row.destined().is_none();
        }
        let won = forms::contradictions(&mut self.table, &self.members, majority);
        self.tell_contradictions();
        self.announce_again(&won);
        self.withdraw_unable(now);
        allocate::fill(&mut self.table, &self.members, majority, now);
        for key in allocate::evacuate(&mut self.table, &self.members, majority, now) {
            self.tell_move(key);
        }
        self.table.forget();
        self.release_absent();
        self.tell_of_first();
    }

    /// What is up here and was not told of, because others want to know now.
    fn tell_of_first(&mut self) {
        let told: BTreeSet<SetKey> = self.acquired.iter().copied().collect();
        let first = self.table.rows.iter().filter(|row| self.is_first_here(row));
        let first: Vec<SetKey> =
            first.map(|row| row.set.key()).filter(|key| !told.contains(key)).collect();
        self.acquired.extend(first);
    }

    /// Machines that list an address differently are told of once, and again only when they had agreed meanwhile.
    fn tell_contradictions(&mut self) {
        let blocked = |row: &Row| Some((row.set.key(), row.blocked_by?));
        let all: BTreeSet<(SetKey, SetKey)> =
            self.table.rows.iter().filter(|row| row.listings() > 0).filter_map(blocked).collect();
        for (key, by) in all.difference(&self.memory.contradictions) {
            if let (Some(row), Some(by)) = (self.table.row(*key), self.table.row(*by)) {
                let (head, by) = (row.set.head(), by.set.head());
                self.events.push_back(Event::Contradiction { head, by });
            }
        }
        self.memory.contradictions = all;
    }

    /// What is to be released first and is off already, because its interface has gone, is released.
    fn release_absent(&mut self) {
        for row in &self.table.rows {
            let key = row.set.key();
            let going = row
                .moving
                .as_ref()
                .is_some_and(|moving| moving.break_first && moving.from.contains(&self.me));
            let going = going || row.going.contains(&self.me);
            if going && !self.locals.contains_key(&key) && self.releasing.insert(key) {
                self.released.push(key);
            }
        }
    }

    fn tell_move(&mut self, key: SetKey) {
        let Some(row) = self.table.row_mut(key) else { return };
        row.pinned = row.moving.as_ref().is_some_and(|moving| moving.reason == Reason::Operator);
        let Some(moving) = &row.moving else { return };
        let shown = |at: &usize| self.members.get(*at).map_or("?", Member::shown).into();
        let (head, reason) = (row.set.head(), moving.reason);
        let (from, to) = (moving.from.iter().map(shown).collect(), shown(&moving.to));
        self.events.push_back(Event::Moving { head, from, to, reason });
    }

    /// Somebody proposes moves. Each is done if it still makes sense to everybody.
    pub(crate) fn begin_moves(&mut self, now: Instant, moves: &[(SetKey, usize, Reason)]) {
        if self.phase != Phase::Run {
            return;
        }
        let majority = self.standing.majority;
        for (key, to, reason) in moves.iter().copied() {
            let Some(row) = self.table.row_mut(key) else { continue };
            let ordered_here = to == self.me && reason == Reason::Operator;
            if ordered_here {
                self.orders.remove(&key);
                if let Some(moving) = &row.moving {
                    // On another way it is asked for again once that has come to an end.
                    self.orders.insert(key, moving.to == self.me);
                    continue;
                }
            }
            let Some(tier) = allocate::tier(row, to, &self.members, majority) else { continue };
            let planned = matches!(reason, Reason::Balance | Reason::Preference | Reason::Full);
            let (Some(owner), None) = (row.owner, &row.moving) else { continue };
            if owner == to && reason == Reason::Operator {
                // It is there already, and is to stay.
                row.pinned = true;
                if to == self.me {
                    self.memory.pinned.insert(key);
                }
                continue;
            }
            // While one is still to let go of it, from a move of the view before, a third would be on two ways at once.
            let waits = planned && (tier != 0 || !row.going.is_empty());
            if owner == to || waits || !row.is_free_for(to) {
                continue;
            }
            // It would go back at once.
            let worse = allocate::tier(row, owner, &self.members, majority);
            if worse.is_some_and(|worse| tier > worse) {
                continue;
            }
            row.moving = Some(Moving::planned(row.quorum, owner, to, reason, now));
            if owner == self.me {
                self.memory.pinned.remove(&key);
            }
            if ordered_here {
                self.memory.pinned.insert(key);
                // A view that ends before it is here takes the move along, but not the order.
                self.orders.insert(key, true);
            }
            self.tell_move(key);
        }
        self.release_absent();
    }

    /// The new owner has it.
    pub(crate) fn acquired_by(&mut self, now: Instant, at: usize, keys: &[SetKey]) {
        let mut awaited = false;
        for key in keys {
            let Some(row) = self.table.row_mut(*key) else { continue };
            row.known = true;
            row.up_at = Some(at);
            awaited |= row.awaited;
            let Some(moving) = &mut row.moving else { continue };
            if moving.to != at || moving.acquired || moving.break_first {
                continue;
            }
            moving.acquired = true;
            row.owner = Some(at);
            row.reason = moving.reason;
            row.since = now;
            if moving.from.contains(&self.me) && !self.locals.contains_key(key) {
                // It was off already: its interface had gone.
                self.releasing.insert(*key);
                self.released.push(*key);
            }
            let speaks = |at: &usize| self.members.get(*at).is_some_and(|member| !member.silent);
            moving.from.retain(speaks);
            if moving.from.is_empty() {
                row.moving = None;
            }
        }
        if awaited {
            self.settle(now);
        }
    }

    /// An old owner has let go.
    pub(crate) fn released_by(&mut self, now: Instant, at: usize, keys: &[SetKey]) {
        for key in keys {
            if at == self.me {
                self.releasing.remove(key);
            } else {
                self.announce_in_place_of(*key);
            }
            let Some(row) = self.table.row_mut(*key) else { continue };
            let went = row.going.remove(&at) && at != self.me;
            if went && row.moving.is_none() && row.owner == Some(self.me) {
                // The rest of a move that was begun in the view before.
                let is_up = self.locals.get(key).is_some_and(|local| local.hold == Hold::Up);
                self.actions.extend(is_up.then_some(Action::Announce(*key)));
            }
            let goes = |moving: &&mut Moving| moving.acquired || moving.break_first;
            let Some(moving) = row.moving.as_mut().filter(goes) else { continue };
            let before = moving.from.len();
            moving.from.retain(|from| *from != at);
            if moving.from.len() == before {
                continue;
            }
            if moving.to == self.me && !moving.break_first && self.locals.contains_key(key) {
                self.actions.push_back(Action::Announce(*key));
            }
            if moving.from.is_empty() {
                if moving.break_first {
                    row.known = true;
                    let to = moving.to;
                    row.reason = moving.reason;
                    row.since = now;
                    // Who may not have it yet gets it when that is so, or another does.
                    row.owner = row.is_free_for(to).then_some(to);
                }
                row.moving = None;
            }
        }
        self.settle(now);
    }

    /// A member cannot have these.
    pub(crate) fn failed_at(&mut self, now: Instant, at: usize, keys: &[SetKey]) {
        let majority = self.standing.majority;
        let counts = self.table.counts(self.members.len());
        for key in keys {
            let Some(row) = self.table.row_mut(*key) else { continue };
            if let Some(may) = row.may.get_mut(at) {
                may.failed = true;
            }
            let machine = self.members.get(at).map_or("?", Member::shown).into();
            self.events.push_back(Event::Failed { head: row.set.head(), machine });
            if at == self.me && row.destined() == Some(at) {
                // Whoever gave an order is told that it failed; done later it would be a surprise.
                self.orders.remove(key);
                self.memory.pinned.remove(key);
            }
            if row.moving.as_ref().is_some_and(|moving| moving.to == at) {
                withdraw(row, &counts, &self.members, majority, now);
            } else if row.owner == Some(at) && row.moving.is_none() {
                row.owner = None;
                row.reason = Reason::Unable;
                row.pinned = false;
            }
        }
        self.announce_winners();
        self.settle(now);
    }

    /// Moves to members that cannot hold the set any more: their interfaces have gone since it began.
    fn withdraw_unable(&mut self, now: Instant) {
        let majority = self.standing.majority;
        let counts = self.table.counts(self.members.len());
        let mut withdrawn = false;
        for row in &mut self.table.rows {
            let Some(moving) = &row.moving else { continue };
            // What is released first is given away after that, to whoever can have it then.
            let waits = !moving.acquired && !moving.break_first;
            let refusal = allocate::refusal(row, moving.to, &self.members, majority);
            if waits && matches!(refusal, Some(Reason::Unable | Reason::Unlisted)) {
                if moving.to == self.me {
                    self.orders.remove(&row.set.key());
                    self.memory.pinned.remove(&row.set.key());
                }
                withdraw(row, &counts, &self.members, majority, now);
                withdrawn = true;
            }
        }
        if withdrawn {
            self.announce_winners();
        }
    }

    /// Moves that took too long are undone.
    pub(crate) fn cancel(&mut self, now: Instant, keys: &[SetKey]) {
        for key in keys {
            let Some(row) = self.table.row_mut(*key) else { continue };
            let Some(moving) = row.moving.take() else { continue };
            if moving.acquired || moving.reason == Reason::Conflict {
                row.moving = Some(moving);
                continue;
            }
            if let Some(may) = row.may.get_mut(moving.to) {
                // Not again before it has said something new of itself, which it does after a while.
                may.failed = true;
            }
            row.pinned &= moving.reason != Reason::Operator;
            if moving.to == self.me {
                self.orders.remove(key);
                self.memory.pinned.remove(key);
            }
            if moving.to == self.me && self.able.get(key) == Some(&Able::Yes) {
                self.able.insert(*key, Able::FailedUntil(now + FAILED_FOR));
            }
            let to = self.members.get(moving.to).map_or("?", Member::shown).into();
            self.events.push_back(Event::GivenUp { head: row.set.head(), to });
        }
        self.settle(now);
    }

    /// Leases have run out.
    pub(crate) fn claim(&mut self, now: Instant, keys: &[SetKey]) {
        for key in keys {
            let Some(row) = self.table.row_mut(*key) else { continue };
            row.waits = false;
            row.pending = None;
            row.lost.clear();
            row.known = true;
            let set = row.set.clone();
            // What was waited for in another form of it has run out as well.
            let others = self.table.rows.iter_mut().filter(|row| row.set.contradicts(&set));
            others.for_each(|row| {
                row.pending = None;
                row.lost.clear();
            });
            self.claimed.remove(key);
            self.memory.lost.remove(key);
        }
        self.settle(now);
    }

    /// Whether this machine is the one that proposes: the first that speaks.
    pub(crate) fn leads(&self) -> bool {
        self.members.iter().position(|member| member.speaks().is_some()) == Some(self.me)
    }

    /// Gives up what does not come on, and balances.
    pub(crate) fn look_after_moves(&mut self, now: Instant, view: ViewId) {
        let due = self.balance_at.is_some_and(|at| at <= now);
        if due {
            self.balance_at = Some(now + self.settings.balance_every);
        }
        if !self.leads() {
            return;
        }
        // What is released first takes as long as the hooks of the old holder, which have limits of their own.
        let stuck = |moving: &Moving| {
            !moving.acquired
                && !moving.break_first
                && moving.reason != Reason::Conflict
                && now.since(moving.begun) > PATIENCE
        };
        let rows = self.table.rows.iter();
        let moves = rows.filter_map(|row| Some((row.set.key(), row.moving.as_ref()?)));
        let moves: BTreeMap<SetKey, Instant> = moves
            .filter(|(key, moving)| stuck(moving) && self.cancelled.get(key) != Some(&moving.begun))
            .map(|(key, moving)| (key, moving.begun))
            .collect();
        if !moves.is_empty() {
            // Once: a second word would give up what was begun after the first.
            let keys = moves.keys().copied().collect();
            self.cancelled.extend(moves);
            self.send(Service::Agreed, &Message::Cancel(view, keys));
        }
        if !due {
            return;
        }
        self.memory.expected.retain(|_, until| *until > now);
        let moving = self.table.rows.iter().any(|row| row.moving.is_some());
        if moving || !self.memory.expected.is_empty() {
            self.balance_at = Some(now + LATER.min(self.settings.balance_every));
            return;
        }
        let mut moves =
            allocate::preferences(&self.table, &self.members, self.standing.majority, |at| {
                let after =
                    self.members.get(at).and_then(Member::speaks).map(|peer| peer.prefer_after);
                self.has_settled(at, after.unwrap_or_default(), now)
            });
        if moves.is_empty() {
            let every = self.settings.balance_every;
            let ready = |at: usize| self.has_settled(at, every, now);
            moves = allocate::balance(
                &self.table,
                &self.members,
                self.standing.majority,
                self.settings.per_round,
                ready,
            );
        }
        let all = self.settings.per_round == PerRound::All;
        if moves.len() > AT_ONCE {
            moves.truncate(AT_ONCE);
        }
        if !moves.is_empty() {
            if all {
                self.balance_at = Some(now + LATER.min(self.settings.balance_every));
            }
            self.send(Service::Agreed, &Message::Move(view, moves));
        }
    }

    /// Whether a member has been there for long enough to be given something; longer if it comes and goes.
    fn has_settled(&self, at: usize, first: Duration, now: Instant) -> bool {
        let Some(member) = self.members.get(at) else { return false };
        let wait = self.damping.wait(member.shown(), first, now);
        now.since(member.since) >= wait
    }

    /// Whether this machine is the one that says when leases have run out.
    pub(crate) fn claims(&self) -> bool {
        self.standing.majority && self.leads()
    }

    /// What waits for a lease and has not been claimed from here yet.
    pub(crate) fn unclaimed(&self) -> impl Iterator<Item = &Row> {
        let unsaid = |row: &&Row| row.waits && !self.claimed.contains(&row.set.key());
        self.table.rows.iter().filter(unsaid)
    }

    /// Says it when the leases of lost holders have run out.
    pub(crate) fn look_after_leases(&mut self, now: Instant, view: ViewId) {
        if !self.claims() {
            return;
        }
        let due = |row: &&Row| row.pending.is_none_or(|until| until <= now);
        let keys: Vec<SetKey> = self.unclaimed().filter(due).map(|row| row.set.key()).collect();
        if !keys.is_empty() {
            // Once in a view: words within it are not lost.
            self.claimed.extend(&keys);
            self.send(Service::Agreed, &Message::Claim(view, keys));
        }
    }
}

/// The member to which it was to move does not get it. Whoever had it keeps it; of several, one is chosen as if they had just met.
fn withdraw(row: &mut Row, counts: &[u32], members: &[Member], majority: bool, now: Instant) {
    let Some(moving) = row.moving.take() else { return };
    // To where it stays nobody moved it.
    row.pinned &= moving.reason != Reason::Operator;
    let from: Vec<usize> = moving.from.into_iter().filter(|from| *from != moving.to).collect();
    row.owner = allocate::winner(row, &from, counts, members, majority);
    if row.owner.is_none() {
        row.reason = Reason::Unable;
    }
    let rest: Vec<usize> = from.into_iter().filter(|one| Some(*one) != row.owner).collect();
    if let (Some(to), false) = (row.owner, rest.is_empty()) {
        row.moving = Some(Moving::conflict(row.quorum, rest, to, now));
    }
}
