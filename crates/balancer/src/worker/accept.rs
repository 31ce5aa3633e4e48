//! Taking connections from the kernel, also when descriptors have run out.
//!
//! Without descriptors `accept` fails again and again while the kernel keeps saying that somebody waits: a
//! loop that burns a processor just when there is none to spare. One descriptor is held in reserve for
//! that hour: it is given up, the waiting connection accepted and closed, so that its client learns at
//! once and tries another machine, and then it is taken again as soon as there is one.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use tokio::net::{TcpListener, TcpStream};

use crate::exhausted::is_exhausted;

/// Rest after the reserve had to be used, so that a flood of connections costs little.
const REST: Duration = Duration::from_millis(20);

/// What came of waiting for a connection.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// A client.
    Connection(TcpStream, SocketAddr),
    /// There is no descriptor for it: make room and accept again, or [`Acceptor::turn_away`].
    Exhausted,
}

/// A listening socket and its descriptor in reserve.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: TcpListener,
    reserve: Option<OwnedFd>,
}

impl Acceptor {
    /// Registers a socket with the worker's runtime.
    pub(crate) fn new(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        // Inherited by every connection: a response goes out in one write, so nothing is worth waiting for.
        socket2::SockRef::from(&listener).set_tcp_nodelay(true)?;
        Ok(Self { listener: TcpListener::from_std(listener)?, reserve: reserve() })
    }

    /// Waits for the next connection. Only a listening socket that is broken for good is an error.
    pub(crate) async fn accept(&mut self) -> io::Result<Accepted> {
        if self.reserve.is_none() {
            self.reserve = reserve();
        }
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => return Ok(Accepted::Connection(stream, address)),
                Err(e) if is_exhausted(&e) => return Ok(Accepted::Exhausted),
                Err(e) if is_of_the_connection(&e) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// What is still in the queue, without waiting: the kernel resets whatever is in it when the socket
    /// closes.
    ///
    /// Asks the kernel itself: the runtime knows of a connection only once it has waited for events, and would
    /// say that nobody is there.
    pub(crate) fn accept_queued(&mut self) -> Option<(TcpStream, SocketAddr)> {
        loop {
            match socket2::SockRef::from(&self.listener).accept() {
                Ok((socket, address)) => {
                    socket.set_nonblocking(true).ok()?;
                    return Some((TcpStream::from_std(socket.into()).ok()?, address.as_socket()?));
                }
                Err(e) if is_of_the_connection(&e) => {}
                Err(_) => return None,
            }
        }
    }

    /// Turns away whoever has waited for longest, with the descriptor in reserve, and rests.
    pub(crate) async fn turn_away(&mut self) {
        if self.reserve.take().is_some() {
            drop(self.accept_queued());
            self.reserve = reserve();
        }
        tokio::time::sleep(REST).await;
    }
}

fn reserve() -> Option<OwnedFd> {
    open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// The connection died in the queue (accept(2) names these); the socket is fine.
fn is_of_the_connection(e: &io::Error) -> bool {
    use rustix::io::Errno;
    [
        Errno::CONNABORTED,
        Errno::INTR,
        Errno::PERM,
        Errno::PROTO,
        Errno::NETDOWN,
        Errno::NOPROTOOPT,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::NETUNREACH,
        Errno::TIMEDOUT,
    ]
    .iter()
    .any(|errno| e.raw_os_error() == Some(errno.raw_os_error()))
}
