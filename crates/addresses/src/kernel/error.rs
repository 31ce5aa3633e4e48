//! What goes wrong between us and the kernel, with the remedy.

use std::io;

use rustix::io::Errno;

use super::Address;
use super::netlink::Refusal;

/// A question or order that came to nothing. Nothing was changed by it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The conversation with the kernel itself.
    #[error("{what}: {source}{}", remedy(source))]
    Io {
        /// What was wanted.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A setting of the kernel is not as it must be, and cannot be made so.
    #[error("{path} is {found:?} and must be {wanted:?}: {remedy}")]
    Setting {
        /// Its file.
        path: String,
        /// Its value.
        found: String,
        /// The value that is needed.
        wanted: String,
        /// What to do.
        remedy: String,
    },
}

impl Error {
    pub(super) fn io<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source: source.into() }
    }

    /// The kernel's number of it, if it has one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } => source.raw_os_error(),
            Self::Setting { .. } => None,
        }
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::PERM | Errno::ACCESS) => {
            "; CAP_NET_ADMIN is missing: run as root, or grant it (AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW)"
        }
        Some(Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT) => {
            "; this kernel or sandbox has no such netlink: allow AF_NETLINK (RestrictAddressFamilies=)"
        }
        _ => "",
    }
}

/// What the kernel refused for one address. The others of the same call are not affected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("address {}/{} on interface {}: {reason}", address.ip, address.prefix, address.interface)]
pub struct AddressError {
    /// Which.
    pub address: Address,
    /// The kernel's number of it; 0 for what was refused before the kernel was asked.
    pub errno: i32,
    /// In words, with the remedy.
    pub reason: String,
}

impl AddressError {
    pub(super) fn of(address: Address, refusal: &Refusal) -> Self {
        let said = match &refusal.hint {
            Some(hint) => format!("{} ({hint})", io::Error::from(refusal.errno)),
            None => io::Error::from(refusal.errno).to_string(),
        };
        let remedy = match refusal.errno {
            Errno::PERM => {
                "CAP_NET_ADMIN is missing: run as root, or grant it (AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW)"
            }
            Errno::NODEV => "there is no such interface any more; the address waits for one",
            Errno::NETDOWN => "the interface is down; set it up (ip link set NAME up)",
            Errno::ACCESS if address.ip.is_ipv6() => {
                "IPv6 is switched off at this interface; set net.ipv6.conf.NAME.disable_ipv6=0"
            }
            Errno::NOBUFS | Errno::NOMEM => "the kernel is short of memory; it is tried again",
            _ => "",
        };
        let gap = if remedy.is_empty() { "" } else { "; " };
        Self {
            address,
            errno: refusal.errno.raw_os_error(),
            reason: format!("{said}{gap}{remedy}"),
        }
    }

    pub(super) fn before(address: Address, reason: &str) -> Self {
        Self { address, errno: 0, reason: reason.to_owned() }
    }
}
