//! What a machine knows of itself, and what outlives a view.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use base::Instant;

use crate::set::{Set, SetKey};

/// Where a set is on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Asked to be added.
    Adding,
    /// There, and announced.
    Up,
    /// Asked to be taken off.
    Removing,
}

#[derive(Clone, Debug)]
pub(crate) struct Local {
    pub(crate) set: Set,
    pub(crate) hold: Hold,
    /// It was held under quorum when it was last listed.
    pub(crate) quorum: bool,
}

/// Whether this machine can hold a set at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Able {
    Yes,
    /// Not since then.
    No(Instant),
    /// Its interface has just come up.
    After(Instant),
    /// This program stood still, and the others may have gone on without it.
    Unmet(Instant),
    /// It did not work.
    FailedUntil(Instant),
}

/// Who had a set in a view that is over.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    pub(crate) set: Set,
    pub(crate) name: String,
    pub(crate) boot: u64,
    pub(crate) lease: Duration,
}

/// How far this machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Without the bus, or not yet in the group.
    Away,
    /// Waiting for the members' words.
    Gather { since: Instant },
    /// The table is made.
    Run,
}

/// Runs of the program that were lost with a set.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    pub(crate) set: Set,
    /// Until when each may answer, by its boot.
    pub(crate) runs: BTreeMap<u64, Instant>,
}

/// What outlives a view.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// Sets that were up at somebody: what else has their addresses has them since then, and is no stranger that was there before.
    pub(crate) known: BTreeSet<SetKey>,
    /// Runs of the program that were lost with a set.
    pub(crate) lost: BTreeMap<SetKey, Lost>,
    /// Members that were silent and have not been heard since.
    pub(crate) silent: BTreeSet<String>,
    /// Machines that go and mean to be back, and until when they are waited for.
    pub(crate) expected: BTreeMap<String, Instant>,
    /// Sets that an operator moved here.
    pub(crate) pinned: BTreeSet<SetKey>,
    /// Contradictions that were told: which form waits, and for which.
    pub(crate) contradictions: BTreeSet<(SetKey, SetKey)>,
    /// Sets of which was told that machines differ in whether they are under quorum: which have it so, and which not.
    pub(crate) differing: BTreeMap<SetKey, (Vec<String>, Vec<String>)>,
    /// It was told that machines list those that count for quorum differently.
    pub(crate) lists_differ: bool,
    /// Names of machines that two have had: they count for nobody.
    pub(crate) doubled: BTreeSet<String>,
    /// Those of which that was told.
    pub(crate) doubled_told: BTreeSet<String>,
    /// The newest majority of which it knows all holders; 0 for none.
    pub(crate) epoch: u64,
    /// Until when a majority of which nobody knew may still have holders.
    pub(crate) uncertain: Option<Instant>,
}

impl Memory {
    /// A run of the program was lost with a set.
    pub(crate) fn lose(&mut self, key: SetKey, set: &Set, boot: u64, until: Instant) {
        let new = || Lost { set: set.clone(), runs: BTreeMap::new() };
        let runs = &mut self.lost.entry(key).or_insert_with(new).runs;
        let old = runs.entry(boot).or_insert(until);
        *old = until.max(*old);
    }
}
