//! UDP sockets of the bus.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{RecvAncillaryBuffer, RecvFlags, recvmsg, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

/// Bytes the kernel may hold for one socket: more than the ring's window of 512 packets as the kernel counts them.
const BUFFER: usize = 4 << 20;

/// One socket.
#[derive(Debug)]
pub(crate) struct Udp {
    socket: Socket,
    /// What it is bound to.
    pub(crate) at: SocketAddr,
}

impl Udp {
    /// Binds to an address of this machine, alone: a second daemon there is a mistake.
    pub(crate) fn bind(at: SocketAddr) -> io::Result<Self> {
        let socket = Self::open(at)?;
        socket.bind(&at.into())?;
        Self::hear_unreachable(&socket, at)?;
        Ok(Self { socket, at })
    }

    /// Binds to a multicast or broadcast address, which several daemons of a machine may share.
    pub(crate) fn bind_group(at: SocketAddr) -> io::Result<Self> {
        let socket = Self::open(at)?;
        socket.set_reuse_address(true)?;
        socket.bind(&at.into())?;
        Ok(Self { socket, at })
    }

    fn open(at: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        // Past the system's limit where that is allowed; a smaller buffer only loses more in a burst.
        for option in [libc::SO_RCVBUFFORCE, libc::SO_SNDBUFFORCE] {
            let _ = set(&socket, libc::SOL_SOCKET, option, BUFFER as libc::c_int);
        }
        if socket.recv_buffer_size()? < BUFFER {
            let _ = socket.set_recv_buffer_size(BUFFER);
            let _ = socket.set_send_buffer_size(BUFFER);
        }
        // Without it each datagram comes for itself.
        let _ = super::batch::take_together(socket.as_fd());
        match at {
            SocketAddr::V4(_) => {
                socket.set_broadcast(true)?;
                // Only groups that this socket joined, not those of other programs on this machine.
                socket.set_multicast_all_v4(false)?;
                socket.set_multicast_loop_v4(true)?;
                socket.set_multicast_ttl_v4(1)?;
            }
            SocketAddr::V6(_) => {
                socket.set_only_v6(true)?;
                socket.set_multicast_all_v6(false)?;
                socket.set_multicast_loop_v6(true)?;
                socket.set_multicast_hops_v6(1)?;
            }
        }
        Ok(socket)
    }

    /// Joins a group on the interface with this index, if it has not.
    pub(crate) fn join(&self, group: IpAddr, interface: u32) -> io::Result<()> {
        let joined = match group {
            IpAddr::V4(group) => {
                let on = InterfaceIndexOrAddress::Index(interface);
                self.socket.join_multicast_v4_n(&group, &on)
            }
            IpAddr::V6(group) => self.socket.join_multicast_v6(&group, interface),
        };
        joined.or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse => Ok(()),
            _ => Err(error),
        })
    }

    /// Leaves a group on the interface with this index, also one that is gone. Not joined is as good.
    pub(crate) fn leave(&self, group: IpAddr, interface: u32) {
        let _ = match group {
            IpAddr::V4(group) => {
                let on = InterfaceIndexOrAddress::Index(interface);
                self.socket.leave_multicast_v4_n(&group, &on)
            }
            IpAddr::V6(group) => self.socket.leave_multicast_v6(&group, interface),
        };
    }

    /// Sends multicast out of this interface from now on, from this address unless the kernel is to choose one. Whether the address
    /// is there shows only when something is sent.
    pub(crate) fn send_through(&self, interface: u32, address: Option<Ipv4Addr>) -> io::Result<()> {
        match self.at {
            SocketAddr::V4(_) => {
                let any = Ipv4Addr::UNSPECIFIED;
                let from = address.unwrap_or(any);
                Ok(sockopt::set_ip_multicast_if_with_ifindex(&self.socket, &any, &from, interface)?)
            }
            SocketAddr::V6(_) => self.socket.set_multicast_if_v6(interface),
        }
    }

    /// The kernel keeps what ICMP says about datagrams sent from here, with their destination.
    fn hear_unreachable(socket: &Socket, at: SocketAddr) -> io::Result<()> {
        match at {
            SocketAddr::V4(_) => set(socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1),
            SocketAddr::V6(_) => set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1),
        }
    }

    /// The destination of the next datagram that ICMP said could not be delivered; never blocks.
    pub(crate) fn unreachable(&self) -> Option<SocketAddr> {
        let mut control = [MaybeUninit::uninit(); 256];
        let mut control = RecvAncillaryBuffer::new(&mut control);
        let mut bytes = [0; 64];
        let flags = RecvFlags::ERRQUEUE | RecvFlags::DONTWAIT;
        let mut parts = [io::IoSliceMut::new(&mut bytes)];
        let told = recvmsg(&self.socket, &mut parts, &mut control, flags).ok()?;
        told.address?.try_into().ok()
    }
}

impl AsFd for Udp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<Udp> for OwnedFd {
    fn from(udp: Udp) -> Self {
        udp.socket.into()
    }
}

fn set(
    socket: &Socket,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the descriptor is open for the whole call, and the option takes an int, whose address and size are passed.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
