//! UDP sockets as announcing needs them: bound by family, never blocking, hearing what ICMP says.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::net::{RecvAncillaryBuffer, RecvFlags, recvmsg};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

/// Bytes the kernel may hold for one socket: a second of announcements from 1,024 machines fits.
const RECEIVE_BUFFER: usize = 2 << 20;

/// One UDP socket of one family.
#[derive(Debug)]
pub(crate) struct Udp {
    socket: std::net::UdpSocket,
}

impl Udp {
    /// Binds to `address`; with `shared`, other programs may bind to it as well.
    pub(crate) fn bind(address: SocketAddr, shared: bool) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if shared {
            socket.set_reuse_address(true)?;
        }
        // A smaller buffer than wished for loses packets in a flood, which is what floods are for.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        match address {
            SocketAddr::V4(_) => {
                socket.set_broadcast(true)?;
                // Only groups that this socket joined, not those of other programs on this host.
                socket.set_multicast_all_v4(false)?;
                socket.set_multicast_loop_v4(true)?;
            }
            SocketAddr::V6(_) => {
                socket.set_only_v6(true)?;
                socket.set_multicast_all_v6(false)?;
                socket.set_multicast_loop_v6(true)?;
            }
        }
        socket.bind(&address.into())?;
        Ok(Self { socket: socket.into() })
    }

    /// The address it is bound to.
    pub(crate) fn local(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Makes the kernel keep what ICMP says about datagrams sent from here, with their destination.
    pub(crate) fn hear_unreachable(&self) -> io::Result<()> {
        let on: libc::c_int = 1;
        let (level, option) = match self.local()? {
            SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_RECVERR),
            SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
        };
        // SAFETY: the descriptor is open for the whole call, and the option takes an int, whose address
        // and size are passed.
        #[allow(unsafe_code)]
        let result = unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                level,
                option,
                (&raw const on).cast(),
                size_of_val(&on) as libc::socklen_t,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// The destination of the next datagram that ICMP said could not be delivered; never blocks.
    pub(crate) fn unreachable(&self) -> Option<SocketAddr> {
        let mut control = [MaybeUninit::uninit(); 256];
        let mut control = RecvAncillaryBuffer::new(&mut control);
        let mut bytes = [0; 64];
        let flags = RecvFlags::ERRQUEUE | RecvFlags::DONTWAIT;
        let mut parts = [io::IoSliceMut::new(&mut bytes)];
        // The address of a message in the error queue is where the datagram was sent.
        let message = recvmsg(&self.socket, &mut parts, &mut control, flags).ok()?;
        SocketAddr::try_from(message.address?).ok()
    }

    /// The next datagram; `None` when none is waiting.
    ///
    /// # Errors
    /// What the socket says, such as the news that an earlier datagram was not delivered.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, SocketAddr)>> {
        match self.socket.recv_from(buffer) {
            Ok((length, from)) => Ok(Some((length, canonical(from)))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends one datagram.
    pub(crate) fn send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        self.socket.send_to(bytes, to).map(drop)
    }

    /// Sends one datagram to a group out of one interface (0: the kernel's choice).
    pub(crate) fn send_multicast(
        &self,
        bytes: &[u8],
        to: SocketAddr,
        ttl: u8,
        index: u32,
    ) -> io::Result<()> {
        use rustix::net::sockopt;
        match to {
            SocketAddr::V4(_) => {
                let any = Ipv4Addr::UNSPECIFIED;
                sockopt::set_ip_multicast_ttl(&self.socket, u32::from(ttl))?;
                sockopt::set_ip_multicast_if_with_ifindex(&self.socket, &any, &any, index)?;
            }
            SocketAddr::V6(_) => {
                sockopt::set_ipv6_multicast_hops(&self.socket, u32::from(ttl))?;
                sockopt::set_ipv6_multicast_if(&self.socket, index)?;
            }
        }
        self.send(bytes, to)
    }

    /// Joins a group on one interface. Joined already is as good.
    pub(crate) fn join(&self, group: IpAddr, index: u32) -> io::Result<()> {
        let socket = socket2::SockRef::from(&self.socket);
        let joined = match group {
            IpAddr::V4(group) => {
                socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index))
            }
            IpAddr::V6(group) => socket.join_multicast_v6(&group, index),
        };
        match joined {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(()),
            joined => joined,
        }
    }
}

impl Udp {
    /// Leaves a group on one interface, also one that is gone. Not joined is as good.
    pub(crate) fn leave(&self, group: IpAddr, index: u32) {
        let socket = socket2::SockRef::from(&self.socket);
        let _ = match group {
            IpAddr::V4(group) => {
                socket.leave_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index))
            }
            IpAddr::V6(group) => socket.leave_multicast_v6(&group, index),
        };
    }
}

impl AsFd for Udp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// An IPv4 address inside IPv6 as the IPv4 address it is.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn loopback() -> Udp {
        Udp::bind("127.0.0.1:0".parse().unwrap(), false).unwrap()
    }

    fn await_events(udp: &Udp, flags: PollFlags) -> PollFlags {
        let mut fds = [PollFd::new(udp, flags)];
        poll(&mut fds, Some(&Timespec { tv_sec: 5, tv_nsec: 0 })).unwrap();
        fds[0].revents()
    }

    #[test]
    fn a_datagram_arrives_with_its_sender() {
        let (a, b) = (loopback(), loopback());
        let mut buffer = [0; 16];
        assert_eq!(b.receive(&mut buffer).unwrap(), None);
        a.send(b"hello", b.local().unwrap()).unwrap();
        await_events(&b, PollFlags::IN);
        assert_eq!(b.receive(&mut buffer).unwrap(), Some((5, a.local().unwrap())));
    }

    #[test]
    fn a_closed_port_is_heard_of_with_its_address() {
        let a = loopback();
        a.hear_unreachable().unwrap();
        let gone = loopback().local().unwrap();
        a.send(b"anyone?", gone).unwrap();
        assert!(await_events(&a, PollFlags::ERR).contains(PollFlags::ERR));
        assert_eq!(a.unreachable(), Some(gone));
        assert_eq!(a.unreachable(), None);
    }

    #[test]
    fn a_port_can_be_shared_only_when_asked_for() {
        let a = loopback();
        let error = Udp::bind(a.local().unwrap(), false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_group_is_heard_on_the_interface_it_was_joined_on() {
        let heard = Udp::bind("0.0.0.0:0".parse().unwrap(), false).unwrap();
        let group = Ipv4Addr::new(239, 255, 44, 45).into();
        heard.join(group, 1).unwrap();
        heard.join(group, 1).unwrap();
        let to = SocketAddr::new(group, heard.local().unwrap().port());
        loopback().send_multicast(b"all", to, 0, 1).unwrap();
        await_events(&heard, PollFlags::IN);
        let mut buffer = [0; 16];
        assert_eq!(heard.receive(&mut buffer).unwrap().map(|(n, _)| n), Some(3));
    }
}
