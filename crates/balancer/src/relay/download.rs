//! The response body on its way to the client.
//!
//! Reads go into the worker's scratch and out again in the same step. They begin small and double while
//! both sides keep up; whatever the client would not take is copied aside, and the next reads are small
//! again, so a slow client costs little memory however large the body is. When much is left of a body
//! of known length, it moves through a pipe instead.

use std::io;
use std::task::{Context, Poll, ready};

use http1::{Decoder, Delivery};

use super::splice::{Pipe, Pipes, WORTH};
use super::stream::Stream;
use crate::worker::Worker;
use crate::worker::buffers::{Buffers, Inbox, SCRATCH_MAX};

/// The first read of a body.
const FIRST: usize = 64 * 1024;

/// The largest read of a body that is copied: what of it a client that stops reading does not take is kept for it.
const COPY_MAX: usize = 128 * 1024;

/// What comes at once of a body whose rest is likely to follow at once. Of one that trickles each piece is sent as it comes:
/// a kernel told that more follows keeps a part of a packet back for up to 200 ms.
const FLOW: usize = 64 * 1024;

/// Which side failed.
#[derive(Debug)]
pub(crate) enum DownloadError {
    /// The client went away.
    Client,
    /// The response broke off or was not understood.
    Origin,
}

/// The state of one response's body.
#[derive(Debug)]
pub(crate) struct Download {
    body: Option<Decoder>,
    pending: Inbox,
    /// How much is read at once, into memory or into a pipe.
    want: usize,
    pipe: Option<Pipe>,
    /// The pipe was tried and is not to be had, or does not work with this kind of socket.
    no_pipe: bool,
    /// So much came at once that the rest is likely to follow: the kernel may wait for it to fill a packet.
    flows: bool,
    /// The kernel may hold back the end of what it was given last.
    held_back: bool,
    delivery: Delivery,
    /// More bytes than the body has were received: the connection must not be used again.
    pub(crate) excess: bool,
    /// Bytes passed to the client, chunk framing included.
    pub(crate) bytes: u64,
}

impl Download {
    /// A body with this framing; `None` for a response without one.
    pub(crate) fn new(body: Option<Decoder>, delivery: Delivery) -> Self {
        Self {
            body,
            pending: Inbox::default(),
            want: FIRST,
            pipe: None,
            no_pipe: false,
            flows: false,
            held_back: false,
            delivery,
            excess: false,
            bytes: 0,
        }
    }

    /// Sends the head and what of the body came with it. `head_rest` is what came behind the head.
    pub(crate) fn begin(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Stream,
        buffers: &Buffers,
        head: &[u8],
        head_rest: &[u8],
    ) -> Result<(), DownloadError> {
        if self.delivery != Delivery::AsItCame {
            self.pending.put(buffers, head);
            return self.recode(buffers, head_rest);
        }
        let used = self.decode(head_rest)?;
        super::io::send(client, cx, &mut self.pending, buffers, head, &head_rest[..used])
            .map(drop)
            .map_err(|_| DownloadError::Client)
    }

    /// The same, behind bytes that the client has not taken yet.
    pub(crate) fn begin_behind(
        &mut self,
        pending: Inbox,
        buffers: &Buffers,
        head: &[u8],
        head_rest: &[u8],
    ) -> Result<(), DownloadError> {
        self.pending = pending;
        self.pending.put(buffers, head);
        if self.delivery != Delivery::AsItCame {
            return self.recode(buffers, head_rest);
        }
        let used = self.decode(head_rest)?;
        self.pending.put(buffers, &head_rest[..used]);
        Ok(())
    }

    /// How many of these bytes belong to the body.
    fn decode(&mut self, bytes: &[u8]) -> Result<usize, DownloadError> {
        let Some(body) = &mut self.body else {
            self.excess |= !bytes.is_empty();
            return Ok(0);
        };
        let passed = body.pass(bytes).map_err(|_| DownloadError::Origin)?;
        if passed.done {
            self.body = None;
        }
        self.excess |= passed.used < bytes.len();
        self.bytes += passed.used as u64;
        Ok(passed.used)
    }

    /// Puts the data in these bytes aside in the form that the client understands.
    fn recode(&mut self, buffers: &Buffers, bytes: &[u8]) -> Result<(), DownloadError> {
        let Some(body) = &mut self.body else { return Ok(()) };
        let (pending, sent, chunk) =
            (&mut self.pending, &mut self.bytes, self.delivery == Delivery::Chunk);
        let progress = body
            .data(bytes, |data| {
                *sent += data.len() as u64;
                if chunk {
                    pending.put(buffers, http1::chunk_line(data.len(), &mut [0; 18]));
                }
                pending.put(buffers, data);
                if chunk {
                    pending.put(buffers, http1::CHUNK_END);
                }
            })
            .map_err(|_| DownloadError::Origin)?;
        self.excess |= progress.used < bytes.len();
        if progress.done {
            self.body = None;
        }
        Ok(())
    }

    /// Moves what can be moved. Ready when everything is with the client's kernel. `moved` is set when bytes
    /// moved, for the deadline.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        origin: &mut Stream,
        client: &mut Stream,
        w: &Worker,
        moved: &mut bool,
    ) -> Poll<Result<(), DownloadError>> {
        loop {
            if !self.pending.is_empty() {
                let before = self.pending.len();
                let flushed = super::io::poll_flush(client, cx, &mut self.pending, &w.buffers);
                *moved |= self.pending.len() < before;
                ready!(flushed).map_err(|_| DownloadError::Client)?;
            }
            if self.pipe.as_ref().is_some_and(|pipe| pipe.held() > 0) {
                ready!(self.poll_pipe_out(cx, client, moved))?;
                continue;
            }
            let Some(body) = &self.body else {
                self.release_pipe(&w.pipes);
                return Poll::Ready(Ok(()));
            };
            let left = body.unread();
            let large = left.is_some_and(|left| left >= WORTH && left != u64::MAX);
            if !self.no_pipe && large || self.pipe.is_some() {
                let filled = self.poll_pipe_in(cx, origin, w, left.unwrap_or(0));
                if filled.is_pending() && self.held_back {
                    // The rest does not follow at once after all.
                    client.push();
                    self.held_back = false;
                }
                match ready!(filled)? {
                    true => *moved = true,
                    false => self.no_pipe = true,
                }
                continue;
            }
            ready!(self.poll_copy(cx, origin, client, w))?;
            *moved = true;
        }
    }

    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        origin: &mut Stream,
        client: &mut Stream,
        w: &Worker,
    ) -> Poll<Result<(), DownloadError>> {
        let buffers = &w.buffers;
        w.scratch.with(self.want, |piece| {
            let n = ready!(origin.poll_read(cx, piece)).map_err(|_| DownloadError::Origin)?;
            if n == 0 {
                return Poll::Ready(self.origin_ended(buffers));
            }
            if self.delivery != Delivery::AsItCame {
                return Poll::Ready(self.recode(buffers, &piece[..n]));
            }
            let used = self.decode(&piece[..n])?;
            let all = super::io::send(client, cx, &mut self.pending, buffers, &piece[..used], &[])
                .map_err(|_| DownloadError::Client)?;
            self.want = match (all, n == piece.len()) {
                (true, true) => (self.want * 2).min(COPY_MAX),
                (true, false) => self.want,
                (false, _) => FIRST,
            };
            Poll::Ready(Ok(()))
        })
    }

    fn origin_ended(&mut self, buffers: &Buffers) -> Result<(), DownloadError> {
        match self.body.take() {
            Some(body) if !body.ends_with_connection() => {
                return Err(DownloadError::Origin);
            }
            _ if self.delivery == Delivery::Chunk => self.pending.put(buffers, http1::LAST_CHUNK),
            _ => {}
        }
        Ok(())
    }

    /// Fills the pipe; `false` if there is none to be had.
    fn poll_pipe_in(
        &mut self,
        cx: &mut Context<'_>,
        origin: &Stream,
        w: &Worker,
        left: u64,
    ) -> Poll<Result<bool, DownloadError>> {
        let Some(mut pipe) = self.pipe.take().or_else(|| w.pipes.take()) else {
            return Poll::Ready(Ok(false));
        };
        let filled = pipe.poll_fill(cx, origin, left.min(self.want as u64));
        if pipe.held() > 0 {
            self.pipe = Some(pipe);
        } else {
            // Who waits for the origin holds no descriptors meanwhile.
            w.pipes.give(pipe);
        }
        match filled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0)) => Poll::Ready(self.origin_ended(&w.buffers).map(|()| true)),
            Poll::Ready(Ok(n)) => {
                self.bytes += n as u64;
                self.flows = n >= FLOW;
                if let Some(body) = &mut self.body {
                    body.skip(n as u64);
                    if body.is_done() {
                        self.body = None;
                    }
                }
                Poll::Ready(Ok(true))
            }
            // Some kinds of file do not splice: copy instead.
            Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::InvalidInput => {
                Poll::Ready(Ok(false))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(DownloadError::Origin)),
        }
    }

    fn poll_pipe_out(
        &mut self,
        cx: &mut Context<'_>,
        client: &Stream,
        moved: &mut bool,
    ) -> Poll<Result<(), DownloadError>> {
        let more = self.body.is_some() && self.flows;
        let Some(pipe) = &mut self.pipe else { return Poll::Ready(Ok(())) };
        while pipe.held() > 0 {
            let emptied = pipe.poll_empty(cx, client, more);
            if emptied.is_pending() {
                // A slow client: little of its body is to wait in the kernel.
                self.want = FIRST;
            }
            ready!(emptied).map_err(|_| DownloadError::Client)?;
            *moved = true;
        }
        self.held_back = more;
        self.want = (self.want * 2).min(SCRATCH_MAX);
        Poll::Ready(Ok(()))
    }

    fn release_pipe(&mut self, pipes: &Pipes) {
        if let Some(pipe) = self.pipe.take() {
            pipes.give(pipe);
        }
    }

    /// Whether the whole body has arrived.
    pub(crate) fn is_received(&self) -> bool {
        self.body.is_none()
    }

    /// Whether what has arrived waits for the client: then a standstill is the client's, not the origin's.
    pub(crate) fn waits_for_client(&self) -> bool {
        !self.pending.is_empty() || self.pipe.as_ref().is_some_and(|pipe| pipe.held() > 0)
    }

    /// Gives borrowed memory back.
    pub(crate) fn release(&mut self, buffers: &Buffers, pipes: &Pipes) {
        self.pending.clear(buffers);
        self.release_pipe(pipes);
    }
}
