//! One conversation with the kernel over netlink: orders that are acknowledged, and lists.
//!
//! Orders are written many to a send. The kernel does all of them before the send returns and leaves an acknowledgement of each
//! in our receive buffer, matched by sequence number. It holds some hundred of them by default; what does not fit is lost, so
//! a send takes [`MAX_ORDERS`] at most.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rtnetlink::packet_core::NetlinkSerializable;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::{Socket, SocketAddr};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};

use super::decode::{attributes, half, number};
use super::error::Error;

/// Orders of one send.
pub(super) const MAX_ORDERS: usize = 100;

/// Bytes of one read. The kernel fills at most 32 KiB for a list, and one message is far smaller.
const READ: usize = 64 << 10;

/// How often a list that changed while it was read is read again before it is taken as it is.
const MAX_LISTS: usize = 4;

/// Longer than the kernel takes for anything here: it answers before the send returns, but for lists.
const PATIENCE: Duration = Duration::from_secs(10);

const HEADER: usize = 16;
const TYPE_ERROR: u16 = 2;
const TYPE_DONE: u16 = 3;
const FLAG_REQUEST: u16 = 0x1;
const FLAG_ACK: u16 = 0x4;
const FLAG_DUMP: u16 = 0x300;
/// Somebody changed the list while it was read.
const FLAG_INTERRUPTED: u16 = 0x10;
/// An error that does not repeat the order.
const FLAG_CAPPED: u16 = 0x100;
/// An error that has words after it.
const FLAG_WORDS: u16 = 0x200;
/// NLMSGERR_ATTR_MSG: a sentence.
const WORDS: u16 = 1;

/// What the kernel is asked for.
pub(super) struct Request {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn route(message: &RouteNetlinkMessage, flags: u16) -> Self {
        let mut body = vec![0; message.buffer_len()];
        message.serialize(&mut body);
        Self { kind: message.message_type(), flags, body }
    }
}

/// What the kernel said instead of doing it.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) errno: Errno,
    pub(super) hint: Option<String>,
}

/// One message of the kernel.
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    flags: u16,
    sequence: u32,
    pub(super) body: &'a [u8],
}

/// The messages of one read; what is malformed ends them.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = number(bytes, 0)? as usize;
        let (message, _) = bytes.split_at_checked(length)?;
        let body = message.get(HEADER..)?;
        let (kind, flags, sequence) = (half(message, 4)?, half(message, 6)?, number(message, 8)?);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(Message { kind, flags, sequence, body })
    })
}

/// An open conversation.
pub(super) struct Conversation {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
    /// For errors.
    name: &'static str,
}

impl Conversation {
    /// `protocol` is one of `rtnetlink::sys::protocols`.
    pub(super) fn open(protocol: isize, name: &'static str) -> Result<Self, Error> {
        let opened = || -> std::io::Result<Socket> {
            let mut socket = Socket::new(protocol)?;
            socket.bind(&SocketAddr::new(0, 0))?;
            sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
            sockopt::set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
            // Kernels before 4.3 and 4.12 have none of these; then an answer is longer or has no words.
            let _ = socket.set_cap_ack(true);
            let _ = socket.set_ext_ack(true);
            Ok(socket)
        };
        let socket = opened().map_err(Error::io(name))?;
        Ok(Self { socket, sequence: 0, buffer: Vec::with_capacity(READ), name })
    }

    /// Has all requests done, in their order, `most` to a send. Each has its own outcome.
    pub(super) fn order(
        &mut self,
        requests: &[Request],
        most: usize,
    ) -> Result<Vec<Result<(), Refusal>>, Error> {
        let mut outcomes = Vec::with_capacity(requests.len());
        for batch in requests.chunks(most.clamp(1, MAX_ORDERS)) {
            self.order_at_once(batch, &mut outcomes)?;
        }
        Ok(outcomes)
    }

    fn order_at_once(
        &mut self,
        batch: &[Request],
        outcomes: &mut Vec<Result<(), Refusal>>,
    ) -> Result<(), Error> {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::with_capacity(batch.len() * 96);
        for request in batch {
            self.sequence = self.sequence.wrapping_add(1);
            write(&mut bytes, request, FLAG_REQUEST | FLAG_ACK, self.sequence);
        }
        self.send(&bytes)?;
        let mut answers: Vec<Option<Result<(), Refusal>>> = vec![None; batch.len()];
        let mut missing = batch.len();
        while missing > 0 {
            self.read()?;
            for message in messages(&self.buffer) {
                // Answers to what was given up by an earlier error are of nobody.
                let at = message.sequence.wrapping_sub(first) as usize;
                if message.kind == TYPE_ERROR
                    && let Some(answer @ None) = answers.get_mut(at)
                {
                    *answer = Some(verdict(&message));
                    missing -= 1;
                }
            }
        }
        outcomes.extend(answers.into_iter().flatten());
        Ok(())
    }

    /// Asks for a list, again if it changed meanwhile; `each` adds what a message says.
    pub(super) fn list<T>(
        &mut self,
        request: &Request,
        mut each: impl FnMut(&mut Vec<T>, &Message<'_>),
    ) -> Result<Vec<T>, Error> {
        let mut found = Vec::new();
        for _ in 0..MAX_LISTS {
            found.clear();
            if self.list_once(request, &mut |message| each(&mut found, message))? {
                break;
            }
        }
        Ok(found)
    }

    /// Whether nothing was changed meanwhile.
    fn list_once(
        &mut self,
        request: &Request,
        each: &mut dyn FnMut(&Message<'_>),
    ) -> Result<bool, Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        let mut bytes = Vec::new();
        write(&mut bytes, request, FLAG_REQUEST | FLAG_DUMP, sequence);
        self.send(&bytes)?;
        let mut whole = true;
        loop {
            self.read()?;
            for message in messages(&self.buffer) {
                if message.sequence != sequence {
                    continue;
                }
                whole &= message.flags & FLAG_INTERRUPTED == 0;
                match message.kind {
                    TYPE_DONE => return Ok(whole),
                    TYPE_ERROR => {
                        return match verdict(&message) {
                            Ok(()) => Ok(whole),
                            Err(refusal) => Err(Error::io(self.name)(refusal.errno)),
                        };
                    }
                    _ => each(&message),
                }
            }
        }
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        loop {
            match self.socket.send(bytes, 0) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io(self.name)(error)),
            }
        }
    }

    fn read(&mut self) -> Result<(), Error> {
        loop {
            self.buffer.clear();
            match self.socket.recv_from(&mut self.buffer, 0) {
                // Whoever has the power may write to this socket, too; only the kernel is number 0.
                Ok((_, from)) if from.port_number() != 0 => {}
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io(self.name)(error)),
            }
        }
    }
}

impl AsFd for Conversation {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn write(bytes: &mut Vec<u8>, request: &Request, flags: u16, sequence: u32) {
    let start = bytes.len();
    // No request here comes near the length that would not fit.
    let length = u32::try_from(HEADER + request.body.len()).unwrap_or(u32::MAX);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(request.kind.to_ne_bytes());
    bytes.extend((request.flags | flags).to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(&request.body);
    let padded = start + (bytes.len() - start).next_multiple_of(4);
    bytes.resize(padded, 0);
}

fn verdict(message: &Message<'_>) -> Result<(), Refusal> {
    let code = number(message.body, 0).map_or(0, |code| code.cast_signed());
    if code == 0 {
        return Ok(());
    }
    let errno = Errno::from_raw_os_error(code.checked_neg().unwrap_or(i32::MAX));
    Err(Refusal { errno, hint: hint(message) })
}

/// The kernel's own sentence about an error.
fn hint(message: &Message<'_>) -> Option<String> {
    if message.flags & FLAG_WORDS == 0 {
        return None;
    }
    let repeated = if message.flags & FLAG_CAPPED != 0 {
        HEADER
    } else {
        (number(message.body, 4)? as usize).next_multiple_of(4)
    };
    let words = attributes(message.body.get(4..)?.get(repeated..)?);
    let (_, text) = words.into_iter().find(|(kind, _)| *kind == WORDS)?;
    let text = text.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_messages_end_the_reading_without_harm() {
        let mut bytes = Vec::new();
        let request = Request { kind: 20, flags: 0, body: vec![1, 2, 3, 4] };
        write(&mut bytes, &request, FLAG_REQUEST, 7);
        assert_eq!(messages(&bytes).map(|m| (m.kind, m.sequence)).collect::<Vec<_>>(), [(20, 7)]);
        for cut in 0..bytes.len() {
            assert_eq!(messages(&bytes[..cut]).count(), 0);
        }
        for length in [0_u32, 1, 15, 21, u32::MAX] {
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(messages(&bytes).count() <= 1);
        }
    }

    #[test]
    fn an_error_is_told_in_the_kernels_words() {
        let mut body = (-22_i32).to_ne_bytes().to_vec();
        body.extend([0; HEADER]);
        body.extend(8_u16.to_ne_bytes());
        body.extend(WORDS.to_ne_bytes());
        body.extend(b"no!\0");
        let flags = FLAG_WORDS | FLAG_CAPPED;
        let message = Message { kind: TYPE_ERROR, flags, sequence: 1, body: &body };
        let refusal = verdict(&message).unwrap_err();
        assert_eq!((refusal.errno, refusal.hint.as_deref()), (Errno::INVAL, Some("no!")));
    }
}
