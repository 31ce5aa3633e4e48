//! Neighbour discovery of IPv6 (RFC 4861): advertisements and solicitations, and asking before an address is taken (RFC 4862).

use std::net::Ipv6Addr;

use super::checksum::{self, ICMPV6};
use super::frame::{Frame, IPV6};
use super::{Event, Kind, Mac, Refused};

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// In an advertisement: its sender forwards packets for others.
const ROUTER: u8 = 0x80;
/// In an advertisement: it answers a question.
const SOLICITED: u8 = 0x40;
/// In an advertisement: it counts even where another Ethernet address is known.
const OVERRIDE: u8 = 0x20;
/// The option with the Ethernet address of who asks.
const SOURCE_OPTION: u8 = 1;
/// The option with the Ethernet address of what is advertised.
const TARGET_OPTION: u8 = 2;
/// What came through a router has less (section 7.1).
const HOPS: u8 = 255;
/// Bytes of an IPv6 header.
const HEADER: usize = 40;
/// Bytes of a message up to its options.
const MESSAGE: usize = 24;

/// An unsolicited advertisement of `vip` to all nodes, which overrides what they know (section 7.2.6). `router`: this machine forwards
/// packets of others; said wrongly, hosts stop using it as a router.
pub fn advertisement(own: Mac, vip: Ipv6Addr, router: bool) -> Frame {
    let to = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    advertise(own, vip, router, (group(to), to))
}

/// The same to one neighbour.
pub fn directed_advertisement(
    own: Mac,
    vip: Ipv6Addr,
    router: bool,
    host: Ipv6Addr,
    mac: Mac,
) -> Frame {
    advertise(own, vip, router, (mac, host))
}

/// Who has `ip`? asked by nobody, at the group that whoever has it is in (RFC 4862 section 5.4.2).
pub fn probe(own: Mac, ip: Ipv6Addr) -> Frame {
    let to = solicited_node(ip);
    let mut message = [0; MESSAGE];
    message[0] = SOLICITATION;
    message[8..].copy_from_slice(&ip.octets());
    packet((own, Ipv6Addr::UNSPECIFIED), (group(to), to), &mut message)
}

/// The group in which all are whose addresses end like `ip` (RFC 4291 section 2.7.1).
fn solicited_node(ip: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = ip.octets();
    let word = u16::from_be_bytes([b, c]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), word)
}

/// Where Ethernet carries an IPv6 group (RFC 2464 section 7).
fn group(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

fn advertise(own: Mac, vip: Ipv6Addr, router: bool, to: (Mac, Ipv6Addr)) -> Frame {
    let mut message = [0; MESSAGE + 8];
    message[0] = ADVERTISEMENT;
    message[4] = OVERRIDE | if router { ROUTER } else { 0 };
    message[8..MESSAGE].copy_from_slice(&vip.octets());
    message[MESSAGE] = TARGET_OPTION;
    message[MESSAGE + 1] = 1;
    message[MESSAGE + 2..].copy_from_slice(&own.0);
    packet((own, vip), to, &mut message)
}

fn packet(from: (Mac, Ipv6Addr), to: (Mac, Ipv6Addr), message: &mut [u8]) -> Frame {
    let sum = checksum::of_icmpv6(from.1, to.1, message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = Frame::new(to.0, from.0, IPV6);
    put_header(&mut frame, message.len(), HOPS, from.1, to.1);
    frame.put(message);
    frame
}

/// Adds an IPv6 header for an ICMPv6 message.
pub(super) fn put_header(frame: &mut Frame, length: usize, hops: u8, from: Ipv6Addr, to: Ipv6Addr) {
    frame.put(&[0x60, 0, 0, 0]);
    // No message of ours has more than a few dozen bytes.
    frame.put(&(length as u16).to_be_bytes());
    frame.put(&[ICMPV6, hops]);
    frame.put(&from.octets());
    frame.put(&to.octets());
}

/// Reads what follows the Ethernet header, with all checks of sections 7.1.1 and 7.1.2, since this is before the kernel's.
pub(super) fn read(interface: u32, from: Mac, packet: &[u8]) -> Result<Event, Refused> {
    let (header, rest) = packet.split_first_chunk::<HEADER>().ok_or(Refused::Length)?;
    let [version, _, _, _, l0, l1, next, hops, addresses @ ..] = header;
    if version >> 4 != 6 || *next != ICMPV6 {
        return Err(Refused::Protocol);
    }
    if *hops != HOPS {
        return Err(Refused::Hops);
    }
    let message = rest.get(..usize::from(u16::from_be_bytes([*l0, *l1]))).ok_or(Refused::Length)?;
    let (source, destination) = addresses.split_at(16);
    let sender = address(source).ok_or(Refused::Length)?;
    let destination = address(destination).ok_or(Refused::Length)?;
    let (head, options) = message.split_first_chunk::<MESSAGE>().ok_or(Refused::Length)?;
    if checksum::of_icmpv6(sender, destination, message) != 0 {
        return Err(Refused::Checksum);
    }
    let [kind, code, _, _, flags, _, _, _, target @ ..] = head;
    let target = address(target).ok_or(Refused::Length)?;
    if *code != 0 {
        return Err(Refused::Operation);
    }
    if sender.is_multicast() || sender.is_loopback() || target.is_multicast() {
        return Err(Refused::Address);
    }
    let (kind, option) = match *kind {
        SOLICITATION if sender.is_unspecified() => {
            // Who has no address has none to be answered at (section 7.1.1).
            let asked = destination == solicited_node(target);
            let silent = link_address(options, SOURCE_OPTION)?.is_none();
            if !asked || !silent {
                return Err(Refused::Address);
            }
            (Kind::Probe, SOURCE_OPTION)
        }
        SOLICITATION => (Kind::Solicitation, SOURCE_OPTION),
        ADVERTISEMENT => {
            let answers_all = destination.is_multicast() && flags & SOLICITED != 0;
            if sender.is_unspecified() || answers_all {
                return Err(Refused::Address);
            }
            (Kind::Advertisement, TARGET_OPTION)
        }
        _ => return Err(Refused::Operation),
    };
    let mac = link_address(options, option)?.unwrap_or(from);
    if !mac.is_station() || target.is_unspecified() {
        return Err(Refused::Address);
    }
    Ok(Event { interface, from, mac, sender: sender.into(), target: target.into(), kind })
}

fn address(bytes: &[u8]) -> Option<Ipv6Addr> {
    bytes.first_chunk::<16>().map(|bytes| Ipv6Addr::from(*bytes))
}

/// The first Ethernet address among the options, of the kind that is wanted.
fn link_address(mut options: &[u8], wanted: u8) -> Result<Option<Mac>, Refused> {
    let mut found = None;
    while let [kind, length, ..] = *options {
        // In units of eight bytes; an option without a length would never end (section 4.6).
        let length = usize::from(length) * 8;
        let (option, rest) =
            options.split_at_checked(length).filter(|_| length > 0).ok_or(Refused::Options)?;
        if kind == wanted && found.is_none() {
            let &[_, _, ref mac @ ..] = option else { return Err(Refused::Options) };
            found = Some(Mac(<[u8; 6]>::try_from(mac).map_err(|_| Refused::Options)?));
        }
        options = rest;
    }
    if options.is_empty() { Ok(found) } else { Err(Refused::Options) }
}
