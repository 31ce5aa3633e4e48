//! Single values of `[bus]`, judged while they are read.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

/// Longest name Linux gives an interface, in bytes.
const INTERFACE_NAME_MAX: usize = 15;
/// Longest host name, in bytes: that of the domain name system.
const HOST_MAX: usize = 253;
/// Longest name of a site, in bytes.
const SITE_NAME_MAX: usize = 31;

/// A value of `[bus]` that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// No multicast or broadcast address.
    #[error(
        "{0:?} is neither a multicast nor a broadcast address nor \"none\"; write one without a port, such as 239.192.48.3, 10.0.5.255 or ff05::4803"
    )]
    Segment(String),
    /// Neither an interface nor an address.
    #[error(
        "{0:?} is neither an interface name (1 to 15 characters) nor an address; write one, such as eth1"
    )]
    Interface(String),
    /// No host and port.
    #[error(
        "{0:?} is no host; write a name or an address, and a port behind a colon if it is not the usual one"
    )]
    Seed(String),
    /// No name of a site.
    #[error(
        "{0:?} is no name of a site; write 1 to {SITE_NAME_MAX} printable characters without a space, such as \"zurich\" or \"2\""
    )]
    Site(String),
    /// Not an absolute path.
    #[error("{0:?} is neither a whole path nor \"none\"; write it from the root: /tmp/4803")]
    Socket(String),
    /// More bytes than an address of a Unix socket holds.
    #[error("{0:?} is too long for a Unix socket; write a path of at most {SOCKET_PATH_MAX} bytes")]
    SocketLength(String),
    /// No octal permission bits.
    #[error("{0:?} is not a mode; write three or four octal digits, such as \"0660\"")]
    Mode(String),
    /// No user and group.
    #[error("{0:?} names no user or group; write \"user\", \"user:group\" or \":group\"")]
    Owner(String),
}

/// Longest path of a Unix socket, in bytes: `sun_path` without its NUL.
pub const SOCKET_PATH_MAX: usize = 107;

/// A port that is not zero, `DEFAULT` if not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port<const DEFAULT: u16> {
    port: u16,
    pub(super) written: bool,
}

impl<const DEFAULT: u16> Port<DEFAULT> {
    /// The port.
    pub fn get(self) -> u16 {
        self.port
    }
}

impl<const DEFAULT: u16> Default for Port<DEFAULT> {
    fn default() -> Self {
        Self { port: DEFAULT, written: false }
    }
}

impl<'de, const DEFAULT: u16> Deserialize<'de> for Port<DEFAULT> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        let port = u16::try_from(number).ok().filter(|&port| port != 0);
        port.map(|port| Self { port, written: true }).ok_or_else(|| {
            let message = format_args!("{number} is not a port; write one from 1 to 65535");
            serde::de::Error::custom(message)
        })
    }
}

/// Where the daemons of one network find each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SegmentKey {
    /// Nowhere: each is spoken to alone.
    None,
    /// At this multicast or broadcast address.
    At(IpAddr),
}

impl FromStr for SegmentKey {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text == "none" {
            return Ok(Self::None);
        }
        let error = || ValueError::Segment(text.into());
        let ip: IpAddr = text.parse().map_err(|_| error())?;
        // Whether an IPv4 address is a broadcast address depends on the network; only some can be told.
        let impossible = match ip {
            IpAddr::V4(v4) => v4.is_unspecified() || v4.is_loopback() && v4.octets()[3] != 255,
            IpAddr::V6(v6) => !v6.is_multicast(),
        };
        if impossible { Err(error()) } else { Ok(Self::At(ip)) }
    }
}

/// A network interface, by name or by one of its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interface {
    /// Such as `eth0`.
    Name(String),
    /// The interface that has this address.
    Address(IpAddr),
}

impl FromStr for Interface {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let named = (1..=INTERFACE_NAME_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
        if named { Ok(Self::Name(text.into())) } else { Err(ValueError::Interface(text.into())) }
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

/// Where machines stand that are near each other; by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site(String);

impl Site {
    /// What daemons tell each other of it: a hash (FNV-1a) of the name, never 0, which is the site of those that name none.
    ///
    /// Should two names share a number, their daemons count as one site, and speak to each other singly where multicast
    /// does not reach: more copies, the same messages.
    pub fn number(&self) -> u32 {
        let hash = self
            .0
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        hash.max(1)
    }
}

impl FromStr for Site {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let fits = (1..=SITE_NAME_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text.into())) } else { Err(ValueError::Site(text.into())) }
    }
}

/// A daemon to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// Its host.
    pub host: SeedHost,
    /// Its UDP port, if it is written.
    pub port: Option<u16>,
}

/// The host of a [`Seed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeedHost {
    /// An address.
    Address(IpAddr),
    /// A name to resolve, again and again; all its addresses count.
    Name(String),
}

impl FromStr for Seed {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let error = || ValueError::Seed(text.into());
        let (host, port) = if let Ok(address) = text.parse::<SocketAddr>() {
            (SeedHost::Address(address.ip()), Some(address.port()))
        } else if let Ok(ip) = text.parse() {
            (SeedHost::Address(ip), None)
        } else {
            let (name, port) = match text.split_once(':') {
                Some((name, port)) => (name, Some(port.parse().map_err(|_| error())?)),
                None => (text, None),
            };
            let is_name = (1..=HOST_MAX).contains(&name.len())
                && !name.starts_with(['-', '.'])
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
                // Numbers with dots that are no address were meant as one.
                && name.bytes().any(|b| b.is_ascii_alphabetic());
            if !is_name {
                return Err(error());
            }
            (SeedHost::Name(name.into()), port)
        };
        let nobody =
            matches!(host, SeedHost::Address(ip) if ip.is_unspecified() || ip.is_multicast());
        if nobody || port == Some(0) { Err(error()) } else { Ok(Self { host, port }) }
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (SeedHost::Address(ip), Some(port)) => SocketAddr::new(*ip, port).fmt(f),
            (SeedHost::Address(ip), None) => ip.fmt(f),
            (SeedHost::Name(name), Some(port)) => write!(f, "{name}:{port}"),
            (SeedHost::Name(name), None) => f.write_str(name),
        }
    }
}

/// The Unix socket of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketKey {
    /// There is none.
    None,
    /// At this absolute path.
    At(PathBuf),
}

impl FromStr for SocketKey {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "none" => Ok(Self::None),
            _ if text.len() > SOCKET_PATH_MAX => Err(ValueError::SocketLength(text.into())),
            _ if text.starts_with('/') && !text.contains('\0') => Ok(Self::At(text.into())),
            _ => Err(ValueError::Socket(text.into())),
        }
    }
}

/// Permission bits, at most 0777.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

impl FromStr for Mode {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let octal =
            (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| octal && *mode <= 0o777);
        mode.map(Self).ok_or_else(|| ValueError::Mode(text.into()))
    }
}

/// A user, a group or both, by name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user, if one is named.
    pub user: Option<String>,
    /// The group, if one is named.
    pub group: Option<String>,
}

impl FromStr for Owner {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let is_name =
            |text: &str| text.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != ':');
        let owner = Self { user: part(user), group: part(group) };
        if owner.user.is_none() && owner.group.is_none() || !is_name(user) || !is_name(group) {
            return Err(ValueError::Owner(text.into()));
        }
        Ok(owner)
    }
}

macro_rules! from_text {
    ($($name:ident)*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                base::units::parsed(deserializer)
            }
        }
    )*};
}
from_text!(SegmentKey Interface Site Seed SocketKey Mode Owner);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_names_and_addresses_with_and_without_a_port() {
        for text in [
            "web1",
            "web1.example.net:4900",
            "10.0.5.7",
            "10.0.5.7:4803",
            "[fd00::7]:4803",
            "fd00::7",
        ] {
            assert_eq!(text.parse::<Seed>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "web 1",
            "10.0.5",
            "10.0.0.300:1",
            "web1:0",
            "web1:x",
            "0.0.0.0",
            "239.1.1.1:5",
            "-x",
        ] {
            assert_eq!(text.parse::<Seed>(), Err(ValueError::Seed(text.into())), "{text}");
        }
    }

    #[test]
    fn a_segment_is_an_address_of_many() {
        assert_eq!("none".parse(), Ok(SegmentKey::None));
        for text in ["239.192.48.3", "10.0.5.255", "10.0.5.63", "ff05::4803", "127.0.0.255"] {
            assert_eq!(text.parse(), Ok(SegmentKey::At(text.parse().unwrap())), "{text}");
        }
        for text in ["fd00::1", "0.0.0.0", "127.0.0.1", "239.192.48.3:4803", "all"] {
            assert_eq!(text.parse::<SegmentKey>(), Err(ValueError::Segment(text.into())), "{text}");
        }
    }

    #[test]
    fn a_site_has_a_short_name_and_each_name_a_number_of_its_own() {
        let number = |text: &str| text.parse::<Site>().unwrap().number();
        assert_eq!(number("zurich"), number("zurich"));
        let mut numbers: Vec<u32> = ["zurich", "bern", "1", "2", "01"].map(number).to_vec();
        numbers.sort();
        numbers.dedup();
        assert!(numbers.len() == 5 && !numbers.contains(&0), "{numbers:?}");
        for text in ["", "la chaux", "z\u{fc}rich", &"x".repeat(SITE_NAME_MAX + 1)] {
            assert_eq!(text.parse::<Site>(), Err(ValueError::Site(text.into())), "{text}");
        }
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!("0660".parse(), Ok(Mode(0o660)));
        assert_eq!("600".parse(), Ok(Mode(0o600)));
        for text in ["", "66", "0888", "1777", "+66", "rw-"] {
            assert_eq!(text.parse::<Mode>(), Err(ValueError::Mode(text.into())), "{text}");
        }
    }

    #[test]
    fn owners_are_users_groups_or_both() {
        let owner = |user: Option<&str>, group: Option<&str>| {
            Ok(Owner { user: user.map(Into::into), group: group.map(Into::into) })
        };
        assert_eq!("spread".parse(), owner(Some("spread"), None));
        assert_eq!("spread:web".parse(), owner(Some("spread"), Some("web")));
        assert_eq!(":33".parse(), owner(None, Some("33")));
        for text in ["", ":", "a b", "a:b:c"] {
            assert_eq!(text.parse::<Owner>(), Err(ValueError::Owner(text.into())), "{text}");
        }
    }

    #[test]
    fn a_socket_is_a_whole_path_of_bounded_length() {
        assert_eq!("/run/bus".parse(), Ok(SocketKey::At("/run/bus".into())));
        assert_eq!("none".parse(), Ok(SocketKey::None));
        assert!(matches!("tmp/x".parse::<SocketKey>(), Err(ValueError::Socket(_))));
        let long = format!("/{}", "x".repeat(SOCKET_PATH_MAX));
        assert!(matches!(long.parse::<SocketKey>(), Err(ValueError::SocketLength(_))));
    }
}
