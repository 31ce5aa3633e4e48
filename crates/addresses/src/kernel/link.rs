//! Interfaces.

use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};

use super::address::Held;
use super::decode::{attributes, mac, number, text};
use super::netlink::Request;

const MAC: u16 = 1;
const NAME: u16 = 3;
const MTU: u16 = 4;
const HEADER: usize = 16;

/// What an interface is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number (ifindex), which stays when it is renamed.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its hardware address, if that has six bytes.
    pub mac: Option<[u8; 6]>,
    /// Largest packet, in bytes.
    pub mtu: u32,
    /// Whether somebody has set it up.
    pub up: bool,
    /// Whether it has a carrier and is ready to pass frames (IFF_LOWER_UP and IFF_RUNNING).
    pub carrier: bool,
    /// Whether it is the loopback interface.
    pub loopback: bool,
    /// Its addresses, as far as they were asked for.
    pub addresses: Vec<Held>,
}

impl Link {
    /// Whether an address on it can be reached.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.up && self.carrier
    }

    /// From the body of an RTM_NEWLINK or RTM_DELLINK.
    ///
    /// Nothing for messages of a bridge about its ports: *gone* means there that a port left the bridge.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let header = body.get(..HEADER)?;
        if i32::from(header[0]) != libc::AF_UNSPEC {
            return None;
        }
        let flags = number(header, 8)?.cast_signed();
        let has = |flag: libc::c_int| flags & flag == flag;
        let mut link = Self {
            index: number(header, 4)?,
            name: String::new(),
            mac: None,
            mtu: 0,
            up: has(libc::IFF_UP),
            carrier: has(libc::IFF_LOWER_UP | libc::IFF_RUNNING),
            loopback: has(libc::IFF_LOOPBACK),
            addresses: Vec::new(),
        };
        for (kind, value) in attributes(&body[HEADER..]) {
            match kind {
                MAC => link.mac = mac(value),
                NAME => link.name = text(value),
                MTU => link.mtu = number(value, 0).unwrap_or(0),
                _ => {}
            }
        }
        (link.index != 0).then_some(link)
    }
}

pub(super) fn listing() -> Request {
    let mut message = LinkMessage::default();
    // Without the counters, which are most of it.
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    Request::route(&RouteNetlinkMessage::GetLink(message), 0)
}
