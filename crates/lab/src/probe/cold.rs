//! Clients that know nobody: a neighbour is forgotten before each connection.

use std::io::{Read, Write};
use std::net::IpAddr;
use std::time::Duration;

use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use socket2::{Domain, Socket, Type};

use crate::error::LabError;
use crate::running::Lab;
use crate::sockets::Place;

/// How long the kernel may take for one answer; it answers at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether clients know where an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbourhood {
    /// They keep what they have learned. For clients that are cold once, see [`Lab::flush_neighbours`].
    Warm,
    /// Before each connection the address is taken from the neighbour table of this place: the client's own, or that of the router
    /// before it. An entry that is being asked for right now stays, for with it the first packets of other connections would go.
    Cold(Place),
}

/// Forgets one address in one place, by the kernel's own means and without the hub, which may be busy cutting cables.
#[derive(Debug)]
pub(super) struct Forgetting {
    socket: Socket,
    interfaces: Vec<u32>,
    address: IpAddr,
    number: u32,
}

impl Forgetting {
    /// # Errors
    /// As [`Lab::links`], and when the kernel refuses.
    pub(super) fn new(lab: &Lab, place: Place, address: IpAddr) -> Result<Self, LabError> {
        let links = lab.links(place)?.into_iter().filter(|link| link.name != "lo");
        let interfaces = links.map(|link| link.index).collect();
        let socket = lab.socket(place, Domain::from(16), Type::RAW)?;
        let what = "a conversation with the kernel";
        socket.set_read_timeout(Some(PATIENCE)).map_err(LabError::io(what))?;
        let mut forgetting = Self { socket, interfaces, address, number: 0 };
        match forgetting.forget() {
            Ok(()) => Ok(forgetting),
            Err(why) => Err(LabError::Refused { what: format!("forgetting {address}"), why }),
        }
    }

    /// Leaves the place without knowledge of where the address is.
    pub(super) fn forget(&mut self) -> Result<(), String> {
        for at in 0..self.interfaces.len() {
            let interface = self.interfaces[at];
            let found = self.ask(RouteNetlinkMessage::GetNeighbour(self.entry(interface)), 0)?;
            if found.is_some_and(|state| state != NeighbourState::Incomplete) {
                let entry = RouteNetlinkMessage::DelNeighbour(self.entry(interface));
                self.ask(entry, NLM_F_ACK)?;
            }
        }
        Ok(())
    }

    fn entry(&self, interface: u32) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        let (family, address) = match self.address {
            IpAddr::V4(address) => (AddressFamily::Inet, NeighbourAddress::Inet(address)),
            IpAddr::V6(address) => (AddressFamily::Inet6, NeighbourAddress::Inet6(address)),
        };
        message.header.family = family;
        message.header.ifindex = interface;
        message.attributes.push(NeighbourAttribute::Destination(address));
        message
    }

    /// Asks the kernel once; the state it tells, or nothing when it knows of none.
    fn ask(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Option<NeighbourState>, String> {
        self.number = self.number.wrapping_add(1);
        let mut message = NetlinkMessage::from(message);
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = self.number;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        let mut socket = &self.socket;
        socket.write_all(&bytes).map_err(|e| e.to_string())?;
        let mut answer = [0; 4096];
        loop {
            let length = socket.read(&mut answer).map_err(|e| e.to_string())?;
            let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer[..length]);
            let answer = answer.map_err(|e| e.to_string())?;
            if answer.header.sequence_number != self.number {
                continue;
            }
            return match answer.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(found)) => {
                    Ok(Some(found.header.state))
                }
                NetlinkPayload::Error(error) if error.code.is_none() => Ok(None),
                NetlinkPayload::Error(error) if error.raw_code() == NOT_KNOWN => Ok(None),
                NetlinkPayload::Error(error) => Err(error.to_string()),
                other => Err(format!("unexpected answer {other:?}")),
            };
        }
    }
}

/// What the kernel says when there is no such entry.
const NOT_KNOWN: i32 = -rustix::io::Errno::NOENT.raw_os_error();
