//! What this machine could have on its interfaces and nobody would find there: another machine that can have it gets it.
//!
//! Hidden is better than nowhere: who has spoken with the address before may reach it all the same. So this machine offers to have such
//! a set as long as no other machine can and nobody else has it. Of several that offer the same set, the first of the view goes on doing
//! so until one of them has it: else they would give way to each other for ever.

use alloc::collections::BTreeMap;

use base::Instant;

use crate::allocate;
use crate::reason::Reason;
use crate::set::SetKey;
use crate::vip::{Phase, Vip};

impl Vip {
    /// These are the sets that nobody would find on this machine's interfaces, though they can be put there.
    pub fn handle_hidden(&mut self, now: Instant, keys: impl IntoIterator<Item = SetKey>) {
        let offered = |key| (key, self.hidden.get(&key).copied().unwrap_or_default());
        let hidden: BTreeMap<SetKey, bool> = keys.into_iter().map(offered).collect();
        if self.hidden != hidden {
            self.hidden = hidden;
            self.changed = true;
            self.finish(now);
        }
    }

    /// Whether it is as good as unable to hold this one.
    pub(crate) fn is_withheld(&self, key: SetKey) -> bool {
        self.hidden.get(&key) == Some(&false)
    }

    /// Offers to have what would be nowhere otherwise, and nothing else of what is hidden. The others are told of what has changed.
    pub(crate) fn offer_hidden(&mut self) {
        if self.hidden.is_empty() || self.phase != Phase::Run {
            return;
        }
        let mut hidden = core::mem::take(&mut self.hidden);
        for (key, offered) in &mut hidden {
            let offers = self.is_needed_for(*key, *offered);
            self.changed |= *offered != offers;
            *offered = offers;
        }
        self.hidden = hidden;
    }

    /// Whether nobody else has it, nor can or will be able to have it before long.
    fn is_needed_for(&self, key: SetKey, offered: bool) -> bool {
        let Some(row) = self.table.row(key) else { return false };
        let others = match row.destined() {
            Some(at) if at != self.me => return false,
            None if offered => self.me,
            _ => self.members.len(),
        };
        let can = |at: usize| {
            let refusal = allocate::refusal(row, at, &self.members, self.standing.majority);
            matches!(refusal, None | Some(Reason::Immature | Reason::NoQuorum))
        };
        !(0..others).any(|at| at != self.me && can(at))
    }
}
