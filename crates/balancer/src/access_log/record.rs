//! What is known of one request when its last byte was sent.

use std::net::IpAddr;
use std::time::Duration;

/// One request, told at its end. All bytes may be hostile.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The client's true address.
    pub client: IpAddr,
    /// The method as sent; empty if the head was not understood.
    pub method: &'a [u8],
    /// The target as sent; empty if the head was not understood.
    pub target: &'a [u8],
    /// The minor version: 0 or 1.
    pub version: u8,
    /// The `Host`.
    pub host: Option<&'a [u8]>,
    /// Status sent; 499 if the client left before there was one.
    pub status: u16,
    /// Bytes of body sent to the client.
    pub bytes: u64,
    /// `Referer`.
    pub referer: Option<&'a [u8]>,
    /// `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
    /// From the head's first byte to the last byte sent.
    pub duration: Duration,
    /// The machine that served; empty if none did.
    pub machine: &'a str,
    /// Why it was chosen: `fresh`, `asked`, `off`, ... Empty if nothing was decided.
    pub decision: &'a str,
    /// How old the information was on which the decision rested.
    pub information_age: Option<Duration>,
    /// Machines tried.
    pub attempts: u32,
    /// The route's name.
    pub route: &'a str,
    /// Whether this is the record of a machine that served it for a peer.
    pub peer: bool,
}
