//! An address and where it stands: what is announced and what is defended.

use core::fmt;
use core::net::IpAddr;

/// An address on an interface of this machine.
///
/// The interface is part of it, since one IPv6 link-local address can stand on several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The kernel's number of the interface, which means nothing on another machine.
    pub interface: u32,
    /// The address.
    pub ip: IpAddr,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on interface {}", self.ip, self.interface)
    }
}
