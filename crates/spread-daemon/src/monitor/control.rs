//! The control socket: connections of operators on this machine, each with one request.
//!
//! Only root and the daemon's own user get in, by the mode of the file and by asking the kernel who connects. A connection that
//! says nothing, or takes nothing, is closed after [`PATIENCE`].

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::Instant;

use super::words::{Answer, REQUEST_MAX, Request};
use crate::listen::SocketFile;
use crate::poll::{Poll, Token};

/// Connections at a time; more are closed at once.
const CONNECTIONS: usize = 16;
/// Bytes of answers that may wait for whoever asked.
const ANSWERS_MAX: usize = 256 << 10;
/// How long a connection may last.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection, and which of those in its place it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    at: usize,
    serial: u64,
}

#[derive(Debug)]
struct Connection {
    socket: UnixStream,
    serial: u64,
    input: Vec<u8>,
    output: Vec<u8>,
    until: Instant,
    asked: bool,
    ending: bool,
}

/// The socket and its connections.
#[derive(Debug)]
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
    /// Goes with this, also from within a directory that the daemon was confined to meanwhile.
    _file: Option<SocketFile>,
    connections: [Option<Connection>; CONNECTIONS],
    serials: u64,
    accept_again: bool,
}

impl Control {
    /// Listens at `path`, replacing what a dead daemon left.
    pub(super) fn open(path: PathBuf, poll: &Poll) -> io::Result<Self> {
        match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.file_type().is_socket() => {
                if UnixStream::connect(&path).is_ok() {
                    return Err(io::ErrorKind::AddrInUse.into());
                }
                std::fs::remove_file(&path)?;
            }
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        poll.add_edges(listener.as_fd(), Token::Control)?;
        let file = SocketFile::of(&path);
        Ok(Self {
            listener,
            path,
            _file: file,
            connections: Default::default(),
            serials: 0,
            accept_again: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes everybody who waits.
    pub(super) fn accept(&mut self, now: Instant, poll: &Poll) {
        self.accept_again = false;
        // Bounded by the backlog of the listener and by the places here.
        for _ in 0..2 * CONNECTIONS {
            match self.listener.accept() {
                Ok((socket, _)) => self.admit(now, poll, socket),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => break,
            }
        }
        self.accept_again = true;
    }

    fn admit(&mut self, now: Instant, poll: &Poll, socket: UnixStream) {
        let own = rustix::process::geteuid().as_raw();
        let allowed = user(&socket).is_some_and(|user| user == 0 || user == own);
        let Some(at) = self.connections.iter().position(Option::is_none).filter(|_| allowed) else {
            return;
        };
        if socket.set_nonblocking(true).is_err()
            || poll.add_edges(socket.as_fd(), Token::Caller(at)).is_err()
        {
            return;
        }
        self.serials += 1;
        self.connections[at] = Some(Connection {
            socket,
            serial: self.serials,
            input: Vec::new(),
            output: Vec::new(),
            until: now + PATIENCE,
            asked: false,
            ending: false,
        });
    }

    /// Something is possible at a connection; its request, once it is whole.
    pub(super) fn notice(&mut self, at: usize) -> Option<(Caller, Result<Request, String>)> {
        let connection = self.connections.get_mut(at)?.as_mut()?;
        if !connection.flush() {
            self.connections[at] = None;
            return None;
        }
        let mut buffer = [0; 4096];
        loop {
            match connection.socket.read(&mut buffer) {
                // Whoever asked may have nothing more to say and still listen; the time is bounded.
                Ok(0) if connection.asked => return None,
                Ok(0) => break,
                // One request for each connection.
                Ok(_) if connection.asked => {}
                Ok(count) => {
                    connection.input.extend_from_slice(&buffer[..count]);
                    if connection.input.contains(&b'\n') || connection.input.len() > REQUEST_MAX {
                        connection.asked = true;
                        let input = std::mem::take(&mut connection.input);
                        let caller = Caller { at, serial: connection.serial };
                        return Some((caller, Request::read(&input)));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.connections[at] = None;
        None
    }

    /// Says something to whoever asked, if they are still there. Nothing comes after an end or a mistake.
    pub(super) fn say(&mut self, caller: Caller, answer: &Answer) {
        let slot = &mut self.connections[caller.at];
        let Some(connection) = slot.as_mut().filter(|c| c.serial == caller.serial) else { return };
        // Texts and numbers can always be written.
        let line = serde_json::to_string(answer).unwrap_or_default();
        connection.output.extend_from_slice(line.as_bytes());
        connection.output.push(b'\n');
        connection.ending = matches!(answer, Answer::End | Answer::Mistake { .. });
        if connection.output.len() > ANSWERS_MAX || !connection.flush() {
            *slot = None;
        }
    }

    /// Closes those whose time is over.
    pub(super) fn sweep(&mut self, now: Instant, poll: &Poll) {
        for slot in &mut self.connections {
            if slot.as_ref().is_some_and(|connection| connection.until <= now) {
                *slot = None;
            }
        }
        if self.accept_again {
            self.accept(now, poll);
        }
    }

    /// When [`sweep`](Self::sweep) is due.
    pub(super) fn next_sweep(&self, now: Instant) -> Option<Instant> {
        let first = self.connections.iter().flatten().map(|connection| connection.until).min();
        let again = self.accept_again.then(|| now + Duration::from_millis(100));
        [first, again].into_iter().flatten().min()
    }
}

impl Connection {
    /// Writes what waits; `false` if the connection is over.
    fn flush(&mut self) -> bool {
        while !self.output.is_empty() {
            match self.socket.write(&self.output) {
                Ok(0) => return false,
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        !self.ending
    }
}

/// The user at the other end, as this one's user namespace counts. The safe call that there is fails for processes of another
/// process namespace, whose number is 0 here.
fn user(socket: &UnixStream) -> Option<u32> {
    let mut who = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel writes at most `length` bytes into a plain structure of that size.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut who).cast(),
            &raw mut length,
        )
    };
    (result == 0).then_some(who.uid)
}
