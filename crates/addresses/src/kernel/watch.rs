//! What changes in the network of this machine, whoever changed it.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};

use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket, SocketAddr};
use rustix::io::Errno;
use rustix::net::sockopt;

use super::address::Held;
use super::error::Error;
use super::link::Link;
use super::netlink::messages;

/// Bytes of events that the kernel keeps while we are busy: some 4,000 events, which is every address of a machine twice.
const BUFFER: usize = 4 << 20;

/// Bytes of one read.
const READ: usize = 64 << 10;

const GROUP_LINK: u32 = 1;
const GROUP_ADDRESS_V4: u32 = 1 << 4;
const GROUP_ADDRESS_V6: u32 = 1 << 8;

const NEW_LINK: u16 = 16;
const GONE_LINK: u16 = 17;
const NEW_ADDRESS: u16 = 20;
const GONE_ADDRESS: u16 = 21;

/// What to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interests {
    /// Interfaces.
    pub links: bool,
    /// Addresses. Each renewal is an event, too.
    pub addresses: bool,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An interface passes frames from now on, or is new and does.
    LinkUp(Link),
    /// An interface was set down, lost its carrier, or is new and passes nothing.
    LinkDown(Link),
    /// An interface has another hardware address, another largest packet or other names beside its first.
    LinkChanged(Link),
    /// An interface has another name.
    LinkRenamed {
        /// Its number, which stays.
        index: u32,
        /// Its old name.
        from: String,
        /// Its new name.
        to: String,
    },
    /// An interface does not exist any more, or is in another network namespace.
    LinkGone {
        /// Its number.
        index: u32,
        /// Its last name.
        name: String,
    },
    /// An address was added or renewed, or something about it changed.
    AddressAdded(Held),
    /// An address was deleted or has run out. The kernel also says so of IPv6 addresses when their link goes down.
    AddressRemoved(Held),
    /// More happened than the kernel could keep for us (ENOBUFS): list everything again, then call [`Watch::know`].
    Lost,
}

/// Listens to the kernel. Wait for its descriptor, or await it as [`super::Awaited`]; then take all events.
pub struct Watch {
    socket: Socket,
    buffer: Vec<u8>,
    ready: VecDeque<Event>,
    links: BTreeMap<u32, Link>,
}

impl Watch {
    /// Begins to listen in the network namespace of the calling thread. List **after** this, so that nothing falls between, and
    /// give the list to [`Watch::know`].
    ///
    /// # Errors
    /// When there is no such netlink.
    pub fn open(interests: Interests) -> Result<Self, Error> {
        let mut groups = 0;
        for (wanted, bits) in [
            (interests.links, GROUP_LINK),
            (interests.addresses, GROUP_ADDRESS_V4 | GROUP_ADDRESS_V6),
        ] {
            groups |= if wanted { bits } else { 0 };
        }
        let opened = || -> std::io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.set_non_blocking(true)?;
            // Beyond the machine's limit only with CAP_NET_ADMIN; up to it for everybody.
            if sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER).is_err() {
                let _ = sockopt::set_socket_recv_buffer_size(&socket, BUFFER);
            }
            socket.bind(&SocketAddr::new(0, groups))?;
            Ok(socket)
        };
        let socket = opened().map_err(Error::io("netlink events"))?;
        let buffer = Vec::with_capacity(READ);
        Ok(Self { socket, buffer, ready: VecDeque::new(), links: BTreeMap::new() })
    }

    /// Takes these as the interfaces there are: events tell of what differs from them.
    pub fn know(&mut self, links: &[Link]) {
        self.links = links.iter().map(|link| (link.index, bare(link))).collect();
    }

    /// The next change, or nothing for now. Never waits.
    ///
    /// # Errors
    /// When the socket broke: open another, and list again.
    pub fn next_event(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            self.buffer.clear();
            match self.socket.recv_from(&mut self.buffer, 0) {
                // Not of the kernel.
                Ok((_, from)) if from.port_number() != 0 => continue,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => {
                    return Ok(Some(Event::Lost));
                }
                Err(error) => return Err(Error::io("netlink events")(error)),
            }
            for message in messages(&self.buffer) {
                take(message.kind, message.body, &mut self.links, &mut self.ready);
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn bare(link: &Link) -> Link {
    Link { addresses: Vec::new(), ..link.clone() }
}

fn take(kind: u16, body: &[u8], links: &mut BTreeMap<u32, Link>, ready: &mut VecDeque<Event>) {
    match kind {
        NEW_LINK => {
            let Some(link) = Link::read(body) else { return };
            let known = links.insert(link.index, link.clone());
            compare(known, link, ready);
        }
        GONE_LINK => {
            let Some(link) = Link::read(body) else { return };
            links.remove(&link.index);
            ready.push_back(Event::LinkGone { index: link.index, name: link.name });
        }
        NEW_ADDRESS => ready.extend(Held::read(body).map(Event::AddressAdded)),
        GONE_ADDRESS => ready.extend(Held::read(body).map(Event::AddressRemoved)),
        _ => {}
    }
}

fn compare(known: Option<Link>, link: Link, ready: &mut VecDeque<Event>) {
    let state =
        |link: Link| if link.passes() { Event::LinkUp(link) } else { Event::LinkDown(link) };
    let Some(known) = known else {
        ready.push_back(state(link));
        return;
    };
    if known.name != link.name {
        ready.push_back(Event::LinkRenamed {
            index: link.index,
            from: known.name.clone(),
            to: link.name.clone(),
        });
    }
    if (known.mac, known.mtu, &known.altnames) != (link.mac, link.mtu, &link.altnames) {
        ready.push_back(Event::LinkChanged(link.clone()));
    }
    if known.passes() != link.passes() {
        ready.push_back(state(link));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, passes: bool, mtu: u32) -> Link {
        let mac = Some([2, 0, 0, 0, 0, 1]);
        let (index, name) = (3, name.to_owned());
        let (up, carrier, loopback) = (true, passes, false);
        let (altnames, addresses) = (Vec::new(), Vec::new());
        Link { index, name, altnames, mac, mtu, up, carrier, loopback, addresses }
    }

    fn events(known: Option<Link>, link: Link) -> Vec<Event> {
        let mut ready = VecDeque::new();
        compare(known, link, &mut ready);
        ready.into()
    }

    #[test]
    fn a_message_about_a_link_is_told_by_what_changed() {
        let up = link("eth0", true, 1500);
        let down = link("eth0", false, 1500);
        assert_eq!(events(None, up.clone()), [Event::LinkUp(up.clone())]);
        assert_eq!(events(Some(up.clone()), up.clone()), []);
        assert_eq!(events(Some(up.clone()), down.clone()), [Event::LinkDown(down)]);
        let large = link("eth0", true, 9000);
        assert_eq!(events(Some(up.clone()), large.clone()), [Event::LinkChanged(large)]);
        let other = Link { altnames: vec!["uplink0".to_owned()], ..up.clone() };
        assert_eq!(events(Some(up.clone()), other.clone()), [Event::LinkChanged(other)]);
        let renamed = events(Some(up), link("lan", true, 1500));
        let (from, to) = ("eth0".to_owned(), "lan".to_owned());
        assert_eq!(renamed, [Event::LinkRenamed { index: 3, from, to }]);
    }
}
