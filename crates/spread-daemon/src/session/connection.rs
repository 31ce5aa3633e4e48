//! One client's connection: its bytes, and what waits for it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use base::Instant;
use bytes::{Buf, Bytes, BytesMut};
use groups::SessionId;
use spread_wire::PrivateGroup;
use spread_wire::client_message::Decoder;
use spread_wire::server::Handshake;

/// Pieces of one write.
const PIECES: usize = 256;

/// How far a connection is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Saying who it is, until a deadline. Its name is taken as soon as it is said.
    Shaking { handshake: Box<Handshake>, session: Option<SessionId>, until: Instant },
    /// At work.
    Open { session: SessionId, group: PrivateGroup, decoder: Box<Decoder> },
    /// Over: what waits is written, until a deadline, and then it is closed.
    Closing { until: Instant },
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    /// From where, by TCP.
    pub(crate) peer: Option<IpAddr>,
    pub(crate) stage: Stage,
    pub(crate) input: BytesMut,
    output: VecDeque<Bytes>,
    /// Bytes in `output`.
    waiting: usize,
    /// Since when the client takes nothing although something waits.
    pub(crate) stuck_since: Option<Instant>,
    /// More may be read, or written, without waiting.
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// It stands in the list of those to be read.
    pub(crate) listed: bool,
    /// It stands in the list of those to be written.
    pub(crate) dirty: bool,
    /// The kernel said that the client sends nothing more.
    pub(crate) finished: bool,
    is_shut: bool,
}

/// What became of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Something came.
    Some,
    /// Nothing for now.
    Nothing,
    /// The client is gone.
    End,
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd, peer: Option<IpAddr>, stage: Stage) -> Self {
        Self {
            socket,
            peer,
            stage,
            input: BytesMut::new(),
            output: VecDeque::new(),
            waiting: 0,
            stuck_since: None,
            readable: false,
            writable: true,
            listed: false,
            dirty: false,
            finished: false,
            is_shut: false,
        }
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(crate) fn session(&self) -> Option<SessionId> {
        match &self.stage {
            Stage::Open { session, .. } => Some(*session),
            Stage::Shaking { session, .. } => *session,
            Stage::Closing { .. } => None,
        }
    }

    /// Reads once, by way of `scratch`, which all connections share: one that says nothing holds no memory.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> Read {
        match rustix::io::read(&self.socket, &mut *scratch) {
            Ok(0) => Read::End,
            Ok(count) => {
                self.input.extend_from_slice(&scratch[..count]);
                // A short read: the next would find nothing. If something came meanwhile, the kernel says so; an end that
                // was told together with what was just read it does not tell again.
                self.readable = self.finished || count == scratch.len();
                Read::Some
            }
            Err(rustix::io::Errno::INTR) => Read::Some,
            Err(rustix::io::Errno::AGAIN) => {
                self.readable = false;
                Read::Nothing
            }
            Err(_) => Read::End,
        }
    }

    /// Says that nothing more comes from here.
    pub(crate) fn shut(&mut self) {
        if !std::mem::replace(&mut self.is_shut, true) {
            // A client that is gone has heard enough.
            let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write);
        }
    }

    pub(crate) fn queue(&mut self, message: Bytes) {
        self.waiting += message.len();
        self.output.push_back(message);
    }

    /// Bytes and messages that wait.
    pub(crate) fn backlog(&self) -> (usize, usize) {
        (self.waiting, self.output.len())
    }

    /// Writes what the client takes.
    ///
    /// # Errors
    /// The client is gone.
    pub(crate) fn flush(&mut self, now: Instant) -> io::Result<()> {
        while self.writable && !self.output.is_empty() {
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let mut count = 0;
            for (piece, message) in pieces.iter_mut().zip(&self.output) {
                *piece = IoSlice::new(message);
                count += 1;
            }
            let flags = rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL;
            let mut control = rustix::net::SendAncillaryBuffer::default();
            match rustix::net::sendmsg(&self.socket, &pieces[..count], &mut control, flags) {
                Ok(written) => {
                    self.stuck_since = None;
                    self.advance(written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    self.writable = false;
                    self.stuck_since = self.stuck_since.or(Some(now));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        self.waiting -= written;
        while let Some(front) = self.output.front_mut() {
            if front.len() > written {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.output.pop_front();
        }
    }

    /// How long the client has taken nothing.
    pub(crate) fn stuck_for(&self, now: Instant) -> Duration {
        self.stuck_since.map_or(Duration::ZERO, |since| now.since(since))
    }
}
