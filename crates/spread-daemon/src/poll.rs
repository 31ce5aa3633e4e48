//! Waiting for many things at once.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventData, EventFlags};

/// Events of one wait.
const EVENTS: usize = 256;

/// Bytes that were written to a stream and that the other side has not taken. At a Unix socket that is what the kernel needs
/// to keep them, which is some more.
pub(crate) fn unsent(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut count: libc::c_int = 0;
    // SAFETY: the descriptor is open, and the kernel writes one integer.
    #[allow(unsafe_code)]
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::try_from(count).unwrap_or(0))
}

/// What something happened at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A socket towards the daemons.
    Link(usize),
    /// A socket on which clients come.
    Listener(usize),
    /// A client.
    Session(usize),
    /// The control socket.
    Control,
    /// Somebody connected to it.
    Caller(usize),
    /// Somebody calls this thread.
    Call,
}

impl From<Token> for EventData {
    fn from(token: Token) -> Self {
        let (kind, at) = match token {
            Token::Link(at) => (0, at),
            Token::Listener(at) => (1, at),
            Token::Session(at) => (2, at),
            Token::Call => (3, 0),
            Token::Control => (4, 0),
            Token::Caller(at) => (5, at),
        };
        Self::new_u64((at as u64) << 3 | kind)
    }
}

impl From<EventData> for Token {
    fn from(data: EventData) -> Self {
        let at = (data.u64() >> 3) as usize;
        match data.u64() & 7 {
            0 => Self::Link(at),
            1 => Self::Listener(at),
            2 => Self::Session(at),
            4 => Self::Control,
            5 => Self::Caller(at),
            _ => Self::Call,
        }
    }
}

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Happened {
    pub(crate) token: Token,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The other side sends nothing more, or is gone.
    pub(crate) ended: bool,
    pub(crate) error: bool,
}

/// The kernel's list of what is waited for.
pub(crate) struct Poll {
    epoll: OwnedFd,
}

impl Poll {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// Says so as long as there is something to read.
    pub(crate) fn add(&self, socket: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, token.into(), EventFlags::IN)?)
    }

    /// Says nothing of a socket for now, or again as long as there is something to read.
    pub(crate) fn hush(&self, socket: BorrowedFd<'_>, token: Token, hush: bool) -> io::Result<()> {
        let flags = if hush { EventFlags::empty() } else { EventFlags::IN };
        Ok(epoll::modify(&self.epoll, socket, token.into(), flags)?)
    }

    /// Says so whenever something becomes possible. What is closed is forgotten by itself.
    pub(crate) fn add_edges(&self, socket: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, token.into(), flags)?)
    }

    /// Waits at most so long.
    pub(crate) fn wait(&self, most: Option<Duration>, into: &mut Vec<Happened>) -> io::Result<()> {
        into.clear();
        let timeout = most.map(|most| Timespec {
            tv_sec: i64::try_from(most.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: most.subsec_nanos().into(),
        });
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        let buffer = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&self.epoll, buffer, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        into.extend(events.iter().map(|event| {
            let flags = event.flags;
            let ended = EventFlags::HUP | EventFlags::ERR | EventFlags::RDHUP;
            Happened {
                token: event.data.into(),
                readable: flags.intersects(EventFlags::IN | ended),
                writable: flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR),
                ended: flags.intersects(ended),
                error: flags.contains(EventFlags::ERR),
            }
        }));
        Ok(())
    }
}
