//! The kernel's ARP and neighbour cache.

use std::net::IpAddr;

use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::neighbour::NeighbourMessage;

use super::decode::{attributes, ip, mac, number};
use super::netlink::Request;

/// Most neighbours of one sample. The kernel's own limit (`gc_thresh3`) is 1,024 by default.
pub const MAX_NEIGHBOURS: usize = 16_384;

const IP: u16 = 1;
const MAC: u16 = 2;
const HEADER: usize = 12;

const REACHABLE: u16 = 0x02;
const STALE: u16 = 0x04;
const DELAY: u16 = 0x08;
const PROBE: u16 = 0x10;
const PERMANENT: u16 = 0x80;

/// How much the kernel trusts an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachable {
    /// Confirmed a short time ago.
    Confirmed,
    /// Known, not confirmed for a while.
    Stale,
    /// Known, and being asked again.
    Asked,
    /// Set by hand.
    Permanent,
}

/// One neighbour whose hardware address is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub ip: IpAddr,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Number of the interface it is seen through.
    pub interface: u32,
    /// How sure the kernel is.
    pub state: Reachable,
}

impl Neighbour {
    /// From the body of an RTM_NEWNEIGH. Nothing for an entry that is of no use: without a hardware address, failed, or of an
    /// interface without such addresses.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let header = body.get(..HEADER)?;
        let state = match u16::from_ne_bytes([header[8], header[9]]) {
            REACHABLE => Reachable::Confirmed,
            STALE => Reachable::Stale,
            DELAY | PROBE => Reachable::Asked,
            PERMANENT => Reachable::Permanent,
            _ => return None,
        };
        let of = |kind| attributes(&body[HEADER..]).into_iter().find(|(one, _)| *one == kind);
        // Entries of a bridge's own table have no address; multicast addresses need no asking.
        let ip = ip(of(IP)?.1).filter(|ip| !ip.is_multicast() && !ip.is_unspecified())?;
        let mac = mac(of(MAC)?.1).filter(|mac| mac[0] & 1 == 0 && *mac != [0; 6])?;
        Some(Self { ip, mac, interface: number(header, 4)?, state })
    }
}

pub(super) fn listing() -> Request {
    Request::route(&RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(state: u16, mac: &[u8]) -> Vec<u8> {
        let mut body = vec![2, 0, 0, 0, 7, 0, 0, 0];
        body.extend(state.to_ne_bytes());
        body.extend([0, 1]);
        for (kind, value) in [(IP, &[10, 0, 0, 9][..]), (MAC, mac)] {
            body.extend(u16::try_from(value.len() + 4).unwrap().to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        body
    }

    #[test]
    fn only_entries_that_lead_to_a_machine_are_of_use() {
        let good = entry(STALE, &[2, 0, 0, 0, 0, 9]);
        let read = Neighbour::read(&good).unwrap();
        assert_eq!((read.ip.to_string().as_str(), read.interface), ("10.0.0.9", 7));
        assert_eq!(read.state, Reachable::Stale);
        for state in [0, 0x01, 0x20, 0x40] {
            assert_eq!(Neighbour::read(&entry(state, &[2, 0, 0, 0, 0, 9])), None);
        }
        for mac in [&[][..], &[0; 6], &[1, 0, 94, 0, 0, 1]] {
            assert_eq!(Neighbour::read(&entry(REACHABLE, mac)), None);
        }
        for cut in 0..good.len() {
            let _ = Neighbour::read(&good[..cut]);
        }
    }
}
