//! Addresses as a `spread.conf` has them: of a daemon, of an interface, of a segment with port and interface.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::mistake::What;

/// The port of a segment that names none.
pub const DEFAULT_PORT: u16 = 4803;
/// Greatest port of a segment: the original uses the next one as well.
const PORT_MAX: u16 = 65534;
/// Longest name Linux gives an interface, in bytes.
const INTERFACE_NAME_MAX: usize = 15;

/// Which version of the internet protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// That of an address.
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The one that this is not.
    pub fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// An address to which a segment's daemons send what is for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentAddress {
    /// The address.
    pub ip: IpAddr,
    /// The interface behind `%`, if there is one; IPv6 only.
    pub interface: Option<String>,
}

/// What an address of a segment reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everybody on the network (`x.x.x.255`).
    Broadcast,
    /// Whoever has joined the group.
    Multicast,
    /// One machine, or nobody can tell: a broadcast address that does not end in 255 looks so too.
    One,
}

impl SegmentAddress {
    /// What the address reaches, as far as it shows.
    pub fn reach(&self) -> Reach {
        match self.ip {
            ip if ip.is_multicast() => Reach::Multicast,
            IpAddr::V4(ip) if ip.octets()[3] == 255 => Reach::Broadcast,
            _ => Reach::One,
        }
    }
}

impl fmt::Display for SegmentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.interface {
            Some(interface) => write!(f, "{}%{interface}", self.ip),
            None => write!(f, "{}", self.ip),
        }
    }
}

/// Whether whoever wrote `text` meant an address, be it right or wrong: dots between digits, or colons. Everything else is
/// a name.
pub(super) fn is_meant_as_address(text: &str) -> bool {
    text.contains(':')
        || text.contains('.') && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// The address of one machine, without port or interface.
///
/// # Errors
/// What is wrong with it.
pub(super) fn machine(text: &str) -> Result<IpAddr, What> {
    if let Ok(ip) = text.parse() {
        return Ok(ip);
    }
    if text.split_once('%').is_some_and(|(ip, _)| ip.parse::<Ipv6Addr>().is_ok()) {
        return Err(What::ScopeHere);
    }
    let bracketed = text.strip_prefix('[').and_then(|text| text.split_once(']'));
    let (ip, port) = bracketed.or_else(|| text.split_once(':')).unwrap_or((text, ""));
    if !port.is_empty() && ip.parse::<IpAddr>().is_ok() {
        return Err(What::PortHere);
    }
    Err(What::Address)
}

/// A segment's address, and its port if it has one.
///
/// # Errors
/// What is wrong with it.
pub(super) fn segment(text: &str) -> Result<(SegmentAddress, Option<u16>), What> {
    let (address, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or(What::Address)?;
        let port = match rest {
            "" => None,
            rest => Some(rest.strip_prefix(':').ok_or(What::Port)?),
        };
        (address, port)
    } else {
        match text.split_once(':') {
            // A second colon makes it IPv6, where a port needs brackets.
            Some((address, port)) if !port.contains(':') => (address, Some(port)),
            _ => (text, None),
        }
    };
    let address = scoped(address)?;
    let port = match port {
        Some(port) => {
            let digits = port.bytes().all(|b| b.is_ascii_digit());
            let port = port.parse().ok().filter(|port| digits && (1..=PORT_MAX).contains(port));
            Some(port.ok_or(What::Port)?)
        }
        None => None,
    };
    Ok((address, port))
}

fn scoped(text: &str) -> Result<SegmentAddress, What> {
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(SegmentAddress { ip: ip.into(), interface: None });
    }
    let (ip, interface) = match text.split_once('%') {
        Some((ip, interface)) => (ip, Some(interface)),
        None => (text, None),
    };
    let ip: Ipv6Addr = ip.parse().map_err(|_| What::Address)?;
    let is_name = |name: &str| {
        (1..=INTERFACE_NAME_MAX).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
    };
    if interface.is_some_and(|name| !is_name(name)) {
        return Err(What::Expected("an address and the name of an interface behind %"));
    }
    Ok(SegmentAddress { ip: ip.into(), interface: interface.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_may_have_a_port_brackets_and_an_interface() {
        for (text, shown, port) in [
            ("10.0.0.255", "10.0.0.255", None),
            ("10.0.0.255:4913", "10.0.0.255", Some(4913)),
            ("ff02::1", "ff02::1", None),
            ("[ff02::1]:4803", "ff02::1", Some(4803)),
            ("[ff02::1]", "ff02::1", None),
            ("ff02::1%eth0", "ff02::1%eth0", None),
            ("[ff02::1%eth0.7]:4803", "ff02::1%eth0.7", Some(4803)),
        ] {
            let (address, written) = segment(text).unwrap();
            assert_eq!((address.to_string().as_str(), written), (shown, port), "{text}");
        }
    }

    #[test]
    fn what_is_no_segment_address_is_told_apart() {
        for (text, what) in [
            ("x.220.221.255:4803", What::Address),
            ("10.0.0:4803", What::Address),
            ("10.0.0.255:0", What::Port),
            ("10.0.0.255:65535", What::Port),
            ("10.0.0.255:+1", What::Port),
            ("10.0.0.255:", What::Port),
            ("[ff02::1]4803", What::Port),
            ("[ff02::1", What::Address),
            ("10.0.0.255%eth0", What::Address),
            ("", What::Address),
        ] {
            assert_eq!(segment(text), Err(what), "{text}");
        }
        assert!(matches!(segment("ff02::1%"), Err(What::Expected(_))));
    }

    #[test]
    fn a_machine_has_neither_port_nor_interface() {
        assert_eq!(machine("10.0.0.1"), Ok("10.0.0.1".parse().unwrap()));
        assert_eq!(machine("fd00::1"), Ok("fd00::1".parse().unwrap()));
        assert_eq!(machine("10.0.0.1:4803"), Err(What::PortHere));
        assert_eq!(machine("[fd00::1]:4803"), Err(What::PortHere));
        assert_eq!(machine("fe80::1%eth0"), Err(What::ScopeHere));
        assert_eq!(machine("10.0.0.300"), Err(What::Address));
    }

    #[test]
    fn what_was_meant_as_an_address_is_not_taken_for_a_name() {
        for text in ["10.0.0.1", "10.0.0.300", "1.2", "fd00::1", "web1:4803", "::"] {
            assert!(is_meant_as_address(text), "{text}");
        }
        for text in ["web1", "www-0-1", "web1.example.com", "10", "1und1.de", "x.1.2.3"] {
            assert!(!is_meant_as_address(text), "{text}");
        }
    }

    #[test]
    fn reach_shows_in_the_address() {
        let reach = |text: &str| segment(text).unwrap().0.reach();
        assert_eq!(reach("10.0.0.255"), Reach::Broadcast);
        assert_eq!(reach("239.192.48.3"), Reach::Multicast);
        assert_eq!(reach("ff05::4803"), Reach::Multicast);
        assert_eq!(reach("10.0.0.63"), Reach::One);
    }
}
