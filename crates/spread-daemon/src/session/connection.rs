//! One client's connection: its bytes, and what waits for it.

use std::collections::{BTreeSet, VecDeque};
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

use super::half::Half;
use super::ledger::Ledger;
use super::pace::Pace;
use super::tls::Tls;
use crate::poll;

/// Pieces of one write.
const PIECES: usize = 256;
/// Messages for which a queue keeps its room when it is empty.
const ROOM: usize = 1024;

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
    /// What seals it, if it came in where that is asked for.
    tls: Option<Box<Tls>>,
    /// From where, by TCP.
    pub(crate) peer: Option<IpAddr>,
    /// Which of all that were in its slot it is.
    pub(crate) serial: u64,
    pub(crate) stage: Stage,
    pub(crate) input: BytesMut,
    /// What has come of a message that is not whole, as it is counted.
    pub(super) half: Option<Half>,
    output: VecDeque<Bytes>,
    /// Bytes in `output`.
    waiting: usize,
    /// How many messages at the front of it stand in the ledger, and how many sealed bytes.
    weighed: usize,
    weighed_sealed: usize,
    /// The one at its front is not whole any more.
    begun: bool,
    /// Since when the client takes nothing although something waits.
    pub(crate) stuck_since: Option<Instant>,
    /// Bytes written to the socket.
    written: u64,
    /// When it was last looked at what of that the client took, and how much that was.
    pub(crate) looked: Instant,
    taken: u64,
    /// So much waits that those who write to it may have to wait, and how fast it reads while that is so.
    pub(crate) behind: bool,
    pub(crate) pace: Pace,
    /// Slots and serial numbers of those who wait for it.
    pub(crate) holds: BTreeSet<(usize, u64)>,
    /// While it is behind it was sent something that nobody here wrote.
    pub(crate) slows_ring: bool,
    /// How many it waits for: it is not read.
    pub(crate) held: usize,
    /// More may be read, or written, without waiting.
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// It stands in the list of those to be read.
    pub(crate) listed: bool,
    /// It stands in the list of those to be written.
    pub(crate) dirty: bool,
    /// The kernel said that the client sends nothing more.
    pub(crate) finished: bool,
    /// It takes nothing any more; what it sent before can still be read.
    pub(crate) deaf: bool,
    is_shut: bool,
}

/// What became of reading.
#[derive(Debug)]
pub(crate) enum Read {
    /// Something came.
    Some,
    /// Nothing for now.
    Nothing,
    /// The client is gone.
    End,
    /// What came is not what TLS allows, or the client is not believed.
    Broken(rustls::Error),
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd, peer: Option<IpAddr>, stage: Stage) -> Self {
        Self {
            socket,
            tls: None,
            peer,
            serial: 0,
            stage,
            input: BytesMut::new(),
            half: None,
            output: VecDeque::new(),
            waiting: 0,
            weighed: 0,
            weighed_sealed: 0,
            begun: false,
            stuck_since: None,
            written: 0,
            looked: Instant::ORIGIN,
            taken: 0,
            behind: false,
            pace: Pace::default(),
            holds: BTreeSet::new(),
            slows_ring: false,
            held: 0,
            readable: false,
            writable: true,
            listed: false,
            dirty: false,
            finished: false,
            deaf: false,
            is_shut: false,
        }
    }

    /// The same, sealed.
    pub(crate) fn over(mut self, tls: Option<rustls::ServerConnection>) -> Self {
        self.tls = tls.map(|tls| Box::new(Tls::new(tls)));
        self
    }

    /// What seals it.
    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_deref()
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

    /// The private name of its session.
    pub(crate) fn name(&self) -> Option<String> {
        match &self.stage {
            Stage::Open { group, .. } => Some(group.to_string()),
            _ => None,
        }
    }

    /// Reads once, by way of `scratch`, which all connections share: one that says nothing holds no memory.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> Read {
        if self.tls.as_ref().is_some_and(|tls| tls.has_ended()) {
            return Read::End;
        }
        match rustix::io::read(&self.socket, &mut *scratch) {
            Ok(0) => Read::End,
            Ok(count) if self.tls.is_some() => {
                self.readable = self.finished || count == scratch.len();
                self.open(&scratch[..count])
            }
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

    /// Makes of what was received what the client sent.
    fn open(&mut self, sealed: &[u8]) -> Read {
        let Some(tls) = &mut self.tls else { return Read::Nothing };
        match tls.open(sealed, &mut self.input) {
            Ok(()) => {
                // The end is seen in the next turn, after what came before it.
                self.readable |= tls.has_ended();
                Read::Some
            }
            Err(error) => Read::Broken(error),
        }
    }

    /// Whether something is to be written that nobody has queued: words of TLS itself, or what waited for its handshake.
    pub(crate) fn has_own_words(&self) -> bool {
        let Some(tls) = &self.tls else { return false };
        tls.wants_write() || tls.takes() && !self.output.is_empty()
    }

    /// Says that nothing more comes from here. Over TLS, with something left to be written for that, nothing else is done
    /// yet.
    pub(crate) fn shut(&mut self, now: Instant, ledger: &mut Ledger) {
        if let Some(tls) = &mut self.tls {
            tls.close();
            if self.flush(now, ledger).is_ok() && self.has_own_words() {
                return;
            }
        }
        if !std::mem::replace(&mut self.is_shut, true) {
            // A client that is gone has heard enough.
            let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write);
        }
    }

    pub(crate) fn queue(&mut self, message: Bytes) {
        if self.deaf {
            return;
        }
        self.waiting += message.len();
        self.output.push_back(message);
    }

    /// Nothing can be written to it any more. It is read to its end all the same: a client may end without having read
    /// what came back, and what it sent before counts.
    pub(crate) fn give_up_writing(&mut self, now: Instant, ledger: &mut Ledger) {
        self.deaf = true;
        self.forget(ledger);
        self.stuck_since = self.stuck_since.or(Some(now));
    }

    /// Nothing waits for it any more.
    pub(crate) fn forget(&mut self, ledger: &mut Ledger) {
        self.output.range(..self.weighed).for_each(|message| ledger.remove(message));
        ledger.change(std::mem::take(&mut self.weighed_sealed), 0);
        self.output = VecDeque::new();
        self.weighed = 0;
        self.waiting = 0;
        self.begun = false;
    }

    /// Puts what is left after a write into the ledger.
    pub(crate) fn weigh(&mut self, ledger: &mut Ledger) {
        self.output.range(self.weighed..).for_each(|message| ledger.add(message));
        self.weighed = self.output.len();
        if let Some(tls) = &self.tls {
            let sealed = tls.sealed();
            ledger.change(std::mem::replace(&mut self.weighed_sealed, sealed), sealed);
        }
    }

    /// Bytes and messages that wait. Those that are sealed already are counted in bytes until all of them are written, and
    /// words of TLS itself as one.
    pub(crate) fn backlog(&self) -> (usize, usize) {
        let own = self.tls.as_ref().is_some_and(|tls| tls.wants_write());
        (self.waiting.max(usize::from(own)), self.output.len())
    }

    /// Writes what the client takes.
    ///
    /// # Errors
    /// The client is gone.
    pub(crate) fn flush(&mut self, now: Instant, ledger: &mut Ledger) -> io::Result<()> {
        if self.deaf {
            return Ok(());
        }
        if self.tls.is_some() {
            return self.flush_sealed(now, ledger);
        }
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
                    self.written += written as u64;
                    self.waiting -= written;
                    self.pass(written, ledger);
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

    /// As [`flush`](Self::flush), a piece after the other: sealed when the one before is written.
    fn flush_sealed(&mut self, now: Instant, ledger: &mut Ledger) -> io::Result<()> {
        while self.writable {
            let Some(tls) = &mut self.tls else { break };
            if !tls.wants_write() {
                if self.output.is_empty() || !tls.takes() {
                    break;
                }
                let mut pieces = [IoSlice::new(&[]); PIECES];
                let mut count = 0;
                for (piece, message) in pieces.iter_mut().zip(&self.output) {
                    *piece = IoSlice::new(message);
                    count += 1;
                }
                let sealed = tls.seal(&pieces[..count])?;
                if sealed == 0 {
                    break;
                }
                self.pass(sealed, ledger);
                continue;
            }
            match tls.write(&self.socket) {
                Ok((sealed, written)) => {
                    self.stuck_since = None;
                    self.written += sealed as u64;
                    self.waiting -= written;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writable = false;
                    self.stuck_since = self.stuck_since.or(Some(now));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes away what has been written or sealed of the messages.
    fn pass(&mut self, mut count: usize, ledger: &mut Ledger) {
        while let Some(front) = self.output.front_mut() {
            if front.len() > count {
                front.advance(count);
                self.begun |= count > 0;
                return;
            }
            count -= front.len();
            if self.weighed > 0 {
                self.weighed -= 1;
                ledger.remove(front);
            }
            self.output.pop_front();
            self.begun = false;
        }
        if self.output.capacity() > ROOM {
            // Of a long queue the room goes too.
            self.output = VecDeque::new();
        }
    }

    /// Looks at what the client took of what was written.
    pub(crate) fn look(&mut self, now: Instant) {
        self.looked = now;
        // A socket that cannot be asked has ended, which is seen elsewhere.
        let left = poll::unsent(self.socket.as_fd()).unwrap_or(0);
        let taken = self.written.saturating_sub(left);
        if taken > self.taken {
            self.taken = taken;
            if !self.deaf && self.stuck_since.is_some() {
                self.stuck_since = Some(now);
            }
        }
        self.pace.look(now, self.taken);
    }

    /// Much waits from now on.
    pub(crate) fn fall_behind(&mut self, now: Instant) {
        self.look(now);
        self.behind = true;
        self.pace.begin(now, self.taken);
    }

    /// Not much waits any more.
    pub(crate) fn catch_up(&mut self, now: Instant) {
        self.look(now);
        self.behind = false;
        self.slows_ring = false;
        self.pace.end(now);
    }

    /// The last messages that wait, of which nothing is written.
    pub(crate) fn last_messages(&self, most: usize) -> Vec<Bytes> {
        let begin = self.output.len().saturating_sub(most).max(self.begun.into());
        self.output.range(begin.min(self.output.len())..).cloned().collect()
    }

    /// How long the client has taken nothing.
    pub(crate) fn stuck_for(&self, now: Instant) -> Duration {
        self.stuck_since.map_or(Duration::ZERO, |since| now.since(since))
    }
}

impl Drop for Connection {
    /// Over TLS an end without a word could be somebody between the two who cut it off.
    fn drop(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.close();
            // There may be no room, or nobody there any more.
            let _ = tls.write(&self.socket);
        }
    }
}
