//! A session with a daemon, for tokio.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use spread_wire::client::connect::Step;
use spread_wire::client::{Connect, Established, Event, Outgoing, Sender};
use spread_wire::{GroupName, PrivateGroup, READ_MAX, Service, Version};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::flow::Flow;
use crate::inbox::Inbox;
use crate::options::Options;
use crate::stream::Stream;
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
    writer: WriteHalf<Stream>,
    wire: Sender,
    /// What is to be written still: the rest of a message whose sender did not wait, or small ones together.
    output: BytesMut,
    /// Something was written that TLS may still have.
    unflushed: bool,
    flow: Arc<Flow>,
}

/// The half that receives.
#[derive(Debug)]
pub struct ReceiveHalf {
    reader: ReadHalf<Stream>,
    inbox: Inbox,
    flow: Arc<Flow>,
}

impl Connection {
    /// Connects, within the time of `options`.
    ///
    /// # Errors
    /// No connection, or the daemon refuses the session.
    pub async fn connect(endpoint: &Endpoint, options: &Options) -> Result<Self, Error> {
        let after = options.timeout;
        let late = |_| Error::TimedOut { endpoint: endpoint.clone(), after };
        tokio::time::timeout(after, establish(endpoint, options)).await.map_err(late)?
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
    pub async fn join(&mut self, group: &GroupName) -> Result<(), Error> {
        self.sending.queue_join(group)?;
        self.flush().await
    }

    /// Asks to be no member any more. The answer is [`Event::SelfLeave`].
    ///
    /// # Errors
    /// Nobody may join such a group, or the session ended.
    pub async fn leave(&mut self, group: &GroupName) -> Result<(), Error> {
        self.sending.queue_leave(group)?;
        self.flush().await
    }

    /// Sends `body` to one group. For several, and for all else a message may have, there is [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn multicast(
        &mut self,
        service: Service,
        group: &GroupName,
        body: &[u8],
    ) -> Result<(), Error> {
        let groups = std::slice::from_ref(group);
        self.send(&Outgoing { service, self_discard: false, kind: 0, groups, body }).await
    }

    /// Sends a message, as soon as not too many are on their way. If the caller stops waiting, the message was not
    /// sent, or will be sent with the next thing that is sent or received.
    ///
    /// # Errors
    /// The message is too large; nobody receives what came; or the session ended.
    pub async fn send(&mut self, message: &Outgoing<'_>) -> Result<(), Error> {
        self.receiving.inbox.check()?;
        let prepared = self.sending.prepare(message)?;
        poll_fn(|cx| self.poll_while_receiving(cx, |half, cx| half.poll_ready(cx, &prepared)))
            .await?;
        self.sending.queue(&prepared, message);
        self.flush().await
    }

    /// Receives the next event. A caller that stops waiting misses nothing.
    ///
    /// # Errors
    /// The session ended. What was received before is given first.
    pub async fn receive(&mut self) -> Result<Event, Error> {
        poll_fn(|cx| {
            // What is left of a message whose sender did not wait. Its failure is seen when receiving.
            let _ = self.sending.poll_flush(cx);
            self.receiving.poll_receive(cx)
        })
        .await
    }

    /// Ends the session in order: the other members see that it disconnected.
    ///
    /// # Errors
    /// The session had ended before.
    pub async fn disconnect(mut self) -> Result<(), Error> {
        self.sending.output.extend_from_slice(&self.sending.wire.kill());
        self.flush().await?;
        Ok(self.sending.writer.shutdown().await?)
    }

    /// Divides it, to send in one task and receive in another.
    pub fn split(self) -> (SendHalf, ReceiveHalf) {
        (self.sending, self.receiving)
    }

    /// Asks to become a member with the next thing that is sent or received.
    pub(crate) fn queue_join(&mut self, group: &GroupName) -> Result<(), Error> {
        self.sending.queue_join(group)
    }

    /// Writes what can be written at once. A failure is seen when receiving.
    pub(crate) async fn try_flush(&mut self) {
        poll_fn(|cx| {
            let _ = self.sending.poll_flush(cx);
            Poll::Ready(())
        })
        .await;
    }

    async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_while_receiving(cx, SendHalf::poll_flush)).await
    }

    /// Receives for as long as `send` cannot go on: the daemon may be waiting for just that.
    fn poll_while_receiving(
        &mut self,
        cx: &mut Context<'_>,
        mut send: impl FnMut(&mut SendHalf, &mut Context<'_>) -> Poll<Result<(), Error>>,
    ) -> Poll<Result<(), Error>> {
        loop {
            if let Poll::Ready(done) = send(&mut self.sending, cx) {
                return Poll::Ready(done);
            }
            if self.sending.output.has_remaining() {
                // A message that has begun must go on; when far too much waits, no more is received meanwhile.
                match self.receiving.inbox.put_aside_for_begun() {
                    Err(Error::Unread { .. }) => return Poll::Pending,
                    put_aside => put_aside?,
                }
            } else {
                self.receiving.inbox.put_aside()?;
            }
            // A message that came may have made room for this one.
            if let Poll::Ready(done) = send(&mut self.sending, cx) {
                return Poll::Ready(done);
            }
            ready!(self.receiving.poll_fill(cx))?;
        }
    }
}

/// A message that was found in order.
struct Prepared {
    head: bytes::Bytes,
    comes_back: bool,
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
    pub async fn join(&mut self, group: &GroupName) -> Result<(), Error> {
        self.queue_join(group)?;
        self.flush().await
    }

    /// As [`Connection::leave`].
    ///
    /// # Errors
    /// Nobody may join such a group, or the session ended.
    pub async fn leave(&mut self, group: &GroupName) -> Result<(), Error> {
        self.queue_leave(group)?;
        self.flush().await
    }

    /// As [`Connection::send`]; while it waits, somebody must receive with the other half.
    ///
    /// # Errors
    /// The message is too large, or the session ended.
    pub async fn send(&mut self, message: &Outgoing<'_>) -> Result<(), Error> {
        let prepared = self.prepare(message)?;
        poll_fn(|cx| self.poll_ready(cx, &prepared)).await?;
        self.queue(&prepared, message);
        self.flush().await
    }

    /// As [`send`](Self::send), but writes only once 64 KiB have come together: for many small messages, with
    /// [`flush`](Self::flush) after the last of them.
    ///
    /// # Errors
    /// The message is too large, or the session ended.
    pub async fn feed(&mut self, message: &Outgoing<'_>) -> Result<(), Error> {
        let prepared = self.prepare(message)?;
        if prepared.comes_back && !self.flow.is_open() {
            // None comes back before it was written.
            poll_fn(|cx| self.poll_ready(cx, &prepared)).await?;
        }
        self.queue(&prepared, message);
        if self.output.len() >= READ_MAX { self.flush().await } else { Ok(()) }
    }

    /// Writes what was fed.
    ///
    /// # Errors
    /// The session ended.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// As [`Connection::disconnect`].
    ///
    /// # Errors
    /// The session had ended before.
    pub async fn disconnect(mut self) -> Result<(), Error> {
        self.output.extend_from_slice(&self.wire.kill());
        self.flush().await?;
        Ok(self.writer.shutdown().await?)
    }

    fn queue_join(&mut self, group: &GroupName) -> Result<(), Error> {
        self.output.extend_from_slice(&self.wire.join(group)?);
        self.flow.joined(*group);
        Ok(())
    }

    fn queue_leave(&mut self, group: &GroupName) -> Result<(), Error> {
        self.output.extend_from_slice(&self.wire.leave(group)?);
        self.flow.left(group);
        Ok(())
    }

    fn prepare(&self, message: &Outgoing<'_>) -> Result<Prepared, Error> {
        let head = self.wire.head(message)?;
        Ok(Prepared { head, comes_back: self.flow.comes_back(message) })
    }

    /// Everything before is written, and not too many messages are on their way.
    fn poll_ready(&mut self, cx: &mut Context<'_>, prepared: &Prepared) -> Poll<Result<(), Error>> {
        ready!(self.poll_flush(cx))?;
        if prepared.comes_back { self.flow.poll_open(cx) } else { Poll::Ready(Ok(())) }
    }

    fn queue(&mut self, prepared: &Prepared, message: &Outgoing<'_>) {
        self.output.reserve(prepared.head.len() + message.body.len());
        self.output.extend_from_slice(&prepared.head);
        self.output.extend_from_slice(message.body);
        if prepared.comes_back {
            self.flow.sent();
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while self.output.has_remaining() {
            match ready!(Pin::new(&mut self.writer).poll_write(cx, &self.output))? {
                0 => return Poll::Ready(Err(Error::Closed)),
                written => self.output.advance(written),
            }
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.writer).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl ReceiveHalf {
    /// As [`Connection::receive`].
    ///
    /// # Errors
    /// The session ended. What was received before is given first.
    pub async fn receive(&mut self) -> Result<Event, Error> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Error>> {
        loop {
            if let Some(event) = self.inbox.next()? {
                return Poll::Ready(Ok(event));
            }
            ready!(self.poll_fill(cx))?;
        }
    }

    /// Reads once.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inbox.buffer.reserve(self.inbox.room());
        // This future keeps nothing from one poll to the next.
        let read = pin!(self.reader.read_buf(&mut self.inbox.buffer)).poll(cx);
        Poll::Ready(match ready!(read) {
            Ok(0) => {
                self.flow.close();
                Err(Error::Closed)
            }
            Ok(_) => Ok(()),
            Err(error) => {
                self.flow.close();
                Err(error.into())
            }
        })
    }
}

impl Drop for ReceiveHalf {
    /// Nothing comes back any more, so nobody may wait for it.
    fn drop(&mut self) {
        self.flow.close();
    }
}

async fn establish(endpoint: &Endpoint, options: &Options) -> Result<Connection, Error> {
    let unreachable = |source: std::io::Error| match source.kind() {
        // The last address had its share of the time, which may end with all of it.
        std::io::ErrorKind::TimedOut => {
            Error::TimedOut { endpoint: endpoint.clone(), after: options.timeout }
        }
        _ => Error::Connect { endpoint: endpoint.clone(), source },
    };
    let refused = |source| Error::Handshake { endpoint: endpoint.clone(), source };
    let certified = tls::certified(endpoint, options.tls.as_ref())?;
    let mut stream =
        Stream::connect(endpoint, certified, options.timeout).await.map_err(unreachable)?;
    let mut handshake = Connect::new(options.hello());
    stream.write_all(&options.hello().encode()).await?;
    stream.flush().await?;
    let mut input = BytesMut::new();
    loop {
        if stream.read_buf(&mut input).await? == 0 {
            return Err(Error::Closed);
        }
        loop {
            let mut rest = &input[..];
            let step = handshake.receive(&mut rest).map_err(refused)?;
            let used = input.len() - rest.len();
            input.advance(used);
            match step {
                Step::Wait => break,
                Step::Send(bytes) => {
                    stream.write_all(&bytes).await?;
                    stream.flush().await?;
                }
                Step::Done(session) => return Ok(begin(stream, &session, &input, options)),
            }
        }
    }
}

fn begin(stream: Stream, session: &Established, first: &[u8], options: &Options) -> Connection {
    let flow = Arc::new(Flow::new(&session.group, options.outstanding_max));
    let (reader, writer) = tokio::io::split(stream);
    let inbox = Inbox::new(options.decoder(), first, options.unread_max, flow.clone());
    let wire = options.sender(session.group);
    Connection {
        sending: SendHalf {
            writer,
            wire,
            output: BytesMut::new(),
            unflushed: false,
            flow: flow.clone(),
        },
        receiving: ReceiveHalf { reader, inbox, flow },
        daemon: session.daemon,
    }
}
