//! Reading what the kernel says.
//!
//! Only the few attributes that are needed are looked at. What is unknown, of a newer kernel or malformed is passed by: a new
//! kind of attribute must never hide an interface.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Upper bits of an attribute's kind that are no part of it.
const KIND: u16 = 0x3fff;

/// The attributes of a message, by kind; what is malformed ends them.
pub(super) fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    std::iter::from_fn(|| {
        let length = usize::from(half(bytes, 0)?);
        let kind = half(bytes, 2)? & KIND;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
    .collect()
}

/// Two bytes at `at`, in the machine's order.
pub(super) fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

/// Four bytes at `at`, in the machine's order.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// An address of either family, told by its length.
pub(super) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|octets| Ipv6Addr::from(octets).into())
}

/// A hardware address of Ethernet's length.
pub(super) fn mac(bytes: &[u8]) -> Option<[u8; 6]> {
    bytes.try_into().ok()
}

/// A name that ends with a zero.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
