//! How often is announced, and to whom besides everybody.

use alloc::vec::Vec;
use core::time::Duration;

use crate::neighbours::Network;

/// The time between two announcements of an address that is simply held, unless configured.
///
/// It is the longest that a neighbour which missed a change, or was told something wrong, stays wrong. Linux confirms its entries only
/// after 15 to 45 s, and keeps one in use as long as traffic flows; Cisco's routers keep theirs for 4 hours; switches forget where a
/// station is after 300 s without a frame of it. 30 s is well below all that matters, and costs 67 frames per second for 1,000 addresses.
pub const PERIOD: Duration = Duration::from_secs(30);
/// The most frames per second unless configured: 3 Mbit/s, which no network of ours minds, and far from what switches take for a storm.
pub const FRAMES_PER_SECOND: u32 = 5_000;

/// How often, and to whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time between two announcements of an address that is held, jittered by a tenth. At least a second. Default [`PERIOD`].
    pub period: Duration,
    /// The most frames in a second, of all addresses together: 10 to 1,000,000. Default [`FRAMES_PER_SECOND`].
    pub frames_per_second: u32,
    /// Whom to tell besides everybody.
    pub notify: Vec<Notify>,
    /// Where the jitter comes from. Machines should have different ones.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let (period, frames_per_second) = (PERIOD, FRAMES_PER_SECOND);
        Self { period, frames_per_second, notify: Vec::new(), seed: 0 }
    }
}

/// Hosts that are told by themselves when an address moves, since some equipment takes nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// The hosts of a block that lie on the address's own network.
    Hosts {
        /// Only for addresses on this interface. `None`: on any.
        interface: Option<u32>,
        /// The hosts. A single 0.0.0.0 or 255.255.255.255 is told whatever network the address is on: some equipment listens to
        /// replies to these only.
        block: Network,
        /// The most hosts told per second and address; 0 for no limit but that of all frames.
        throttle: u32,
        /// Whether those whose Ethernet address is known are sent an ICMP echo request as well: some look only at such packets.
        ping: bool,
    },
    /// All hosts of the shared neighbour cache that lie on the address's own network.
    Neighbours {
        /// As above.
        ping: bool,
    },
}
