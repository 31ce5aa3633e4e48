//! Where the clients of a machine find it: `name:port` or `ip:port`.
//!
//! It may differ from where its packets come from, when a machine announces itself as another (the
//! historical second argument). It ends in redirects and logs, so nothing but host names and
//! addresses is let in.

use alloc::string::String;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::str::FromStr;

/// The longest host name, as DNS limits it.
pub const NAME_MAX: usize = 253;

/// The service address a machine announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// An address. The unspecified address stands for *where this packet came from*.
    Address(SocketAddr),
    /// A name that each receiver resolves for itself.
    Name {
        /// The host name; see [`is_host_name`].
        name: String,
        /// The port, never zero.
        port: u16,
    },
}

/// The text is no contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected name:port or ip:port, such as www2.example.net:8080 or [2001:db8::2]:8080")]
pub struct ContactError;

/// Whether `text` is letters, digits, dots, hyphens and underscores, at most [`NAME_MAX`] of them.
pub fn is_host_name(text: &str) -> bool {
    (1..=NAME_MAX).contains(&text.len())
        && !text.starts_with(['-', '.'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

impl Contact {
    /// Port `port` at whatever address the packets come from.
    pub const fn here(port: u16) -> Self {
        Self::Address(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))
    }

    /// The port.
    pub fn port(&self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Name { port, .. } => *port,
        }
    }

    /// The contact with *where this packet came from* made plain.
    #[must_use]
    pub fn seen_from(self, mut from: SocketAddr) -> Self {
        match self {
            Self::Address(address) if address.ip().is_unspecified() => {
                from.set_port(address.port());
                Self::Address(from)
            }
            plain => plain,
        }
    }
}

impl FromStr for Contact {
    type Err = ContactError;

    fn from_str(text: &str) -> Result<Self, ContactError> {
        let contact = match text.parse::<SocketAddr>() {
            Ok(address) => Self::Address(address),
            Err(_) => {
                let (name, port) = text.rsplit_once(':').ok_or(ContactError)?;
                let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
                let port = port.parse().ok().filter(|_| digits).ok_or(ContactError)?;
                Self::Name { name: name.into(), port }
            }
        };
        let fits = match &contact {
            Self::Address(_) => true,
            Self::Name { name, .. } => is_host_name(name),
        };
        if fits && contact.port() != 0 { Ok(contact) } else { Err(ContactError) }
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name { name, port } => write!(f, "{name}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    #[test]
    fn a_contact_survives_its_text() {
        for text in ["10.0.0.1:80", "[2001:db8::1]:8080", "www-2.example.net:65535", "0.0.0.0:80"] {
            assert_eq!(text.parse::<Contact>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_could_not_stand_in_a_redirect_is_refused() {
        let long = format!("{}:80", "a".repeat(NAME_MAX + 1));
        for text in [
            "",
            ":80",
            "www",
            "www:",
            "www:0",
            "www:65536",
            "www:+80",
            "10.0.0.1:0",
            "a b:80",
            "a\r\n:80",
            "a/b:80",
            "-a:80",
            ".a:80",
            "é:80",
            "::1:80x",
            &long,
        ] {
            assert_eq!(text.parse::<Contact>(), Err(ContactError), "{text:?}");
        }
    }

    #[test]
    fn the_unspecified_address_means_where_the_packet_came_from() {
        let from: SocketAddr =
            "[fe80::1%3]:4445".parse().unwrap_or("10.1.1.1:4445".parse().unwrap());
        let mut expected = from;
        expected.set_port(8080);
        assert_eq!(Contact::here(8080).seen_from(from), Contact::Address(expected));
        let fixed: Contact = "10.0.0.9:80".parse().unwrap();
        assert_eq!(fixed.clone().seen_from(from), fixed);
    }
}
