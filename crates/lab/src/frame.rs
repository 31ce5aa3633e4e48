//! Sockets on the wire itself, each bound to one interface (packet(7)).

use std::io;
use std::os::fd::AsFd;

use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};

/// An interface, and what kind of frames is wanted of it: the kernel's `sockaddr_ll`.
#[repr(C)]
struct LinkAddress {
    family: u16,
    /// In the order of the network.
    protocol: u16,
    index: i32,
    hardware: u16,
    packet: u8,
    length: u8,
    address: [u8; 8],
}

/// The family of sockets on the wire.
const PACKET: u16 = 17;

// SAFETY: the pointer handed out is to a whole `sockaddr_ll`, with its length, and lives as long as the call.
#[allow(unsafe_code)]
unsafe impl SocketAddrArg for LinkAddress {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        f(std::ptr::from_ref(self).cast(), size_of::<Self>() as SocketAddrLen)
    }
}

/// Binds a socket to an interface: it hears and sends frames of this kind there.
pub(crate) fn bind(socket: &impl AsFd, interface: u32, kind: u16) -> io::Result<()> {
    let address = LinkAddress {
        family: PACKET,
        protocol: kind.to_be(),
        index: interface as i32,
        hardware: 0,
        packet: 0,
        length: 0,
        address: [0; 8],
    };
    rustix::net::bind(socket, &address).map_err(io::Error::from)
}
