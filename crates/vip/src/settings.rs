//! What is configured on a machine.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use crate::set::Set;

/// How late the kernel may be with taking an address away whose lease has run out (measured).
pub const EXPIRY_LATE: Duration = Duration::from_millis(1_100);

/// After an interface has come up, nothing is held on it until a view has come or this time has gone: the others are still there.
/// Where the bus went on over another network, and no member was lost, there is nobody to wait for.
///
/// Two beacons of the bus, with their jitter.
pub const RECLAIM_AFTER: Duration = Duration::from_millis(2_200);

/// Who stood still for so long may have been left behind by the others: the bus finds that out in about this time.
pub const LEFT_BEHIND_AFTER: Duration = Duration::from_millis(100);

/// After this program stood still, nothing more is taken until a view has come with others or this time has gone. Those who have
/// gone on without it say so at once, and a merge takes some 50 ms; where others really died meanwhile, what they had waits as long.
pub const MEET_WITHIN: Duration = Duration::from_millis(500);

/// Who this machine is. The name is by what quorums, orders and damping know it, and should be its own in the cluster: one that two have
/// counts for no quorum. The boot tells its runs apart. The rest is for people, and for telling peers from strangers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The machine's name, at most 255 bytes.
    pub machine: String,
    /// What names this run of the program: drawn at the start.
    pub boot: u64,
    /// The address by which historical tools name the machine.
    pub shown: Option<IpAddr>,
    /// Hardware addresses of its interfaces. Others are told the first 64.
    pub macs: Vec<[u8; 6]>,
}

/// How many moves one round of balancing may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerRound {
    /// As many as make the share even.
    All,
    /// At most so many.
    Number(u32),
}

/// A set as this machine lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its addresses.
    pub set: Set,
    /// Whether this machine wants it for itself.
    pub preferred: bool,
    /// Whether it may be held only with a majority.
    pub quorum: bool,
}

/// The configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a member that knows nobody mature waits before it takes part.
    pub mature: Duration,
    /// `valid_lft` of every address, in whole seconds; at least 1 s.
    pub valid: Duration,
    /// The oldest word of the ring on which a lease may be renewed.
    pub fresh: Duration,
    /// Between rounds of balancing.
    pub balance_every: Duration,
    /// Moves of one round.
    pub per_round: PerRound,
    /// How long this machine must have been a member before it gets what it prefers.
    pub prefer_after: Duration,
    /// The share of this machine: one with 200 gets twice what one with 100 gets. 1 to 1000.
    pub weight: u16,
    /// The most sets this machine takes while another can take them; 0 for any number. One that has more gives them away as soon
    /// as another has room.
    pub capacity: u16,
    /// Whether a machine that is unhealthy holds what no healthy one can.
    pub keep_unhealthy: bool,
    /// The machines whose majority may hold sets under quorum, with their weights; empty for none.
    pub quorum: BTreeMap<String, u16>,
    /// What this machine lists, in order.
    pub sets: Vec<Listed>,
}

impl Settings {
    /// How long after the last word that this machine heard of a view one of its addresses may still answer: the age of that
    /// word at the last renewal, the lease, and what the kernel is late.
    pub fn lease(&self) -> Duration {
        self.fresh + self.valid + EXPIRY_LATE
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mature: Duration::from_secs(5),
            valid: Duration::from_secs(3),
            fresh: Duration::from_millis(300),
            balance_every: Duration::from_secs(4),
            per_round: PerRound::All,
            prefer_after: Duration::from_secs(30),
            weight: 100,
            capacity: 0,
            keep_unhealthy: true,
            quorum: BTreeMap::new(),
            sets: Vec::new(),
        }
    }
}
