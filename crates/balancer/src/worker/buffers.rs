//! Memory of one worker: buffers that connections borrow while they hold a head, and one scratch.
//!
//! An idle connection holds no buffer. A body passes through the scratch, which all connections of the
//! worker share because none keeps anything in it across a wait; only what the other side would not take
//! is copied out, so a slow client holds at most one read's worth.

use std::cell::RefCell;

/// First size of a connection's buffer; heads beyond it make the buffer grow up to the configured limit.
const BUFFER: usize = 8 * 1024;
/// Buffers above this size go back to the allocator instead of the pool.
const KEEP: usize = 64 * 1024;
/// Buffers kept for reuse.
const KEPT: usize = 512;
/// The scratch starts with this and doubles on full reads.
const SCRATCH: usize = 64 * 1024;
/// The most the scratch grows to.
pub(crate) const SCRATCH_MAX: usize = 512 * 1024;

/// The buffers of one worker.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    free: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    fn take(&self) -> Vec<u8> {
        self.free.borrow_mut().pop().unwrap_or_else(|| vec![0; BUFFER])
    }

    fn give(&self, buffer: Vec<u8>) {
        let mut free = self.free.borrow_mut();
        if free.len() < KEPT && buffer.len() >= BUFFER && buffer.len() <= KEEP {
            free.push(buffer);
        }
    }
}

/// Bytes read and not yet used up: the storage is borrowed from [`Buffers`] while there are any.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    data: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Uses up the first `n` bytes.
    pub(crate) fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Forgets all but the first `n` bytes.
    pub(crate) fn truncate(&mut self, n: usize) {
        self.end = self.end.min(self.start + n);
    }

    /// Room to read into: what is left after the bytes held, after moving them to the front if that gives
    /// more, or after doubling if they fill the buffer. Never beyond `limit` bytes in all; empty then.
    pub(crate) fn room(&mut self, buffers: &Buffers, limit: usize) -> &mut [u8] {
        if self.data.is_empty() {
            self.data = buffers.take();
        }
        if self.end == self.data.len() && self.start > 0 {
            self.data.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.data.len() && self.end < limit {
            self.data.resize((self.end * 2).min(limit), 0);
        }
        let stop = self.data.len().min(self.start + limit);
        &mut self.data[self.end.min(stop)..stop]
    }

    /// Takes note that `n` bytes were read into the room.
    pub(crate) fn filled(&mut self, n: usize) {
        self.end = (self.end + n).min(self.data.len());
    }

    /// Puts bytes behind those held, growing as needed.
    pub(crate) fn put(&mut self, buffers: &Buffers, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.data.is_empty() {
            self.data = buffers.take();
        }
        if self.data.len() - self.end < bytes.len() && self.start > 0 {
            self.data.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.data.len() - self.end < bytes.len() {
            self.data.resize(self.end + bytes.len(), 0);
        }
        self.data[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// These bytes and then those of another.
    pub(crate) fn followed_by(mut self, mut other: Self, buffers: &Buffers) -> Self {
        if self.is_empty() {
            self.rest(buffers);
            return other;
        }
        self.put(buffers, other.bytes());
        other.clear(buffers);
        self
    }

    /// Gives the storage back if nothing is held.
    pub(crate) fn rest(&mut self, buffers: &Buffers) {
        if self.is_empty() && !self.data.is_empty() {
            (self.start, self.end) = (0, 0);
            buffers.give(std::mem::take(&mut self.data));
        }
    }

    /// Gives the storage back whatever it holds.
    pub(crate) fn clear(&mut self, buffers: &Buffers) {
        (self.start, self.end) = (0, 0);
        self.rest(buffers);
    }
}

/// The scratch of one worker. Borrow it only between two waits.
#[derive(Debug)]
pub(crate) struct Scratch {
    data: RefCell<Vec<u8>>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { data: RefCell::new(vec![0; SCRATCH]) }
    }
}

impl Scratch {
    /// Lends at least `want` bytes (at most [`SCRATCH_MAX`]) to `f`.
    pub(crate) fn with<R>(&self, want: usize, f: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut data = self.data.borrow_mut();
        let want = want.clamp(1, SCRATCH_MAX);
        if data.len() < want {
            data.resize(want.next_power_of_two().min(SCRATCH_MAX), 0);
        }
        f(&mut data[..want])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_grows_to_its_limit_and_no_further() {
        let buffers = Buffers::default();
        let mut inbox = Inbox::default();
        let limit = 3 * BUFFER;
        while !inbox.room(&buffers, limit).is_empty() {
            let n = inbox.room(&buffers, limit).len();
            inbox.filled(n);
        }
        assert_eq!(inbox.len(), limit);
    }

    #[test]
    fn what_is_used_up_makes_room_again() {
        let buffers = Buffers::default();
        let mut inbox = Inbox::default();
        inbox.put(&buffers, &vec![7; BUFFER]);
        inbox.consume(BUFFER - 3);
        assert_eq!(inbox.room(&buffers, BUFFER).len(), BUFFER - 3);
        assert_eq!(inbox.bytes(), [7, 7, 7]);
    }

    #[test]
    fn an_idle_connection_holds_no_buffer() {
        let buffers = Buffers::default();
        let mut inbox = Inbox::default();
        inbox.put(&buffers, b"x");
        inbox.rest(&buffers);
        assert!(!inbox.data.is_empty(), "bytes are held, so is the buffer");
        inbox.consume(1);
        inbox.rest(&buffers);
        assert!(inbox.data.is_empty());
        assert_eq!(buffers.free.borrow().len(), 1);
    }
}
