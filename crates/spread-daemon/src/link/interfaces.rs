//! The network interfaces of this machine and their addresses, from the kernel's own tables (rtnetlink(7)).

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use base::Stay;
use rustix::io::retry_on_intr;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
    sockopt,
};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x1 | 0x300;
/// `NLM_F_DUMP_INTR`: something has changed while it was told.
const TORN: u16 = 0x10;
const IFLA_IFNAME: u16 = 3;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFA_PROTO: u16 = 11;
const IFA_F_SECONDARY: u32 = 0x1;
/// Bytes of a message before its body.
const HEADER: usize = 16;
/// Most datagrams read for one question.
const ANSWERS_MAX: usize = 4096;
/// How often the kernel is asked again when something has changed meanwhile.
const ATTEMPTS: usize = 5;
/// How long it may take to answer: it lets nobody look while it changes much.
const PATIENCE: Duration = Duration::from_secs(5);

/// One address of one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// Such as `eth0`; of an address with a label, that.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// The address.
    pub ip: IpAddr,
    /// Whether it is up and does multicast.
    pub multicast: bool,
    /// Whether the address is the machine's own.
    pub stay: Stay,
}

/// All addresses of this machine.
///
/// # Errors
/// What the system says.
pub fn addresses() -> io::Result<Vec<InterfaceAddress>> {
    let mut answer = Answer::ask()?;
    for _ in 1..ATTEMPTS {
        if !answer.torn {
            break;
        }
        answer = Answer::ask()?;
    }
    Ok(answer.found)
}

/// What the kernel has told so far.
#[derive(Default)]
struct Answer {
    /// The name of each interface, and whether it is up and does multicast.
    links: BTreeMap<u32, (String, bool)>,
    found: Vec<InterfaceAddress>,
    /// Something may be missing.
    torn: bool,
}

impl Answer {
    fn ask() -> io::Result<Self> {
        let socket = netlink(0)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
        let (mut answer, mut buffer) = (Self::default(), vec![0_u8; 64 * 1024]);
        for (question, body) in [(RTM_GETLINK, 16), (RTM_GETADDR, 8)] {
            send(&socket, &message(question, DUMP, &[0; 16][..body]), SendFlags::empty())?;
            for _ in 0..ANSWERS_MAX {
                let received = retry_on_intr(|| recv(&socket, &mut buffer[..], RecvFlags::empty()));
                let (length, _) = received?;
                if answer.take(buffer.get(..length).unwrap_or_default()) {
                    break;
                }
            }
        }
        Ok(answer)
    }

    /// Takes the messages of one datagram; whether the answer is complete (or an error ended it).
    fn take(&mut self, bytes: &[u8]) -> bool {
        for (kind, flags, body) in messages(bytes) {
            self.torn |= flags & TORN != 0;
            match kind {
                NLMSG_DONE | NLMSG_ERROR => return true,
                RTM_NEWLINK => self.links.extend(link(body)),
                RTM_NEWADDR => {
                    let placed = told(body).and_then(|told| self.placed(told));
                    self.found.extend(placed);
                }
                _ => {}
            }
        }
        false
    }

    /// The address on its interface; none where that has just come.
    fn placed(&self, told: Told) -> Option<InterfaceAddress> {
        let (name, multicast) = self.links.get(&told.index)?;
        let (index, ip, stay) = (told.index, told.ip, told.stay);
        let name = told.label.unwrap_or_else(|| name.clone());
        Some(InterfaceAddress { name, index, ip, multicast: *multicast, stay })
    }
}

/// An address as a message has it.
struct Told {
    index: u32,
    ip: IpAddr,
    label: Option<String>,
    stay: Stay,
}

/// Whether a datagram with news tells of anything but addresses of the cluster, whose lease is renewed all the time.
pub(super) fn concerns(bytes: &[u8]) -> bool {
    messages(bytes).any(|(kind, _, body)| match kind {
        RTM_NEWADDR | RTM_DELADDR => told(body).is_none_or(|told| told.stay != Stay::Shared),
        _ => true,
    })
}

/// A socket to ask the kernel by, which hears the news of these groups.
pub(super) fn netlink(groups: u32) -> io::Result<OwnedFd> {
    // Protocol 0 of this family is NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = (HEADER + body.len()) as u32;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&flags.to_ne_bytes());
    message.resize(HEADER, 0);
    message.extend_from_slice(body);
    message
}

/// The messages of one datagram: kind, flags and body of each. What is malformed ends them.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = number(bytes, 0)? as usize;
        let (kind, flags) = (half(bytes, 4)?, half(bytes, 6)?);
        let body = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, flags, body))
    })
}

/// An `ifinfomsg`: the number of the interface at 4, flags at 8, attributes from 16.
fn link(body: &[u8]) -> Option<(u32, (String, bool))> {
    let (index, flags) = (number(body, 4)?, number(body, 8)?);
    let wanted = (libc::IFF_UP | libc::IFF_MULTICAST) as u32;
    let (_, name) = attributes(body.get(16..)?).find(|(kind, _)| *kind == IFLA_IFNAME)?;
    Some((index, (text(name), flags & wanted == wanted)))
}

/// An `ifaddrmsg`: length of the network at 1, flags at 2, the number of the interface at 4, attributes from 8.
fn told(body: &[u8]) -> Option<Told> {
    let (mut own, mut other, mut label, mut mark, mut ends) = (None, None, None, None, false);
    let (prefix, mut flags) = (*body.get(1)?, u32::from(*body.get(2)?));
    for (kind, value) in attributes(body.get(8..)?) {
        match kind {
            IFA_LOCAL => own = ip(value),
            IFA_ADDRESS => other = ip(value),
            IFA_LABEL => label = Some(text(value)),
            // Behind the time for which it is preferred.
            IFA_CACHEINFO => ends = number(value, 4).is_some_and(|valid| valid != u32::MAX),
            IFA_FLAGS => flags = number(value, 0).unwrap_or(flags),
            IFA_PROTO => mark = value.first().copied(),
            _ => {}
        }
    }
    // At a point-to-point interface the second is the other side's.
    let ip = own.or(other)?;
    let all = if ip.is_ipv4() { 32 } else { 128 };
    let further = prefix == all || flags & IFA_F_SECONDARY != 0;
    Some(Told { index: number(body, 4)?, ip, label, stay: Stay::of(mark, ends, further) })
}

/// Length and kind of two bytes each, then the value, padded.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(half(bytes, 0)?);
        // The two upper bits are flags.
        let kind = half(bytes, 2)? & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// An address of either version, told by its length.
fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|octets| Ipv6Addr::from(octets).into())
}

/// What ends with a zero.
fn text(bytes: &[u8]) -> String {
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn loopback_is_among_the_addresses_of_this_machine() {
        let here = addresses().unwrap();
        let lo = here.iter().find(|address| address.ip == IpAddr::from(Ipv4Addr::LOCALHOST));
        // A place of its own may have it down.
        if let Some(lo) = lo {
            assert_eq!((lo.index, lo.name.as_str(), lo.stay), (1, "lo", Stay::Own));
        }
    }

    fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(value);
        padded(bytes)
    }

    /// What is told of an address of interface 7.
    fn address(kind: u16, prefix: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![2, prefix, 0, 0];
        body.extend_from_slice(&7_u32.to_ne_bytes());
        attributes.iter().for_each(|(kind, value)| body.extend(attribute(*kind, value)));
        padded(message(kind, 0, &body))
    }

    const RENEWED: (u16, &[u8]) = (IFA_CACHEINFO, &[3, 0, 0, 0, 3, 0, 0, 0]);
    const FOR_EVER: (u16, &[u8]) = (IFA_CACHEINFO, &[255, 255, 255, 255, 255, 255, 255, 255]);
    const MARKED: (u16, &[u8]) = (IFA_PROTO, &[base::stay::MARK]);

    #[test]
    fn an_address_is_told_with_its_interface_and_whether_it_stays() {
        let mut info = vec![0; 16];
        info[4..8].copy_from_slice(&7_u32.to_ne_bytes());
        let up = (libc::IFF_UP | libc::IFF_MULTICAST) as u32;
        info[8..12].copy_from_slice(&up.to_ne_bytes());
        info.extend(attribute(IFLA_IFNAME, b"eth1\0"));
        let ip = |last: &'static [u8; 4]| (IFA_LOCAL, &last[..]);
        let mut bytes = padded(message(RTM_NEWLINK, 0, &info));
        let other: (u16, &[u8]) = (IFA_ADDRESS, &[10, 0, 0, 2]);
        bytes.extend(address(RTM_NEWADDR, 24, &[other, ip(&[10, 0, 0, 1]), FOR_EVER]));
        bytes.extend(address(RTM_NEWADDR, 32, &[ip(&[10, 0, 0, 9]), RENEWED, MARKED]));
        bytes.extend(address(RTM_NEWADDR, 24, &[ip(&[10, 0, 0, 5]), RENEWED]));
        let further: (u16, &[u8]) = (IFA_FLAGS, &1_u32.to_ne_bytes());
        let label: (u16, &[u8]) = (IFA_LABEL, b"eth1:1\0");
        bytes.extend(address(RTM_NEWADDR, 24, &[ip(&[10, 0, 0, 6]), RENEWED, further, label]));
        let mut answer = Answer::default();
        assert!(!answer.take(&bytes));
        assert!(answer.take(&message(NLMSG_DONE, 0, &[0; 4])) && !answer.torn);
        let expected = [
            (1, "eth1", Stay::Own),
            (9, "eth1", Stay::Shared),
            (5, "eth1", Stay::Leased),
            (6, "eth1:1", Stay::Passing),
        ];
        let expected = expected.map(|(last, name, stay)| InterfaceAddress {
            name: name.into(),
            index: 7,
            ip: IpAddr::from([10, 0, 0, last]),
            multicast: true,
            stay,
        });
        assert_eq!(answer.found, expected);
        assert!(answer.take(&message(NLMSG_DONE, TORN, &[0; 4])) && answer.torn);
    }

    #[test]
    fn renewals_of_addresses_of_the_cluster_are_no_news() {
        let local: (u16, &[u8]) = (IFA_LOCAL, &[10, 0, 0, 9]);
        let shared = |kind| address(kind, 32, &[local, RENEWED, MARKED]);
        assert!(!concerns(&shared(RTM_NEWADDR)) && !concerns(&shared(RTM_DELADDR)));
        let own = address(RTM_DELADDR, 24, &[local, FOR_EVER]);
        assert!(concerns(&own) && concerns(&[shared(RTM_NEWADDR), own].concat()));
        assert!(concerns(&message(RTM_NEWLINK, 0, &[0; 16])));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_loop(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 16_u16..23) {
            let mut answer = Answer::default();
            answer.take(&bytes);
            answer.take(&message(kind, 0, &bytes));
            concerns(&message(kind, 0, &bytes));
        }
    }
}
