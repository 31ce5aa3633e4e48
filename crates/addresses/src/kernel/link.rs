//! Interfaces.

use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};

use super::address::Held;
use super::decode::{attributes, mac, number, text};
use super::netlink::Request;

const MAC: u16 = 1;
const NAME: u16 = 3;
const MTU: u16 = 4;
/// A list of more (Linux 5.5), of which other names are the only kind that there is.
const PROPERTIES: u16 = 52;
const ALTNAME: u16 = 53;
const HEADER: usize = 16;

/// What an interface is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number (ifindex), which stays when it is renamed.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its other names, which may be longer, and by which it is found as well.
    pub altnames: Vec<String>,
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

    /// Whether it has this name, or this other name. No two interfaces have the same.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.altnames.iter().any(|one| one == name)
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
            altnames: Vec::new(),
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
                PROPERTIES => link.altnames = altnames(value),
                _ => {}
            }
        }
        (link.index != 0).then_some(link)
    }
}

fn altnames(properties: &[u8]) -> Vec<String> {
    let all = attributes(properties).into_iter();
    all.filter(|(kind, _)| *kind == ALTNAME).map(|(_, value)| text(value)).collect()
}

pub(super) fn listing() -> Request {
    let mut message = LinkMessage::default();
    // Without the counters, which are most of it.
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    Request::route(&RouteNetlinkMessage::GetLink(message), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An attribute with its padding.
    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn an_interface_is_called_by_each_of_its_names() {
        const NESTED: u16 = 0x8000;
        let mut body = vec![0; HEADER];
        body[4..8].copy_from_slice(&3_u32.to_ne_bytes());
        body.extend(attribute(NAME, b"eth0\0"));
        let names = [&b"uplink0\0"[..], b"enp0s31f6-longer-than-15\0"];
        let names = names.map(|name| attribute(ALTNAME, name)).concat();
        body.extend(attribute(PROPERTIES | NESTED, &names));
        let link = Link::read(&body).unwrap();
        for name in ["eth0", "uplink0", "enp0s31f6-longer-than-15"] {
            assert!(link.is_called(name), "{name}: {link:?}");
        }
        assert!(!link.is_called("eth1") && !link.is_called(""));
        for cut in 0..body.len() {
            let _ = Link::read(&body[..cut]);
        }
    }
}
