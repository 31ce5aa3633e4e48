//! Neighbours on the wire between members.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 2 | how many IPv4 neighbours follow |
//! | 2 | how many IPv6 neighbours follow |
//! | 12 each | IPv4 address, Ethernet address, age in seconds (2 bytes) |
//! | 24 each | IPv6 address, Ethernet address, age in seconds (2 bytes) |
//!
//! Numbers are big-endian. Nothing may follow: a newer format has another version.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Mac;

/// The format this file knows.
const VERSION: u8 = 1;
/// Bytes before the first neighbour.
const HEAD: usize = 5;
/// Bytes of an Ethernet address and an age.
const TAIL: usize = 8;
/// The most neighbours of one batch: at most 6 KB, a handful of datagrams of the bus.
pub const BATCH: usize = 256;

/// A neighbour as a member tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its address.
    pub ip: IpAddr,
    /// Its Ethernet address.
    pub mac: Mac,
    /// Seconds since the teller's kernel had it.
    pub age: u16,
}

/// Bytes that are not a batch of neighbours. Nothing of it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The first byte names a format that this version does not know.
    #[error("neighbours in format {0}, and only format {VERSION} is known here")]
    Version(u8),
    /// The length is not what the counts say, or the counts exceed a batch.
    #[error("a batch of neighbours of {length} bytes, which is not what it announces")]
    Length {
        /// Bytes of the message.
        length: usize,
    },
    /// An address that no neighbour can have: a group, nobody, this host, or one of a single link.
    #[error("{ip} at {mac} cannot be a neighbour")]
    Impossible {
        /// The address.
        ip: IpAddr,
        /// Its Ethernet address.
        mac: Mac,
    },
}

/// Whether an address and an Ethernet address can be told as a neighbour's.
///
/// Link-local addresses mean another host on each network, so what one member says of them is nothing to the others.
pub fn is_tellable(ip: IpAddr, mac: Mac) -> bool {
    let local = match ip {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast() || v4.octets()[0] == 0,
        // One written inside IPv6 has its own place among the IPv4 ones.
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some(),
    };
    mac.is_station() && !local && !ip.is_loopback() && !ip.is_multicast() && !ip.is_unspecified()
}

/// Writes a batch. Neighbours beyond [`BATCH`] are not written.
pub fn encode(batch: &[Told], out: &mut Vec<u8>) {
    let batch = &batch[..batch.len().min(BATCH)];
    let fours = batch.iter().filter(|told| told.ip.is_ipv4()).count();
    out.push(VERSION);
    // Both counts are at most BATCH.
    out.extend((fours as u16).to_be_bytes());
    out.extend(((batch.len() - fours) as u16).to_be_bytes());
    for four in [true, false] {
        for told in batch.iter().filter(|told| told.ip.is_ipv4() == four) {
            match told.ip {
                IpAddr::V4(v4) => out.extend(v4.octets()),
                IpAddr::V6(v6) => out.extend(v6.octets()),
            }
            out.extend(told.mac.0);
            out.extend(told.age.to_be_bytes());
        }
    }
}

/// Reads a batch, all of it or nothing.
pub fn decode(bytes: &[u8]) -> Result<Vec<Told>, DecodeError> {
    let length = DecodeError::Length { length: bytes.len() };
    let (&version, rest) = bytes.split_first().ok_or(length)?;
    if version != VERSION {
        return Err(DecodeError::Version(version));
    }
    let &[a, b, c, d, ref rest @ ..] = rest else { return Err(length) };
    let fours = usize::from(u16::from_be_bytes([a, b]));
    let sixes = usize::from(u16::from_be_bytes([c, d]));
    let wanted = fours * (4 + TAIL) + sixes * (16 + TAIL);
    if fours + sixes > BATCH || rest.len() != wanted {
        return Err(length);
    }
    debug_assert_eq!(bytes.len(), HEAD + wanted);
    let (of_four, of_six) = rest.split_at(fours * (4 + TAIL));
    let (of_four, _) = of_four.as_chunks::<{ 4 + TAIL }>();
    let (of_six, _) = of_six.as_chunks::<{ 16 + TAIL }>();
    let fours = of_four
        .iter()
        .map(|&[a, b, c, d, ref tail @ ..]| told(Ipv4Addr::new(a, b, c, d).into(), tail));
    let sixes = of_six.iter().map(|&[ref ip @ .., a, b, c, d, e, f, g, h]| {
        told(Ipv6Addr::from_octets(*ip).into(), &[a, b, c, d, e, f, g, h])
    });
    fours.chain(sixes).collect()
}

fn told(ip: IpAddr, &[a, b, c, d, e, f, g, h]: &[u8; TAIL]) -> Result<Told, DecodeError> {
    let mac = Mac([a, b, c, d, e, f]);
    if !is_tellable(ip, mac) {
        return Err(DecodeError::Impossible { ip, mac });
    }
    Ok(Told { ip, mac, age: u16::from_be_bytes([g, h]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told_strategy() -> impl Strategy<Value = Told> {
        // Made tellable rather than filtered, since most addresses are no station's.
        let four = any::<[u8; 4]>().prop_map(|[a, b, c, d]| IpAddr::from([1 + a % 126, b, c, d]));
        let six = any::<[u8; 16]>().prop_map(|[a, rest @ ..]| {
            let mut ip = [0x20 | a & 0x1f; 16];
            ip[1..].copy_from_slice(&rest);
            IpAddr::from(ip)
        });
        (prop_oneof![four, six], any::<[u8; 6]>(), any::<u16>()).prop_map(|(ip, mut mac, age)| {
            mac[0] = mac[0] & 0xfe | 2;
            Told { ip, mac: Mac(mac), age }
        })
    }

    proptest! {
        #[test]
        fn what_was_told_is_read_again(batch in proptest::collection::vec(told_strategy(), 0..300)) {
            let mut bytes = Vec::new();
            encode(&batch, &mut bytes);
            let mut read = decode(&bytes).unwrap();
            let mut sent = batch[..batch.len().min(BATCH)].to_vec();
            let key = |told: &Told| (told.ip, told.mac, told.age);
            read.sort_by_key(key);
            sent.sort_by_key(key);
            prop_assert_eq!(read, sent);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(batch) = decode(&bytes) {
                let mut again = Vec::new();
                encode(&batch, &mut again);
                prop_assert_eq!(again, bytes);
            }
        }

        #[test]
        fn a_batch_that_was_cut_or_grew_is_refused(
            batch in proptest::collection::vec(told_strategy(), 1..20),
            cut in 1usize..12,
        ) {
            let mut bytes = Vec::new();
            encode(&batch, &mut bytes);
            let length = bytes.len() - cut.min(bytes.len());
            prop_assert!(decode(&bytes[..length]).is_err());
            bytes.push(0);
            prop_assert!(decode(&bytes).is_err());
        }
    }

    #[test]
    fn what_no_neighbour_can_have_is_refused() {
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "169.254.1.1",
            "::",
            "::1",
            "fe80::1",
            "ff02::1",
            "::ffff:10.0.0.1",
        ] {
            let ip = ip.parse().unwrap();
            let mut bytes = Vec::new();
            encode(&[Told { ip, mac, age: 0 }], &mut bytes);
            assert_eq!(decode(&bytes), Err(DecodeError::Impossible { ip, mac }));
        }
        assert!(!is_tellable([10, 0, 0, 1].into(), Mac::BROADCAST));
        assert!(!is_tellable([10, 0, 0, 1].into(), Mac::ZERO));
    }

    #[test]
    fn another_version_is_named() {
        assert_eq!(decode(&[2, 0, 0, 0, 0]), Err(DecodeError::Version(2)));
        assert_eq!(decode(&[]), Err(DecodeError::Length { length: 0 }));
        assert_eq!(decode(&[1, 0xff, 0xff, 0xff, 0xff]), Err(DecodeError::Length { length: 5 }));
        assert_eq!(decode(&[1, 0, 0, 0, 0]), Ok(Vec::new()));
    }
}
