//! A member, as it says it is.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

/// What a member says of itself, apart from its sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) machine: String,
    pub(crate) boot: u64,
    pub(crate) shown: Option<IpAddr>,
    pub(crate) macs: Vec<[u8; 6]>,
    pub(crate) mature: bool,
    pub(crate) healthy: bool,
    pub(crate) drained: bool,
    pub(crate) leaving: bool,
    pub(crate) keep_unhealthy: bool,
    /// It stays immature because the original program is in the group.
    pub(crate) aside: bool,
    /// A drain of it outlives its program.
    pub(crate) keeps: bool,
    /// It goes and means to be back so soon.
    pub(crate) back_within: Option<Duration>,
    pub(crate) weight: u16,
    pub(crate) capacity: u16,
    /// How long after it was lost it may still answer.
    pub(crate) lease: Duration,
    pub(crate) prefer_after: Duration,
    /// Views with a majority that it knows of; 0 for none.
    pub(crate) epoch: u64,
    /// For how long yet nothing under quorum is to be claimed, because of majorities that nobody knew of in its last one.
    pub(crate) uncertain: Duration,
    pub(crate) quorum: BTreeMap<String, u16>,
}

impl Peer {
    /// How many more sets it takes than it has while another can take them; `None` for any number. Below 0 it has too many.
    pub(crate) fn room(&self, has: u32) -> Option<i64> {
        (self.capacity != 0).then(|| i64::from(self.capacity) - i64::from(has))
    }

    /// Whether it takes no more than it has while another can take it.
    pub(crate) fn is_full(&self, has: u32) -> bool {
        self.room(has).is_some_and(|room| room <= 0)
    }

    /// Whether it has more than it takes.
    pub(crate) fn is_over(&self, has: u32) -> bool {
        self.room(has).is_some_and(|room| room < 0)
    }
}
