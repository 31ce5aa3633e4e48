//! An Ethernet address: what neighbours really have when they say they have an IP address.

use core::fmt;
use core::str::FromStr;

/// The 48 bits of an Ethernet address, in the order of the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All stations of the segment.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// Nobody: what an ARP request has where the answer is to go.
    pub const ZERO: Self = Self([0; 6]);

    /// Whether one station can have it: neither a group (its lowest bit of the first byte is set) nor zero.
    pub const fn is_station(self) -> bool {
        self.0[0] & 1 == 0 && !matches!(self.0, [0, 0, 0, 0, 0, 0])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({self})")
    }
}

/// The text is not six pairs of hexadecimal digits with colons between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no Ethernet address; write six pairs of hexadecimal digits, as 52:54:00:12:34:56")]
pub struct MacError;

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let mut bytes = [0; 6];
        let mut parts = text.trim().split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(MacError)?;
            // `from_str_radix` would take a sign.
            if !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(MacError);
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| MacError)?;
        }
        if parts.next().is_some() { Err(MacError) } else { Ok(Self(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn an_ethernet_address_survives_its_text() {
        let mac = Mac([0x52, 0x54, 0, 0x12, 0xab, 0xff]);
        assert_eq!(mac.to_string(), "52:54:00:12:ab:ff");
        assert_eq!(mac.to_string().parse(), Ok(mac));
    }

    #[test]
    fn what_is_no_ethernet_address_is_refused() {
        for text in ["", "52:54:00:12:ab", "52:54:00:12:ab:ff:00", "+2:54:00:12:ab:ff", "525400"] {
            assert_eq!(text.parse::<Mac>(), Err(MacError), "{text}");
        }
    }

    #[test]
    fn groups_and_nobody_are_no_stations() {
        assert!(!Mac::BROADCAST.is_station() && !Mac::ZERO.is_station());
        assert!(!Mac([0x33, 0x33, 0, 0, 0, 1]).is_station());
        assert!(Mac([2, 0, 0, 0, 0, 1]).is_station());
    }
}
