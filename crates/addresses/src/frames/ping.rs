//! An echo request from the address to a host: some equipment learns where an address is only from such packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Mac;
use super::checksum;
use super::discovery::put_header;
use super::frame::{Frame, IPV4, IPV6};

/// Identity and number of all of them, as the original had them.
const MARK: [u8; 4] = [0xfe; 4];
/// How many routers it may pass, as the original had it.
const HOPS: u8 = 64;

/// An echo request from `vip` to `host`. `None` if the two are of different families.
pub fn ping(own: Mac, vip: IpAddr, host: IpAddr, mac: Mac) -> Option<Frame> {
    match (vip, host) {
        (IpAddr::V4(vip), IpAddr::V4(host)) => Some(four((own, vip), (mac, host))),
        (IpAddr::V6(vip), IpAddr::V6(host)) => Some(six((own, vip), (mac, host))),
        _ => None,
    }
}

/// 42 bytes.
fn four(from: (Mac, Ipv4Addr), to: (Mac, Ipv4Addr)) -> Frame {
    let mut message = [8, 0, 0, 0, MARK[0], MARK[1], MARK[2], MARK[3]];
    let sum = checksum::of(&[&message]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    // Version and header length, service, total length, identity and place of a fragment, hops, ICMP, check sum.
    let mut header = [0x45, 0, 0, 28, 0, 0, 0, 0, HOPS, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    header[12..16].copy_from_slice(&from.1.octets());
    header[16..].copy_from_slice(&to.1.octets());
    let sum = checksum::of(&[&header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = Frame::new(to.0, from.0, IPV4);
    frame.put(&header);
    frame.put(&message);
    frame
}

/// 62 bytes.
fn six(from: (Mac, Ipv6Addr), to: (Mac, Ipv6Addr)) -> Frame {
    let mut message = [128, 0, 0, 0, MARK[0], MARK[1], MARK[2], MARK[3]];
    let sum = checksum::of_icmpv6(from.1, to.1, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = Frame::new(to.0, from.0, IPV6);
    put_header(&mut frame, message.len(), HOPS, from.1, to.1);
    frame.put(&message);
    frame
}
