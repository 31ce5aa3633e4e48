//! Why measuring and announcing could not start.

use std::io;
use std::net::SocketAddr;

use crate::holder::{self, Protocol};
use crate::state::StateError;

/// Why the service could not start. Nothing was announced, no thread is left.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A UDP port cannot be had.
    #[error("cannot listen on UDP {address} for {purpose}: {error}; {remedy}")]
    Bind {
        /// What the port is for.
        purpose: &'static str,
        /// What was to be bound.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
        /// What the operator can do.
        remedy: String,
    },
    /// Anything else the system refuses: file descriptors, threads.
    #[error("cannot {what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl StartError {
    pub(crate) fn bind(
        purpose: &'static str,
        key: &str,
        address: SocketAddr,
        error: io::Error,
    ) -> Self {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => {
                let who = holder::of(Protocol::Udp, address);
                let who = who.map(|who| format!(": {who}")).unwrap_or_default();
                format!("another program has it{who}; stop it or set {key} to another port")
            }
            io::ErrorKind::AddrNotAvailable => {
                "the address is not on this machine (ip addr shows those that are); correct announce.address".into()
            }
            io::ErrorKind::PermissionDenied => format!(
                "ports below 1024 need a privilege; set {key} to a higher port or give the program CAP_NET_BIND_SERVICE"
            ),
            _ => format!("set announce.address or {key}"),
        };
        Self::Bind { purpose, address, error, remedy }
    }

    pub(crate) fn system(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::System { what, error }
    }
}
