//! The tools of the bus, as functions of their arguments and of what they read and write.
//!
//! - [`user`] (`spuser`): join, leave, send and watch, by hand or from a script.
//! - [`flood`] (`spflooder`): as many messages as the bus takes.
//! - [`datagram`] (`spsend`, `sprecv`): how many datagrams are lost between two machines, without a bus.
//! - [`monitor`] (`spmonitor`): asking daemons how they are, and with their permission more. [`status`]: the report that
//!   scripts read.
//! - [`top`] (`backhand bus top`): a daemon and those it knows, looked at each second.
//! - [`purge`]: objects removed from the caches of all machines by one message, and acknowledged by each.
//! - [`tls`]: the certificates of the tools, where a daemon is reached by TLS.
//! - [`tool`]: the historical names and command lines.
//!
//! What the historical tools print is read by scripts, so it is kept to the byte, its spelling too. They differ where the
//! original harms itself: no line of input is too long, no group too large, no message ends a tool.
//!
//! Not here: the protocol (`spread-wire`), the sessions (`spread-client`), the daemon's own counters (`spread-daemon`).
#![forbid(unsafe_code)]

pub mod datagram;
pub mod flood;
pub mod monitor;
pub mod purge;
mod show;
pub mod status;
pub mod tls;
pub mod tool;
pub mod top;
pub mod usage;
pub mod user;

pub use tool::Tool;
pub use usage::UsageError;
