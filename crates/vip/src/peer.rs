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
