//! Sets that may never be held twice: who has the majority, and when what a lost holder had is certainly free.
//!
//! A majority counts its views (*epochs*). Two majorities have a machine in common, but that machine may have been started
//! again and know nothing, or have been out of the group, which is the same. What is known of holders is therefore believed
//! only if the members that remember the newest epoch have half of all weight: then no majority can have come after it without
//! one of them. Otherwise the longest lease is waited for, whatever anybody remembers. The same holds while a member of the
//! view has not said what it has.
//!
//! Who counts is named, and a name is one machine's only as long as nobody has seen it at two: apart, each of them would give its part
//! the same weight. So a name counts once in a view, and not at all if two members of it have it. Whoever has seen such two remembers
//! that as long as its program runs, and says the name in its list so that it is nobody's. All judge by what is said and each list
//! must be satisfied, so all members of a view judge alike, also those that have seen nothing.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};

use base::Instant;

use crate::table::Member;
use crate::vip::Vip;

/// Before a name that counts for nobody: what no machine is called.
const NOBODY: char = ' ';

/// What a view is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// More than half of the configured weight is here.
    pub(crate) majority: bool,
    /// The newest epoch that a member remembers.
    pub(crate) epoch: u64,
    /// No newer epoch can exist anywhere.
    pub(crate) certain: bool,
}

/// Judges the members that speak. Lists that differ must all be satisfied.
pub(crate) fn standing(members: &[Member]) -> Standing {
    let peers = || members.iter().filter_map(Member::speaks);
    let epoch = peers().map(|peer| peer.epoch).max().unwrap_or(0);
    let doubled = doubled(members);
    let count = || peers().filter(|peer| !doubled.contains(peer.machine.as_str()));
    let here: BTreeSet<&str> = count().map(|peer| peer.machine.as_str()).collect();
    let remember: BTreeSet<&str> = count()
        .filter(|peer| peer.epoch == epoch && epoch > 0)
        .map(|peer| peer.machine.as_str())
        .collect();
    let mut majority = false;
    let mut certain = true;
    for (at, list) in lists(members).enumerate() {
        let total: u64 = list.values().map(|weight| u64::from(*weight)).sum();
        let sum = |of: &BTreeSet<&str>| -> u64 {
            let inside = list.iter().filter(|(machine, _)| of.contains(machine.as_str()));
            inside.map(|(_, weight)| u64::from(*weight)).sum()
        };
        let has = 2 * sum(&here) > total;
        majority = if at == 0 { has } else { majority && has };
        certain &= 2 * sum(&remember) >= total && total > 0;
    }
    let unheard = members.iter().any(|member| member.silent && member.peer.is_none());
    Standing { majority, epoch, certain: certain && majority && !unheard }
}

/// What a member's machine is called, whether it is silent or not.
fn machine(member: &Member) -> Option<&str> {
    member.peer.as_ref().map(|peer| peer.machine.as_str())
}

/// Names that several members have.
fn doubled(members: &[Member]) -> BTreeSet<&str> {
    let mut seen = BTreeSet::new();
    members.iter().filter_map(machine).filter(|name| !seen.insert(*name)).collect()
}

/// A list of those that count as it is said, when two machines have had these names.
pub(crate) fn said(
    list: &BTreeMap<String, u16>,
    doubled: &BTreeSet<String>,
) -> BTreeMap<String, u16> {
    let name = |name: &String| match doubled.contains(name) {
        true => format!("{NOBODY}{name}"),
        false => name.clone(),
    };
    list.iter().map(|(one, weight)| (name(one), *weight)).collect()
}

/// A list that was said, as it stands in the file.
pub(crate) fn written(said: &BTreeMap<String, u16>) -> BTreeMap<String, u16> {
    let name = |name: &String| name.strip_prefix(NOBODY).unwrap_or(name).to_string();
    said.iter().map(|(one, weight)| (name(one), *weight)).collect()
}

impl Vip {
    /// A member has said what its machine is called. If another is called so, that is remembered.
    pub(crate) fn look_for_namesakes(&mut self, at: usize) {
        let Some(name) = self.members.get(at).and_then(machine) else { return };
        if self.members.iter().filter_map(machine).filter(|one| *one == name).count() > 1 {
            self.memory.doubled.insert(name.to_string());
        }
    }

    /// Another machine with the name of this one was met, as the bus says, though not in a view: this one counts for no quorum as long
    /// as this program runs.
    pub fn handle_namesake(&mut self, now: Instant) {
        if !self.memory.doubled.contains(&self.identity.machine) {
            self.memory.doubled.insert(self.identity.machine.clone());
            self.changed = true;
            self.tell_doubled();
            self.finish(now);
        }
    }

    /// Names that would count and count for nobody, as this machine or a member that speaks remembers.
    pub(crate) fn uncounted(&self) -> BTreeSet<String> {
        let own = said(&self.settings.quorum, &self.memory.doubled);
        let peers = self.members.iter().filter_map(Member::speaks).map(|peer| &peer.quorum);
        let all = peers.chain([&own]).flatten().filter(|(_, weight)| **weight > 0);
        all.filter_map(|(name, _)| name.strip_prefix(NOBODY)).map(ToString::to_string).collect()
    }
}

/// The different lists of machines that count.
fn lists(members: &[Member]) -> impl Iterator<Item = &BTreeMap<String, u16>> {
    let mut all: alloc::vec::Vec<_> = members
        .iter()
        .filter_map(Member::speaks)
        .map(|peer| &peer.quorum)
        .filter(|list| !list.is_empty())
        .collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter()
}
