//! Moving a large body between two sockets through a pipe, without copying it through our memory.
//!
//! The relay uses it for bodies of known length with at least [`WORTH`] bytes to go. A pipe belongs to one
//! connection while bytes are in it and returns to the worker's store when it is empty; one that is not is
//! closed, for its bytes belong to nobody else.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use super::stream::Stream;

/// Bytes that must be left for a pipe to pay: its two system calls cost about what copying 8 KiB in and out does.
pub(crate) const WORTH: u64 = 12 * 1024;
/// Size asked for; what the kernel grants may be less for an unprivileged user with many pipes.
const SIZE: usize = 512 * 1024;
/// Empty pipes kept.
const KEPT: usize = 16;

/// The pipes of one worker: the empty ones, and how many there are. A client that stops reading keeps a pipe for as
/// long as its patience lasts, so there is a limit to them.
#[derive(Debug)]
pub(crate) struct Pipes {
    free: RefCell<Vec<Pipe>>,
    open: Rc<Cell<usize>>,
    most: usize,
}

impl Pipes {
    /// At most so many pipes at a time, of two descriptors each.
    pub(crate) fn new(most: usize) -> Self {
        Self { free: RefCell::default(), open: Rc::default(), most }
    }

    /// An empty pipe; `None` when there are no descriptors for one, and the body is copied instead.
    pub(crate) fn take(&self) -> Option<Pipe> {
        if let Some(pipe) = self.free.borrow_mut().pop() {
            return Some(pipe);
        }
        if self.open.get() >= self.most {
            return None;
        }
        let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).ok()?;
        let size = fcntl_setpipe_size(&write, SIZE).unwrap_or(64 * 1024);
        self.open.set(self.open.get() + 1);
        Some(Pipe { read, write, held: 0, size, open: self.open.clone() })
    }

    /// Takes a pipe back if nothing is in it.
    pub(crate) fn give(&self, pipe: Pipe) {
        let mut free = self.free.borrow_mut();
        if pipe.held == 0 && free.len() < KEPT {
            free.push(pipe);
        }
    }
}

/// A pipe and how many bytes are in it.
#[derive(Debug)]
pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
    size: usize,
    /// The worker's count of pipes.
    open: Rc<Cell<usize>>,
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
    }
}

impl Pipe {
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Moves at most `want` bytes from a socket into the empty pipe. `Ok(0)` is the socket's end.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        from: &Stream,
        want: u64,
    ) -> Poll<io::Result<usize>> {
        debug_assert_eq!(
            self.held, 0,
            "a pipe is filled only when empty: EAGAIN must mean the socket"
        );
        let want = usize::try_from(want).unwrap_or(usize::MAX).min(self.size);
        loop {
            ready!(from.poll_read_ready(cx))?;
            let moved = from.try_read_with(|| {
                Ok(splice(
                    from,
                    None,
                    &self.write,
                    None,
                    want,
                    SpliceFlags::NONBLOCK | SpliceFlags::MOVE,
                )?)
            });
            match moved {
                Ok(n) => {
                    self.held = n;
                    return Poll::Ready(Ok(n));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }

    /// Moves bytes from the pipe to a socket; `more` tells the kernel that others follow at once.
    pub(crate) fn poll_empty(
        &mut self,
        cx: &mut Context<'_>,
        to: &Stream,
        more: bool,
    ) -> Poll<io::Result<usize>> {
        let more = if more { SpliceFlags::MORE } else { SpliceFlags::empty() };
        loop {
            ready!(to.poll_write_ready(cx))?;
            let moved = to.try_write_with(|| {
                let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE | more;
                Ok(splice(&self.read, None, to, None, self.held, flags)?)
            });
            match moved {
                Ok(n) => {
                    self.held -= n.min(self.held);
                    return Poll::Ready(Ok(n));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }
}
