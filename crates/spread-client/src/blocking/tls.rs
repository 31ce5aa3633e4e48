//! TLS on a connection, for threads: reading and writing may happen in two of them at once, and neither ever waits.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use rustls::ClientConnection;
use spread_wire::READ_MAX;

use super::stream::{Interest, wait};
use crate::tls::Certified;

/// Bytes that are sealed ahead of the socket.
const SEALED_MAX: usize = 64 << 10;

/// A connection over TLS; another handle to it is [`again`](Self::again).
#[derive(Debug)]
pub(super) struct TlsStream {
    /// Never waits.
    socket: TcpStream,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    rustls: ClientConnection,
    /// What one read is read into.
    sealed: Box<[u8]>,
    /// What was opened and not taken yet.
    opened: BytesMut,
    /// Nothing more comes.
    ended: bool,
}

impl TlsStream {
    /// Agrees with the daemon on keys, until `deadline`.
    pub(super) fn new(
        socket: TcpStream,
        certified: Certified,
        deadline: Instant,
    ) -> io::Result<Self> {
        let Certified { config, host } = certified;
        let mut rustls = ClientConnection::new(config, host).map_err(invalid)?;
        rustls.set_buffer_limit(Some(SEALED_MAX));
        let sealed = vec![0; READ_MAX].into_boxed_slice();
        let mut state = State { rustls, sealed, opened: BytesMut::new(), ended: false };
        loop {
            let (moved, interest) = match state.write(&socket) {
                Ok(()) if !state.rustls.is_handshaking() => break,
                Ok(()) => (state.receive(&socket), Interest::Read),
                blocked => (blocked, Interest::Write),
            };
            match moved {
                Ok(()) if state.ended => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !wait(socket.as_fd(), interest, Some(deadline))? {
                        return Err(ErrorKind::TimedOut.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Self { socket, state: Arc::new(Mutex::new(state)) })
    }

    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()?, state: self.state.clone() })
    }

    /// Says that nothing more will be sent.
    pub(super) fn finish(&self) -> io::Result<()> {
        let mut state = self.state();
        state.rustls.send_close_notify();
        // If there is no room for it now, the end of the bytes says the same: the daemon goes by its own messages.
        let _ = state.write(&self.socket);
        self.socket.shutdown(Shutdown::Write)
    }

    /// Whether something can be read without waiting.
    pub(super) fn has_opened(&self) -> bool {
        !self.state().opened.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Writes all that is sealed.
    fn write(&mut self, mut socket: &TcpStream) -> io::Result<()> {
        while self.rustls.wants_write() {
            self.rustls.write_tls(&mut socket)?;
        }
        Ok(())
    }

    /// Reads once, and opens all of it.
    fn receive(&mut self, mut socket: &TcpStream) -> io::Result<()> {
        let count = socket.read(&mut self.sealed)?;
        self.ended = count == 0;
        let mut sealed = &self.sealed[..count];
        while !sealed.is_empty() && !self.ended {
            self.rustls.read_tls(&mut sealed)?;
            let state = match self.rustls.process_new_packets() {
                Ok(state) => state,
                Err(error) => {
                    // What is wrong is told to the daemon, if it listens.
                    let _ = self.write(socket);
                    self.ended = true;
                    return Err(invalid(error));
                }
            };
            let mut left = state.plaintext_bytes_to_read();
            while left > 0 {
                let mut reader = self.rustls.reader();
                let opened = reader.fill_buf()?;
                let count = opened.len().max(1);
                self.opened.extend_from_slice(opened);
                reader.consume(count);
                left = left.saturating_sub(count);
            }
            self.ended = state.peer_has_closed();
        }
        // An answer of TLS itself goes with what is written next, if not now.
        match self.write(socket) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}

impl Read for TlsStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.opened.is_empty() {
            if state.ended {
                return Ok(0);
            }
            state.receive(&self.socket)?;
        }
        let count = into.len().min(state.opened.len());
        state.opened.copy_to_slice(&mut into[..count]);
        Ok(count)
    }
}

impl Write for TlsStream {
    /// Takes what there is room for; it is on its way when [`flush`](Write::flush) says so.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.write(&self.socket)?;
        let taken = state.rustls.writer().write(bytes)?;
        match state.write(&self.socket) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.write(&self.socket)
    }
}

impl AsFd for TlsStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
