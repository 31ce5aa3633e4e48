//! Machines that differ in what is under quorum, or in who counts for it: what is remembered of that, and what is told.
//!
//! A set is under quorum while any member says so. One whose file lacks the word would hold such a set alone, beside a majority that
//! claims it. So each machine remembers which others have said it of a set that it lists itself, and says so in the next views. What
//! was heard of a machine that is not there counts like its own word; one that is there speaks for itself.
//!
//! It is forgotten when that machine says otherwise or leaves in order; when in a majority the last of those that said so says
//! otherwise, which is how a set is taken out of quorum without machines that are gone for good; and with the run of the program.
//!
//! Of the lists of those that count nothing is remembered: another list on those that are left is how a lost majority is got back.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::message::{MEMBERS_MAX, SETS_MAX};
use crate::set::SetKey;
use crate::table::{May, Member};
use crate::vip::{Event, Vip};

impl Vip {
    /// Whether this machine or any that it has met counts majorities.
    pub(crate) fn counts_majorities(&self) -> bool {
        let mut peers = self.members.iter().filter_map(Member::speaks);
        !self.settings.quorum.is_empty()
            || !self.memory.heard.is_empty()
            || peers.any(|peer| !peer.quorum.is_empty())
    }

    /// What this machine says of the words of others: which of the sets that it lists otherwise each has said to be under quorum.
    pub(crate) fn heard_of_quorum(&self) -> BTreeMap<String, BTreeSet<SetKey>> {
        let mut said = BTreeMap::new();
        if self.memory.heard.is_empty() {
            return said;
        }
        let open = self.settings.sets.iter().filter(|listed| !listed.quorum);
        let open: BTreeSet<SetKey> = open.map(|listed| listed.set.key()).collect();
        // As many as fit into a word beside the sets.
        let mut left = SETS_MAX;
        for (machine, keys) in &self.memory.heard {
            let some: BTreeSet<SetKey> = keys.intersection(&open).copied().take(left).collect();
            left -= some.len();
            if !some.is_empty() {
                said.insert(machine.clone(), some);
            }
        }
        said
    }

    /// Enters what members have heard of those that are not here, remembers what the others say, and tells where they differ.
    /// `released` is what the last of those that listed it under quorum has just taken out of it.
    pub(crate) fn hear_of_quorum(&mut self, released: &BTreeSet<SetKey>) {
        for peer in self.members.iter_mut().filter_map(|member| member.peer.as_mut()) {
            peer.heard.values_mut().for_each(|keys| keys.retain(|key| !released.contains(key)));
        }
        let absent: BTreeSet<SetKey> =
            absent(&self.members).flat_map(|(_, keys)| keys).copied().collect();
        for row in &mut self.table.rows {
            row.heard = absent.contains(&row.set.key());
            row.judge_quorum();
        }
        let before = self.heard_of_quorum();
        self.remember_words(released);
        self.changed |= self.heard_of_quorum() != before;
        self.tell_quorum();
        self.tell_lists();
    }

    /// Of each other member that speaks, what it says now of the sets that are listed here. One that goes will hold nothing.
    fn remember_words(&mut self, released: &BTreeSet<SetKey>) {
        let me = self.me;
        for (at, member) in self.members.iter().enumerate().filter(|(at, _)| *at != me) {
            let Some(peer) = member.speaks() else { continue };
            let mut keys = self.memory.heard.remove(&peer.machine).unwrap_or_default();
            for row in &self.table.rows {
                let listed = row.may.get(me).is_some_and(|may| may.listed);
                let insists = row.may.get(at).is_some_and(May::insists) && !peer.leaving;
                if listed && insists {
                    keys.insert(row.set.key());
                } else if listed {
                    keys.remove(&row.set.key());
                }
            }
            if !keys.is_empty() && self.memory.heard.len() < MEMBERS_MAX {
                self.memory.heard.insert(peer.machine.clone(), keys);
            }
        }
        self.memory.heard.retain(|_, keys| {
            keys.retain(|key| !released.contains(key));
            !keys.is_empty()
        });
    }

    /// Sets that some have under quorum and others have not are told of once, and again only when they had agreed meanwhile, or when
    /// all who have them under quorum are gone.
    fn tell_quorum(&mut self) {
        let mut all = BTreeSet::new();
        for row in self.table.rows.iter().filter(|row| row.quorum) {
            let listing = |quorum: bool| -> Vec<String> {
                let members = self.members.iter().zip(&row.may);
                let members = members.filter(|(member, may)| {
                    member.speaks().is_some() && may.listed && may.quorum == quorum
                });
                members.map(|(member, _)| member.shown().to_string()).collect()
            };
            let (mut under, not) = (listing(true), listing(false));
            let gone = under.is_empty();
            if not.is_empty() || gone && !row.heard {
                continue;
            }
            let key = row.set.key();
            all.insert((key, gone));
            if self.memory.differing.contains(&(key, gone)) {
                continue;
            }
            if gone {
                let said = absent(&self.members).filter(|(_, keys)| keys.contains(&key));
                let names: BTreeSet<&String> = said.map(|(machine, _)| machine).collect();
                under = names.into_iter().cloned().collect();
            }
            self.events.push_back(Event::QuorumDiffers { head: row.set.head(), under, not, gone });
        }
        self.memory.differing = all;
    }

    /// The same for the lists of those that count.
    fn tell_lists(&mut self) {
        let mut lists: BTreeMap<&BTreeMap<String, u16>, Vec<String>> = BTreeMap::new();
        let peers = self.members.iter().filter_map(Member::speaks);
        for peer in peers.filter(|peer| !peer.quorum.is_empty()) {
            lists.entry(&peer.quorum).or_default().push(peer.machine.clone());
        }
        let differ = lists.len() > 1;
        if differ && !self.memory.lists_differ {
            self.events.push_back(Event::ListsDiffer { machines: lists.into_values().collect() });
        }
        self.memory.lists_differ = differ;
    }
}

/// What members have heard of machines that have not spoken in this view.
fn absent(members: &[Member]) -> impl Iterator<Item = (&String, &BTreeSet<SetKey>)> {
    let peers = members.iter().filter_map(|member| member.peer.as_ref());
    let here: BTreeSet<&str> = peers.clone().map(|peer| peer.machine.as_str()).collect();
    let heard = peers.flat_map(|peer| &peer.heard);
    heard.filter(move |(machine, _)| !here.contains(machine.as_str()))
}
