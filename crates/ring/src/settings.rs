//! What a daemon is told at its start, and every limit of the ring with its unit.

use alloc::vec::Vec;
use core::time::Duration;

use crate::name::DaemonName;
use crate::view::{Daemon, VirtualIds};
use crate::wire::Tag;

/// Most members of a view.
pub const MEMBERS_MAX: usize = 128;
/// Most other daemons remembered, living and dead.
pub const PEERS_MAX: usize = 255;
/// The longest message, in bytes: the largest that a client may send with its header and destinations, and what is added to it.
pub const MESSAGE_MAX: usize = 160 * 1024;
/// Most bytes waiting to be sent; more are refused, which stops the reading of clients.
pub const QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most numbered packets that may be on their way to becoming known everywhere. What a daemon misses is
/// therefore listed in at most half as many ranges, which fit a datagram.
pub const UNSTABLE_MAX: u64 = 512;
/// The longest address that a driver may give, in bytes.
pub const ADDRESS_MAX: usize = 64;
/// Most messages and pieces of messages in one packet.
pub const CHUNKS_MAX: usize = 512;
/// The wire version spoken here: only daemons with the same one form a ring.
pub const MAJOR: u8 = 1;
/// The oldest minor wire version understood here.
pub const MINOR_MIN: u8 = 0;
/// The newest minor wire version spoken here.
pub const MINOR_MAX: u8 = 1;

/// Settings of one daemon, checked by whoever reads them from a file.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who this is. The boot is drawn at the start.
    pub me: Daemon,
    /// A fixed list: exactly these daemons belong, and members are in this order. Without one everybody with the
    /// key belongs, in the order of the names.
    pub fixed: Option<Vec<DaemonName>>,
    /// What clients see as the ids of the daemons of the list. A daemon that says another of itself is not the one that is meant.
    pub ids: VirtualIds,
    /// Stands for everything that should be equal at all daemons. With a fixed list, daemons with another are told of, and in
    /// a view only with those that list them; without one, or where only one of two has a list, they are ignored.
    pub configuration: u32,
    /// How far apart heartbeats are, at most 25 ms.
    pub heartbeat: Duration,
    /// The least time without a word after which a daemon counts as gone.
    pub timeout_floor: Duration,
    /// The greatest such time, however late words have been seen to come.
    pub timeout_ceiling: Duration,
    /// How far apart signs for strangers are.
    pub beacon: Duration,
    /// The site this daemon is at; daemons with the same number are near each other. What is for all goes to another site once, to
    /// the first member there, which passes it on.
    pub site: u32,
    /// Whether there is a multicast or broadcast address. Without one everything goes to each daemon singly.
    pub group: bool,
    /// Bytes of a datagram of the ring before it is sealed, 256 to 65,000.
    pub datagram: usize,
    /// Most packets that all members together send in one rotation of the token, 1 to [`UNSTABLE_MAX`].
    pub window: u16,
    /// How many packets of a visit are sent after the token was passed on (the accelerated ring of Babay and Amir); 0 is the regular ring.
    pub accelerated: u16,
    /// The newest minor wire version to speak, [`MINOR_MIN`] to [`MINOR_MAX`]: less than the newest only to roll back an upgrade.
    pub minor: u8,
}

impl Settings {
    /// The defaults for a local network.
    pub fn new(me: Daemon) -> Self {
        Self {
            me,
            fixed: None,
            ids: VirtualIds::default(),
            configuration: 0,
            heartbeat: Duration::from_millis(25),
            timeout_floor: Duration::from_millis(100),
            timeout_ceiling: Duration::from_secs(1),
            beacon: Duration::from_secs(1),
            site: 0,
            group: true,
            datagram: 1400,
            window: 256,
            accelerated: 16,
            minor: MINOR_MAX,
        }
    }
}

/// What the core cannot have of itself.
pub trait Surroundings {
    /// Bytes nobody can predict: whoever guesses them can replay a dead daemon.
    fn random(&mut self, out: &mut [u8]);
    /// Seconds since 1970 by this machine's clock; only for the time that clients see, compared with nothing.
    fn unix_seconds(&mut self) -> u32;
    /// Where `daemon` was last heard from, in bytes that the driver of another daemon understands, at most
    /// [`ADDRESS_MAX`]; empty if that is not known. Members tell it to each other, so that two find each other who both
    /// know a third, but whose multicast does not reach the other.
    fn address(&mut self, daemon: Tag) -> Vec<u8> {
        let _ = daemon;
        Vec::new()
    }
    /// Another daemon says that `daemon` is at `address`. What comes for it next may be sent there, unless it was heard
    /// from by now. Called only for daemons that another one hears and this one does not know.
    fn introduce(&mut self, daemon: Tag, address: &[u8]) {
        let _ = (daemon, address);
    }
}
