//! Sockets that live in the lab and are used by the caller.
//!
//! A socket belongs to the network namespace in which it was made, whoever holds it. The hub makes them; the caller
//! binds, connects and reads them like any other.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::Kind;
use crate::error::LabError;
use crate::frame;
use crate::running::{Bench, Lab};
use crate::wire::Request;

/// Where in the lab a socket is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In the machine with this index.
    Machine(usize),
    /// At the switch, where the clients are; has [`Lab::client_address`].
    Client,
    /// In the client or router with this index, of [`crate::LabConfig::hosts`].
    Host(usize),
}

/// Length of the accept queue of listeners made here.
const BACKLOG: i32 = 1024;

impl Lab {
    /// Makes a blocking socket in `place`, neither bound nor connected.
    ///
    /// # Errors
    /// When the lab has ended or the kernel has no such socket.
    pub fn socket(&self, place: Place, domain: Domain, kind: Type) -> Result<Socket, LabError> {
        self.bench().socket(place, domain, kind)
    }

    /// Connects from the client's place.
    ///
    /// # Errors
    /// As [`Lab::connect_from`].
    pub fn connect(&self, to: SocketAddr, patience: Duration) -> Result<TcpStream, LabError> {
        self.connect_from(Place::Client, to, patience)
    }

    /// Connects from `place`.
    ///
    /// # Errors
    /// When nobody listens there, or no answer came in time.
    pub fn connect_from(
        &self,
        place: Place,
        to: SocketAddr,
        patience: Duration,
    ) -> Result<TcpStream, LabError> {
        let socket = self.bench().socket(place, Domain::for_address(to), Type::STREAM)?;
        self.bench()
            .settle(&socket, place, to)
            .map_err(LabError::io(format!("source for {to}")))?;
        socket
            .connect_timeout(&to.into(), patience)
            .map_err(LabError::io(format!("connecting to {to}")))?;
        socket.set_tcp_nodelay(true).map_err(LabError::io("TCP_NODELAY"))?;
        Ok(socket.into())
    }

    /// Listens in `place`. Port 0 lets the kernel choose.
    ///
    /// # Errors
    /// When the address is taken or not in that place.
    pub fn listen(&self, place: Place, at: SocketAddr) -> Result<TcpListener, LabError> {
        let socket = self.bench().socket(place, Domain::for_address(at), Type::STREAM)?;
        let listen = || -> io::Result<()> {
            socket.set_reuse_address(true)?;
            socket.bind(&at.into())?;
            socket.listen(BACKLOG)
        };
        listen().map_err(LabError::io(format!("listening on {at}")))?;
        Ok(socket.into())
    }

    /// Makes a bound datagram socket in `place`. Port 0 lets the kernel choose.
    ///
    /// # Errors
    /// When the address is taken or not in that place.
    pub fn udp(&self, place: Place, at: SocketAddr) -> Result<UdpSocket, LabError> {
        let socket = self.bench().socket(place, Domain::for_address(at), Type::DGRAM)?;
        socket.bind(&at.into()).map_err(LabError::io(format!("binding {at}")))?;
        Ok(socket.into())
    }

    /// Makes a socket on the wire: it hears every frame with this EtherType (0x0806 is ARP, 0x86dd IPv6) that comes by an interface of
    /// `place`, also what is for somebody else, and sends such frames there (packet(7)). It does not wait when there is nothing.
    ///
    /// # Errors
    /// When the place has no such interface, on a lab without cables, or when the lab has ended.
    pub fn wire(&self, place: Place, interface: &str, kind: u16) -> Result<Socket, LabError> {
        let links = self.links(place)?;
        let link = links.iter().find(|link| link.name == interface);
        let link = link.ok_or_else(|| LabError::Config {
            what: "the interface of a socket",
            value: interface.to_owned(),
            remedy: "the place has none called so",
        })?;
        let protocol = Some(Protocol::from(i32::from(kind.to_be())));
        let sockets = self.bench().sockets(place, (Domain::PACKET, Type::RAW, protocol), 1)?;
        let socket = sockets.into_iter().next().ok_or(LabError::Ended)?;
        frame::bind(&socket, link.index, kind).map_err(LabError::io("a socket on the wire"))?;
        socket.set_nonblocking(true).map_err(LabError::io("a socket on the wire"))?;
        Ok(socket)
    }
}

impl Bench {
    pub(crate) fn socket(
        &self,
        place: Place,
        domain: Domain,
        kind: Type,
    ) -> Result<Socket, LabError> {
        let sockets = self.sockets(place, (domain, kind, None), 1)?;
        sockets.into_iter().next().ok_or(LabError::Ended)
    }

    /// Makes up to 16 sockets at once, of a protocol that needs to be named or not.
    pub(crate) fn sockets(
        &self,
        place: Place,
        (domain, kind, protocol): (Domain, Type, Option<Protocol>),
        count: usize,
    ) -> Result<Vec<Socket>, LabError> {
        self.check(place)?;
        let protocol = protocol.map_or(0, |protocol| i32::from(protocol) as u32);
        let (domain, kind) = (domain.into(), kind.into());
        let request = Request::Sockets { place, domain, kind, protocol, count };
        let (_, fds) = self.ask("a socket", &request, &[])?;
        Ok(fds.into_iter().map(Socket::from).collect())
    }

    /// Refuses places that are not there.
    pub(crate) fn check(&self, place: Place) -> Result<(), LabError> {
        let (what, index, count) = match place {
            Place::Client => return Ok(()),
            Place::Machine(index) => ("the machine of an order", index, self.names.len()),
            Place::Host(index) => ("the host of an order", index, self.plan.hosts.len()),
        };
        if index < count {
            return Ok(());
        }
        let remedy = "machines and hosts are counted from 0";
        Err(LabError::Config { what, value: index.to_string(), remedy })
    }

    pub(crate) fn needs_cables(&self, what: &'static str) -> Result<(), LabError> {
        if self.kind.has_cables() {
            return Ok(());
        }
        Err(LabError::NotHere { what, kind: self.kind })
    }

    /// On loopback the source address is what tells places apart; with cables the kernel knows it.
    pub(crate) fn settle(&self, socket: &Socket, place: Place, to: SocketAddr) -> io::Result<()> {
        if self.kind != Kind::Loopback || !to.is_ipv4() {
            return Ok(());
        }
        let source: Ipv4Addr = match place {
            Place::Machine(index) => self.plan.machine(index),
            Place::Client | Place::Host(_) => self.plan.client(0),
        };
        socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into())
    }
}
