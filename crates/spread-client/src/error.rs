//! What can go wrong between a client and its daemon.

use std::io;
use std::time::Duration;

use spread_wire::ErrorCode;
use spread_wire::client::{ConnectError, Malformed, SendError};

use crate::endpoint::Endpoint;

/// Why there is no session, or not any more, or why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A connection string that is none.
    #[error(
        "\"{text}\" is no connection string; write PORT for the Unix socket of that name, PORT@HOST, or tls:PORT@HOST"
    )]
    Endpoint {
        /// What was given.
        text: String,
    },
    /// Certificates that cannot be used.
    #[error("no TLS: {message}; {remedy}")]
    Tls {
        /// What is wrong.
        message: String,
        /// What to do.
        remedy: &'static str,
    },
    /// No connection.
    #[error("could not connect to the daemon at {endpoint}: {source}")]
    Connect {
        /// Where to.
        endpoint: Endpoint,
        /// Why not.
        source: io::Error,
    },
    /// The daemon did not answer in time.
    #[error("the daemon at {endpoint} did not answer within {after:?}")]
    TimedOut {
        /// Where to.
        endpoint: Endpoint,
        /// How long was waited.
        after: Duration,
    },
    /// The daemon refused the session, or is none.
    #[error("no session at {endpoint}: {source}")]
    Handshake {
        /// Where to.
        endpoint: Endpoint,
        /// Why not.
        source: ConnectError,
    },
    /// The daemon closed the connection.
    #[error("the daemon closed the session")]
    Closed,
    /// The connection failed.
    #[error("the connection to the daemon failed: {0}")]
    Io(#[source] io::Error),
    /// The daemon sent what it cannot mean.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A message that cannot be sent. Nothing was sent, and the session goes on.
    #[error(transparent)]
    Send(#[from] SendError),
    /// To send, messages must be received that nobody takes. Nothing was sent, and the session goes on.
    #[error(
        "{bytes} bytes of received messages wait for this program; receive them before sending more"
    )]
    Unread {
        /// Bytes that wait.
        bytes: usize,
    },
    /// There is no session at this moment.
    #[error("there is no session with the daemon at this moment; it is being connected again")]
    NotConnected,
}

impl Error {
    /// The code that the original's library would return.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Endpoint { .. } => ErrorCode::IllegalSpread,
            Self::Tls { .. } | Self::Connect { .. } | Self::TimedOut { .. } => {
                ErrorCode::CouldNotConnect
            }
            Self::Handshake { source, .. } => source.code(),
            Self::Closed | Self::Io(_) => ErrorCode::ConnectionClosed,
            Self::Malformed(why) => why.code(),
            Self::Send(why) => why.code(),
            Self::Unread { .. } => ErrorCode::BufferTooShort,
            Self::NotConnected => ErrorCode::IllegalSession,
        }
    }

    /// Whether to try again can help: not if the daemon refuses what the client is.
    pub fn is_passing(&self) -> bool {
        let refused = match self {
            Self::Endpoint { .. } | Self::Tls { .. } | Self::Send(_) => return false,
            Self::Handshake { source, .. } => source.code(),
            _ => return true,
        };
        // A name stays taken for a moment after its last session; a full daemon becomes emptier.
        !matches!(
            refused,
            ErrorCode::RejectIllegalName
                | ErrorCode::RejectNoName
                | ErrorCode::RejectVersion
                | ErrorCode::RejectAuth
        )
    }

    /// Whether the session is over: of no use but to be dropped.
    pub fn ends_session(&self) -> bool {
        !matches!(self, Self::Send(_) | Self::Unread { .. } | Self::NotConnected)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Io(error),
        }
    }
}
