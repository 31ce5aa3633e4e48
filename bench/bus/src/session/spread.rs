//! A session over the Unix socket: batched writes, reads that are counted without taking messages apart.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use spread_wire::client::connect::{Connect, Hello, Step};
use spread_wire::client::send::{Outgoing, Sender};
use spread_wire::limits::{HEADER_BYTES, NAME_FIELD_BYTES};
use spread_wire::{GroupName, Header, Service, ServiceType};

use super::{Event, Load, Session, Window};
use crate::clock;

/// Where the daemon listens, in every machine.
const SOCKET: &str = "/tmp/4803";
/// Bytes read at once; a Unix socket holds no more by default.
const READ: usize = 256 << 10;
/// Bytes of messages written at once, or one message if it is longer.
const BATCH: usize = 64 << 10;
/// How long a counting read waits before it looks at the clock.
const GLANCE: Duration = Duration::from_millis(20);
/// The longest handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// One session.
pub(crate) struct Client {
    socket: UnixStream,
    sender: Sender,
    group: GroupName,
    frames: Frames,
}

impl Client {
    /// Connects, and joins unless it will only send. The number is that of the members.
    pub(crate) fn join(group: &str, member: bool) -> Result<(Self, usize)> {
        let mut socket = UnixStream::connect(SOCKET).context(SOCKET)?;
        socket.set_read_timeout(Some(HANDSHAKE))?;
        let sender = greet(&mut socket)?;
        socket.set_read_timeout(None)?;
        let group = GroupName::new(group.as_bytes())?;
        let mut client = Self { socket, sender, group, frames: Frames::new() };
        if !member {
            return Ok((client, 0));
        }
        client.socket.write_all(&client.sender.join(&group)?)?;
        loop {
            if let Event::View(members) = client.next()? {
                return Ok((client, members));
            }
        }
    }

    fn message(&self, safe: bool, body: &[u8]) -> Result<bytes::Bytes> {
        let service = if safe { Service::Safe } else { Service::Agreed };
        let groups = [self.group];
        let outgoing = Outgoing { service, self_discard: false, kind: 0, groups: &groups, body };
        Ok(self.sender.message(&outgoing)?)
    }

    fn read(&mut self) -> Result<()> {
        if self.frames.fill(&mut self.socket)? == 0 {
            bail!("the daemon ended the session");
        }
        Ok(())
    }
}

/// The handshake; the session wants views.
fn greet(socket: &mut UnixStream) -> Result<Sender> {
    let hello = Hello { name: None, membership: true, priority: false };
    socket.write_all(&hello.encode())?;
    let mut connect = Connect::new(hello);
    let mut byte = [0];
    loop {
        // One byte at a time, so that nothing of the first message is taken.
        socket.read_exact(&mut byte)?;
        match connect.receive(&mut &byte[..])? {
            Step::Wait => {}
            Step::Send(bytes) => socket.write_all(&bytes)?,
            Step::Done(established) => return Ok(Sender::new(established.group)),
        }
    }
}

impl Session for Client {
    fn send(&mut self, safe: bool, body: &[u8]) -> Result<()> {
        let message = self.message(safe, body)?;
        Ok(self.socket.write_all(&message)?)
    }

    fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.frames.next() {
                return Ok(event);
            }
            self.read()?;
        }
    }

    fn count(&mut self, window: Window) -> Result<u64> {
        self.socket.set_read_timeout(Some(GLANCE))?;
        let mut count = 0;
        loop {
            match self.frames.fill(&mut self.socket) {
                Ok(0) => bail!("the daemon ended the session"),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            let now = clock::now();
            let whole = self.frames.count();
            if window.contains(now) {
                count += whole;
            } else if now >= window.until {
                return Ok(count);
            }
        }
    }

    fn flood(&mut self, load: Load, _: Option<Window>) -> Result<u64> {
        let message = self.message(load.safe, &vec![7; load.size])?;
        let batch = message.repeat((BATCH / message.len()).max(1));
        clock::sleep_until(load.begin);
        while clock::now() < load.until {
            self.socket.write_all(&batch)?;
        }
        self.socket.shutdown(Shutdown::Write)?;
        Ok(0)
    }
}

/// Messages in a buffer, found by their headers.
struct Frames {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// What is still to come of a message whose header was read, and whether it counts.
    rest: usize,
    counts: bool,
}

impl Frames {
    fn new() -> Self {
        let buffer = vec![0; 2 * READ].into_boxed_slice();
        Self { buffer, start: 0, end: 0, rest: 0, counts: false }
    }

    fn fill(&mut self, from: &mut impl Read) -> std::io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.buffer.len() - self.end < READ {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let read = from.read(&mut self.buffer[self.end..])?;
        self.end += read;
        Ok(read)
    }

    fn header(&self) -> Option<Header> {
        let bytes = self.buffer[self.start..self.end].first_chunk::<HEADER_BYTES>()?;
        Some(Header::decode(bytes).0)
    }

    /// How many regular messages have come to their end. What has come is gone from the buffer.
    fn count(&mut self) -> u64 {
        let mut whole = 0;
        loop {
            let taken = self.rest.min(self.end - self.start);
            self.start += taken;
            self.rest -= taken;
            if self.rest > 0 {
                return whole;
            }
            whole += u64::from(std::mem::take(&mut self.counts));
            let Some(header) = self.header() else { return whole };
            self.start += HEADER_BYTES;
            self.rest = behind(&header);
            self.counts = header.service.intersects(ServiceType::REGULAR_MESS);
        }
    }

    /// The next message or view, if all of it is there. Anything else is passed over.
    fn next(&mut self) -> Option<Event> {
        loop {
            let header = self.header()?;
            let end = self.start + HEADER_BYTES + behind(&header);
            if end > self.end {
                return None;
            }
            let body = self.start + HEADER_BYTES + header.groups.max(0) as usize * NAME_FIELD_BYTES;
            let first = if body < end { self.buffer[body] } else { 0 };
            self.start = end;
            if header.service.intersects(ServiceType::REGULAR_MESS) {
                return Some(Event::Message(first));
            }
            if header.service.contains(ServiceType::REG_MEMB_MESS) {
                return Some(Event::View(header.groups.max(0) as usize));
            }
        }
    }
}

/// Bytes behind a header.
fn behind(header: &Header) -> usize {
    header.groups.max(0) as usize * NAME_FIELD_BYTES + header.data_length.max(0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(service: ServiceType, groups: i32, body: &[u8]) -> Vec<u8> {
        let hint = spread_wire::Hint::default();
        let data_length = body.len() as i32;
        let header = Header { service, name: None, groups, hint, data_length };
        let mut bytes = header.encode().to_vec();
        bytes.resize(bytes.len() + groups as usize * NAME_FIELD_BYTES, 0);
        bytes.extend(body);
        bytes
    }

    /// Gives a byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(&mut into[..1])
        }
    }

    fn stream() -> Vec<u8> {
        let mut bytes = message(ServiceType::REG_MEMB_MESS, 3, b"view");
        bytes.extend(message(ServiceType::AGREED_MESS, 1, b"a"));
        bytes.extend(message(ServiceType::TRANSITION_MESS, 0, b"signal"));
        bytes.extend(message(ServiceType::SAFE_MESS, 2, b"b"));
        bytes.extend(message(ServiceType::SAFE_MESS, 1, b""));
        bytes
    }

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let bytes = stream();
        let mut frames = Frames::new();
        frames.fill(&mut &bytes[..]).unwrap();
        assert_eq!((frames.count(), frames.count()), (3, 0));
        let (mut slow, mut whole, mut frames) = (Slow(&bytes), 0, Frames::new());
        while frames.fill(&mut slow).unwrap() > 0 {
            whole += frames.count();
        }
        assert_eq!(whole, 3);
    }

    #[test]
    fn views_and_messages_are_told_and_the_rest_passed_over() {
        let mut frames = Frames::new();
        frames.fill(&mut &stream()[..]).unwrap();
        let told: Vec<Event> = std::iter::from_fn(|| frames.next()).collect();
        let message = Event::Message;
        assert_eq!(told, [Event::View(3), message(b'a'), message(b'b'), message(0)]);
    }
}
