//! Netlink: addresses with leases, links, neighbours, sockets of an address that goes.
//!
//! Everything here blocks, and briefly: it is meant for a thread of its own that is fed by a channel, so that the thread
//! that speaks with the bus never waits for the kernel. Only a [`Watch`] is made to be awaited, by [`Awaited`].
//!
//! - [`Kernel`]: adds, renews, deletes and lists addresses; lists links and neighbours.
//! - [`Watch`]: says what changes, whoever changed it.
//! - [`Connections`]: resets what is connected to an address that goes.
//! - [`sysctl`]: the one setting of the kernel that leases need, one that makes addresses unreachable, and whether it is a router.
//! - [`capabilities`]: gives up all powers but two, and says which are missing.
//!
//! What was measured stands at [`Kernel::add`].
//!
//! Not here: who may hold an address, and when a renewal is allowed. A renewal of an expired address makes it again, which only
//! the caller can judge.

mod address;
mod awaited;
pub mod capabilities;
mod decode;
mod error;
mod link;
mod neighbour;
mod netlink;
mod route;
mod sockets;
pub mod sysctl;
mod watch;

pub use address::{Address, Deleted, Held, Lease, PROTOCOL, batches};
pub use awaited::Awaited;
pub use error::{AddressError, Error};
pub use link::Link;
pub use neighbour::{MAX_NEIGHBOURS, Neighbour, Reachable};
pub use route::Kernel;
pub use sockets::{Connections, Reset};
pub use watch::{Event, Interests, Watch};
