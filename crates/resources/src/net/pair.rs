//! One UDP port in both families.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::socket::Udp;

/// A port on IPv4, IPv6 or both.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) v4: Option<Udp>,
    pub(crate) v6: Option<Udp>,
}

/// Which addresses of this machine to bind to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// None: there is nobody to speak to.
    Nowhere,
    /// One address, and its family only.
    One(IpAddr),
    /// Loopback of both families.
    Loopback,
    /// Every address of both families.
    All,
}

impl Pair {
    /// Binds `port` (0: any). A host without IPv6 is one with IPv4 only; a family that is there but whose
    /// port cannot be had is an error.
    ///
    /// # Errors
    /// The address that could not be bound, and why.
    pub(crate) fn bind(place: Where, port: u16) -> Result<Self, (SocketAddr, io::Error)> {
        let one = |ip: IpAddr| {
            let address = SocketAddr::new(ip, port);
            Udp::bind(address, false).map_err(|error| (address, error))
        };
        let (v4, v6): (IpAddr, IpAddr) = match place {
            Where::Nowhere => return Ok(Self { v4: None, v6: None }),
            Where::One(ip) if ip.is_ipv4() => return Ok(Self { v4: Some(one(ip)?), v6: None }),
            Where::One(ip) => return Ok(Self { v4: None, v6: Some(one(ip)?) }),
            Where::Loopback => (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()),
            Where::All => (Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()),
        };
        let v4 = one(v4)?;
        let v6 = match one(v6) {
            Ok(v6) => Some(v6),
            Err((_, error)) if lacks_family(&error) => None,
            Err(error) => return Err(error),
        };
        Ok(Self { v4: Some(v4), v6 })
    }

    /// The socket that can send to `to`.
    pub(crate) fn for_address(&self, to: SocketAddr) -> Option<&Udp> {
        if to.is_ipv4() { self.v4.as_ref() } else { self.v6.as_ref() }
    }

    /// The sockets there are.
    pub(crate) fn each(&self) -> impl Iterator<Item = &Udp> {
        self.v4.iter().chain(&self.v6)
    }
}

/// Whether the kernel has no IPv6, or no IPv6 address on loopback.
fn lacks_family(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_binds_what_it_says() {
        assert_eq!(Pair::bind(Where::Nowhere, 0).unwrap().each().count(), 0);
        let loopback = Pair::bind(Where::Loopback, 0).unwrap();
        assert!(loopback.each().all(|udp| udp.local().unwrap().ip().is_loopback()));
        let one = Pair::bind(Where::One("127.0.0.3".parse().unwrap()), 0).unwrap();
        assert_eq!(one.each().count(), 1);
        assert!(one.for_address("10.0.0.1:1".parse().unwrap()).is_some());
        assert!(one.for_address("[fd00::1]:1".parse().unwrap()).is_none());
        assert!(Pair::bind(Where::All, 0).unwrap().v4.is_some());
    }

    #[test]
    fn an_address_that_is_not_ours_is_named() {
        let place = Where::One("192.0.2.1".parse().unwrap());
        let (address, error) = Pair::bind(place, 5).unwrap_err();
        assert_eq!(address, "192.0.2.1:5".parse().unwrap());
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
