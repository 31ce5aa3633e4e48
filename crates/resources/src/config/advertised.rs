//! As whom a machine announces itself: `name:port` or `ip:port`, the historical second argument.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// The contact that others shall use for this machine, in place of the address its packets come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advertised {
    /// An address of this machine, or of what translates to it.
    Address(SocketAddr),
    /// A name that the others resolve, such as a second server's on the same host.
    Name {
        /// The host name, checked to be one.
        name: String,
        /// The port, not zero.
        port: u16,
    },
}

/// The text names no contact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdvertisedError {
    /// Neither `name:port` nor `ip:port`.
    #[error("{0:?} names no contact; write name:port or ip:port, such as www2.example.net:8080")]
    Form(String),
    /// Port 0, or one that cannot be read.
    #[error("{0:?} is not a port; write one from 1 to 65535")]
    Port(String),
    /// Characters that no host name has.
    #[error(
        "{0:?} is not a host name; write at most {HOST_MAX} letters, digits, dots, hyphens and underscores"
    )]
    Name(String),
}

/// Longest name of a machine, in bytes: it stands in tables and logs.
pub const NAME_MAX: usize = 64;
/// Longest host name of a contact, in bytes: that of the domain name system.
const HOST_MAX: usize = announce::contact::NAME_MAX;

/// Whether `text` can stand as a machine's name in a packet, a URL and a log.
pub fn is_host_name(text: &str) -> bool {
    text.len() <= NAME_MAX && is_contact_name(text)
}

/// Whether `text` can stand as a host name in a contact, for people who connect to it.
fn is_contact_name(text: &str) -> bool {
    (1..=HOST_MAX).contains(&text.len())
        && !text.starts_with(['-', '.'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

impl FromStr for Advertised {
    type Err = AdvertisedError;
    fn from_str(text: &str) -> Result<Self, AdvertisedError> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return match address.port() {
                0 => Err(AdvertisedError::Port("0".into())),
                _ if address.ip().is_unspecified() => Err(AdvertisedError::Form(text.into())),
                _ => Ok(Self::Address(address)),
            };
        }
        let (name, port) =
            text.rsplit_once(':').ok_or_else(|| AdvertisedError::Form(text.into()))?;
        let port = port.parse().ok().filter(|&port| port != 0);
        let port = port.ok_or_else(|| {
            AdvertisedError::Port(text.rsplit(':').next().unwrap_or_default().into())
        })?;
        if !is_contact_name(name) {
            return Err(AdvertisedError::Name(name.into()));
        }
        Ok(Self::Name { name: name.into(), port })
    }
}

impl fmt::Display for Advertised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name { name, port } => write!(f, "{name}:{port}"),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Advertised {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        base::units::parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_of_both_families_are_contacts() {
        let long = format!("{}.svc.cluster.local:8080", "a".repeat(100));
        for text in ["10.0.5.7:80", "[fd00::7]:8080", "www2.example.net:81", &long] {
            assert_eq!(text.parse::<Advertised>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_names_no_contact_is_refused() {
        use AdvertisedError as E;
        for (text, error) in [
            ("www2", E::Form("www2".into())),
            ("0.0.0.0:80", E::Form("0.0.0.0:80".into())),
            ("10.0.0.1:0", E::Port("0".into())),
            ("www2:http", E::Port("http".into())),
            ("www 2:80", E::Name("www 2".into())),
            (":80", E::Name(String::new())),
            ("-x:80", E::Name("-x".into())),
            (&format!("{}:80", "a".repeat(254)), E::Name("a".repeat(254))),
        ] {
            assert_eq!(text.parse::<Advertised>(), Err(error), "{text}");
        }
    }
}
