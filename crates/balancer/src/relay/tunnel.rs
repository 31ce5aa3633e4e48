//! An upgraded connection: bytes both ways until both sides have ended.
//!
//! What one side would not take yet is held, at most one read's worth in each direction, and nothing more
//! is read from the other side meanwhile. An end is passed on as an end of that direction only, as
//! WebSocket's and other protocols' orderly closings need.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use super::stream::Stream;
use crate::worker::buffers::{Buffers, Inbox, Scratch};

/// Bytes read at once: a tunnel lives long and its bytes may be held long.
const PIECE: usize = 16 * 1024;

/// One direction of a tunnel.
#[derive(Debug, Default)]
pub(crate) struct Way {
    pending: Inbox,
    ended: bool,
    closed: bool,
    pub(crate) bytes: u64,
}

impl Way {
    /// A direction in which these bytes have arrived already.
    pub(crate) fn starting_with(pending: Inbox) -> Self {
        Self { bytes: pending.len() as u64, pending, ..Self::default() }
    }

    /// Moves what can be moved. Ready when this direction has ended and its end has been passed on.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
        buffers: &Buffers,
        scratch: &Scratch,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(super::io::poll_flush(to, cx, &mut self.pending, buffers))?;
            if self.ended {
                if !self.closed {
                    ready!(to.poll_shutdown(cx))?;
                    self.closed = true;
                }
                return Poll::Ready(Ok(()));
            }
            let moved = scratch.with(PIECE, |piece| -> Poll<io::Result<usize>> {
                let n = ready!(from.poll_read(cx, piece))?;
                let wrote = match to.poll_write(cx, &[IoSlice::new(&piece[..n])]) {
                    _ if n == 0 => 0,
                    Poll::Ready(wrote) => wrote?,
                    Poll::Pending => 0,
                };
                self.pending.put(buffers, &piece[wrote..n]);
                Poll::Ready(Ok(n))
            });
            match ready!(moved)? {
                0 => self.ended = true,
                n => self.bytes += n as u64,
            }
        }
    }

    /// Gives borrowed memory back.
    pub(crate) fn release(&mut self, buffers: &Buffers) {
        self.pending.clear(buffers);
    }
}
