//! What is asked of the kernel's thread, and what it answers.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::kernel::{Address, Link, Neighbour};

/// How an address is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::service) struct Terms {
    /// May be the source of our own connections.
    pub(in crate::service) source: bool,
    /// Only with a majority.
    pub(in crate::service) quorum: bool,
}

/// What is asked of it.
#[derive(Debug)]
pub(in crate::service) enum Job {
    /// Put these on their interfaces, and renew them from then on.
    Add(Vec<(Address, Terms)>),
    /// Those of these that are there, or are about to be, are held so from now on.
    Terms(Vec<(Address, Terms)>),
    /// Do not answer any more for these, of version 6, but serve who is connected to them. They are taken off later.
    ///
    /// Another machine answers for them already, and of two advertisements a neighbour believes the last one, even if its
    /// connection was begun with the first. So they go to the loopback interface, for which neighbours are not answered.
    Aside(Vec<Address>),
    /// Take these off, after what is connected to them was reset.
    Remove(Vec<Address>),
    /// Tell the interfaces with their addresses.
    Links,
    /// Tell the neighbours.
    Neighbours,
    /// Have the program that passes packets on at these interfaces, and at no others.
    Pass(BTreeSet<u32>),
    /// Take off all that is ours, and end.
    End,
    /// Leave everything there for so long, and end.
    HandOver(NonZeroU32),
}

/// What came of it.
#[derive(Debug)]
pub(in crate::service) enum Done {
    /// Each with what the kernel said against it.
    Added(Vec<(Address, Result<(), String>)>),
    /// They are off.
    Removed(Vec<Address>),
    /// So many connections were reset.
    Reset(u64),
    /// Renewed in so long a time.
    Renewed { count: usize, took: Duration },
    /// These could not be renewed.
    NotRenewed(Vec<(Address, String)>),
    /// The bus was not fresh all the time: these were taken off.
    Gap(Vec<Address>),
    /// It was, but the majority may have gone on without this machine: these, which are all under quorum, were taken off.
    Doubt(Vec<Address>),
    /// The interfaces, and the addresses on them.
    Links(Vec<Link>),
    /// The neighbours.
    Neighbours(Vec<Neighbour>),
    /// The program that passes packets on is at these interfaces, and could not be put at those.
    Passing(BTreeSet<u32>, Vec<(u32, String)>),
    /// Something else went wrong.
    Trouble(String),
    /// Renewals that were due and not allowed, and that came too late, so far.
    Counters { missed: u64, late: u64 },
}
