//! `spsend` and `sprecv`: how many datagrams are lost between two machines. No bus takes part in it.
//!
//! A packet is three numbers of 32 bits, then bytes without meaning: its type (0 data, 1 the end; with the mark of its
//! sender's byte order), its number from 1, its size in bytes.

pub mod receive;
pub mod send;

/// The port unless another is said.
pub const PORT: u16 = 4_444;
/// Bytes of the three numbers.
pub const HEAD: usize = 12;
/// Bytes of the largest packet: a datagram of IP version 4 less the heads of IP and UDP.
pub const BYTES_MAX: usize = 65_507;

/// The mark of the byte order: both bits set by little-endian senders, clear by others. It reads the same in both.
const MARK: u32 = 0x8000_0080;

/// The three numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whether it is the end of a run.
    pub end: bool,
    /// Its number in the run, from 1; of the end, that of the last one.
    pub number: u32,
    /// Bytes of the packet.
    pub size: u32,
}

impl Head {
    /// The bytes, in this machine's order.
    pub fn encode(self) -> [u8; HEAD] {
        let mark = if cfg!(target_endian = "little") { MARK } else { 0 };
        let mut bytes = [0; HEAD];
        let words = [u32::from(self.end) | mark, self.number, self.size];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// Reads the numbers in their sender's order; `None` if there are too few bytes for them.
    pub fn decode(packet: &[u8]) -> Option<Self> {
        let head: &[u8; HEAD] = packet.first_chunk()?;
        let little = head[0] & 0x80 != 0;
        let word = |at: usize| {
            let word = [head[at], head[at + 1], head[at + 2], head[at + 3]];
            if little { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) }
        };
        Some(Self { end: word(0) & !MARK != 0, number: word(4), size: word(8) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_both_byte_orders_are_read() {
        let head = Head { end: false, number: 2_000, size: 512 };
        let little = [0x80, 0, 0, 0x80, 0xd0, 7, 0, 0, 0, 2, 0, 0];
        let big = [0, 0, 0, 0, 0, 0, 7, 0xd0, 0, 0, 2, 0];
        assert_eq!((Head::decode(&little), Head::decode(&big)), (Some(head), Some(head)));
        let end = Head { end: true, ..head };
        assert_eq!(Head::decode(&[0x81, 0, 0, 0x80, 0xd0, 7, 0, 0, 0, 2, 0, 0]), Some(end));
        assert_eq!(Head::decode(&end.encode()), Some(end));
        assert_eq!(Head::decode(&little[..11]), None);
    }
}
