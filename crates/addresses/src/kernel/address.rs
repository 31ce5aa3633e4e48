//! Addresses with a lease: encoding and reading them.

use std::net::IpAddr;
use std::num::NonZeroU32;

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol,
    AddressScope, CacheInfo,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::decode::{attributes, ip, number};
use super::netlink::Request;

/// Our mark on an address (IFA_PROTO), by which leftovers of a crash are recognised. Kernels before 5.18 do not keep it.
pub const PROTOCOL: u8 = base::stay::MARK;

/// No lease of ours is longer, in seconds: what an image leaves to the next one has the longest, one minute.
const LONGEST: u32 = 120;

/// IPv4 addresses of one send.
const MAX_BATCH_V4: usize = 100;

/// IPv6 addresses of one send. Each may take the kernel milliseconds soon after a deletion.
const MAX_BATCH_V6: usize = 50;

const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;
const CACHE: u16 = 6;
const FLAGS: u16 = 8;
const MARK: u16 = 11;
const HEADER: usize = 8;

/// One address on one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The address itself.
    pub ip: IpAddr,
    /// Length of its network: at most 32 for IPv4, 128 for IPv6, which are also the usual values.
    pub prefix: u8,
    /// Number of the interface (ifindex).
    pub interface: u32,
}

impl Address {
    /// Whether it stands for itself alone. Any other takes part in the kernel's game of primaries and secondaries.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.prefix == if self.ip.is_ipv4() { 32 } else { 128 }
    }
}

/// How long and for what an address is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// After so many seconds (`valid_lft`) the kernel removes it by itself. It does so up to 1.1 s late.
    pub seconds: NonZeroU32,
    /// Whether the kernel may choose it as the source of our own connections.
    ///
    /// If not, an IPv6 address has `preferred_lft 0`, and an IPv4 /32 has scope *host*: the kernel passes by such an address
    /// when it looks for a source, also for routes without a gateway and for multicast, where the first address of the
    /// interface would be taken otherwise (the base address loses that place whenever it is set anew). Neighbours see no difference,
    /// but for a kernel with `arp_ignore=3`, which does not answer for such addresses. An IPv4 address with a shorter prefix
    /// is a secondary of the base address if that came first, and then never a source; if it came first itself it is one, whatever
    /// is said here. An IPv4 address that is there already keeps the scope it has.
    pub source: bool,
}

/// What became of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It was there and is gone.
    Gone,
    /// It was not there, or its interface was not.
    Missing,
}

/// An address that an interface has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub address: Address,
    /// It was found to be somebody else's by the kernel (IPv6): it does not work.
    pub duplicate: bool,
    /// The kernel is still finding out (IPv6): it does not work yet.
    pub tentative: bool,
    /// Not the first of its network (IPv4), or temporary (IPv6).
    pub secondary: bool,
    /// Not chosen as the source of new connections (IPv6).
    pub deprecated: bool,
    /// Seconds until the kernel removes it; `None`: never.
    pub valid: Option<u32>,
    /// Who set it, if the kernel knows: see [`PROTOCOL`].
    pub protocol: Option<u8>,
}

impl Held {
    /// Whether it can be reached and connected to.
    ///
    /// An IPv4 address can at once. An IPv6 address is taken by the kernel first and made to work a moment later, by a worker of its
    /// own, usually within a millisecond; an [`super::Event::AddressAdded`] says so. Nobody may be told of it before: until
    /// then the kernel does not answer for it, and a connection of this machine to it looks for it outside and fails after 3 s.
    #[must_use]
    pub fn works(&self) -> bool {
        !self.tentative && !self.duplicate
    }

    /// Whether it bears our mark.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.protocol == Some(PROTOCOL)
    }

    /// Whether this program cannot have put it there: it does not bear our mark, and it stays for longer than anything of ours, which is
    /// what tells on a kernel that keeps no mark.
    #[must_use]
    pub fn is_anothers(&self) -> bool {
        !self.is_ours() && self.valid.is_none_or(|valid| valid > LONGEST)
    }

    /// From the body of an RTM_NEWADDR or RTM_DELADDR.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let header = body.get(..HEADER)?;
        let (mut ip_of, mut flags, mut valid, mut protocol) =
            (None, u32::from(header[2]), None, None);
        for (kind, value) in attributes(&body[HEADER..]) {
            match kind {
                // At a point-to-point interface the first is the other side's.
                LOCAL => ip_of = ip(value).or(ip_of),
                ADDRESS => ip_of = ip_of.or(ip(value)),
                CACHE => valid = number(value, 4).filter(|valid| *valid != u32::MAX),
                FLAGS => flags = number(value, 0).unwrap_or(flags),
                MARK => protocol = value.first().copied(),
                _ => {}
            }
        }
        let flags = AddressFlags::from_bits_retain(flags);
        Some(Self {
            address: Address { ip: ip_of?, prefix: header[1], interface: number(header, 4)? },
            duplicate: flags.contains(AddressFlags::Dadfailed),
            tentative: flags.contains(AddressFlags::Tentative),
            secondary: flags.contains(AddressFlags::Secondary),
            deprecated: flags.contains(AddressFlags::Deprecated),
            valid,
            protocol,
        })
    }
}

/// Parts of a list that are done by one send each: IPv4 first, then IPv6 in small parts.
///
/// For callers that check between parts whether they may go on.
pub fn batches(addresses: &[Address]) -> impl Iterator<Item = Vec<Address>> + use<> {
    let (v4, v6): (Vec<Address>, Vec<Address>) =
        addresses.iter().partition(|address| address.ip.is_ipv4());
    let parts = |list: &[Address], most| list.chunks(most).map(<[_]>::to_vec).collect::<Vec<_>>();
    parts(&v4, MAX_BATCH_V4).into_iter().chain(parts(&v6, MAX_BATCH_V6))
}

/// Why the kernel need not be asked.
pub(super) fn mistake(address: &Address) -> Option<&'static str> {
    let most = if address.ip.is_ipv4() { 32 } else { 128 };
    if address.prefix == 0 || address.prefix > most {
        return Some("the length of its network must be 1 to 32 (IPv4) or 1 to 128 (IPv6)");
    }
    if address.interface == 0 || i32::try_from(address.interface).is_err() {
        return Some("no interface has such a number");
    }
    if address.ip.is_unspecified() || address.ip.is_multicast() {
        return Some("it can be no machine's address; choose one of the interface's network");
    }
    None
}

pub(super) fn adding(address: &Address, lease: Lease) -> Request {
    let mut message = message(address);
    let mut cache = CacheInfo::default();
    cache.ifa_valid = lease.seconds.get();
    cache.ifa_preferred =
        if lease.source || address.ip.is_ipv4() { lease.seconds.get() } else { 0 };
    if address.ip.is_ipv6() {
        // Never asked whether anybody else has it: while the old holder still answers, a question ends with an address that
        // does not work, and optimistically too.
        let mut flags = AddressFlags::Nodad;
        if address.is_single() {
            // Its network is itself, and a route to that leads out of the interface: until the address works, connections of this
            // machine would look for it there. Deletions also take half the time without it.
            flags |= AddressFlags::Noprefixroute;
        }
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(flags));
    } else if !lease.source && address.is_single() {
        message.header.scope = AddressScope::Host;
    }
    message.attributes.push(AddressAttribute::CacheInfo(cache));
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL)));
    Request::route(&RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
}

pub(super) fn deleting(address: &Address) -> Request {
    Request::route(&RouteNetlinkMessage::DelAddress(message(address)), 0)
}

pub(super) fn listing() -> Request {
    Request::route(&RouteNetlinkMessage::GetAddress(AddressMessage::default()), 0)
}

fn message(address: &Address) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family =
        if address.ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = address.prefix;
    message.header.index = address.interface;
    message.attributes =
        vec![AddressAttribute::Local(address.ip), AddressAttribute::Address(address.ip)];
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(ip: &str, prefix: u8) -> Address {
        Address { ip: ip.parse().unwrap(), prefix, interface: 3 }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for (ip, prefix) in [("10.1.2.3", 32), ("10.1.2.3", 24), ("2001:db8::1", 128)] {
            let lease = Lease { seconds: NonZeroU32::new(3).unwrap(), source: false };
            let request = adding(&address(ip, prefix), lease);
            let held = Held::read(&request.body).unwrap();
            assert_eq!(held.address, address(ip, prefix));
            assert_eq!((held.valid, held.protocol), (Some(3), Some(PROTOCOL)));
            assert!(held.is_ours() && !held.duplicate);
            for cut in 0..request.body.len() {
                let _ = Held::read(&request.body[..cut]);
            }
        }
    }

    #[test]
    fn four_comes_before_six_and_six_in_parts_of_fifty() {
        let v6 = (0..120).map(|i| address(&format!("2001:db8::{i:x}"), 128));
        let v4 = (0..250_u8).map(|i| address(&format!("10.0.0.{i}"), 32));
        let all: Vec<Address> = v6.chain(v4).collect();
        let parts: Vec<usize> = batches(&all).map(|part| part.len()).collect();
        assert_eq!(parts, [100, 100, 50, 50, 50, 20]);
        assert!(batches(&all).take(3).flatten().all(|address| address.ip.is_ipv4()));
    }

    #[test]
    fn what_can_be_nobodys_address_is_refused_unasked() {
        for (ip, prefix) in
            [("0.0.0.0", 32), ("224.0.0.1", 32), ("ff02::1", 128), ("10.0.0.1", 33), ("::1", 0)]
        {
            assert!(mistake(&address(ip, prefix)).is_some(), "{ip}/{prefix}");
        }
        assert!(mistake(&Address { interface: 0, ..address("10.0.0.1", 32) }).is_some());
        assert_eq!(mistake(&address("10.0.0.1", 24)), None);
    }
}
