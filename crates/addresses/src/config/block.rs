//! A block of addresses whose members can be counted and asked for.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses whose first `length` bits are those of `first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    first: IpAddr,
    length: u8,
}

impl Block {
    /// The block of this length in which `ip` lies; `None` if an address of its kind has fewer bits.
    pub fn around(ip: IpAddr, length: u8) -> Option<Self> {
        let spare = bits(ip).checked_sub(length)?;
        let first = match ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(u32::from(spare)).unwrap_or(0);
                Ipv4Addr::from_bits(ip.to_bits() & mask).into()
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(u32::from(spare)).unwrap_or(0);
                Ipv6Addr::from_bits(ip.to_bits() & mask).into()
            }
        };
        Some(Self { first, length })
    }

    /// The block of one address.
    pub fn one(ip: IpAddr) -> Self {
        Self { first: ip, length: bits(ip) }
    }

    /// Its first address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// Its last address; of an IPv4 network the broadcast address.
    pub fn last(&self) -> IpAddr {
        let spare = bits(self.first) - self.length;
        match self.first {
            IpAddr::V4(ip) => {
                let host = !u32::MAX.checked_shl(u32::from(spare)).unwrap_or(0);
                Ipv4Addr::from_bits(ip.to_bits() | host).into()
            }
            IpAddr::V6(ip) => {
                let host = !u128::MAX.checked_shl(u32::from(spare)).unwrap_or(0);
                Ipv6Addr::from_bits(ip.to_bits() | host).into()
            }
        }
    }

    /// How many of the first bits are equal.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether `ip` lies in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        Self::around(ip, self.length).is_some_and(|block| block == *self)
    }

    /// What lies in both: the smaller one, if it lies in the other.
    pub fn common(&self, other: &Self) -> Option<Self> {
        let (small, large) =
            if self.length >= other.length { (self, other) } else { (other, self) };
        large.contains(small.first).then_some(*small)
    }
}

/// Bits of an address of this kind.
pub(crate) fn bits(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> Block {
        let (ip, length) = text.split_once('/').unwrap();
        Block::around(ip.parse().unwrap(), length.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_block_knows_its_ends_and_what_lies_in_it() {
        for (text, first, last) in [
            ("10.0.5.7/23", "10.0.4.0", "10.0.5.255"),
            ("10.0.5.7/32", "10.0.5.7", "10.0.5.7"),
            ("10.0.5.7/0", "0.0.0.0", "255.255.255.255"),
            ("fd00::7/112", "fd00::", "fd00::ffff"),
            ("fd00::7/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            let block = block(text);
            assert_eq!(
                (block.first().to_string(), block.last().to_string()),
                (first.into(), last.into())
            );
            assert!(block.contains(block.first()) && block.contains(block.last()));
        }
        assert!(!block("10.0.5.0/24").contains("10.0.6.0".parse().unwrap()));
        assert!(!block("10.0.5.0/24").contains("fd00::".parse().unwrap()));
        assert_eq!(Block::around([10, 0, 0, 1].into(), 33), None);
    }

    #[test]
    fn what_two_blocks_have_in_common_is_the_smaller_one() {
        let both = block("10.0.5.0/24").common(&block("10.0.5.64/26"));
        assert_eq!(both, Some(block("10.0.5.64/26")));
        assert_eq!(block("10.0.5.64/26").common(&block("10.0.5.0/24")), both);
        assert_eq!(block("10.0.5.0/24").common(&block("10.0.6.0/24")), None);
        assert_eq!(block("10.0.5.0/24").common(&block("fd00::/8")), None);
    }
}
