//! Where announcements go: broadcast, multicast and unicast addresses.
//!
//! One string is enough for most: `"10.0.5.255:4445"`, `"239.255.44.45:4445"`, and the historical
//! `"239.255.44.45:4445,2"` with a TTL after the comma. A table says more:
//! `{ to = "239.255.44.45:4445", ttl = 2, interface = "eth1" }`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};

/// Longest name Linux gives an interface.
const INTERFACE_NAME_MAX: usize = 15;

/// One destination of announcements, checked: a port that is not zero, an address that names
/// somebody, a TTL and an interface only where they mean something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Destination of each announcement.
    pub to: SocketAddr,
    /// How many routers a multicast packet may pass; 1 stays on the segment, 0 on this host.
    pub ttl: u8,
    /// The one interface to use; `None` means every multicast interface.
    pub interface: Option<Interface>,
}

/// A network interface, by name or by one of its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interface {
    /// Such as `eth0`.
    Name(String),
    /// The interface that has this address.
    Address(IpAddr),
}

/// The text or table is not a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No address and port.
    #[error(
        "{0:?} is no address and port; write them as in 239.255.44.45:4445 or [ff05::4445]:4445"
    )]
    Address(String),
    /// Port 0 cannot be sent to.
    #[error("port 0 of {0} cannot be sent to; write the port that the others listen on")]
    Port(SocketAddr),
    /// `0.0.0.0` or `::` names nobody.
    #[error("{0} names nobody; write a broadcast, multicast or machine address")]
    Unspecified(SocketAddr),
    /// The TTL is no number from 0 to 255.
    #[error("ttl {0:?} is not a number from 0 to 255; write one, 1 stays on the segment")]
    Ttl(String),
    /// A TTL was given to an address that is not multicast.
    #[error("{0} is not a multicast address, so a ttl means nothing; leave it out")]
    TtlWithoutMulticast(SocketAddr),
    /// An interface was given to an address that does not need one.
    #[error(
        "{0} is neither multicast nor link-local, so the routes choose the interface; leave it out"
    )]
    InterfaceWithoutMulticast(SocketAddr),
    /// The interface is neither a name nor an address.
    #[error(
        "interface {0:?} is neither an interface name (1 to 15 characters) nor an address; write one, such as eth1"
    )]
    Interface(String),
}

impl Target {
    /// A target with the usual TTL of 1 and no interface.
    ///
    /// # Errors
    /// The address is unspecified or the port is 0.
    pub fn new(to: SocketAddr) -> Result<Self, TargetError> {
        Self::checked(to, None, None)
    }

    fn checked(
        to: SocketAddr,
        ttl: Option<u8>,
        interface: Option<Interface>,
    ) -> Result<Self, TargetError> {
        if to.port() == 0 {
            return Err(TargetError::Port(to));
        }
        if to.ip().is_unspecified() {
            return Err(TargetError::Unspecified(to));
        }
        let multicast = to.ip().is_multicast();
        if ttl.is_some() && !multicast {
            return Err(TargetError::TtlWithoutMulticast(to));
        }
        let link_local = matches!(to.ip(), IpAddr::V6(ip) if ip.is_unicast_link_local());
        if interface.is_some() && !multicast && !link_local {
            return Err(TargetError::InterfaceWithoutMulticast(to));
        }
        Ok(Self { to, ttl: ttl.unwrap_or(1), interface })
    }

    /// Whether packets to it stay on this machine, so that no key is needed.
    pub fn is_loopback(&self) -> bool {
        self.to.ip().to_canonical().is_loopback()
    }

    /// Whether it is a multicast group.
    pub fn is_multicast(&self) -> bool {
        self.to.ip().is_multicast()
    }
}

impl FromStr for Interface {
    type Err = TargetError;
    fn from_str(text: &str) -> Result<Self, TargetError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let named = !text.is_empty()
            && text.len() <= INTERFACE_NAME_MAX
            && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
        if named { Ok(Self::Name(text.into())) } else { Err(TargetError::Interface(text.into())) }
    }
}

impl FromStr for Target {
    type Err = TargetError;
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (address, ttl) = match text.split_once(',') {
            Some((address, ttl)) => (address, Some(ttl.trim())),
            None => (text, None),
        };
        let to = address.trim().parse().map_err(|_| TargetError::Address(text.into()))?;
        let ttl = match ttl {
            Some(ttl) => Some(ttl.parse().map_err(|_| TargetError::Ttl(ttl.into()))?),
            None => None,
        };
        Self::checked(to, ttl, None)
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to)?;
        if self.is_multicast() {
            write!(f, ",{}", self.ttl)?;
        }
        match &self.interface {
            Some(interface) => write!(f, " on {interface}"),
            None => Ok(()),
        }
    }
}

/// The table form, before it is checked.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    to: String,
    ttl: Option<i64>,
    interface: Option<String>,
}

impl TryFrom<Table> for Target {
    type Error = TargetError;
    fn try_from(table: Table) -> Result<Self, TargetError> {
        let to = table.to.trim().parse().map_err(|_| TargetError::Address(table.to))?;
        let ttl = match table.ttl {
            Some(ttl) => Some(u8::try_from(ttl).map_err(|_| TargetError::Ttl(ttl.to_string()))?),
            None => None,
        };
        let interface = table.interface.map(|text| text.parse()).transpose()?;
        Self::checked(to, ttl, interface)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrTable;
        impl<'de> Visitor<'de> for TextOrTable {
            type Value = Target;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "\"address:port\" or { to = \"address:port\", ttl = 1, interface = \"eth0\" }",
                )
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Target, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Target, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                table.try_into().map_err(serde::de::Error::custom)
            }
        }
        deserializer.deserialize_any(TextOrTable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct File {
        targets: Vec<Target>,
    }

    fn read(list: &str) -> Result<Vec<Target>, String> {
        toml::from_str::<File>(&format!("targets = [{list}]"))
            .map(|file| file.targets)
            .map_err(|e| e.message().to_owned())
    }

    #[test]
    fn broadcast_multicast_and_unicast_read_as_written() {
        let targets = read(
            r#""10.0.5.255:4445", "239.255.44.45:4445,3", "[fd00::2]:4445",
               { to = "[ff05::4445]:4445", ttl = 2, interface = "eth1" },
               { to = "239.255.44.45:4445", interface = "10.0.5.1" }"#,
        )
        .unwrap();
        let text: Vec<_> = targets.iter().map(Target::to_string).collect();
        assert_eq!(
            text,
            [
                "10.0.5.255:4445",
                "239.255.44.45:4445,3",
                "[fd00::2]:4445",
                "[ff05::4445]:4445,2 on eth1",
                "239.255.44.45:4445,1 on 10.0.5.1"
            ]
        );
    }

    #[test]
    fn what_cannot_be_sent_to_is_refused_with_its_reason() {
        for (text, reason) in [
            (r#""web2:4445""#, "is no address and port"),
            (r#""10.0.0.1""#, "is no address and port"),
            (r#""10.0.0.1:0""#, "port 0"),
            (r#""0.0.0.0:4445""#, "names nobody"),
            (r#""10.0.0.1:4445,3""#, "not a multicast address"),
            (r#""239.0.0.1:4445,256""#, "not a number from 0 to 255"),
            (r#"{ to = "239.0.0.1:4445", ttl = -1 }"#, "not a number from 0 to 255"),
            (r#"{ to = "10.0.0.1:4445", interface = "eth0" }"#, "routes choose the interface"),
            (r#"{ to = "239.0.0.1:4445", interface = "a/b" }"#, "neither an interface name"),
            (r#"{ to = "239.0.0.1:4445", iface = "eth0" }"#, "unknown field `iface`"),
            ("4445", "invalid type"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
