//! What this machine can hold: interfaces that come and go, and standstills.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use base::Instant;

use crate::reason::Reason;
use crate::set::SetKey;
use crate::settings::{LEFT_BEHIND_AFTER, MEET_WITHIN, RECLAIM_AFTER};
use crate::table::Row;
use crate::vip::{Able, Action, Hold, Phase, Vip};

impl Vip {
    /// The interfaces of a set are there and up, or not. `new` says that a carrier has just come back: then nothing is held
    /// until the others had time to be met, unless they have been there all the time, over another network.
    pub fn handle_able(&mut self, now: Instant, key: SetKey, able: bool, new: bool) {
        self.handle_all_able(now, [(key, able, new)]);
    }

    /// The same for many sets, of which the others hear in one word.
    pub fn handle_all_able(
        &mut self,
        now: Instant,
        all: impl IntoIterator<Item = (SetKey, bool, bool)>,
    ) {
        let mut changed = BTreeSet::new();
        for (key, able, new) in all {
            if self.is_able(now, key, able, new) {
                changed.insert(key);
            }
        }
        // What is about to be listed the others hear with the list.
        if self.settings.sets.iter().any(|one| changed.contains(&one.set.key())) {
            self.changed = true;
            self.finish(now);
        }
    }

    /// Whether that is another than before.
    fn is_able(&mut self, now: Instant, key: SetKey, able: bool, new: bool) -> bool {
        let before = self.able.get(&key).copied();
        let next = match (able, new, before) {
            (false, _, Some(since @ Able::No(_))) => since,
            (false, ..) => Able::No(now),
            (true, _, Some(Able::No(since))) if self.is_free_since(key, since) => Able::Yes,
            // One that was not there at all is as new as one that had no carrier.
            (true, true, _) | (true, false, Some(Able::No(_))) => Able::After(now + RECLAIM_AFTER),
            // Interfaces are looked at for many reasons; none of them shortens a wait.
            (
                true,
                false,
                Some(waits @ (Able::After(_) | Able::Unmet(_) | Able::FailedUntil(_))),
            ) => waits,
            (true, false, _) => Able::Yes,
        };
        if before == Some(next) {
            return false;
        }
        if let (Able::After(_), Some(Able::No(since))) = (next, before) {
            self.dark.insert(key, since);
        }
        self.able.insert(key, next);
        if matches!(next, Able::No(_))
            && let Some(local) = self.locals.get_mut(&key)
            && local.hold != Hold::Removing
        {
            // The carrier is gone: nobody hears this machine, and when it comes back another has the addresses.
            local.hold = Hold::Removing;
            // What an operator wanted has been overruled.
            self.memory.pinned.remove(&key);
            let set = local.set.clone();
            self.actions.push_back(Action::Remove { set, reason: Reason::Unable });
        }
        true
    }

    /// What waits since its interface has come back need not wait any longer once nobody else has it and nobody else can have taken it.
    pub(crate) fn look_after_returned(&mut self) {
        let able = &self.able;
        self.dark.retain(|key, _| matches!(able.get(key), Some(Able::After(_))));
        let free = self.dark.iter().filter(|(key, since)| self.is_free_since(**key, **since));
        for key in free.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.able.insert(key, Able::Yes);
            self.dark.remove(&key);
            self.changed = true;
        }
    }

    /// Whether nobody of the cluster can have taken a set since then without this machine having heard of it: nobody else has it in
    /// the table, no member has left the view since before, and a word said after it has come back through all their daemons. Who is
    /// alone in its view, or has lost anybody, cannot know.
    fn is_free_since(&self, key: SetKey, since: Instant) -> bool {
        let has_none = |row: &Row| row.destined().is_none_or(|at| at == self.me);
        let mut members = self.members.iter().enumerate();
        self.phase == Phase::Run
            && self.unbroken < since
            && self.echoed.is_some_and(|sent| sent > since)
            && members.any(|(at, member)| at != self.me && member.speaks().is_some())
            && self.table.row(key).is_some_and(has_none)
    }

    /// This program stood still for so long. The others, if there were any, may have gone on without it and have everything: what is not
    /// here is not taken before a view has come with any of them, or for [`MEET_WITHIN`]. Whether it was for so long that its leases
    /// have run out or are about to: then everything here is to be taken off, and [`handle_all_removed`](Self::handle_all_removed).
    #[must_use]
    pub fn handle_stood_still(&mut self, now: Instant, time: Duration) -> bool {
        // The last renewal was some time before that.
        let ran_out = time >= self.settings.valid / 2;
        if time >= LEFT_BEHIND_AFTER {
            self.may_be_left_behind(now, ran_out);
        }
        ran_out
    }

    /// The daemon of the bus, or its thread, stood still while this program did not: the same of what is not here.
    pub fn handle_late_daemon(&mut self, now: Instant) {
        self.may_be_left_behind(now, false);
    }

    fn may_be_left_behind(&mut self, now: Instant, ran_out: bool) {
        if self.members.len() < 2 {
            return;
        }
        for (key, able) in &mut self.able {
            if *able == Able::Yes && (ran_out || !self.locals.contains_key(key)) {
                *able = Able::Unmet(now + MEET_WITHIN);
                self.changed = true;
            }
        }
        self.finish(now);
    }
}
