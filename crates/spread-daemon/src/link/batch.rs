//! Many datagrams with one system call, and with one pass through the network stack.
//!
//! Datagrams of one length to one place are handed to the kernel as one and cut there (UDP_SEGMENT); what came together is
//! taken as one and cut here (UDP_GRO). Where the kernel or the device cannot, each goes for itself.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Messages of one call.
pub(crate) const BATCH: usize = 16;
/// Bytes of one message, of however many datagrams.
const MESSAGE: usize = 65_536;
/// Datagrams the kernel cuts one message into, at most (its UDP_MAX_SEGMENTS).
pub(crate) const SEGMENTS: usize = 64;
/// Bytes of a message that is to be cut: what UDP can say of its length.
pub(crate) const SEGMENTED: usize = 65_000;
/// Room for one control message with an integer.
const CONTROL: usize = 64;

/// Room for control messages, aligned as they must be.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// Where messages are received into.
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    from: Vec<libc::sockaddr_storage>,
    control: Vec<Control>,
    /// The length of each message, and of the datagrams in it.
    lengths: [(usize, usize); BATCH],
}

impl Inbox {
    pub(crate) fn new() -> Self {
        // SAFETY: a socket address of zeros is one of no family, which is a valid value of this plain C structure.
        #[allow(unsafe_code)]
        let empty: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
        Self {
            bytes: vec![0; MESSAGE * BATCH],
            from: vec![empty; BATCH],
            control: vec![Control([0; CONTROL]); BATCH],
            lengths: [(0, 0); BATCH],
        }
    }

    /// Where everything is received into.
    pub(crate) fn bytes(&self) -> &Vec<u8> {
        &self.bytes
    }

    /// Takes what waits at the socket, at most [`BATCH`] messages; how many.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
        // SAFETY: message headers of zeros are valid values of this plain C structure; all used fields are set below.
        #[allow(unsafe_code)]
        let mut heads: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for (at, bytes) in self.bytes.chunks_exact_mut(MESSAGE).enumerate() {
            parts[at] = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: MESSAGE };
            let head = &mut heads[at].msg_hdr;
            head.msg_name = (&raw mut self.from[at]).cast();
            head.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            head.msg_iov = &raw mut parts[at];
            head.msg_iovlen = 1;
            head.msg_control = (&raw mut self.control[at]).cast();
            head.msg_controllen = CONTROL;
        }
        // SAFETY: the descriptor is open for the whole call; every header points to a name, one part, bytes and room for
        // control messages that live until after it, with their true lengths.
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
            let all = if cut { 0 } else { head.msg_len as usize };
            *length = (all, segment(&head.msg_hdr).filter(|size| *size > 0).unwrap_or(all));
        }
        Ok(count)
    }

    /// The datagrams of one of the messages that were received last, and from where they came.
    pub(crate) fn datagrams(
        &mut self,
        at: usize,
    ) -> Option<(SocketAddr, impl Iterator<Item = &mut [u8]>)> {
        let from = address(&self.from[at])?;
        let (all, each) = self.lengths[at];
        let bytes = &mut self.bytes[at * MESSAGE..][..all];
        Some((from, bytes.chunks_mut(each.max(1))))
    }
}

/// How long the datagrams are that came as this message, if it is several.
fn segment(head: &libc::msghdr) -> Option<usize> {
    // SAFETY: the kernel has just filled in this header and the control messages behind it; these macros walk them within
    // the length that it says, and the one that is looked into is of the kind whose content is an int.
    #[allow(unsafe_code)]
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(head);
        while !control.is_null() {
            let this = &*control;
            if this.cmsg_level == libc::SOL_UDP && this.cmsg_type == libc::UDP_GRO {
                let size = libc::CMSG_DATA(control).cast::<libc::c_int>().read_unaligned();
                return usize::try_from(size).ok();
            }
            control = libc::CMSG_NXTHDR(head, control);
        }
    }
    None
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

/// One message to be sent: one datagram, or several of one length (the last may be shorter).
pub(crate) struct Parcel<'a> {
    pub(crate) to: &'a socket2::SockAddr,
    pub(crate) bytes: &'a [u8],
    /// The length of each datagram.
    pub(crate) each: usize,
}

impl<'a> Parcel<'a> {
    pub(crate) fn is_several(&self) -> bool {
        self.bytes.len() > self.each
    }

    /// The first of its datagrams alone.
    pub(crate) fn first(&self) -> Parcel<'a> {
        let each = self.each.min(self.bytes.len());
        Parcel { to: self.to, bytes: &self.bytes[..each], each }
    }
}

/// Sends messages to their places, all with one call if possible. Returns how many were taken, and what hindered the next.
pub(crate) fn send(socket: BorrowedFd<'_>, parcels: &[Parcel<'_>]) -> (usize, Option<io::Error>) {
    let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
    let mut controls = [Control([0; CONTROL]); BATCH];
    // SAFETY: message headers of zeros are valid values of this plain C structure; all used fields are set below.
    #[allow(unsafe_code)]
    let mut heads: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
    let count = parcels.len().min(BATCH);
    for (at, parcel) in parcels[..count].iter().enumerate() {
        // The kernel only reads through these pointers.
        parts[at].iov_base = parcel.bytes.as_ptr().cast_mut().cast();
        parts[at].iov_len = parcel.bytes.len();
        let head = &mut heads[at].msg_hdr;
        head.msg_name = parcel.to.as_ptr().cast_mut().cast();
        head.msg_namelen = parcel.to.len();
        head.msg_iov = &raw mut parts[at];
        head.msg_iovlen = 1;
        if parcel.is_several() {
            head.msg_control = (&raw mut controls[at]).cast();
            ask_to_cut(head, parcel.each as u16);
        }
    }
    // SAFETY: the descriptor is open for the whole call; every header points to an address, one part, bytes and control
    // messages that live until after it, with their true lengths, none of which is written to.
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

/// Writes the control message that tells the length of the datagrams to be cut.
fn ask_to_cut(head: &mut libc::msghdr, each: u16) {
    const SIZE: libc::c_uint = size_of::<u16>() as libc::c_uint;
    // SAFETY: the header's control pointer is to `CONTROL` bytes, aligned for control messages, which is more than one with
    // two bytes takes; the macros compute places within them.
    #[allow(unsafe_code)]
    unsafe {
        head.msg_controllen = libc::CMSG_SPACE(SIZE) as usize;
        let control = libc::CMSG_FIRSTHDR(head);
        (*control).cmsg_level = libc::SOL_UDP;
        (*control).cmsg_type = libc::UDP_SEGMENT;
        (*control).cmsg_len = libc::CMSG_LEN(SIZE) as usize;
        libc::CMSG_DATA(control).cast::<u16>().write_unaligned(each);
    }
}

/// Lets the kernel give datagrams that came together as one message.
pub(crate) fn take_together(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open for the whole call, and the option takes an int, whose address and size are passed.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_GRO,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
