//! A network as two ends: all addresses whose first bits are equal.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses from `first` to `last`, which share their first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    first: IpAddr,
    last: IpAddr,
}

impl Network {
    /// The network of `prefix` bits in which `ip` lies. A prefix longer than the address means the address alone.
    pub fn of(ip: IpAddr, prefix: u8) -> Self {
        match ip {
            IpAddr::V4(v4) => {
                let hosts = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
                let bits = v4.to_bits();
                Self {
                    first: Ipv4Addr::from_bits(bits & !hosts).into(),
                    last: Ipv4Addr::from_bits(bits | hosts).into(),
                }
            }
            IpAddr::V6(v6) => {
                let hosts = u128::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
                let bits = v6.to_bits();
                Self {
                    first: Ipv6Addr::from_bits(bits & !hosts).into(),
                    last: Ipv6Addr::from_bits(bits | hosts).into(),
                }
            }
        }
    }

    /// Its lowest address.
    pub const fn first(&self) -> IpAddr {
        self.first
    }

    /// Its highest address.
    pub const fn last(&self) -> IpAddr {
        self.last
    }

    /// Whether it is one address.
    pub fn is_one(&self) -> bool {
        self.first == self.last
    }

    /// Whether `ip` lies in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        // All IPv4 addresses order before all IPv6 ones, so families do not mix.
        (self.first..=self.last).contains(&ip)
    }

    /// What both have: two networks are either one within the other or apart.
    pub fn common(&self, other: &Self) -> Option<Self> {
        let first = self.first.max(other.first);
        let last = self.last.min(other.last);
        (first <= last && first.is_ipv4() == last.is_ipv4()).then_some(Self { first, last })
    }

    /// The address after `ip`, if it is still within.
    pub fn next(&self, ip: IpAddr) -> Option<IpAddr> {
        let next = match ip {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().checked_add(1)?).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().checked_add(1)?).into(),
        };
        self.contains(next).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(ip: &str, prefix: u8) -> Network {
        Network::of(ip.parse().unwrap(), prefix)
    }

    #[test]
    fn a_network_holds_what_shares_its_first_bits() {
        let net = network("10.1.2.3", 24);
        assert_eq!((net.first(), net.last()), ([10, 1, 2, 0].into(), [10, 1, 2, 255].into()));
        assert!(net.contains([10, 1, 2, 77].into()) && !net.contains([10, 1, 3, 0].into()));
        assert!(network("0.0.0.0", 0).contains([255, 255, 255, 255].into()));
        assert!(!network("0.0.0.0", 0).contains("::1".parse().unwrap()));
        assert!(network("10.1.2.3", 32).is_one() && network("10.1.2.3", 99).is_one());
        assert!(network("fd00::5", 64).contains("fd00::ffff:1".parse().unwrap()));
        assert!(network("fd00::5", 128).is_one());
    }

    #[test]
    fn two_networks_have_the_smaller_in_common_or_nothing() {
        let (wide, narrow) = (network("10.1.0.0", 16), network("10.1.2.0", 24));
        assert_eq!(wide.common(&narrow), Some(narrow));
        assert_eq!(narrow.common(&wide), Some(narrow));
        assert_eq!(narrow.common(&network("10.1.3.0", 24)), None);
        assert_eq!(network("0.0.0.0", 0).common(&network("::", 0)), None);
    }

    #[test]
    fn walking_a_network_ends_at_its_last_address() {
        let net = network("10.1.2.4", 30);
        let walked = core::iter::successors(Some(net.first()), |ip| net.next(*ip)).count();
        assert_eq!(walked, 4);
        let top = network("255.255.255.255", 32);
        assert_eq!(top.next(top.last()), None);
    }
}
