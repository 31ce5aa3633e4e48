//! Many datagrams with one system call.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Datagrams of one call.
pub(crate) const BATCH: usize = 32;
/// The longest datagram that is taken; the ring's own are shorter than an Ethernet frame.
pub(crate) const LONGEST: usize = 2048;

/// Where datagrams are received into.
pub(crate) struct Inbox {
    bytes: Vec<[u8; LONGEST]>,
    from: Vec<libc::sockaddr_storage>,
    lengths: [usize; BATCH],
}

impl Inbox {
    pub(crate) fn new() -> Self {
        // SAFETY: a socket address of zeros is one of no family, which is a valid value of this plain C structure.
        #[allow(unsafe_code)]
        let empty: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
        Self { bytes: vec![[0; LONGEST]; BATCH], from: vec![empty; BATCH], lengths: [0; BATCH] }
    }

    /// Takes what waits at the socket, at most [`BATCH`] datagrams; how many.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
        // SAFETY: message headers of zeros are valid values of this plain C structure; all used fields are set below.
        #[allow(unsafe_code)]
        let mut heads: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for at in 0..BATCH {
            parts[at].iov_base = self.bytes[at].as_mut_ptr().cast();
            parts[at].iov_len = LONGEST;
            let head = &mut heads[at].msg_hdr;
            head.msg_name = (&raw mut self.from[at]).cast();
            head.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            head.msg_iov = &raw mut parts[at];
            head.msg_iovlen = 1;
        }
        // SAFETY: the descriptor is open for the whole call; every header points to a name, one part and bytes that
        // live until after it, with their true lengths.
        #[allow(unsafe_code)]
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                heads.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for (length, head) in self.lengths.iter_mut().zip(&heads[..count]) {
            let cut = head.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            *length = if cut { 0 } else { head.msg_len as usize };
        }
        Ok(count)
    }

    /// One of those that were received last: from where, and what.
    pub(crate) fn datagram(&mut self, at: usize) -> Option<(SocketAddr, &mut [u8])> {
        let from = address(&self.from[at])?;
        Some((from, &mut self.bytes[at][..self.lengths[at]]))
    }
}

/// A socket address as Rust has it.
fn address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the kernel says that it wrote an IPv4 address, and the storage is large enough for every family.
            #[allow(unsafe_code)]
            let v4 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for IPv6.
            #[allow(unsafe_code)]
            let v6 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// Sends datagrams to their places, all with one call if possible. Returns how many were taken, and what hindered the next.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    datagrams: &[(socket2::SockAddr, &[u8])],
) -> (usize, Option<io::Error>) {
    let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
    // SAFETY: message headers of zeros are valid values of this plain C structure; all used fields are set below.
    #[allow(unsafe_code)]
    let mut heads: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
    let count = datagrams.len().min(BATCH);
    for (at, (to, bytes)) in datagrams[..count].iter().enumerate() {
        // The kernel only reads through these pointers.
        parts[at].iov_base = bytes.as_ptr().cast_mut().cast();
        parts[at].iov_len = bytes.len();
        let head = &mut heads[at].msg_hdr;
        head.msg_name = to.as_ptr().cast_mut().cast();
        head.msg_namelen = to.len();
        head.msg_iov = &raw mut parts[at];
        head.msg_iovlen = 1;
    }
    // SAFETY: the descriptor is open for the whole call; every header points to an address, one part and bytes that live
    // until after it, with their true lengths, none of which is written to.
    #[allow(unsafe_code)]
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            heads.as_mut_ptr(),
            count as libc::c_uint,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    match usize::try_from(sent) {
        Ok(sent) => (sent, None),
        Err(_) => (0, Some(io::Error::last_os_error())),
    }
}
