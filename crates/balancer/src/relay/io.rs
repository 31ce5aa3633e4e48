//! The smallest steps of a relay: send and keep what was not taken, read into a borrowed buffer.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use super::stream::Stream;
use crate::worker::buffers::{Buffers, Inbox};

/// Sends what is pending.
pub(crate) fn poll_flush(
    to: &mut Stream,
    cx: &mut Context<'_>,
    pending: &mut Inbox,
    buffers: &Buffers,
) -> Poll<io::Result<()>> {
    poll_flush_before(to, cx, pending, buffers, false)
}

/// Sends what is pending; if `more` follows at once, the kernel may send both together.
pub(crate) fn poll_flush_before(
    to: &mut Stream,
    cx: &mut Context<'_>,
    pending: &mut Inbox,
    buffers: &Buffers,
    more: bool,
) -> Poll<io::Result<()>> {
    while !pending.is_empty() {
        let n = match more {
            true => ready!(to.poll_write_before_more(cx, pending.bytes()))?,
            false => ready!(to.poll_write(cx, &[IoSlice::new(pending.bytes())]))?,
        };
        if n == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        pending.consume(n);
    }
    pending.rest(buffers);
    Poll::Ready(Ok(()))
}

/// Sends a head and the beginning of a body in one system call where the socket takes them; the rest is
/// copied into `pending`. Returns whether everything is out.
///
/// Nothing may be pending before, or the bytes would overtake it.
pub(crate) fn send(
    to: &mut Stream,
    cx: &mut Context<'_>,
    pending: &mut Inbox,
    buffers: &Buffers,
    head: &[u8],
    body: &[u8],
) -> io::Result<bool> {
    debug_assert!(pending.is_empty());
    let (mut head, mut body) = (head, body);
    while !head.is_empty() || !body.is_empty() {
        let wrote = match (head.is_empty(), body.is_empty()) {
            (true, _) => to.poll_write(cx, &[IoSlice::new(body)]),
            (_, true) => to.poll_write(cx, &[IoSlice::new(head)]),
            _ => to.poll_write(cx, &[IoSlice::new(head), IoSlice::new(body)]),
        };
        match wrote {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(n)) => {
                let of_head = n.min(head.len());
                head = &head[of_head..];
                body = &body[(n - of_head).min(body.len())..];
            }
            Poll::Ready(Err(e)) => return Err(e),
            Poll::Pending => {
                pending.put(buffers, head);
                pending.put(buffers, body);
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Reads once into the inbox. `Ok(0)` is the end; `None` means that the inbox is full.
pub(crate) fn poll_fill(
    from: &mut Stream,
    cx: &mut Context<'_>,
    inbox: &mut Inbox,
    buffers: &Buffers,
    limit: usize,
) -> Poll<io::Result<Option<usize>>> {
    if inbox.is_empty() {
        // An idle connection borrows its buffer only when there is something to put into it.
        ready!(from.poll_read_ready(cx))?;
    }
    let room = inbox.room(buffers, limit);
    if room.is_empty() {
        return Poll::Ready(Ok(None));
    }
    match from.poll_read(cx, room) {
        Poll::Ready(Ok(n)) => {
            inbox.filled(n);
            Poll::Ready(Ok(Some(n)))
        }
        Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
        Poll::Pending => {
            inbox.rest(buffers);
            Poll::Pending
        }
    }
}
