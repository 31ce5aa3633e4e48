//! ARP packets (RFC 826), as RFC 5227 uses them.
//!
//! Equipment differs in what it listens to, so there are several forms of saying the same. What Linux makes of each was tried:
//! see `tests/frames`.

use std::net::Ipv4Addr;

use super::frame::{ARP, Frame, HEADER, IPV4};
use super::{Event, Kind, Mac, Refused};

/// Ethernet among the kinds of hardware.
const ETHERNET: u16 = 1;
/// Bytes of an ARP packet for IPv4 on Ethernet.
const LENGTH: usize = 28;
/// Who has it?
const REQUEST: u16 = 1;
/// I have it.
const REPLY: u16 = 2;

/// A gratuitous request: who has `vip`? asked by `vip` itself. RFC 5227 calls it an announcement, and it is the defence as well.
pub fn gratuitous_request(own: Mac, vip: Ipv4Addr) -> Frame {
    packet(Mac::BROADCAST, REQUEST, (own, vip), (Mac::ZERO, vip))
}

/// A gratuitous reply: some equipment takes only replies. The target has our own Ethernet address: with ff:ff:ff:ff:ff:ff Linux does
/// not take it as gratuitous.
pub fn gratuitous_reply(own: Mac, vip: Ipv4Addr) -> Frame {
    packet(Mac::BROADCAST, REPLY, (own, vip), (own, vip))
}

/// The historical notification: a reply to a question that `host` never asked. It goes to everybody when its Ethernet address is not
/// known.
pub fn directed_reply(own: Mac, vip: Ipv4Addr, host: Ipv4Addr, mac: Option<Mac>) -> Frame {
    let to = mac.unwrap_or(Mac::BROADCAST);
    packet(to, REPLY, (own, vip), (to, host))
}

/// Who has `ip`? asked by nobody, so that no neighbour learns anything from it (RFC 5227 section 2.1.1).
pub fn probe(own: Mac, ip: Ipv4Addr) -> Frame {
    packet(Mac::BROADCAST, REQUEST, (own, Ipv4Addr::UNSPECIFIED), (Mac::ZERO, ip))
}

fn packet(to: Mac, operation: u16, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Frame {
    let mut frame = Frame::new(to, sender.0, ARP);
    frame.put(&ETHERNET.to_be_bytes());
    frame.put(&IPV4.to_be_bytes());
    frame.put(&[6, 4]);
    frame.put(&operation.to_be_bytes());
    for (mac, ip) in [sender, target] {
        frame.put(&mac.0);
        frame.put(&ip.octets());
    }
    debug_assert_eq!(frame.as_bytes().len(), HEADER + LENGTH);
    frame.padded()
}

/// Reads what follows the Ethernet header. Padding behind the packet is not looked at.
pub(super) fn read(interface: u32, from: Mac, packet: &[u8]) -> Result<Event, Refused> {
    let packet = packet.first_chunk::<LENGTH>().ok_or(Refused::Length)?;
    let [h0, h1, p0, p1, hardware, protocol, o0, o1, rest @ ..] = packet;
    let kind = (u16::from_be_bytes([*h0, *h1]), u16::from_be_bytes([*p0, *p1]));
    if kind != (ETHERNET, IPV4) || (*hardware, *protocol) != (6, 4) {
        return Err(Refused::Hardware);
    }
    let [m0, m1, m2, m3, m4, m5, s0, s1, s2, s3, _, _, _, _, _, _, t0, t1, t2, t3] = *rest;
    let mac = Mac([m0, m1, m2, m3, m4, m5]);
    let sender = Ipv4Addr::new(s0, s1, s2, s3);
    let target = Ipv4Addr::new(t0, t1, t2, t3);
    let kind = match u16::from_be_bytes([*o0, *o1]) {
        REQUEST if sender.is_unspecified() => Kind::Probe,
        REQUEST | REPLY if sender == target => Kind::Announcement,
        REQUEST => Kind::Request,
        REPLY => Kind::Reply,
        _ => return Err(Refused::Operation),
    };
    let nobody = sender.is_multicast()
        || sender.is_loopback()
        || sender.is_broadcast()
        || (sender.is_unspecified() && kind != Kind::Probe);
    let nowhere = target.is_multicast() || target.is_loopback();
    if nobody || nowhere || !mac.is_station() {
        return Err(Refused::Address);
    }
    Ok(Event { interface, from, mac, sender: sender.into(), target: target.into(), kind })
}
