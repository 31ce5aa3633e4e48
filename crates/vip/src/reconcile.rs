//! From the table to what is to be done on this machine.

use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;

use base::Instant;

use crate::reason::Reason;
use crate::set::SetKey;
use crate::table::{Member, Row};
use crate::vip::{Able, Action, After, Event, Hold, Local, Phase, Vip};

impl Vip {
    /// Adds what is to be here and is not, takes off what is here and is not to be; first the one, then the other, so that
    /// an address that goes from one set to another stays.
    pub(crate) fn reconcile(&mut self, now: Instant) {
        if self.phase != Phase::Run {
            return;
        }
        let mut removals: Vec<Action> = Vec::new();
        for row in &self.table.rows {
            let key = row.set.key();
            let up = row.is_up_at(self.me);
            if let Some(local) = self.locals.get_mut(&key).filter(|_| row.listings() > 0) {
                local.quorum = row.quorum;
            }
            match self.locals.get_mut(&key) {
                None if up && self.able.get(&key) == Some(&Able::Yes) => {
                    let (set, hold) = (row.set.clone(), Hold::Adding);
                    self.locals.insert(key, Local { set, hold, quorum: row.quorum });
                    let (after, reason) = (self.after(row, now), reason(row));
                    self.actions.push_back(Action::Add { set: row.set.clone(), after, reason });
                }
                Some(local) if !up && local.hold != Hold::Removing => {
                    local.hold = Hold::Removing;
                    // What an operator wanted has been overruled.
                    self.memory.pinned.remove(&key);
                    removals.push(Action::Remove { set: row.set.clone(), reason: reason(row) });
                }
                _ => {}
            }
        }
        let table = &self.table;
        for (_, local) in self.locals.iter_mut().filter(|(key, _)| table.row(**key).is_none()) {
            if local.hold != Hold::Removing {
                local.hold = Hold::Removing;
                removals.push(Action::Remove { set: local.set.clone(), reason: Reason::Unlisted });
            }
        }
        self.actions.extend(removals);
        self.tell_owners();
    }

    fn after(&self, row: &Row, now: Instant) -> After {
        let known = row.known || self.memory.known.contains(&row.set.key());
        match row.pending {
            // The one that it moves from may not have had it yet.
            _ if (row.moving.is_some() || row.awaited) && known => After::Asked,
            Some(until) if until > now => After::Lost { until },
            _ if known => After::Released,
            _ => After::Nobody,
        }
    }

    /// What was held here and elsewhere, and is to stay here, is announced again; then the others let go.
    pub(crate) fn announce_winners(&mut self) {
        for row in &self.table.rows {
            let Some(moving) = &row.moving else { continue };
            if moving.reason != Reason::Conflict || moving.acquired || moving.to != self.me {
                continue;
            }
            let Some(local) = self.locals.get_mut(&row.set.key()) else { continue };
            if local.hold == Hold::Up {
                local.hold = Hold::Adding;
                let (set, reason) = (row.set.clone(), Reason::Conflict);
                self.actions.push_back(Action::Add { set, after: After::Won, reason });
            }
        }
    }

    /// What is here, and was elsewhere in another form that goes now, is announced again.
    pub(crate) fn announce_again(&mut self, won: &BTreeSet<SetKey>) {
        for row in won.iter().filter_map(|key| self.table.row(*key)) {
            let here = row.moving.is_none() && row.owner == Some(self.me);
            let local = self.locals.get_mut(&row.set.key());
            let Some(local) = local.filter(|local| here && local.hold == Hold::Up) else {
                continue;
            };
            local.hold = Hold::Adding;
            let (set, reason) = (row.set.clone(), Reason::Conflict);
            self.actions.push_back(Action::Add { set, after: After::Won, reason });
        }
    }

    /// Another has let go of this form: what is here in another is announced once more, for who asked in between.
    pub(crate) fn announce_in_place_of(&mut self, key: SetKey) {
        let Some(gone) = self.table.row(key).filter(|row| row.blocked_by.is_some()) else { return };
        let is_here = |row: &&Row| {
            row.owner == Some(self.me)
                && row.set.contradicts(&gone.set)
                && self.locals.contains_key(&row.set.key())
        };
        let here = self.table.rows.iter().filter(is_here).map(|row| row.set.key());
        self.actions.extend(here.map(Action::Announce));
    }

    /// Tells of every set whose owner is another than when it was last told of, and remembers what has been held.
    fn tell_owners(&mut self) {
        let mut gone: BTreeSet<SetKey> = self.shown.keys().copied().collect();
        for row in &self.table.rows {
            let key = row.set.key();
            if row.known {
                self.memory.known.insert(key);
            }
            gone.remove(&key);
            let to = row.owner.and_then(|at| self.members.get(at)).map(Member::shown);
            if to.is_none() && row.blocked_by.is_some() {
                // Its addresses are in another form, of which the same is told.
                self.shown.remove(&key);
                continue;
            }
            if self.shown.get(&key).map(|name| name.as_str()) != to {
                let to = to.map(ToString::to_string);
                let from = match &to {
                    Some(to) => self.shown.insert(key, to.clone()),
                    None => self.shown.remove(&key),
                };
                self.events.push_back(Event::Owner {
                    head: row.set.head(),
                    from,
                    to,
                    reason: row.reason,
                });
            }
        }
        gone.iter().for_each(|key| drop(self.shown.remove(key)));
    }
}

/// Why a set is or is not here.
fn reason(row: &Row) -> Reason {
    row.moving.as_ref().map_or(row.reason, |moving| moving.reason)
}
