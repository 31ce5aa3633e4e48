//! How many requests the local service works on at a time, and the short queue before it.
//!
//! The count is the machine's own number in flight, the one it announces, so it is shared by all workers:
//! one atomic, which every decision reads anyway. The queue is a list per worker. Whoever leaves lets in
//! the next one of his own worker, or rings at the door of a worker that has somebody waiting.
//!
//! Beyond the queue a request is refused at once: a client that is told soon can go elsewhere, one that
//! waits in a long line has usually given up when its turn comes.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use tokio::sync::Notify;

use super::control::Control;

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Admission {
    queue: u32,
    waiting: AtomicU32,
    doors: Box<[Door]>,
}

#[derive(Debug, Default)]
struct Door {
    bell: Notify,
    waiting: AtomicU32,
}

impl Admission {
    /// At most `queue` waiting, over so many workers.
    pub(crate) fn new(queue: u32, workers: usize) -> Self {
        let doors = (0..workers).map(|_| Door::default()).collect();
        Self { queue, waiting: AtomicU32::new(0), doors }
    }

    /// Requests waiting in all workers.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed)
    }
}

/// Where the count of requests in flight is kept, with its limit: the machine's own load.
pub(crate) trait InFlight {
    /// Adds one unless the limit is reached.
    fn try_begin(&self) -> bool;
    /// Takes one away.
    fn end(&self);
}

impl InFlight for resources::Handle {
    fn try_begin(&self) -> bool {
        self.local().try_begin().is_some()
    }
    fn end(&self) {
        self.local().end();
    }
}

/// One worker's entrance.
pub(crate) struct Gate<C: InFlight> {
    shared: Arc<Admission>,
    count: C,
    index: usize,
    line: RefCell<VecDeque<Rc<Waiter>>>,
}

#[derive(Debug)]
struct Waiter {
    control: Rc<Control>,
    granted: Cell<bool>,
    left: Cell<bool>,
}

/// What came of asking to be let in.
pub(crate) enum Entrance<C: InFlight> {
    /// At work; ends when the ticket is dropped.
    In(Ticket<C>),
    /// In the line.
    Wait(Waiting<C>),
    /// The line is full.
    Full,
}

/// A request in local service. Dropping it lets the next one in.
pub(crate) struct Ticket<C: InFlight>(Rc<Gate<C>>);

/// A request in the line. Dropping it leaves the line.
pub(crate) struct Waiting<C: InFlight> {
    gate: Rc<Gate<C>>,
    waiter: Rc<Waiter>,
}

impl<C: InFlight> Gate<C> {
    pub(crate) fn new(shared: Arc<Admission>, count: C, index: usize) -> Rc<Self> {
        Rc::new(Self { shared, count, index, line: RefCell::default() })
    }

    /// Asks to be let in; in the line, `control` is woken when the turn comes.
    pub(crate) fn enter(self: &Rc<Self>, control: impl FnOnce() -> Rc<Control>) -> Entrance<C> {
        // Whoever is in the line goes first.
        if self.shared.waiting.load(Relaxed) == 0 && self.count.try_begin() {
            return Entrance::In(Ticket(self.clone()));
        }
        if self.shared.waiting.fetch_add(1, Relaxed) >= self.shared.queue {
            self.shared.waiting.fetch_sub(1, Relaxed);
            return Entrance::Full;
        }
        self.door().waiting.fetch_add(1, Relaxed);
        let waiter = Rc::new(Waiter {
            control: control(),
            granted: Cell::new(false),
            left: Cell::new(false),
        });
        self.line.borrow_mut().push_back(waiter.clone());
        // Somebody may have left between the first question and joining the line.
        self.admit();
        Entrance::Wait(Waiting { gate: self.clone(), waiter })
    }

    fn door(&self) -> &Door {
        &self.shared.doors[self.index]
    }

    /// Waits until another worker rings, then lets in whom it can; for ever.
    pub(crate) async fn keep_door(self: Rc<Self>) {
        loop {
            self.door().bell.notified().await;
            self.admit();
        }
    }

    /// Lets in from the own line as many as there is room for.
    fn admit(&self) {
        loop {
            let mut line = self.line.borrow_mut();
            while line.front().is_some_and(|w| w.left.get()) {
                line.pop_front();
            }
            if line.is_empty() || !self.count.try_begin() {
                return;
            }
            let Some(waiter) = line.pop_front() else { return };
            self.left_line();
            waiter.granted.set(true);
            waiter.control.wake();
        }
    }

    fn left_line(&self) {
        self.shared.waiting.fetch_sub(1, Relaxed);
        self.door().waiting.fetch_sub(1, Relaxed);
    }

    fn leave(&self) {
        self.count.end();
        if self.shared.waiting.load(Relaxed) == 0 {
            return;
        }
        if self.door().waiting.load(Relaxed) > 0 {
            return self.admit();
        }
        let n = self.shared.doors.len();
        let others = (1..n).map(|i| &self.shared.doors[(self.index + i) % n]);
        if let Some(door) = others.into_iter().find(|door| door.waiting.load(Relaxed) > 0) {
            door.bell.notify_one();
        }
    }
}

impl<C: InFlight> Drop for Ticket<C> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl<C: InFlight> Waiting<C> {
    /// The ticket, once the turn has come.
    pub(crate) fn turn(&self) -> Option<Ticket<C>> {
        self.waiter.granted.take().then(|| {
            self.waiter.left.set(true);
            Ticket(self.gate.clone())
        })
    }
}

impl<C: InFlight> Drop for Waiting<C> {
    fn drop(&mut self) {
        if self.waiter.granted.get() {
            // Granted and never collected: hand it on.
            self.gate.leave();
        } else if !self.waiter.left.replace(true) {
            self.gate.left_line();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Limited(Arc<AtomicU32>, u32);

    impl InFlight for Limited {
        fn try_begin(&self) -> bool {
            let more = |n| (n < self.1).then_some(n + 1);
            self.0.fetch_update(Relaxed, Relaxed, more).is_ok()
        }
        fn end(&self) {
            self.0.fetch_sub(1, Relaxed);
        }
    }

    fn gates(limit: u32, queue: u32) -> (Arc<AtomicU32>, [Rc<Gate<Limited>>; 2]) {
        let count = Arc::new(AtomicU32::new(0));
        let shared = Arc::new(Admission::new(queue, 2));
        let gate = |i| Gate::new(shared.clone(), Limited(count.clone(), limit), i);
        (count.clone(), [gate(0), gate(1)])
    }

    #[test]
    fn whoever_waits_is_let_in_when_another_leaves() {
        let (count, [gate, _]) = gates(1, 2);
        let Entrance::In(first) = gate.enter(Rc::default) else { panic!("there was room") };
        let Entrance::Wait(second) = gate.enter(Rc::default) else { panic!("there was a line") };
        assert!(second.turn().is_none());
        drop(first);
        let ticket = second.turn().expect("its turn has come");
        drop((ticket, second));
        assert_eq!((count.load(Relaxed), gate.shared.waiting()), (0, 0));
    }

    #[test]
    fn a_full_line_refuses_at_once() {
        let (_, [gate, _]) = gates(1, 1);
        let _at_work = gate.enter(Rc::default);
        let _waits = gate.enter(Rc::default);
        assert!(matches!(gate.enter(Rc::default), Entrance::Full));
    }

    #[test]
    fn a_client_that_gives_up_leaves_no_trace() {
        let (count, [gate, _]) = gates(1, 5);
        let Entrance::In(first) = gate.enter(Rc::default) else { panic!("there was room") };
        let gone = gate.enter(Rc::default);
        let Entrance::Wait(stays) = gate.enter(Rc::default) else { panic!("there was a line") };
        drop(gone);
        assert_eq!(gate.shared.waiting(), 1);
        drop(first);
        // Its turn has come, but nobody collects it.
        drop(stays);
        assert_eq!((count.load(Relaxed), gate.shared.waiting()), (0, 0));
    }

    #[tokio::test]
    async fn a_worker_rings_at_the_door_of_another() {
        let (_, [a, b]) = gates(1, 5);
        let Entrance::In(first) = a.enter(Rc::default) else { panic!("there was room") };
        let Entrance::Wait(waits) = b.enter(Rc::default) else { panic!("there was a line") };
        drop(first);
        tokio::select! {
            () = b.clone().keep_door() => {}
            () = async { while waits.waiter.granted.get().eq(&false) { tokio::task::yield_now().await } } => {}
        }
        assert!(waits.turn().is_some());
    }
}
