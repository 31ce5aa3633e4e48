//! Blocks of addresses: one address, a CIDR block, or a dotted prefix, as `AcceptStats` took them.
//!
//! IPv4 addresses written inside IPv6 (`::ffff:10.0.0.1`) are the IPv4 address they mean, since a
//! dual-stack socket reports its IPv4 peers that way.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr};
use core::str::FromStr;

/// The addresses whose first `prefix` bits equal those of `base`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddrBlock {
    base: IpAddr,
    prefix: u8,
}

/// The text is not an address, a block, or a dotted prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Neither an address nor a dotted prefix stands before the slash.
    #[error(
        "this is no address; write an address (10.0.5.1), a block (10.0.0.0/16) or a dotted prefix (10.0.)"
    )]
    Address,
    /// The number after the slash is none, or more than the address has bits.
    #[error("this is no prefix length after '/'; write a number from 0 to {max}")]
    Prefix {
        /// Bits in an address of this family.
        max: u8,
    },
    /// A block whose address has bits set beyond its prefix is usually a typing mistake.
    #[error("the address has bits set beyond its /{prefix}; did you mean {meant}/{prefix}?")]
    HostBits {
        /// The prefix length as written.
        prefix: u8,
        /// The first address of that block.
        meant: IpAddr,
    },
}

impl AddrBlock {
    /// The block of one address.
    pub fn one(addr: IpAddr) -> Self {
        let base = addr.to_canonical();
        Self { base, prefix: bits(base) }
    }

    /// Whether `addr` lies in the block.
    pub fn contains(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        bits(addr) == bits(self.base) && mask(addr, self.prefix) == mask(self.base, self.prefix)
    }
}

fn bits(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 32 } else { 128 }
}

fn number(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(addr: IpAddr, prefix: u8) -> u128 {
    number(addr) & u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for AddrBlock {
    type Err = BlockError;

    fn from_str(text: &str) -> Result<Self, BlockError> {
        let text = text.trim();
        let (addr, length) = match text.split_once('/') {
            Some((addr, length)) => (addr, Some(length)),
            None => (text, None),
        };
        let Ok(base) = addr.parse::<IpAddr>() else {
            return if length.is_none() { dotted_prefix(addr) } else { Err(BlockError::Address) };
        };
        let max = bits(base);
        let prefix = match length {
            None => max,
            Some(n) => n.parse().ok().filter(|&n| n <= max).ok_or(BlockError::Prefix { max })?,
        };
        let meant = first(base, prefix);
        if meant != base {
            return Err(BlockError::HostBits { prefix, meant });
        }
        // A mapped block such as ::ffff:10.0.0.0/104 is the IPv4 block it means.
        let canonical = base.to_canonical();
        let prefix = if bits(canonical) == max { prefix } else { prefix.saturating_sub(96) };
        Ok(Self { base: canonical, prefix })
    }
}

fn first(base: IpAddr, prefix: u8) -> IpAddr {
    let number = mask(base, prefix);
    match base {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits((number >> 96) as u32)),
        IpAddr::V6(_) => IpAddr::V6(number.into()),
    }
}

fn dotted_prefix(text: &str) -> Result<AddrBlock, BlockError> {
    let parts = text.strip_suffix('.').unwrap_or(text);
    let mut octets = [0u8; 4];
    let mut n = 0;
    for part in parts.split('.') {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        *octets.get_mut(n).filter(|_| digits).ok_or(BlockError::Address)? =
            part.parse().map_err(|_| BlockError::Address)?;
        n += 1;
    }
    // A single number without a dot is an address that lost most of itself, not the wish to open a 256th of the Internet.
    if n > 3 || !text.contains('.') {
        return Err(BlockError::Address);
    }
    Ok(AddrBlock { base: IpAddr::V4(octets.into()), prefix: n as u8 * 8 })
}

impl fmt::Display for AddrBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == bits(self.base) {
            write!(f, "{}", self.base)
        } else {
            write!(f, "{}/{}", self.base, self.prefix)
        }
    }
}

impl serde::Serialize for AddrBlock {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for AddrBlock {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::units::parsed(deserializer)
    }
}

/// A list of blocks; an address belongs if any block holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct AddrBlocks(pub Vec<AddrBlock>);

impl AddrBlocks {
    /// Whether any block holds `addr`. An empty list holds nothing.
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.0.iter().any(|block| block.contains(addr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn block(text: &str) -> AddrBlock {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn all_three_historical_notations_hold_what_they_say() {
        assert!(
            block("10.0.5.1").contains(ip("10.0.5.1"))
                && !block("10.0.5.1").contains(ip("10.0.5.2"))
        );
        assert!(block("10.0.5.128/25").contains(ip("10.0.5.200")));
        assert!(!block("10.0.5.128/25").contains(ip("10.0.5.127")));
        for text in ["10.0", "10.0."] {
            assert!(
                block(text).contains(ip("10.0.255.1")) && !block(text).contains(ip("10.1.0.1"))
            );
        }
        assert!(
            block("0.0.0.0/0").contains(ip("203.0.113.9"))
                && !block("0.0.0.0/0").contains(ip("::1"))
        );
        assert!(
            block("fd00::/8").contains(ip("fd12::1")) && !block("fd00::/8").contains(ip("fe80::1"))
        );
    }

    #[test]
    fn an_ipv4_address_inside_ipv6_is_the_ipv4_address() {
        assert!(block("10.0.0.0/8").contains(ip("::ffff:10.1.2.3")));
        assert!(block("::ffff:10.0.0.0/104").contains(ip("10.1.2.3")));
    }

    #[test]
    fn a_number_that_lost_its_dots_opens_nothing() {
        for text in ["10", "1", "0"] {
            assert_eq!(text.parse::<AddrBlock>(), Err(BlockError::Address), "{text}");
        }
        assert!(block("10.").contains(ip("10.9.9.9")));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            "10.0.5.1/24".parse::<AddrBlock>(),
            Err(BlockError::HostBits { prefix: 24, meant: ip("10.0.5.0") })
        );
        assert_eq!("10.0.0.0/33".parse::<AddrBlock>(), Err(BlockError::Prefix { max: 32 }));
        for text in ["", ".", "10..0", "300", "10.0.0.0.0", "web1", "10.0/16", "-1"] {
            assert_eq!(text.parse::<AddrBlock>(), Err(BlockError::Address), "{text}");
        }
    }

    #[test]
    fn a_block_survives_its_text() {
        for text in ["10.0.5.1", "10.0.0.0/16", "fd00::/8", "::1"] {
            assert_eq!(block(text).to_string(), text);
        }
    }
}
