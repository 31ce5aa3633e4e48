//! The header of every message, 48 bytes in both directions (protocol reference, 3.1 and 3.2).
//!
//! Integers stand in the order of who wrote them, told by a mark in the service type that reads the same in both orders.
//! The hint has its own mark and stays as its sender wrote it, whoever passes it on.

use crate::limits::{HEADER_BYTES, NAME_FIELD_BYTES};
use crate::name::GroupName;
use crate::service::ServiceType;

/// A byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Least significant byte first; marked by both bits set.
    Little,
    /// Most significant byte first; both bits clear.
    Big,
}

impl Order {
    /// The order of this machine, which is what messages are written in unless somebody asks otherwise.
    pub const NATIVE: Self = if cfg!(target_endian = "big") { Self::Big } else { Self::Little };

    /// What four bytes are marked with, in either order. Half a mark is not this machine's, as the original reads it.
    fn of(word: [u8; 4]) -> Self {
        let (native, foreign) = match Self::NATIVE {
            Self::Little => (Self::Little, Self::Big),
            Self::Big => (Self::Big, Self::Little),
        };
        if u32::from_le_bytes(word) & ServiceType::ENDIAN_MARK == native.mark() {
            native
        } else {
            foreign
        }
    }

    /// The bits of the mark.
    const fn mark(self) -> u32 {
        match self {
            Self::Little => ServiceType::ENDIAN_MARK,
            Self::Big => 0,
        }
    }

    /// A number in this order.
    pub const fn u32(self, value: u32) -> [u8; 4] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    /// A signed number in this order.
    pub const fn i32(self, value: i32) -> [u8; 4] {
        self.u32(value as u32)
    }

    /// Reads a number of this order.
    pub const fn read_u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    /// Reads a signed number of this order.
    pub const fn read_i32(self, bytes: [u8; 4]) -> i32 {
        self.read_u32(bytes) as i32
    }
}

/// Four bytes with 16 bits for the application (`mess_type`), as the sender wrote them.
///
/// Daemons pass them on untouched, because they also tell the receiver the sender's byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hint([u8; 4]);

impl Hint {
    /// A hint with `kind` for the application, written in `order`.
    pub const fn new(kind: i16, order: Order) -> Self {
        Self(order.u32((kind as u16 as u32) << 8 | order.mark()))
    }

    /// The four bytes as they stand in a header.
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The four bytes as they stand in a header.
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0
    }

    /// The byte order of the original sender.
    pub fn order(self) -> Order {
        Order::of(self.0)
    }

    /// The application's 16 bits.
    pub fn kind(self) -> i16 {
        (self.order().read_u32(self.0) >> 8) as u16 as i16
    }

    /// Whether nothing is set beside the mark and the application's bits; otherwise the sender loses its session
    /// (protocol reference, 3.4).
    pub const fn is_legal(self) -> bool {
        self.0[0] & 0x7f == 0 && self.0[3] & 0x7f == 0
    }
}

impl Default for Hint {
    /// The mark only, in this machine's order.
    fn default() -> Self {
        Self::new(0, Order::NATIVE)
    }
}

/// A header. Its counts are as they came: nothing is checked here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What kind of message it is.
    pub service: ServiceType,
    /// To a daemon: the sender's private group. To a client: the sender's private group, or the group of a membership
    /// message. An empty field is none.
    pub name: Option<GroupName>,
    /// How many names of 32 bytes follow.
    pub groups: i32,
    /// The application's 16 bits with the mark of their sender.
    pub hint: Hint,
    /// Bytes of the body, after the names.
    pub data_length: i32,
}

impl Header {
    /// Reads a header and the byte order of its sender.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> (Self, Order) {
        let order = Order::of(word(bytes, 0));
        let mut name = [0; NAME_FIELD_BYTES];
        name.copy_from_slice(&bytes[4..36]);
        let header = Self {
            service: ServiceType::from_bits(order.read_u32(word(bytes, 0))),
            name: GroupName::from_field(&name),
            groups: order.read_i32(word(bytes, 36)),
            hint: Hint(word(bytes, 40)),
            data_length: order.read_i32(word(bytes, 44)),
        };
        (header, order)
    }

    /// Writes the header in this machine's order.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        self.encode_in(Order::NATIVE)
    }

    /// Writes the header in `order`; the hint stays as it is.
    pub fn encode_in(&self, order: Order) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&order.u32(self.service.bits() | order.mark()));
        if let Some(name) = &self.name {
            bytes[4..36].copy_from_slice(name.field());
        }
        bytes[36..40].copy_from_slice(&order.i32(self.groups));
        bytes[40..44].copy_from_slice(&self.hint.0);
        bytes[44..].copy_from_slice(&order.i32(self.data_length));
        bytes
    }
}

fn word(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; 4] {
    [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> Header {
        Header {
            service: ServiceType::CAUSAL_MESS,
            name: GroupName::destination(b"#alice#localhost").ok(),
            groups: 1,
            hint: Hint::new(7, Order::Big),
            data_length: 16,
        }
    }

    #[test]
    fn both_orders_are_marked_and_read_back() {
        for order in [Order::Little, Order::Big] {
            assert_eq!(Header::decode(&header().encode_in(order)), (header(), order));
        }
        assert_eq!(header().encode_in(Order::Little)[..4], [0x88, 0, 0, 0x80]);
        assert_eq!(header().encode_in(Order::Big)[..4], [0, 0, 0, 0x08]);
    }

    #[test]
    fn the_hint_keeps_the_order_of_its_sender() {
        let bytes = header().encode_in(Order::Little);
        assert_eq!(bytes[40..44], [0, 0, 7, 0]);
        let (read, _) = Header::decode(&bytes);
        assert_eq!((read.hint.kind(), read.hint.order()), (7, Order::Big));
    }

    #[test]
    fn a_hint_holds_sixteen_bits_with_their_sign() {
        assert_eq!(Hint::new(0x1234, Order::Little).to_bytes(), [0x80, 0x34, 0x12, 0x80]);
        assert_eq!(Hint::new(-1, Order::Little).to_bytes(), [0x80, 0xff, 0xff, 0x80]);
        for order in [Order::Little, Order::Big] {
            for kind in [0, 1, -1, i16::MIN, i16::MAX] {
                assert_eq!(Hint::new(kind, order).kind(), kind);
                assert!(Hint::new(kind, order).is_legal());
            }
        }
        assert!(!Hint::from_bytes([0x81, 0, 0, 0x80]).is_legal());
        assert!(!Hint::from_bytes([0, 0, 0, 0x40]).is_legal());
    }

    proptest! {
        #[test]
        fn what_was_read_is_written_as_it_stood(mut bytes: [u8; HEADER_BYTES]) {
            // Half a mark, and bytes after a name's NUL, are not written again.
            bytes[3] = bytes[3] & 0x7f | bytes[0] & 0x80;
            let end = bytes[4..36].iter().position(|&byte| byte == 0).unwrap_or(31);
            bytes[4 + end..36].fill(0);
            let (header, order) = Header::decode(&bytes);
            prop_assert_eq!(header.encode_in(order), bytes);
        }
    }
}
