//! Idle connections of one worker to machines and to the local service.
//!
//! Every connection that rests here is watched: giving one in leaves the warden's waker with the runtime,
//! so that its end (a machine killed, a service restarted) is known at once, without a task or a timer
//! for each. The end of a connection to a machine is evidence about that machine.
//!
//! Each is tagged with the epoch of the machine's admission: a connection to an earlier boot is never
//! used for a later one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use crate::relay::stream::Stream;

/// Where a pooled connection leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The machine in this row of the matrix.
    Machine(u16),
    /// The service behind this machine.
    Local,
}

/// A resting connection.
#[derive(Debug)]
struct Idle {
    stream: Stream,
    epoch: u32,
    since: u64,
}

/// The resting connections of one worker.
#[derive(Debug)]
pub(crate) struct Pool {
    machines: RefCell<Vec<VecDeque<Idle>>>,
    local: RefCell<VecDeque<Idle>>,
    warden: RefCell<Waker>,
    count: Cell<usize>,
    per_machine: usize,
    to_local: usize,
}

impl Pool {
    /// A pool for so many machines that keeps at most `per_machine` connections to each and `to_local` to the
    /// local service (zero: none at all).
    pub(crate) fn new(machines: usize, per_machine: usize, to_local: usize) -> Self {
        Self {
            machines: RefCell::new((0..machines).map(|_| VecDeque::new()).collect()),
            local: RefCell::default(),
            warden: RefCell::new(Waker::noop().clone()),
            count: Cell::new(0),
            per_machine,
            to_local,
        }
    }

    /// From now on this waker is called when a resting connection ends.
    pub(crate) fn watch_with(&self, warden: &Waker) {
        *self.warden.borrow_mut() = warden.clone();
    }

    /// Connections resting now.
    pub(crate) fn count(&self) -> usize {
        self.count.get()
    }

    /// Connections resting now that lead to one place.
    pub(crate) fn count_of(&self, key: Key) -> usize {
        self.with(key, |idle| idle.len()).unwrap_or(0)
    }

    fn with<R>(&self, key: Key, f: impl FnOnce(&mut VecDeque<Idle>) -> R) -> Option<R> {
        match key {
            Key::Machine(slot) => self.machines.borrow_mut().get_mut(usize::from(slot)).map(f),
            Key::Local => Some(f(&mut self.local.borrow_mut())),
        }
    }

    /// The connection that was used last, if it is to this epoch and still quiet.
    pub(crate) fn take(&self, key: Key, epoch: u32) -> Option<Stream> {
        self.with(key, |idle| {
            while let Some(mut one) = idle.pop_back() {
                self.count.set(self.count.get() - 1);
                if one.epoch == epoch && one.stream.is_quiet() {
                    return Some(one.stream);
                }
            }
            None
        })?
    }

    /// Lets a connection rest whose last message ended without doubt. It is dropped instead when the
    /// pool is full or something has already arrived on it.
    pub(crate) fn give(&self, key: Key, epoch: u32, mut stream: Stream, now: u64) {
        if !quiet(&mut stream, &mut Context::from_waker(&self.warden.borrow())) {
            return;
        }
        let most = if key == Key::Local { self.to_local } else { self.per_machine };
        let kept = self.with(key, |idle| {
            if idle.len() >= most {
                return false;
            }
            idle.push_back(Idle { stream, epoch, since: now });
            true
        });
        if kept == Some(true) {
            self.count.set(self.count.get() + 1);
        }
    }

    /// Drops what has rested since before `before`, always sparing the newest `spare` of each machine.
    pub(crate) fn expire(&self, before: u64, spare: impl Fn(Key) -> usize) {
        let each = |key, idle: &mut VecDeque<Idle>| {
            let spare = spare(key);
            while idle.len() > spare && idle.front().is_some_and(|one| one.since < before) {
                idle.pop_front();
                self.count.set(self.count.get() - 1);
            }
        };
        for (slot, idle) in self.machines.borrow_mut().iter_mut().enumerate() {
            each(Key::Machine(slot as u16), idle);
        }
        each(Key::Local, &mut self.local.borrow_mut());
    }

    /// Drops the connection that has rested for longest; `false` if none rests.
    pub(crate) fn drop_oldest(&self) -> bool {
        let mut machines = self.machines.borrow_mut();
        let mut local = self.local.borrow_mut();
        let all = machines.iter_mut().chain(std::iter::once(&mut *local));
        let since = |idle: &VecDeque<Idle>| idle.front().map(|one| one.since);
        let oldest = all.filter(|idle| !idle.is_empty()).min_by_key(|idle| since(idle));
        let dropped = oldest.and_then(VecDeque::pop_front).is_some();
        self.count.set(self.count.get() - usize::from(dropped));
        dropped
    }

    /// Drops every connection to one place.
    pub(crate) fn forget(&self, key: Key) {
        let dropped = self.with(key, |idle| std::mem::take(idle).len()).unwrap_or(0);
        self.count.set(self.count.get() - dropped);
    }

    /// Drops everything.
    pub(crate) fn clear(&self) {
        self.machines.borrow_mut().iter_mut().for_each(VecDeque::clear);
        self.local.borrow_mut().clear();
        self.count.set(0);
    }

    /// Takes out every connection that has ended, and leaves the waker with the others. For each tells
    /// where it led and to which epoch.
    pub(crate) fn poll_ended(&self, cx: &mut Context<'_>, ended: &mut Vec<(Key, u32)>) {
        let mut each = |key, idle: &mut VecDeque<Idle>| {
            let before = idle.len();
            idle.retain_mut(|one| {
                let rests = quiet(&mut one.stream, cx);
                if !rests {
                    ended.push((key, one.epoch));
                }
                rests
            });
            self.count.set(self.count.get() - (before - idle.len()));
        };
        for (slot, idle) in self.machines.borrow_mut().iter_mut().enumerate() {
            if !idle.is_empty() {
                each(Key::Machine(slot as u16), idle);
            }
        }
        each(Key::Local, &mut self.local.borrow_mut());
    }
}

/// Whether nothing has arrived on a connection, neither its end nor bytes nobody asked for.
fn quiet(stream: &mut Stream, cx: &mut Context<'_>) -> bool {
    matches!(stream.poll_read(cx, &mut [0]), Poll::Pending)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Stream::tcp(client), listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_connection_that_ends_while_resting_is_noticed() {
        let pool = Pool::new(4, 8, 8);
        let (stream, other) = pair().await;
        pool.give(Key::Machine(2), 7, stream, 0);
        let mut ended = Vec::new();
        let mut other = Some(other);
        poll_fn(|cx| {
            pool.watch_with(cx.waker());
            pool.poll_ended(cx, &mut ended);
            drop(other.take());
            if ended.is_empty() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        assert_eq!(ended, [(Key::Machine(2), 7)]);
        assert_eq!(pool.count(), 0);
    }

    #[tokio::test]
    async fn a_connection_to_an_earlier_boot_is_never_used() {
        let pool = Pool::new(4, 8, 8);
        let (stream, _other) = pair().await;
        pool.give(Key::Machine(0), 1, stream, 0);
        assert!(pool.take(Key::Machine(0), 2).is_none());
        assert_eq!(pool.count(), 0);
    }

    #[tokio::test]
    async fn a_connection_on_which_something_came_unasked_is_never_used() {
        let pool = Pool::new(1, 8, 8);
        let (stream, mut other) = pair().await;
        other.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        poll_fn(|cx| stream.poll_read_ready(cx)).await.unwrap();
        pool.give(Key::Local, 0, stream, 0);
        assert!(pool.take(Key::Local, 0).is_none());
    }

    #[tokio::test]
    async fn resting_connections_expire_but_the_spared_ones() {
        let pool = Pool::new(1, 8, 8);
        let mut others = Vec::new();
        for since in [10, 20, 30] {
            let (stream, other) = pair().await;
            others.push(other);
            pool.give(Key::Machine(0), 0, stream, since);
        }
        pool.expire(25, |_| 2);
        assert_eq!(pool.count_of(Key::Machine(0)), 2);
        pool.expire(25, |_| 0);
        assert_eq!(pool.count_of(Key::Machine(0)), 1);
    }

    #[tokio::test]
    async fn the_connection_that_has_rested_for_longest_goes_first_wherever_it_leads() {
        let pool = Pool::new(2, 8, 8);
        let mut others = Vec::new();
        for (key, since) in [(Key::Machine(1), 30), (Key::Local, 10), (Key::Machine(0), 20)] {
            let (stream, other) = pair().await;
            others.push(other);
            pool.give(key, 0, stream, since);
        }
        for left in [[1, 0, 1], [0, 0, 1], [0, 0, 0]] {
            assert!(pool.drop_oldest());
            let keys = [Key::Machine(0), Key::Local, Key::Machine(1)];
            assert_eq!(keys.map(|key| pool.count_of(key)), left);
        }
        assert!(!pool.drop_oldest());
        assert_eq!(pool.count(), 0);
    }

    #[tokio::test]
    async fn a_pool_that_is_switched_off_keeps_nothing() {
        let pool = Pool::new(1, 0, 8);
        let (stream, _other) = pair().await;
        pool.give(Key::Machine(0), 0, stream, 0);
        assert_eq!(pool.count(), 0);
    }
}
