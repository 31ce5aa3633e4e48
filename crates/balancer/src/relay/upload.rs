//! The request body on its way from the client to whoever serves the request.
//!
//! Until [`HELD`] bytes have passed, everything passed on is also kept, so that another machine can be
//! given the same body if the first one fails. Beyond that only what the other side would not take yet is
//! held, and nothing more is read from the client meanwhile.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use http1::Decoder;

use super::stream::Stream;
use crate::worker::Worker;
use crate::worker::buffers::{Buffers, Inbox};

/// The most that is kept for another attempt.
pub(crate) const HELD: usize = 64 * 1024;
/// Bytes read from the client at once when nothing is kept any more.
const PIECE: usize = 128 * 1024;

/// Why a body could not be passed on.
#[derive(Debug)]
pub(crate) enum UploadError {
    /// The client went away or sent what is not a body.
    Client(io::ErrorKind),
    /// The other side takes no more; it may still answer.
    Origin,
    /// The body is longer than this machine accepts.
    TooLong,
}

/// The state of one request's body.
#[derive(Debug)]
pub(crate) struct Upload {
    body: Option<Decoder>,
    /// The bytes to pass on, from the first if `replayable`, else from the first that is not out.
    held: Inbox,
    sent: usize,
    replayable: bool,
    complete: bool,
    limit: u64,
    /// Bytes taken from the client, framing included.
    pub(crate) taken: u64,
    /// The same without framing: what `limit` limits.
    data: u64,
}

impl Upload {
    /// The body of a request with this framing, of at most `limit` bytes; `None` if it has none.
    pub(crate) fn new(body: Option<Decoder>, limit: u64) -> Self {
        let complete = body.is_none();
        let held = Inbox::default();
        Self { body, held, sent: 0, replayable: true, complete, limit, taken: 0, data: 0 }
    }

    /// Whether the whole body has been taken from the client.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether another attempt can send the same body.
    pub(crate) fn is_replayable(&self) -> bool {
        self.replayable
    }

    /// Begins again for another attempt.
    pub(crate) fn rewind(&mut self) {
        debug_assert!(self.replayable);
        self.sent = 0;
    }

    /// What has been taken and not yet sent: for the first write, together with the head.
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.held.bytes()[self.sent..]
    }

    /// Notes that `n` bytes of [`Upload::unsent`] are out.
    pub(crate) fn sent(&mut self, n: usize) {
        self.sent += n;
    }

    /// Takes what has already arrived behind the head.
    pub(crate) fn take_arrived(
        &mut self,
        inbox: &mut Inbox,
        buffers: &Buffers,
    ) -> Result<(), UploadError> {
        if self.complete || inbox.is_empty() {
            return Ok(());
        }
        let used = self.decode(inbox.bytes())?;
        self.held.put(buffers, &inbox.bytes()[..used]);
        inbox.consume(used);
        inbox.rest(buffers);
        self.replayable &= self.held.len() <= HELD;
        Ok(())
    }

    /// How many of these bytes belong to the body.
    fn decode(&mut self, bytes: &[u8]) -> Result<usize, UploadError> {
        let Some(body) = &mut self.body else { return Ok(0) };
        let data = &mut self.data;
        let passed = body
            .data(bytes, |piece| *data += piece.len() as u64)
            .map_err(|_| UploadError::Client(io::ErrorKind::InvalidData))?;
        self.complete = passed.done;
        self.taken += passed.used as u64;
        if self.data > self.limit {
            return Err(UploadError::TooLong);
        }
        Ok(passed.used)
    }

    /// Whether the client has announced a body longer than this machine accepts.
    pub(crate) fn is_announced_too_long(&self) -> bool {
        self.body.as_ref().and_then(Decoder::unread).is_some_and(|n| n > self.limit)
    }

    /// Whether something that has arrived could not be sent yet.
    pub(crate) fn waits_for_origin(&self) -> bool {
        self.sent < self.held.len()
    }

    /// Whether so little of the body may be left that reading it is cheaper than a new connection.
    pub(crate) fn is_worth_discarding(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body.unread().is_none_or(|n| n <= HELD as u64))
    }

    /// Reads what is left of the body and forgets it: ready with `true` at its end, with `false` when it is
    /// too long or the client fails.
    pub(crate) fn poll_discard(
        &mut self,
        cx: &mut Context<'_>,
        inbox: &mut Inbox,
        client: &mut Stream,
        buffers: &Buffers,
    ) -> Poll<bool> {
        let before = self.taken;
        while !self.complete {
            if self.taken - before > HELD as u64 {
                return Poll::Ready(false);
            }
            if inbox.is_empty() {
                match ready!(super::io::poll_fill(client, cx, inbox, buffers, HELD)) {
                    Ok(Some(0)) | Err(_) => return Poll::Ready(false),
                    Ok(_) => {}
                }
            }
            match self.decode(inbox.bytes()) {
                Ok(used) => inbox.consume(used),
                Err(_) => return Poll::Ready(false),
            }
        }
        inbox.rest(buffers);
        Poll::Ready(true)
    }

    /// Moves what can be moved. Ready when the whole body is out. `moved` counts bytes that moved, for
    /// the deadline.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        inbox: &mut Inbox,
        client: &mut Stream,
        origin: &mut Stream,
        w: &Worker,
        moved: &mut bool,
    ) -> Poll<Result<(), UploadError>> {
        let buffers = &w.buffers;
        loop {
            while self.sent < self.held.len() {
                let rest = &self.held.bytes()[self.sent..];
                let n = ready!(origin.poll_write(cx, &[IoSlice::new(rest)]))
                    .map_err(|_| UploadError::Origin)?;
                self.sent += n;
                *moved = true;
            }
            if !self.replayable {
                self.held.clear(buffers);
                self.sent = 0;
            }
            if self.complete {
                return Poll::Ready(Ok(()));
            }
            if !inbox.is_empty() {
                self.take_arrived(inbox, buffers)?;
                continue;
            }
            if self.replayable {
                let read = super::io::poll_fill(client, cx, inbox, buffers, HELD);
                if ready!(read).map_err(|e| UploadError::Client(e.kind()))? == Some(0) {
                    return Poll::Ready(Err(UploadError::Client(io::ErrorKind::UnexpectedEof)));
                }
            } else {
                ready!(self.poll_through(cx, inbox, client, origin, w))?;
            }
            *moved = true;
        }
    }

    /// Reads once from the client and sends at once what was read.
    fn poll_through(
        &mut self,
        cx: &mut Context<'_>,
        inbox: &mut Inbox,
        client: &mut Stream,
        origin: &mut Stream,
        w: &Worker,
    ) -> Poll<Result<(), UploadError>> {
        let buffers = &w.buffers;
        w.scratch.with(PIECE, |piece| {
            let n =
                ready!(client.poll_read(cx, piece)).map_err(|e| UploadError::Client(e.kind()))?;
            if n == 0 {
                return Poll::Ready(Err(UploadError::Client(io::ErrorKind::UnexpectedEof)));
            }
            let used = self.decode(&piece[..n])?;
            inbox.put(buffers, &piece[used..n]);
            super::io::send(origin, cx, &mut self.held, buffers, &piece[..used], &[])
                .map_err(|_| UploadError::Origin)?;
            Poll::Ready(Ok(()))
        })
    }

    /// Gives borrowed memory back.
    pub(crate) fn release(&mut self, buffers: &Buffers) {
        self.held.clear(buffers);
    }
}
