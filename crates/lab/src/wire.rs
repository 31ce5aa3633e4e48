//! What caller and hub say to each other: one message per packet of a local socket, file descriptors riding along.
//!
//! The caller orders, the hub answers each order once, in order. Both ends are the same binary, so there is no version
//! and the encoding is private. End of file on either side means that the other is gone.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::address::Plan;
use crate::chore::Chore;
use crate::one::Which;
use crate::sockets::Place;

/// Largest message in bytes; below the default send buffer of a local socket.
const MAX_MESSAGE: usize = 128 * 1024;

/// Most descriptors of one message: three streams and one file per control group hierarchy.
pub(crate) const MAX_FDS: usize = 16;

/// What starter and hub need to know from the beginning, handed over in the environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) names: Vec<String>,
    pub(crate) plan: Plan,
    pub(crate) mtu: u32,
    /// What machines call their first interface.
    pub(crate) interface: String,
    pub(crate) user_namespace: bool,
    pub(crate) network_namespaces: bool,
    pub(crate) process_namespace: bool,
    /// As [`LabConfig::private`](crate::LabConfig::private).
    pub(crate) private: Vec<PathBuf>,
    /// As [`LabConfig::shared`](crate::LabConfig::shared).
    pub(crate) shared: Vec<PathBuf>,
}

/// How a cable is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cut {
    /// The cable is pulled: the switch's end goes down and the machine sees its carrier lost.
    Carrier,
    /// The switch's port turns deaf and dumb: the carrier stays, every frame vanishes.
    PortMute,
    /// One way: nothing reaches the machine, but the others hear it.
    Deaf,
    /// One way: nothing leaves the machine, but it hears the others.
    Dumb,
    /// Multicasts of others do not reach the machine, as on a switch that prunes groups it knows nothing of. Broadcasts do.
    Multicast,
    /// Machines with this cut do not hear each other, all else is heard: hearing is not transitive then.
    Apart,
}

/// An order to the hub.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Descriptors: standard output, standard error, then one `cgroup.procs` per hierarchy.
    Spawn(SpawnOrder),
    Signal {
        process: i32,
        signal: i32,
    },
    /// As [`Request::Signal`], but the process alone, without its group.
    SignalAlone {
        process: i32,
        signal: i32,
    },
    /// Every process of a place.
    SignalPlace {
        place: Place,
        signal: i32,
    },
    /// One process of a place, however it was started.
    SignalOne {
        place: Place,
        which: Which,
        signal: i32,
    },
    /// So many sockets of one kind, which come as descriptors.
    Sockets {
        place: Place,
        domain: i32,
        kind: i32,
        protocol: u32,
        count: usize,
    },
    /// Without a network all cables of the place are meant.
    Cut {
        place: Place,
        network: Option<usize>,
        cut: Cut,
    },
    Heal {
        place: Place,
        network: Option<usize>,
    },
    /// Each group of places gets a switch of its own on this network; all others are together.
    Part {
        network: usize,
        groups: Vec<Vec<Place>>,
    },
    /// Something about the interfaces and tables of a place.
    Chore {
        place: Place,
        chore: Chore,
    },
    /// Whether the router between the sites passes anything on.
    Route {
        passes: bool,
    },
    /// What has come to a site from other sites.
    Crossed {
        site: usize,
    },
}

/// A process to start.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SpawnOrder {
    pub(crate) place: Place,
    /// `None` is the binary itself.
    pub(crate) program: Option<Text>,
    pub(crate) args: Vec<Text>,
    pub(crate) env: Vec<(Text, Text)>,
    pub(crate) clear_env: bool,
    pub(crate) cwd: Text,
}

/// What starter and hub say.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The starter is in its user namespace and waits for the identity maps.
    WantsMaps,
    /// The hub has built everything and takes orders.
    Ready { ipv6: bool },
    /// The order is carried out. Descriptors: as the order says.
    Done,
    /// Started under this number (the hub's view). Descriptors: process handle, exit status pipe.
    Spawned(i32),
    /// What was asked for is in the file that comes as descriptor.
    Listed,
    /// So many packets, and so many bytes.
    Crossed(u64, u64),
    /// Not done, and why.
    Refused(String),
    /// The lab's own process table cannot be shown; another attempt without one may do.
    NoProcessNamespace(String),
}

/// Bytes of the operating system, which need not be UTF-8.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Text(Vec<u8>);

impl From<&OsString> for Text {
    fn from(text: &OsString) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<Text> for OsString {
    fn from(text: Text) -> Self {
        OsString::from_vec(text.0)
    }
}

/// Sends one message with its descriptors; they stay open here.
pub(crate) fn send(
    socket: impl AsFd,
    message: &impl Serialize,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > MAX_MESSAGE || fds.len() > MAX_FDS {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("an order of {} bytes is too long; at most {MAX_MESSAGE}", bytes.len()),
        ));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(fds));
    }
    loop {
        match sendmsg(&socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            other => return other.map(drop).map_err(io::Error::from),
        }
    }
}

/// Receives one message with its descriptors, or `None` when the other side is gone.
pub(crate) fn receive<M: DeserializeOwned>(
    socket: impl AsFd,
) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; MAX_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = loop {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        match recvmsg(&socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            other => break other?,
        }
    };
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    if got.bytes == 0 {
        return Ok(None);
    }
    if got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message was cut short"));
    }
    Ok(Some((serde_json::from_slice(&bytes[..got.bytes])?, fds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn a_message_arrives_with_its_descriptors() {
        let (here, there) = pair();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        send(&here, &Reply::Spawned(7), &[writer.as_fd()]).unwrap();
        let (reply, fds) = receive::<Reply>(&there).unwrap().unwrap();
        assert!(matches!(reply, Reply::Spawned(7)));
        rustix::io::write(&fds[0], b"x").unwrap();
        let mut byte = [0; 1];
        assert_eq!(rustix::io::read(&reader, &mut byte).unwrap(), 1);
    }

    #[test]
    fn a_closed_socket_is_the_end_and_no_error() {
        let (here, there) = pair();
        drop(here);
        assert!(receive::<Reply>(&there).unwrap().is_none());
    }

    #[test]
    fn an_order_too_long_is_refused_before_it_is_sent() {
        let (here, _there) = pair();
        let long = Reply::Refused("x".repeat(MAX_MESSAGE));
        assert_eq!(send(&here, &long, &[]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
