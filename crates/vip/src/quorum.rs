//! Sets that may never be held twice: who has the majority, and when what a lost holder had is certainly free.
//!
//! A majority counts its views (*epochs*). Two majorities have a machine in common, but that machine may have been started
//! again and know nothing, or have been out of the group, which is the same. What is known of holders is therefore believed
//! only if the members that remember the newest epoch have half of all weight: then no majority can have come after it without
//! one of them. Otherwise the longest lease is waited for, whatever anybody remembers. The same holds while a member of the
//! view has not said what it has.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use crate::table::Member;

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
    let here: BTreeSet<&str> = peers().map(|peer| peer.machine.as_str()).collect();
    let remember: BTreeSet<&str> = peers()
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
