//! Why a daemon does not start: one sentence, with the remedy.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A UDP socket for the other daemons.
    #[error("cannot hear other daemons at UDP {at}: {}", why(error))]
    Bus {
        /// Where.
        at: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// A multicast group.
    #[error(
        "cannot join {group} on {interface}: {error}; {}",
        or_files(
            error,
            "choose another interface with bus.segment_interface, or bus.segment = \"none\" and seeds"
        )
    )]
    Group {
        /// Which group.
        group: SocketAddr,
        /// Where.
        interface: String,
        /// What the system said.
        error: io::Error,
    },
    /// A TCP socket for clients.
    #[error("cannot listen for clients at TCP {at}: {}", why(error))]
    Listen {
        /// Where.
        at: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The Unix socket.
    #[error(
        "cannot listen for clients at {path:?}: {error}; {}",
        or_files(
            error,
            "let the folder exist and be writable for this user, or choose another place (bus.socket) or port"
        )
    )]
    Socket {
        /// Where.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Something else is where the Unix socket should be.
    #[error(
        "cannot listen for clients at {path:?}: something is there that is no socket; move it away, or choose another place (bus.socket) or port"
    )]
    NoSocket {
        /// Where.
        path: PathBuf,
    },
    /// The Unix socket belongs to a daemon that lives.
    #[error(
        "another program listens at {path:?} already; stop it, or choose another place or port"
    )]
    SocketInUse {
        /// Where.
        path: PathBuf,
    },
    /// Something the daemon cannot be without.
    #[error("cannot {what}: {error}{}", if is_short_of_files(error) { format!("; {FILES}") } else { String::new() })]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl StartError {
    pub(crate) fn bus(at: SocketAddr, error: io::Error) -> Self {
        Self::Bus { at, error }
    }

    pub(crate) fn group(group: SocketAddr, interface: &str, error: io::Error) -> Self {
        Self::Group { group, interface: interface.into(), error }
    }
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is taken, perhaps by another daemon of this machine; stop it (ss -lnup shows it) or choose another port".into()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; write one that `ip address` shows".into()
        }
        io::ErrorKind::PermissionDenied => {
            "this user may not use the port; choose one above 1023 or start as root".into()
        }
        _ if is_short_of_files(error) => format!("{error}; {FILES}"),
        _ => error.to_string(),
    }
}

/// What helps a program without descriptors.
const FILES: &str = "raise the limit of open files (ulimit -n, LimitNOFILE=)";

fn is_short_of_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// The remedy, unless only descriptors are missing.
fn or_files(error: &io::Error, remedy: &'static str) -> &'static str {
    if is_short_of_files(error) { FILES } else { remedy }
}
