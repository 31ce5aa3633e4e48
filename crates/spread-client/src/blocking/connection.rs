//! A session with a daemon, for threads.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use spread_wire::client::connect::Step;
use spread_wire::client::{Connect, Established, Event, Outgoing, Sender};
use spread_wire::{GroupName, PrivateGroup, READ_MAX, Service, Version};

use super::stream::{Interest, Stream};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::flow::Flow;
use crate::inbox::Inbox;
use crate::options::Options;
use crate::tls;

/// A session with a daemon.
///
/// While it sends it also receives, and puts aside what came, so that the two ends never wait for each other; receive
/// regularly, or [`split`](Self::split) it and do both at once.
#[derive(Debug)]
pub struct Connection {
    sending: SendHalf,
    receiving: ReceiveHalf,
    daemon: Version,
}

/// The half that sends.
#[derive(Debug)]
pub struct SendHalf {
    stream: Stream,
    wire: Sender,
    flow: Arc<Flow>,
    broken: bool,
}

/// The half that receives.
#[derive(Debug)]
pub struct ReceiveHalf {
    stream: Stream,
    inbox: Inbox,
    flow: Arc<Flow>,
    /// What one read is read into.
    scratch: Box<[u8]>,
}

impl Connection {
    /// Connects, within the time of `options`, to which looking up a host's name may be added.
    ///
    /// # Errors
    /// No connection, or the daemon refuses the session.
    pub fn connect(endpoint: &Endpoint, options: &Options) -> Result<Self, Error> {
        let deadline = Instant::now() + options.timeout;
        let late = || Error::TimedOut { endpoint: endpoint.clone(), after: options.timeout };
        let refused = |source| Error::Handshake { endpoint: endpoint.clone(), source };
        let certified = tls::certified(endpoint, options.tls.as_ref())?;
        let mut stream = Stream::connect(endpoint, certified, deadline).map_err(|source| {
            if source.kind() == std::io::ErrorKind::TimedOut {
                return late();
            }
            Error::Connect { endpoint: endpoint.clone(), source }
        })?;
        let mut handshake = Connect::new(options.hello());
        let mut output = options.hello().encode();
        let mut scratch = vec![0; READ_MAX].into_boxed_slice();
        loop {
            while !output.is_empty() {
                match stream.write(&output)? {
                    Some(written) => drop(output.drain(..written)),
                    None if stream.wait(Interest::Write, Some(deadline))? => {}
                    None => return Err(late()),
                }
            }
            while !stream.flush()? {
                if !stream.wait(Interest::Write, Some(deadline))? {
                    return Err(late());
                }
            }
            let mut rest = match stream.read(&mut scratch)? {
                Some(0) => return Err(Error::Closed),
                Some(read) => &scratch[..read],
                None if stream.wait(Interest::Read, Some(deadline))? => continue,
                None => return Err(late()),
            };
            loop {
                match handshake.receive(&mut rest).map_err(refused)? {
                    Step::Wait => break,
                    Step::Send(bytes) => output.extend(bytes),
                    Step::Done(session) => {
                        return Self::begin(stream, &session, rest, options);
                    }
                }
            }
        }
    }

    fn begin(
        stream: Stream,
        session: &Established,
        first: &[u8],
        options: &Options,
    ) -> Result<Self, Error> {
        let flow = Arc::new(Flow::new(&session.group, options.outstanding_max));
        let inbox = Inbox::new(options.decoder(), first, options.unread_max, flow.clone());
        let wire = options.sender(session.group);
        let scratch = vec![0; READ_MAX].into_boxed_slice();
        Ok(Self {
            receiving: ReceiveHalf { stream: stream.again()?, inbox, flow: flow.clone(), scratch },
            sending: SendHalf { stream, wire, flow, broken: false },
            daemon: session.daemon,
        })
    }

    /// The private group of this session: what is sent there comes here alone.
    pub fn group(&self) -> &PrivateGroup {
        self.sending.group()
    }

    /// What the daemon says it is.
    pub fn daemon(&self) -> Version {
        self.daemon
    }

    /// Own messages that have not come back yet; see [`Options::outstanding_max`].
    pub fn outstanding(&self) -> usize {
        self.sending.outstanding()
    }

    /// Asks to become a member. The answer is the view with this session in it.
    ///
    /// # Errors
    /// Nobody may join such a group, or the session ended.
    pub fn join(&mut self, group: &GroupName) -> Result<(), Error> {
        let bytes = self.sending.wire.join(group)?;
        self.write(&[&bytes])?;
        self.sending.flow.joined(*group);
        Ok(())
    }

    /// Asks to be no member any more. The answer is [`Event::SelfLeave`].
    ///
    /// # Errors
    /// Nobody may join such a group, or the session ended.
    pub fn leave(&mut self, group: &GroupName) -> Result<(), Error> {
        let bytes = self.sending.wire.leave(group)?;
        self.write(&[&bytes])?;
        self.sending.flow.left(group);
        Ok(())
    }

    /// Sends `body` to one group. For several, and for all else a message may have, there is [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn multicast(
        &mut self,
        service: Service,
        group: &GroupName,
        body: &[u8],
    ) -> Result<(), Error> {
        let groups = std::slice::from_ref(group);
        self.send(&Outgoing { service, self_discard: false, kind: 0, groups, body })
    }

    /// Sends a message, as soon as not too many are on their way.
    ///
    /// # Errors
    /// The message is too large; nobody receives what came; or the session ended.
    pub fn send(&mut self, message: &Outgoing<'_>) -> Result<(), Error> {
        self.receiving.inbox.check()?;
        let head = self.sending.wire.head(message)?;
        let comes_back = self.sending.flow.comes_back(message);
        if comes_back {
            while !self.sending.flow.is_open() {
                self.receiving.inbox.put_aside()?;
                if !self.sending.flow.is_open() {
                    self.receiving.fill(None)?;
                }
            }
            self.sending.flow.sent();
        }
        self.write(&[&head, message.body])
    }

    /// Receives the next event, however long it takes.
    ///
    /// # Errors
    /// The session ended. What was received before is given first.
    pub fn receive(&mut self) -> Result<Event, Error> {
        self.receiving.receive()
    }

    /// Receives the next event if it comes in time.
    ///
    /// # Errors
    /// The session ended. What was received before is given first.
    pub fn receive_within(&mut self, time: Duration) -> Result<Option<Event>, Error> {
        self.receiving.receive_within(time)
    }

    /// Ends the session in order: the other members see that it disconnected.
    ///
    /// # Errors
    /// The session had ended before.
    pub fn disconnect(mut self) -> Result<(), Error> {
        let bytes = self.sending.wire.kill();
        self.write(&[&bytes])?;
        Ok(self.sending.stream.finish()?)
    }

    /// Divides it, to send in one thread and receive in another.
    pub fn split(self) -> (SendHalf, ReceiveHalf) {
        (self.sending, self.receiving)
    }

    /// Writes all; receives for as long as that cannot go on: the daemon may be waiting for just that.
    fn write(&mut self, parts: &[&[u8]]) -> Result<(), Error> {
        let Self { sending, receiving, .. } = self;
        sending.write(parts, |stream| {
            match receiving.inbox.put_aside_for_begun() {
                Ok(()) => {
                    stream.wait(Interest::Both, None)?;
                    receiving.read().map(drop)
                }
                // A message that has begun must go on; when far too much waits, no more is received meanwhile.
                Err(Error::Unread { .. }) => Ok(stream.wait(Interest::Write, None).map(drop)?),
                Err(error) => Err(error),
            }
        })
    }
}

impl SendHalf {
    /// The private group of this session.
    pub fn group(&self) -> &PrivateGroup {
        self.wire.own()
    }

    /// Own messages that have not come back yet; see [`Options::outstanding_max`].
    pub fn outstanding(&self) -> usize {
        self.flow.outstanding()
    }

    /// As [`Connection::join`].
    ///
    /// # Errors
    /// Nobody may join such a group, or the session ended.
    pub fn join(&mut self, group: &GroupName) -> Result<(), Error> {
        let bytes = self.wire.join(group)?;
        self.flow.joined(*group);
        self.write_all(&[&bytes])
    }

    /// As [`Connection::leave`].
    ///
    /// # Errors
    /// Nobody may join such a group, or the session ended.
    pub fn leave(&mut self, group: &GroupName) -> Result<(), Error> {
        let bytes = self.wire.leave(group)?;
        self.flow.left(group);
        self.write_all(&[&bytes])
    }

    /// As [`Connection::send`]; while it waits, somebody must receive with the other half.
    ///
    /// # Errors
    /// The message is too large, or the session ended.
    pub fn send(&mut self, message: &Outgoing<'_>) -> Result<(), Error> {
        let head = self.wire.head(message)?;
        if self.flow.comes_back(message) {
            let waker = Waker::from(Arc::new(Unpark(thread::current())));
            let mut cx = Context::from_waker(&waker);
            loop {
                match self.flow.poll_open(&mut cx) {
                    Poll::Ready(open) => break open?,
                    Poll::Pending => thread::park(),
                }
            }
            self.flow.sent();
        }
        self.write_all(&[&head, message.body])
    }

    /// As [`Connection::disconnect`].
    ///
    /// # Errors
    /// The session had ended before.
    pub fn disconnect(mut self) -> Result<(), Error> {
        let bytes = self.wire.kill();
        self.write_all(&[&bytes])?;
        Ok(self.stream.finish()?)
    }

    fn write_all(&mut self, parts: &[&[u8]]) -> Result<(), Error> {
        self.write(parts, |stream| Ok(stream.wait(Interest::Write, None).map(drop)?))
    }

    /// Writes all, one part after the other; short ones together.
    fn write(
        &mut self,
        parts: &[&[u8]],
        mut blocked: impl FnMut(&Stream) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.broken {
            return Err(Error::Closed);
        }
        // Until all is written, what follows would be taken for the rest of this message.
        self.broken = true;
        let mut joined = Vec::new();
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let parts = if length <= READ_MAX {
            joined.reserve(length);
            parts.iter().for_each(|part| joined.extend_from_slice(part));
            &[&joined[..]]
        } else {
            parts
        };
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                match self.stream.write(rest)? {
                    Some(0) => return Err(Error::Closed),
                    Some(written) => rest = &rest[written..],
                    None => blocked(&self.stream)?,
                }
            }
        }
        while !self.stream.flush()? {
            blocked(&self.stream)?;
        }
        self.broken = false;
        Ok(())
    }
}

impl ReceiveHalf {
    /// As [`Connection::receive`].
    ///
    /// # Errors
    /// The session ended. What was received before is given first.
    pub fn receive(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.inbox.next()? {
                return Ok(event);
            }
            self.fill(None)?;
        }
    }

    /// As [`Connection::receive_within`].
    ///
    /// # Errors
    /// The session ended. What was received before is given first.
    pub fn receive_within(&mut self, time: Duration) -> Result<Option<Event>, Error> {
        let deadline = Instant::now() + time;
        loop {
            if let Some(event) = self.inbox.next()? {
                return Ok(Some(event));
            }
            if !self.fill(Some(deadline))? {
                return Ok(None);
            }
        }
    }

    /// Waits for bytes. `false` if the deadline came first.
    fn fill(&mut self, deadline: Option<Instant>) -> Result<bool, Error> {
        loop {
            if self.read()? {
                return Ok(true);
            }
            if !self.stream.wait(Interest::Read, deadline)? {
                return Ok(false);
            }
        }
    }

    /// Reads what is there; `false` if nothing is.
    fn read(&mut self) -> Result<bool, Error> {
        let room = self.inbox.room().min(self.scratch.len());
        match self.stream.read(&mut self.scratch[..room]) {
            Ok(None) => Ok(false),
            Ok(Some(0)) => {
                self.flow.close();
                Err(Error::Closed)
            }
            Ok(Some(read)) => {
                self.inbox.buffer.extend_from_slice(&self.scratch[..read]);
                Ok(true)
            }
            Err(error) => {
                self.flow.close();
                Err(error.into())
            }
        }
    }
}

impl Drop for ReceiveHalf {
    /// Nothing comes back any more, so nobody may wait for it.
    fn drop(&mut self) {
        self.flow.close();
    }
}

/// Wakes a thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
