//! One client connection: its bytes, its waiting, its end. What a request means is told elsewhere.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http1::Scan;

use super::http::{Rejected, Request, max_head};
use super::reply::Reply;
use super::stream::Stream;
use crate::worker::Worker;
use crate::worker::admission::Ticket;
use crate::worker::buffers::Inbox;
use crate::worker::control::{Interrupt, Slot, TICK};
use crate::worker::judge::{Busy, Relaying, Sent};

/// Bytes a client may send ahead while its request is being served.
const AHEAD: usize = 8 * 1024;
/// Bytes thrown away after a response that came before the end of the request, so that the kernel does
/// not reset the connection under the response.
const LINGER_BYTES: usize = 512 * 1024;
/// How long that may take.
const LINGER: Duration = Duration::from_secs(2);

/// Limits below this are counted from the very moment.
const PRECISE: Duration = Duration::from_secs(1);
/// How long a new connection may take to its first request while this machine drains.
const LAST_WORD: Duration = Duration::from_secs(1);
/// How long a machine that passes requests on may take to hear that this one drains. What it has sent by then is
/// served: it could not send a request anew that may have been begun.
const PEER_LAST_WORD: Duration = Duration::from_millis(100);
/// How long a peer may let its connection to us rest. Peers close theirs long before: this is for those that
/// vanished without a word.
const PEER_IDLE: Duration = Duration::from_secs(2 * 3600);

/// How long a machine that was found dead may still keep a response or an upgraded connection waiting. If it is only its
/// datagrams that are lost, what it sends goes on.
pub(super) const LAST_SIGN: Duration = Duration::from_secs(2);

/// Which listener a connection came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Anybody.
    Client,
    /// A machine of the cluster that proved it holds the key: its marks are believed.
    Peer,
}

/// What came next on a connection.
// Nearly always a request, and taken apart at once: a box would only cost.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub(crate) enum Next {
    /// A request; its head is at the front of the inbox.
    Request(Request),
    /// Something that is not one.
    Reject(Rejected),
    /// Nothing: the client ended, was too slow, or this machine drains.
    End,
}

/// What is counted while a request is in somebody's hands, until dropped.
#[derive(Default)]
pub(crate) struct Holding {
    /// A place in this machine's local service.
    pub(crate) ticket: Option<(Ticket<resources::Handle>, Busy)>,
    /// A request at another machine, relayed by this one.
    pub(crate) sent: Option<(Sent, Relaying)>,
}

/// A client connection.
pub(crate) struct Conn {
    pub(crate) w: Rc<Worker>,
    pub(crate) stream: Stream,
    pub(crate) slot: Slot,
    /// Bytes received and not used.
    pub(crate) inbox: Inbox,
    /// The head of the request being served.
    pub(crate) head: Inbox,
    /// Bytes to send that the kernel would not take yet.
    pub(crate) out: Inbox,
    pub(crate) remote: IpAddr,
    pub(crate) entry: Entry,
    /// The client has left, or its connection failed.
    pub(crate) gone: bool,
    /// The client has ended its direction and may still listen.
    pub(crate) ended: bool,
    /// A response broke off: the connection is reset, so that nobody takes it for whole.
    pub(crate) cut: bool,
    /// The client said that its last request was its last, and nothing it sent is unread.
    pub(crate) taken_leave: bool,
    /// What the client had not acknowledged when its time was over for the first time.
    pub(crate) queued: Option<u32>,
    /// The client waits for leave to send its body, and may never send it if it gets another answer.
    pub(crate) waits_for_leave: bool,
    /// The current response is an event stream or an upgrade: it lasts as long as both sides like, and says nothing
    /// about how fast anybody is.
    pub(crate) lasts: bool,
    /// The true client of the current request.
    pub(crate) client: IpAddr,
    pub(crate) holding: Holding,
}

impl Conn {
    /// Whether the address that the client came to goes to another machine in a moment.
    pub(crate) fn is_parted_from(&self) -> bool {
        self.entry == Entry::Client
            && self.w.parting.is_from(|| self.stream.local_addr().map(|local| local.ip()))
    }

    pub(crate) async fn new(
        w: Rc<Worker>,
        slot: Slot,
        stream: Stream,
        remote: SocketAddr,
        entry: Entry,
    ) -> Self {
        poll_fn(|cx| {
            slot.attach(cx.waker());
            Poll::Ready(())
        })
        .await;
        let remote = remote.ip().to_canonical();
        let (inbox, head, out) = Default::default();
        Self {
            w,
            stream,
            slot,
            inbox,
            head,
            out,
            remote,
            entry,
            gone: false,
            ended: false,
            cut: false,
            taken_leave: false,
            queued: None,
            waits_for_leave: false,
            lasts: false,
            client: remote,
            holding: Holding::default(),
        }
    }

    /// Sets the deadline so far ahead of now, or up to a tick later: deadlines are looked at once a tick.
    pub(crate) fn due_in(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let from = match time < PRECISE {
            true => self.w.now(),
            false => self.w.recent() + TICK,
        };
        self.slot.set_deadline(from.as_nanos().saturating_add(nanos));
    }

    /// Whether a client whose time is over has still taken something since it was asked last. The kernel keeps megabytes
    /// for it and takes no more before a third of them is gone, which takes a slow client longer than its time.
    pub(crate) fn still_takes(&mut self) -> bool {
        let now = self.stream.unacknowledged();
        match (self.queued, now) {
            (_, None) => false,
            (None, now) => {
                self.queued = now;
                true
            }
            (Some(before), Some(now)) => {
                self.queued = Some(now);
                now < before
            }
        }
    }

    /// Waits for the next request head.
    pub(crate) async fn next(&mut self) -> Next {
        // A count of this thread's own; the configuration's is shared by all and would be contended.
        let w = self.w.clone();
        let http = &w.config.http;
        let idle = if self.entry == Entry::Peer { PEER_IDLE } else { http.idle_timeout };
        // Pipelined bytes may hold a whole head already.
        let mut seen = 0;
        let mut scan = Scan::default();
        let fresh = self.inbox.is_empty();
        self.due_in(if fresh { idle } else { http.head_timeout });
        self.slot.set_idle(fresh);
        let next = poll_fn(|cx| {
            loop {
                if self.inbox.len() > seen {
                    if seen == 0 && fresh {
                        self.slot.set_idle(false);
                        self.slot.stay();
                        self.due_in(http.head_timeout);
                    }
                    seen = self.inbox.len();
                    match w.parse(self.inbox.bytes(), (self.entry, self.remote), &mut scan) {
                        Ok(Some(request)) => return Poll::Ready(Next::Request(request)),
                        Ok(None) => {}
                        Err(reject) => return Poll::Ready(Next::Reject(reject)),
                    }
                }
                match self.slot.interrupt() {
                    Some(Interrupt::Deadline) if !self.inbox.is_empty() => {
                        return Poll::Ready(Next::Reject(Rejected::too_slow()));
                    }
                    // What has just arrived comes first.
                    Some(Interrupt::Room) => {}
                    Some(_) => return Poll::Ready(Next::End),
                    None if self.inbox.is_empty()
                        && self.slot.is_served()
                        && self.is_parted_from() =>
                    {
                        return Poll::Ready(Next::End);
                    }
                    // Whoever was accepted last is still heard, if it speaks soon.
                    None if self.inbox.is_empty() && self.w.is_draining() => {
                        match (self.entry, self.slot.is_served()) {
                            (Entry::Client, true) => return Poll::Ready(Next::End),
                            (Entry::Client, false) => self.due_in(LAST_WORD),
                            (Entry::Peer, _) => self.due_in(PEER_LAST_WORD),
                        }
                    }
                    None => {}
                }
                let limit = max_head(http.max_head, self.entry);
                let read = super::io::poll_fill(
                    &mut self.stream,
                    cx,
                    &mut self.inbox,
                    &self.w.buffers,
                    limit,
                );
                if read.is_pending() && self.slot.interrupt() == Some(Interrupt::Room) {
                    // Nothing it sent can be lost by closing at once.
                    self.taken_leave = true;
                    return Poll::Ready(Next::End);
                }
                match ready!(read) {
                    Ok(None) => {
                        return Poll::Ready(Next::Reject(http1::Reject::HeadTooLarge.into()));
                    }
                    Ok(Some(0)) | Err(_) => {
                        self.gone = true;
                        return Poll::Ready(Next::End);
                    }
                    Ok(Some(_)) => {}
                }
            }
        })
        .await;
        self.slot.set_idle(false);
        self.slot.clear_deadline();
        next
    }

    /// Sets the head of the current request apart from what came behind it.
    pub(crate) fn set_head_apart(&mut self, length: usize) {
        let mut rest = Inbox::default();
        rest.put(&self.w.buffers, &self.inbox.bytes()[length..]);
        self.head = std::mem::replace(&mut self.inbox, rest);
        self.head.truncate(length);
    }

    /// Notices a client that goes away while it is being served, and lets it send a little ahead. Ready
    /// when it has gone. The end of its direction alone is no such sign, unless the file says so: it cannot be
    /// told from that of one that waits. A peer's is, for peers never half-close.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.gone {
            if self.ended {
                return Poll::Pending;
            }
            let read =
                super::io::poll_fill(&mut self.stream, cx, &mut self.inbox, &self.w.buffers, AHEAD);
            match ready!(read) {
                Ok(Some(0))
                    if self.entry == Entry::Client && !self.w.config.http.abort_on_close =>
                {
                    self.ended = true;
                }
                Ok(Some(0)) | Err(_) => self.gone = true,
                Ok(Some(_)) => {}
                // Enough sent ahead; its end will show when the response is written.
                Ok(None) => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// Sends what is pending, within the time a client may take.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.flush_before(false).await
    }

    /// The same; if `more` follows at once, both may travel together.
    pub(crate) async fn flush_before(&mut self, more: bool) -> io::Result<()> {
        self.due_in(self.w.config.http.body_timeout);
        poll_fn(|cx| {
            let before = self.out.len();
            let flushed = super::io::poll_flush_before(
                &mut self.stream,
                cx,
                &mut self.out,
                &self.w.buffers,
                more,
            );
            if self.out.len() < before {
                self.queued = None;
                self.due_in(self.w.config.http.body_timeout);
            }
            if flushed.is_pending() {
                // It was made here and is ready: nobody but the client is busy with it.
                self.holding = Holding::default();
            }
            if flushed.is_pending() && self.slot.interrupt() == Some(Interrupt::Deadline) {
                if self.still_takes() {
                    self.due_in(self.w.config.http.body_timeout);
                    return Poll::Pending;
                }
                self.w.stats.counters.timed_out.bump();
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            flushed
        })
        .await
    }

    /// Sends one of our own responses and says how long its body was.
    pub(crate) async fn reply(&mut self, reply: Reply<'_>) -> io::Result<u64> {
        let length = {
            let mut text = self.w.text.borrow_mut();
            text.clear();
            let length = reply.append(&self.w.date, &mut text);
            self.out.put(&self.w.buffers, &text);
            length
        };
        self.flush().await?;
        Ok(length as u64)
    }

    /// Ends the connection in good order: everything sent, our direction ended, and what the client still
    /// sends thrown away for a moment. A client that has taken its leave sends nothing more, so nothing can
    /// make the kernel reset the connection under the response: it is closed at once.
    pub(crate) async fn finish(mut self) {
        if self.cut {
            self.stream.reset_on_close();
        } else if !self.gone
            && self.flush().await.is_ok()
            && !(self.taken_leave && self.inbox.is_empty())
        {
            self.due_in(LINGER);
            let mut budget = LINGER_BYTES;
            let mut ended = false;
            poll_fn(|cx| {
                if !ended {
                    let _ = ready!(self.stream.poll_shutdown(cx));
                    ended = true;
                }
                loop {
                    if self.slot.interrupt().is_some() {
                        return Poll::Ready(());
                    }
                    let read = self.w.scratch.with(16 * 1024, |to| self.stream.poll_read(cx, to));
                    match ready!(read) {
                        Ok(n) if n > 0 && n <= budget => budget -= n,
                        _ => return Poll::Ready(()),
                    }
                }
            })
            .await;
        }
        self.inbox.clear(&self.w.buffers);
        self.head.clear(&self.w.buffers);
        self.out.clear(&self.w.buffers);
    }
}
