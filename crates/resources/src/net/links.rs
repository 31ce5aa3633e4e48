//! The interfaces of this network namespace, from the kernel's own tables, and word of their changes.
//!
//! `/sys/class/net` shows the namespace it was mounted in, which in a container need not be ours, so
//! the kernel is asked by netlink (rtnetlink(7)): one dump of links, one of addresses. A second
//! socket hears of changes, so that a cable pulled and put back is joined again at once.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use base::Stay;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
    sockopt,
};

/// `NLMSG_ERROR`, `NLMSG_DONE` (netlink(7)); `RTM_NEWLINK`, `RTM_GETLINK`, `RTM_NEWADDR`, `RTM_GETADDR`.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x1 | 0x300;
/// `RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR`.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;
const IFLA_IFNAME: u16 = 3;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFA_PROTO: u16 = 11;
const IFA_F_SECONDARY: u32 = 0x1;
const IFF_UP: u32 = 0x1;
const IFF_MULTICAST: u32 = 0x1000;
/// Most answers read for one question; a kernel with more interfaces than fit is not believed.
const ANSWERS_MAX: usize = 4096;

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) up: bool,
    /// Whether the interface says of itself that it does multicast; loopback usually does not.
    pub(crate) multicast: bool,
    pub(crate) addresses: Vec<LinkAddress>,
}

/// One address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkAddress {
    pub(crate) ip: IpAddr,
    pub(crate) stay: Stay,
}

impl Link {
    /// Whether it has an address of this family, without which nothing can be sent from it.
    pub(crate) fn speaks(&self, ipv4: bool) -> bool {
        self.addresses.iter().any(|address| address.ip.is_ipv4() == ipv4)
    }
}

/// Every interface of this namespace, by index.
pub(crate) fn scan() -> io::Result<Vec<Link>> {
    let socket = netlink(0)?;
    // The kernel answers at once; the timeout only keeps a surprise from hanging the control thread.
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(Duration::from_millis(500)))?;
    let mut links = BTreeMap::new();
    for (question, body) in [(RTM_GETLINK, 16), (RTM_GETADDR, 8)] {
        send(&socket, &request(question, body), SendFlags::empty())?;
        let mut buffer = vec![0; 64 * 1024];
        for _ in 0..ANSWERS_MAX {
            let (length, _) = recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
            if take(buffer.get(..length).unwrap_or_default(), &mut links) {
                break;
            }
        }
    }
    Ok(links.into_values().collect())
}

/// Hears of interfaces and addresses that come and go.
#[derive(Debug)]
pub(crate) struct Changes(OwnedFd);

impl Changes {
    pub(crate) fn subscribe() -> io::Result<Self> {
        netlink(GROUPS).map(Self)
    }

    /// Whether anything changed since the last call. Takes what is waiting; never blocks.
    pub(crate) fn happened(&self) -> bool {
        let mut buffer = [0; 8192];
        let mut happened = false;
        loop {
            match recv(&self.0, &mut buffer[..], RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
                Ok(_) => happened = true,
                // Too many changes to hold: that much is certain.
                Err(rustix::io::Errno::NOBUFS) => happened = true,
                Err(_) => return happened,
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn netlink(groups: u32) -> io::Result<OwnedFd> {
    // Protocol 0 of this family is NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// A question for all entries of one table: a header and a body of zeros.
fn request(kind: u16, body: usize) -> Vec<u8> {
    let mut message = Vec::with_capacity(16 + body);
    message.extend_from_slice(&(16 + body as u32).to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&DUMP.to_ne_bytes());
    message.resize(16 + body, 0);
    message
}

/// Takes the messages of one datagram; whether the answer is complete (or an error ended it).
fn take(mut bytes: &[u8], links: &mut BTreeMap<u32, Link>) -> bool {
    while let (Some(length), Some(kind)) = (u32_at(bytes, 0), u16_at(bytes, 4)) {
        let length = length as usize;
        let Some(body) = bytes.get(16..length) else { return true };
        match kind {
            NLMSG_DONE | NLMSG_ERROR => return true,
            RTM_NEWLINK => link(body, links),
            RTM_NEWADDR => address(body, links),
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

/// An `ifinfomsg`: index at 4, flags at 8, attributes from 16.
fn link(body: &[u8], links: &mut BTreeMap<u32, Link>) {
    let (Some(index), Some(flags)) = (u32_at(body, 4), u32_at(body, 8)) else { return };
    let Some(name) =
        attributes(body, 16).find_map(|(kind, value)| (kind == IFLA_IFNAME).then_some(value))
    else {
        return;
    };
    let name = name.split(|&b| b == 0).next().unwrap_or_default();
    let link = Link {
        index,
        name: String::from_utf8_lossy(name).into_owned(),
        up: flags & IFF_UP != 0,
        multicast: flags & IFF_MULTICAST != 0,
        addresses: Vec::new(),
    };
    links.insert(index, link);
}

/// An `ifaddrmsg`: family at 0, length of the network at 1, flags at 2, index at 4, attributes from 8.
/// On a point-to-point link the local address is the one of its own attribute.
fn address(body: &[u8], links: &mut BTreeMap<u32, Link>) {
    let Some(link) = u32_at(body, 4).and_then(|index| links.get_mut(&index)) else { return };
    let value =
        |wanted| attributes(body, 8).find_map(|(kind, value)| (kind == wanted).then_some(value));
    let found =
        value(IFA_LOCAL).or_else(|| value(IFA_ADDRESS)).and_then(|value| match value.len() {
            4 => <[u8; 4]>::try_from(value).ok().map(|octets| IpAddr::V4(Ipv4Addr::from(octets))),
            16 => <[u8; 16]>::try_from(value).ok().map(|octets| IpAddr::V6(Ipv6Addr::from(octets))),
            _ => None,
        });
    let Some(ip) = found else { return };
    let all = if ip.is_ipv4() { 32 } else { 128 };
    let flags = value(IFA_FLAGS).and_then(|value| u32_at(value, 0));
    let secondary = flags.is_some_and(|flags| flags & IFA_F_SECONDARY != 0);
    let further = secondary || body.get(1) == Some(&all);
    // Behind the time for which it is preferred.
    let valid = value(IFA_CACHEINFO).and_then(|value| u32_at(value, 4));
    let ends = valid.is_some_and(|valid| valid != u32::MAX);
    let mark = value(IFA_PROTO).and_then(|value| value.first().copied());
    link.addresses.push(LinkAddress { ip, stay: Stay::of(mark, ends, further) });
}

/// The attributes of a message, from `at`: length and kind of two bytes each, then the value, padded.
fn attributes(body: &[u8], at: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = body.get(at..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, kind) = (usize::from(u16_at(rest, 0)?), u16_at(rest, 2)?);
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        // The two upper bits are flags.
        Some((kind & 0x3fff, value))
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn loopback_is_among_the_interfaces_of_this_namespace() {
        let links = scan().unwrap();
        let lo = links.iter().find(|link| link.name == "lo").unwrap();
        assert_eq!(lo.index, 1);
        if lo.up {
            let has = |ip: IpAddr| lo.addresses.iter().any(|address| address.ip == ip);
            assert!(has(Ipv4Addr::LOCALHOST.into()), "{lo:?}");
            assert!(lo.speaks(true));
        }
    }

    #[test]
    fn nothing_happened_when_nothing_changed() {
        assert!(!Changes::subscribe().unwrap().happened());
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = request(kind, 0);
        bytes[..4].copy_from_slice(&(16 + body.len() as u32).to_ne_bytes());
        bytes.extend_from_slice(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn links_and_addresses_are_joined_by_index() {
        let mut info = vec![0; 16];
        info[4..8].copy_from_slice(&7u32.to_ne_bytes());
        info[8..12].copy_from_slice(&(IFF_UP | IFF_MULTICAST).to_ne_bytes());
        info.extend(attribute(IFLA_IFNAME, b"eth1\0"));
        let mut own = vec![0; 8];
        own[4..8].copy_from_slice(&7u32.to_ne_bytes());
        own.extend(attribute(IFA_ADDRESS, &[10, 0, 0, 2]));
        own.extend(attribute(IFA_LOCAL, &[10, 0, 0, 1]));
        // One of the cluster.
        let mut shared = vec![0, 32, 0, 0, 0, 0, 0, 0];
        shared[4..8].copy_from_slice(&7u32.to_ne_bytes());
        shared.extend(attribute(IFA_LOCAL, &[10, 0, 0, 9]));
        shared.extend(attribute(IFA_CACHEINFO, &[3, 0, 0, 0, 3, 0, 0, 0]));
        shared.extend(attribute(IFA_FLAGS, &0x80_u32.to_ne_bytes()));
        shared.extend(attribute(IFA_PROTO, &[base::stay::MARK]));
        let mut bytes = message(RTM_NEWLINK, &info);
        bytes.extend(message(RTM_NEWADDR, &own));
        bytes.extend(message(RTM_NEWADDR, &shared));
        let mut links = BTreeMap::new();
        assert!(!take(&bytes, &mut links));
        assert!(take(&message(NLMSG_DONE, &[]), &mut links));
        let link = &links[&7];
        assert_eq!((link.name.as_str(), link.up, link.multicast), ("eth1", true, true));
        let address = |last, stay| LinkAddress { ip: IpAddr::from([10, 0, 0, last]), stay };
        assert_eq!(link.addresses, [address(1, Stay::Own), address(9, Stay::Shared)]);
        assert!(link.speaks(true) && !link.speaks(false));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_loop(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 16u16..21) {
            let mut links = BTreeMap::new();
            take(&bytes, &mut links);
            take(&message(kind, &bytes), &mut links);
        }
    }
}
