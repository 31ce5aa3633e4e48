//! One Ethernet frame that we send: small, of fixed room, without an allocation.

use std::fmt;

use super::Mac;

/// What an ARP packet is carried as.
pub(super) const ARP: u16 = 0x0806;
/// What an IPv4 packet is carried as.
pub(super) const IPV4: u16 = 0x0800;
/// What an IPv6 packet is carried as.
pub(super) const IPV6: u16 = 0x86dd;
/// Bytes of destination, source and type.
pub(super) const HEADER: usize = 14;
/// The shortest frame, without its check sum: what is shorter is filled with zeros.
const SHORTEST: usize = 60;
/// The longest of ours: an advertisement with its option.
const LONGEST: usize = HEADER + 40 + 24 + 8;

/// A frame as it is given to a packet socket: from the destination's Ethernet address on, without check sum.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    bytes: [u8; LONGEST],
    length: u8,
}

impl Frame {
    pub(super) fn new(to: Mac, from: Mac, carries: u16) -> Self {
        let mut frame = Self { bytes: [0; LONGEST], length: 0 };
        frame.put(&to.0);
        frame.put(&from.0);
        frame.put(&carries.to_be_bytes());
        frame
    }

    /// Adds bytes. What does not fit is a mistake of ours: all frames have fixed lengths.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let at = usize::from(self.length);
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        // LONGEST is below 256.
        self.length = (at + bytes.len()) as u8;
    }

    /// Fills up to the shortest frame.
    pub(super) fn padded(mut self) -> Self {
        self.length = self.length.max(SHORTEST as u8);
        self
    }

    /// The frame.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// What it carries, in the order of the host.
    pub(super) fn carries(&self) -> u16 {
        u16::from_be_bytes([self.bytes[12], self.bytes[13]])
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Frame(")?;
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}
