//! How a client connects.

use std::time::Duration;

use spread_wire::client::{Decoder, Hello, Sender};
use spread_wire::limits::{
    BODY_AND_NAMES_MAX, DESTINATIONS_MAX, PORTABLE_BYTES_MAX, PORTABLE_DESTINATIONS_MAX,
};
use spread_wire::{NameError, PrivateGroup, PrivateName};

use crate::tls::Tls;

/// How a client connects. The defaults suit both daemons.
#[derive(Clone, Debug)]
pub struct Options {
    /// The private name to ask for; `None` lets the daemon make one up.
    pub name: Option<PrivateName>,
    /// Whether to be told of members: views, transitional signals, and having left.
    pub membership: bool,
    /// How long connecting may take, the handshake included. Looking up a host's name is included in the async client
    /// only.
    pub timeout: Duration,
    /// How many own messages may be on their way before sending waits until one has come back. Counted are those that
    /// do come back: to a group this session is in, or to itself. `None` does not wait.
    pub outstanding_max: Option<usize>,
    /// Whether messages may have the full documented sizes, 143,952 bytes to 100 destinations, as our daemon takes them.
    /// The original 5.0.1 daemon ends at messages over 143,152 bytes and delivers nothing to more than 43 destinations,
    /// so without this they are refused here.
    pub full_size: bool,
    /// The longest message to take, names and body, in bytes.
    pub receive_max: usize,
    /// How many bytes of received messages may wait while this program sends and does not receive.
    pub unread_max: usize,
    /// The certificates, for an endpoint with TLS.
    pub tls: Option<Tls>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: None,
            membership: true,
            timeout: Duration::from_secs(5),
            outstanding_max: None,
            full_size: false,
            receive_max: spread_wire::client::receive::LENGTH_MAX,
            unread_max: 16 << 20,
            tls: None,
        }
    }
}

impl Options {
    /// The defaults, with this private name.
    ///
    /// # Errors
    /// It is no private name: 1 to 10 characters from `$` to `~`.
    pub fn named(name: &str) -> Result<Self, NameError> {
        Ok(Self { name: Some(PrivateName::new(name.as_bytes())?), ..Self::default() })
    }

    pub(crate) fn hello(&self) -> Hello {
        Hello { name: self.name, membership: self.membership, priority: false }
    }

    pub(crate) fn sender(&self, own: PrivateGroup) -> Sender {
        let (bytes, destinations) = if self.full_size {
            (BODY_AND_NAMES_MAX, DESTINATIONS_MAX)
        } else {
            (PORTABLE_BYTES_MAX, PORTABLE_DESTINATIONS_MAX)
        };
        Sender::new(own).up_to(bytes, destinations)
    }

    pub(crate) fn decoder(&self) -> Decoder {
        Decoder::new(self.receive_max)
    }
}
