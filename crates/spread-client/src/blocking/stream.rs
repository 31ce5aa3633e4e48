//! The kinds of connection, for threads: never waiting within a read or write, but for both at once.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt;
use socket2::{Domain, SockAddr, Socket, Type};

use super::tls::TlsStream;
use crate::endpoint::Endpoint;
use crate::stream::QUEUE_PAUSE;
use crate::tls::Certified;

#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(TlsStream),
    Unix(UnixStream),
}

/// What to wait for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Interest {
    Read,
    Write,
    Both,
}

impl Stream {
    /// Connects; every address of a host is tried, each for its share of the time until `deadline`. Over TLS if there is something to do so with.
    pub(super) fn connect(
        endpoint: &Endpoint,
        certified: Option<Certified>,
        deadline: Instant,
    ) -> io::Result<Self> {
        let stream = match endpoint {
            Endpoint::Tcp { host, port } | Endpoint::Tls { host, port } => {
                let mut outcome = Err(io::Error::new(io::ErrorKind::NotFound, "no address"));
                let addresses: Vec<_> = (host.as_str(), *port).to_socket_addrs()?.collect();
                for (address, others) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
                    let left = deadline.saturating_duration_since(Instant::now()) / others;
                    if left.is_zero() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    outcome = TcpStream::connect_timeout(address, left);
                    if outcome.is_ok() {
                        break;
                    }
                }
                let stream = outcome?;
                stream.set_nodelay(true)?;
                // A daemon whose machine died says nothing; without this nobody would ever notice.
                sockopt::set_socket_keepalive(&stream, true)?;
                stream.set_nonblocking(true)?;
                match certified {
                    Some(certified) => Self::Tls(TlsStream::new(stream, certified, deadline)?),
                    None => Self::Tcp(stream),
                }
            }
            Endpoint::Unix(path) => {
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                socket.set_nonblocking(true)?;
                let address = SockAddr::unix(path)?;
                // A daemon with a full queue is tried again.
                while let Err(error) = socket.connect(&address) {
                    let late = Instant::now() + QUEUE_PAUSE >= deadline;
                    if error.kind() != io::ErrorKind::WouldBlock {
                        return Err(error);
                    } else if late {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    std::thread::sleep(QUEUE_PAUSE);
                }
                Self::Unix(socket.into())
            }
        };
        Ok(stream)
    }

    /// Another handle to the same connection.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            Self::Tls(stream) => Self::Tls(stream.again()?),
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
        })
    }

    /// Says that nothing more will be sent.
    pub(super) fn finish(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(std::net::Shutdown::Write),
            Self::Tls(stream) => stream.finish(),
            Self::Unix(stream) => stream.shutdown(std::net::Shutdown::Write),
        }
    }

    /// Reads what is there; `None` if nothing is.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        settle(|| match self {
            Self::Tcp(stream) => stream.read(into),
            Self::Tls(stream) => stream.read(into),
            Self::Unix(stream) => stream.read(into),
        })
    }

    /// Writes what can be written; `None` if nothing can.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        settle(|| match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        })
    }

    /// Hands over what TLS may still have of what was written; `false` if something is left.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        let Self::Tls(stream) = self else { return Ok(true) };
        Ok(settle(|| stream.flush().map(|()| 0))?.is_some())
    }

    /// Waits until something of `interest` can be done. `false` if the deadline came first.
    pub(super) fn wait(&self, interest: Interest, deadline: Option<Instant>) -> io::Result<bool> {
        // What TLS has opened already can be read, whatever the socket says.
        if !matches!(interest, Interest::Write)
            && matches!(self, Self::Tls(stream) if stream.has_opened())
        {
            return Ok(true);
        }
        wait(self.as_fd(), interest, deadline)
    }
}

/// Waits until something of `interest` can be done. `false` if the deadline came first.
pub(super) fn wait(
    socket: BorrowedFd<'_>,
    interest: Interest,
    deadline: Option<Instant>,
) -> io::Result<bool> {
    let flags = match interest {
        Interest::Read => PollFlags::IN,
        Interest::Write => PollFlags::OUT,
        Interest::Both => PollFlags::IN | PollFlags::OUT,
    };
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.map(timespec);
        match poll(&mut [PollFd::new(&socket, flags)], timeout.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    // Longer than a century is as long as ever.
    let most = Duration::from_secs(100 * 366 * 24 * 3_600);
    Timespec::try_from(duration.min(most)).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 })
}

fn settle(mut attempt: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match attempt() {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}
