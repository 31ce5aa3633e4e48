//! One connection's bytes, whatever carries them.
//!
//! An enum and not a trait: TLS will be a third kind, and every call stays a direct one. All methods take
//! `&self`: a connection is read and written within one task, so nothing is split or locked.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use rustix::ioctl::{Getter, Opcode, ioctl};
use rustix::net::SendFlags;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connected stream of bytes in clear text.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Wraps a TCP connection that was accepted: it has its listener's options.
    pub(crate) fn accepted(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }

    /// Wraps a TCP connection and turns off the kernel's waiting for more to send: a response goes out in
    /// one vectored write, so there is nothing worth waiting for.
    pub(crate) fn tcp(stream: TcpStream) -> Self {
        // Fails only on a connection that is already dead, which the next read will find out.
        let _ = stream.set_nodelay(true);
        Self::Tcp(stream)
    }

    /// Reads once. `Ok(0)` is the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(into);
        ready!(match self {
            Self::Tcp(s) => Pin::new(s).poll_read(cx, &mut buf),
            Self::Unix(s) => Pin::new(s).poll_read(cx, &mut buf),
        })?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// Ready when a read is worth trying, so that an idle connection needs no buffer.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(s) => s.poll_read_ready(cx),
            Self::Unix(s) => s.poll_read_ready(cx),
        }
    }

    /// Ready when a write is worth trying.
    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(s) => s.poll_write_ready(cx),
            Self::Unix(s) => s.poll_write_ready(cx),
        }
    }

    /// Writes once from several slices.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match (self, from) {
            (Self::Tcp(s), [one]) => Pin::new(s).poll_write(cx, one),
            (Self::Unix(s), [one]) => Pin::new(s).poll_write(cx, one),
            (Self::Tcp(s), _) => Pin::new(s).poll_write_vectored(cx, from),
            (Self::Unix(s), _) => Pin::new(s).poll_write_vectored(cx, from),
        }
    }

    /// Writes once, telling the kernel that more follows at once: a small piece then waits for it.
    pub(crate) fn poll_write_before_more(
        &self,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_write_ready(cx))?;
            let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
            match self.try_write_with(|| Ok(rustix::net::send(self, from, flags)?)) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Lets the kernel send what it holds back for more to follow.
    pub(crate) fn push(&self) {
        if let Self::Tcp(s) = self {
            // Setting the option sends, also where it is set already (tcp(7), Linux: `__tcp_sock_set_nodelay`).
            let _ = s.set_nodelay(true);
        }
    }

    /// Bytes that were sent and that the other side has not acknowledged; `None` where that is not to be known.
    pub(crate) fn unacknowledged(&self) -> Option<u32> {
        // `SIOCOUTQ` of tcp(7) and unix(7).
        const UNSENT: Opcode = 0x5411;
        #[allow(unsafe_code)]
        // SAFETY: this operation writes one `int` and nothing else, and to no other memory.
        let queued = unsafe { ioctl(self, Getter::<UNSENT, i32>::new()) };
        u32::try_from(queued.ok()?).ok()
    }

    /// Tells the other side that nothing more will be sent.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(s) => Pin::new(s).poll_shutdown(cx),
            Self::Unix(s) => Pin::new(s).poll_shutdown(cx),
        }
    }

    /// Runs a system call that reads, with the readiness bookkeeping of the runtime.
    pub(crate) fn try_read_with<R>(&self, call: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        match self {
            Self::Tcp(s) => s.try_io(Interest::READABLE, call),
            Self::Unix(s) => s.try_io(Interest::READABLE, call),
        }
    }

    /// Runs a system call that writes, with the readiness bookkeeping of the runtime.
    pub(crate) fn try_write_with<R>(&self, call: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        match self {
            Self::Tcp(s) => s.try_io(Interest::WRITABLE, call),
            Self::Unix(s) => s.try_io(Interest::WRITABLE, call),
        }
    }

    /// Whether an idle connection can still be used: open, and nothing arrived unasked. Costs no system
    /// call unless the runtime saw something happen.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let mut byte = [0];
        matches!(self.poll_read(&mut cx, &mut byte), Poll::Pending)
    }

    /// The address by which the other side reached us; `None` for a Unix socket.
    pub(crate) fn local_addr(&self) -> Option<std::net::SocketAddr> {
        match self {
            Self::Tcp(s) => s.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Lets the closing of this connection look like the failure that it is.
    pub(crate) fn reset_on_close(&self) {
        if let Self::Tcp(s) = self {
            // If it cannot be had, the connection ends as any other.
            let _ = socket2::SockRef::from(s).set_linger(Some(std::time::Duration::ZERO));
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(s) => s.as_fd(),
            Self::Unix(s) => s.as_fd(),
        }
    }
}
