//! The frames that say what the core decided to say, for either family.

use std::net::IpAddr;

use vip::announce::{Announcement, Kind};

use super::{Frame, Mac, arp, discovery, ping};

/// Adds the frames of an announcement: for everybody two in IPv4 (a gratuitous request and a gratuitous reply, since some equipment
/// takes only one of them) and one in IPv6; for one host one, and a ping if it is asked for.
///
/// `own` is the Ethernet address of the announcement's interface; `router` says whether this machine forwards packets there.
pub fn announcement(announcement: &Announcement, own: Mac, router: bool, out: &mut Vec<Frame>) {
    match (announcement.address.ip, announcement.kind) {
        (IpAddr::V4(vip), Kind::Broadcast) => {
            out.push(arp::gratuitous_request(own, vip));
            out.push(arp::gratuitous_reply(own, vip));
        }
        (IpAddr::V6(vip), Kind::Broadcast) => {
            out.push(discovery::advertisement(own, vip, router));
        }
        (ip, Kind::Directed(host)) => {
            match (ip, host.ip, host.mac) {
                (IpAddr::V4(vip), IpAddr::V4(to), mac) => {
                    out.push(arp::directed_reply(own, vip, to, mac));
                }
                (IpAddr::V6(vip), IpAddr::V6(to), Some(mac)) => {
                    out.push(discovery::directed_advertisement(own, vip, router, to, mac));
                }
                // The core names hosts of the address's own family, and in IPv6 only those whose Ethernet address is known.
                _ => {}
            }
            if let Some(mac) = host.mac.filter(|_| host.ping) {
                out.extend(ping::ping(own, ip, host.ip, mac));
            }
        }
    }
}

/// The question whether somebody has `ip`.
pub fn probe(own: Mac, ip: IpAddr) -> Frame {
    match ip {
        IpAddr::V4(ip) => arp::probe(own, ip),
        IpAddr::V6(ip) => discovery::probe(own, ip),
    }
}

/// The defence of `ip` against somebody who uses it too (RFC 5227 section 2.4; for IPv6 the same by an advertisement).
pub fn defence(own: Mac, ip: IpAddr, router: bool) -> Frame {
    match ip {
        IpAddr::V4(ip) => arp::gratuitous_request(own, ip),
        IpAddr::V6(ip) => discovery::advertisement(own, ip, router),
    }
}
