//! A packet socket on one interface, for one family: hears who asks and who claims, and sends frames.
//!
//! Rules:
//! - It never waits. Its descriptor can be awaited for reading and writing. A link that goes down is an error of it (EPOLLERR) and does not
//!   make it readable: a runtime has to be told to wait for both (tokio: `Interest::READABLE | Interest::ERROR`).
//! - It is no client of the interface's state: while the link is down it says so and stays; when the link is up again the kernel
//!   attaches it again by itself. Only when the interface is gone it is of no more use.
//! - No promiscuous mode. Questions for addresses that are on the interface reach us because the kernel joined their
//!   solicited-node groups, also without duplicate address detection, and advertisements go to all nodes. What is not heard is another host
//!   that asks for an IPv6 address in the same moment in which we ask for it: only who has it answers to all.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};

use super::frame::{ARP, IPV6};
use super::{Event, Frame, filter, read};

/// Frames that one call takes from the socket at most, so that a flood does not keep its caller from other things.
pub const RECEIVE_MAX: usize = 64;
/// Frames of one system call.
const BATCH: usize = 64;
/// The longest frame that is looked at. Messages of neighbour discovery have some hundred bytes at most.
const ROOM: usize = 2048;

/// What a socket listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// ARP, for IPv4.
    Arp,
    /// Neighbour solicitations and advertisements, for IPv6.
    Discovery,
}

impl Family {
    pub(super) fn carries(self) -> u16 {
        match self {
            Self::Arp => ARP,
            Self::Discovery => IPV6,
        }
    }
}

/// A packet socket could not be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The process may not have one.
    #[error(
        "no packet socket on interface {interface}: CAP_NET_RAW is missing; run as root, or grant it (AmbientCapabilities=CAP_NET_RAW)"
    )]
    Permission {
        /// The kernel's number of the interface.
        interface: u32,
    },
    /// There is no such interface (any more).
    #[error("no packet socket on interface {interface}: there is no such interface")]
    NoInterface {
        /// The kernel's number of the interface.
        interface: u32,
    },
    /// Its neighbours are not found by Ethernet addresses: loopback, a tunnel, Infiniband.
    #[error("no announcements on interface {interface}: it is no Ethernet (hardware type {kind})")]
    NotEthernet {
        /// The kernel's number of the interface.
        interface: u32,
        /// The kernel's number of the kind of hardware (ARPHRD_*).
        kind: u16,
    },
    /// Something else.
    #[error("no packet socket on interface {interface}")]
    Io {
        /// The kernel's number of the interface.
        interface: u32,
        /// What the kernel said.
        source: io::Error,
    },
}

/// How receiving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// All that was there was taken.
    All,
    /// [`RECEIVE_MAX`] frames were taken, and there may be more.
    More,
    /// The link went down since the last call. There may be more frames; the socket hears again when the link is up.
    LinkDown,
}

/// What hindered the first frame that was not sent. The socket is unaffected.
#[derive(Debug, thiserror::Error)]
pub enum Hindrance {
    /// Try again when the socket is writable.
    #[error("the interface has no room for more frames")]
    Full,
    /// Try again when the link is up.
    #[error("the link is down")]
    LinkDown,
    /// The interface does not exist any more: drop the socket.
    #[error("the interface is gone")]
    Gone,
    /// Something else.
    #[error("frames cannot be sent")]
    Io(#[source] io::Error),
}

/// A packet socket, see the module.
#[derive(Debug)]
pub struct PacketSocket {
    socket: Socket,
    interface: u32,
    refused: u64,
    room: Box<[u8; ROOM]>,
}

impl PacketSocket {
    /// Listens on an interface. Needs CAP_NET_RAW in the network's namespace.
    pub fn open(interface: u32, family: Family) -> Result<Self, OpenError> {
        let error = |source: io::Error| match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => OpenError::Permission { interface },
            Some(libc::ENODEV | libc::ENXIO) => OpenError::NoInterface { interface },
            _ => OpenError::Io { interface, source },
        };
        let opened = Self::try_open(interface, family).map_err(error)?;
        match opened.link().map_err(error)?.sll_hatype {
            libc::ARPHRD_ETHER => Ok(opened),
            kind => Err(OpenError::NotEthernet { interface, kind }),
        }
    }

    fn try_open(interface: u32, family: Family) -> io::Result<Self> {
        // The kernel takes no interface for every one.
        if interface == 0 {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        // Without a protocol it hears nothing, until filter and interface are set.
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None)?;
        socket.attach_filter(&filter::program(family))?;
        socket.bind(&place(interface, family.carries()))?;
        Ok(Self { socket, interface, refused: 0, room: Box::new([0; ROOM]) })
    }

    /// What the kernel says of the interface.
    fn link(&self) -> io::Result<libc::sockaddr_ll> {
        let place = self.socket.local_addr()?;
        debug_assert_eq!(i32::from(place.family()), libc::AF_PACKET);
        // SAFETY: the address is that of a packet socket, a `sockaddr_ll`, in a storage that is larger and aligned for every address.
        #[allow(unsafe_code)]
        let link = unsafe { place.as_ptr().cast::<libc::sockaddr_ll>().read() };
        Ok(link)
    }

    /// The interface it is on.
    pub fn interface(&self) -> u32 {
        self.interface
    }

    /// How many frames were no packets that we understand.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Takes what is there, at most [`RECEIVE_MAX`] frames, and gives it to `each`. An error is none of the link.
    pub fn receive(&mut self, mut each: impl FnMut(Event)) -> io::Result<Heard> {
        for _ in 0..RECEIVE_MAX {
            match rustix::net::recv(&self.socket, &mut self.room[..], rustix::net::RecvFlags::TRUNC)
            {
                // The second is how long it really was: what is too long is no message of ours.
                Ok((length, whole)) if length < whole => self.refused += 1,
                Ok((length, _)) => match read(self.interface, &self.room[..length]) {
                    Ok(event) => each(event),
                    Err(_) => self.refused += 1,
                },
                Err(rustix::io::Errno::AGAIN) => return Ok(Heard::All),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::NETDOWN) => return Ok(Heard::LinkDown),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Heard::More)
    }

    /// Sends frames in their order. Returns how many were sent, and what hindered the next one.
    pub fn send(&self, frames: &[Frame]) -> (usize, Option<Hindrance>) {
        let mut sent = 0;
        for batch in frames.chunks(BATCH) {
            let mut rest = batch;
            while !rest.is_empty() {
                match self.send_batch(rest) {
                    Ok(count) => {
                        sent += count;
                        rest = rest.get(count..).unwrap_or_default();
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return (sent, Some(hindrance(error))),
                }
            }
        }
        (sent, None)
    }

    /// Sends at most [`BATCH`] frames with one system call.
    fn send_batch(&self, frames: &[Frame]) -> io::Result<usize> {
        let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
        // SAFETY: message headers of zeros are valid values of this plain C structure; all used fields are set below.
        #[allow(unsafe_code)]
        let mut heads: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        // Each frame tells the kernel what it carries: an echo request is no ARP.
        let mut places = Vec::with_capacity(frames.len());
        places.extend(frames.iter().map(|frame| place(self.interface, frame.carries())));
        let count = frames.len().min(BATCH);
        for (at, frame) in frames[..count].iter().enumerate() {
            // The kernel only reads through these pointers.
            parts[at].iov_base = frame.as_bytes().as_ptr().cast_mut().cast();
            parts[at].iov_len = frame.as_bytes().len();
            let head = &mut heads[at].msg_hdr;
            head.msg_name = places[at].as_ptr().cast_mut().cast();
            head.msg_namelen = places[at].len();
            head.msg_iov = &raw mut parts[at];
            head.msg_iovlen = 1;
        }
        // SAFETY: the descriptor is open for the whole call; every header points to an address and one part that live until after
        // it, with their true lengths, none of which is written to.
        #[allow(unsafe_code)]
        let sent = unsafe {
            libc::sendmmsg(
                self.socket.as_raw_fd(),
                heads.as_mut_ptr(),
                // At most BATCH.
                count as libc::c_uint,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn hindrance(error: io::Error) -> Hindrance {
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => Hindrance::Full,
        Some(libc::ENETDOWN) => Hindrance::LinkDown,
        Some(libc::ENXIO | libc::ENODEV) => Hindrance::Gone,
        _ => Hindrance::Io(error),
    }
}

/// An interface and what is carried there, as the kernel wants it.
fn place(interface: u32, carries: u16) -> SockAddr {
    // Interfaces are numbered with positive ints; another number names none and is refused by the kernel.
    let sll_ifindex = i32::try_from(interface).unwrap_or(-1);
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: a `sockaddr_ll` is a plain C structure, valid in any state, and smaller than the storage, which is made for every address.
    #[allow(unsafe_code)]
    let link = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    link.sll_family = libc::AF_PACKET as libc::c_ushort;
    link.sll_protocol = carries.to_be();
    link.sll_ifindex = sll_ifindex;
    // SAFETY: the storage holds a whole `sockaddr_ll`, set above, and the length is that structure's.
    #[allow(unsafe_code)]
    unsafe {
        SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as libc::socklen_t)
    }
}
