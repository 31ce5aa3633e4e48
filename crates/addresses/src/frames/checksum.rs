//! The check sum of the Internet (RFC 1071): the complement of the sum of all 16-bit words, carries added.

use std::net::Ipv6Addr;

/// The number of ICMPv6 among the protocols above IPv6.
pub(super) const ICMPV6: u8 = 58;

/// The check sum over several pieces, of which all but the last have an even length. Over bytes that contain a right one it is zero.
pub(super) fn of(pieces: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for piece in pieces {
        let (words, rest) = piece.as_chunks::<2>();
        sum += words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum::<u64>();
        sum += rest.first().map_or(0, |byte| u64::from(*byte) << 8);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // Folded to 16 bits above.
    !(sum as u16)
}

/// The check sum of an ICMPv6 message, which covers the addresses it goes between (RFC 8200 section 8.1).
pub(super) fn of_icmpv6(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    // The length of a message in one frame fits.
    let length = (message.len() as u32).to_be_bytes();
    of(&[&from.octets(), &to.octets(), &length, &[0, 0, 0, ICMPV6], message])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_has_its_sum() {
        // RFC 1071 section 3: the words 0001 f203 f4f5 f6f7 add up to ddf2.
        assert_eq!(of(&[&[0, 1, 0xf2, 3], &[0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        assert_eq!(of(&[&[0xff]]), 0x00ff);
        assert_eq!(of(&[]), 0xffff);
    }
}
