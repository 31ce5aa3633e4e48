//! What this machine says of itself: to the members of each new view, and again when it has changed.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use base::Instant;

use crate::memory::{Able, Hold};
use crate::message::{LOST_MAX, MACS_MAX, SETS_MAX, Said, State};
use crate::outside::ViewId;
use crate::peer::Peer;
use crate::quorum;
use crate::set::SetKey;
use crate::vip::Vip;

impl Vip {
    /// What this machine says of itself in this view.
    pub(crate) fn own_state(&self, now: Instant, view: ViewId) -> State {
        let settings = &self.settings;
        let peer = Peer {
            machine: self.identity.machine.clone(),
            boot: self.identity.boot,
            shown: self.identity.shown,
            macs: self.identity.macs.iter().take(MACS_MAX).copied().collect(),
            mature: self.mature,
            healthy: self.healthy,
            drained: self.drained,
            leaving: self.leaving.is_some(),
            aside: self.aside,
            keeps: self.keeps,
            keep_unhealthy: settings.keep_unhealthy,
            back_within: self.leaving.flatten(),
            weight: settings.weight,
            capacity: settings.capacity,
            lease: settings.lease(),
            prefer_after: settings.prefer_after,
            epoch: self.memory.epoch,
            uncertain: self.memory.uncertain.map(|until| until.since(now)).unwrap_or_default(),
            quorum: quorum::said(&settings.quorum, &self.memory.doubled),
        };
        let held =
            |key: SetKey| self.locals.get(&key).is_some_and(|local| local.hold != Hold::Removing);
        let removing =
            |key: SetKey| self.locals.get(&key).is_some_and(|local| local.hold == Hold::Removing);
        let lost = |key: &SetKey| -> Vec<(u64, Duration)> {
            let runs = self.memory.lost.get(key).into_iter().flat_map(|lost| &lost.runs);
            runs.take(LOST_MAX).map(|(boot, until)| (*boot, until.since(now))).collect()
        };
        let mut sets: Vec<Said> = settings
            .sets
            .iter()
            .map(|listed| {
                let key = listed.set.key();
                Said {
                    set: listed.set.clone(),
                    listed: true,
                    able: matches!(self.able.get(&key), Some(Able::Yes)) && !self.is_withheld(key),
                    held: held(key),
                    known: self.memory.known.contains(&key),
                    preferred: listed.preferred,
                    quorum: listed.quorum,
                    pinned: self.memory.pinned.contains(&key),
                    going: removing(key),
                    lost: lost(&key),
                }
            })
            .collect();
        // What is here and not listed any more is somebody else's business too.
        for (key, local) in &self.locals {
            if !settings.sets.iter().any(|listed| listed.set.key() == *key) {
                sets.push(Said {
                    set: local.set.clone(),
                    listed: false,
                    able: false,
                    held: held(*key),
                    known: true,
                    preferred: false,
                    quorum: local.quorum,
                    pinned: false,
                    going: removing(*key),
                    lost: lost(key),
                });
            }
        }
        // Nor may what a lost holder had in another form be forgotten: its addresses may be in one that is listed now.
        let known: BTreeSet<SetKey> = sets.iter().map(|said| said.set.key()).collect();
        for (key, gone) in self.memory.lost.iter().filter(|(key, _)| !known.contains(key)) {
            sets.push(Said {
                set: gone.set.clone(),
                listed: false,
                able: false,
                held: false,
                known: true,
                preferred: false,
                quorum: false,
                pinned: false,
                going: false,
                lost: lost(key),
            });
        }
        if sets.len() > SETS_MAX {
            // What others would have to wait for goes first; nobody could read more.
            sets.sort_by_key(|said| (!said.held && !said.going, said.lost.is_empty()));
            sets.truncate(SETS_MAX);
        }
        let silent = self.memory.silent.iter().cloned().collect();
        State { view, peer, sets, silent }
    }
}
