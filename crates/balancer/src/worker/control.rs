//! What may interrupt a connection's waiting: its deadline, a drain, the death of a machine.
//!
//! A timer per connection in the runtime would cost more than the rest of a small request. So each
//! connection has a slot with a deadline, set by one store, and a sweep looks over all slots every
//! [`TICK`]: ten thousand connections take some ten microseconds. Deadlines are late by at most a tick.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

/// How often deadlines are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// Why a wait was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// The deadline passed.
    Deadline,
    /// The machine waited for died or left.
    Death,
    /// This machine drains, and its time for that is over.
    Drain,
    /// It rests, and its place is wanted for another.
    Room,
}

/// The slot of one connection.
#[derive(Debug, Default)]
pub(crate) struct Control {
    waker: RefCell<Option<Waker>>,
    deadline: Cell<u64>,
    interrupt: Cell<Option<Interrupt>>,
    /// One more than the matrix row of the machine whose response is awaited; zero for none.
    waiting_on: Cell<u32>,
    idle: Cell<bool>,
    /// Whether it may be ended for the sake of another while it is idle.
    yields: Cell<bool>,
    /// Whether it ever brought a request.
    served: Cell<bool>,
}

impl Control {
    /// Takes the task's waker; once, at the start of the task.
    pub(crate) fn attach(&self, waker: &Waker) {
        *self.waker.borrow_mut() = Some(waker.clone());
    }

    /// Sets the deadline in nanoseconds of the worker's clock, and forgets an earlier one that passed.
    pub(crate) fn set_deadline(&self, at: u64) {
        self.deadline.set(at);
        if self.interrupt.get() == Some(Interrupt::Deadline) {
            self.interrupt.set(None);
        }
    }

    /// No deadline.
    pub(crate) fn clear_deadline(&self) {
        self.set_deadline(u64::MAX);
    }

    /// From now on the death of this machine interrupts; `None` for no machine.
    pub(crate) fn wait_on(&self, slot: Option<u16>) {
        self.waiting_on.set(slot.map_or(0, |s| u32::from(s) + 1));
        if self.interrupt.get() == Some(Interrupt::Death) {
            self.interrupt.set(None);
        }
    }

    /// Whether a drain may end this connection at once.
    pub(crate) fn set_idle(&self, idle: bool) {
        self.idle.set(idle);
    }

    /// From now on it may have to go while it is idle.
    pub(crate) fn set_yields(&self) {
        self.yields.set(true);
    }

    /// It rests no longer, and keeps its place.
    pub(crate) fn stay(&self) {
        if self.interrupt.get() == Some(Interrupt::Room) {
            self.interrupt.set(None);
        }
    }

    /// It has brought a request.
    pub(crate) fn set_served(&self) {
        self.served.set(true);
    }

    /// Whether it ever brought a request.
    pub(crate) fn is_served(&self) -> bool {
        self.served.get()
    }

    /// What interrupted, if anything did. Stays until its cause is set anew.
    pub(crate) fn interrupt(&self) -> Option<Interrupt> {
        self.interrupt.get()
    }

    /// Lets the task look again.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    fn raise(&self, why: Interrupt) {
        self.interrupt.set(Some(why));
        self.wake();
    }
}

/// The slots of all connections of a worker.
#[derive(Debug, Default)]
pub(crate) struct Controls {
    slots: RefCell<Vec<Option<Rc<Control>>>>,
    free: RefCell<Vec<usize>>,
    open: Cell<usize>,
}

/// A slot that is given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    control: Rc<Control>,
    controls: Rc<Controls>,
    index: usize,
}

impl std::ops::Deref for Slot {
    type Target = Control;
    fn deref(&self) -> &Control {
        &self.control
    }
}

impl Slot {
    /// The slot's control, to be woken by others.
    pub(crate) fn control(&self) -> Rc<Control> {
        self.control.clone()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.controls.slots.borrow_mut()[self.index] = None;
        self.controls.free.borrow_mut().push(self.index);
        self.controls.open.set(self.controls.open.get() - 1);
    }
}

impl Controls {
    /// A slot for a new connection.
    pub(crate) fn open(self: &Rc<Self>) -> Slot {
        let control = Rc::new(Control::default());
        control.clear_deadline();
        let mut slots = self.slots.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(None);
            slots.len() - 1
        });
        slots[index] = Some(control.clone());
        self.open.set(self.open.get() + 1);
        Slot { control, controls: self.clone(), index }
    }

    /// Connections open now.
    pub(crate) fn count(&self) -> usize {
        self.open.get()
    }

    fn each(&self, f: impl FnMut(&Rc<Control>)) {
        self.slots.borrow().iter().flatten().for_each(f);
    }

    /// Interrupts every connection whose deadline has passed.
    pub(crate) fn sweep(&self, now: u64) {
        self.each(|c| {
            if c.deadline.get() <= now && c.interrupt.get().is_none() {
                c.raise(Interrupt::Deadline);
            }
        });
    }

    /// Interrupts every connection that waits for the machine in this row.
    pub(crate) fn died(&self, slot: u16) {
        self.each(|c| {
            if c.waiting_on.get() == u32::from(slot) + 1 {
                c.raise(Interrupt::Death);
            }
        });
    }

    /// Lets every idle connection look again: this machine drains.
    pub(crate) fn wake_idle(&self) {
        self.each(|c| {
            if c.idle.get() {
                c.wake();
            }
        });
    }

    /// Ends the connection that has been idle for longest, of those that may have to go; `false` if there is none.
    /// Who never asked for anything goes first, so that a crowd of the silent drives out only itself.
    pub(crate) fn end_longest_idle(&self) -> bool {
        let slots = self.slots.borrow();
        let resting = slots
            .iter()
            .flatten()
            .filter(|c| c.idle.get() && c.yields.get() && c.interrupt.get().is_none());
        // All of them may rest for the same time.
        let longest = resting.min_by_key(|c| (c.served.get(), c.deadline.get()));
        longest.inspect(|c| c.raise(Interrupt::Room)).is_some()
    }

    /// Interrupts every connection: the time for draining is over.
    pub(crate) fn end_all(&self) {
        self.each(|c| c.raise(Interrupt::Drain));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_is_set_anew_no_longer_interrupts() {
        let controls = Rc::new(Controls::default());
        let slot = controls.open();
        slot.set_deadline(10);
        controls.sweep(9);
        assert_eq!(slot.interrupt(), None);
        controls.sweep(10);
        assert_eq!(slot.interrupt(), Some(Interrupt::Deadline));
        slot.set_deadline(20);
        assert_eq!(slot.interrupt(), None);
    }

    #[test]
    fn a_death_interrupts_only_who_waits_for_that_machine() {
        let controls = Rc::new(Controls::default());
        let (a, b, c) = (controls.open(), controls.open(), controls.open());
        a.wait_on(Some(3));
        b.wait_on(Some(4));
        controls.died(3);
        assert_eq!(a.interrupt(), Some(Interrupt::Death));
        assert_eq!((b.interrupt(), c.interrupt()), (None, None));
    }

    #[test]
    fn a_closed_connection_gives_its_slot_back() {
        let controls = Rc::new(Controls::default());
        let first = controls.open().index;
        assert_eq!(controls.count(), 0);
        assert_eq!(controls.open().index, first);
    }

    #[test]
    fn whoever_has_been_idle_for_longest_makes_room() {
        let controls = Rc::new(Controls::default());
        let (busy, late, early, peer) =
            (controls.open(), controls.open(), controls.open(), controls.open());
        for (slot, deadline) in [(&busy, 10), (&late, 30), (&early, 20), (&peer, 5)] {
            slot.set_deadline(deadline);
            slot.set_idle(true);
        }
        busy.set_idle(false);
        let silent = controls.open();
        silent.set_deadline(40);
        silent.set_idle(true);
        [&busy, &late, &early, &silent].into_iter().for_each(|slot| slot.set_yields());
        [&busy, &late, &early].into_iter().for_each(|slot| slot.set_served());
        assert!(controls.end_longest_idle());
        assert_eq!((silent.interrupt(), early.interrupt()), (Some(Interrupt::Room), None));
        assert!(controls.end_longest_idle());
        assert_eq!((early.interrupt(), late.interrupt()), (Some(Interrupt::Room), None));
        assert!(controls.end_longest_idle());
        assert_eq!(late.interrupt(), Some(Interrupt::Room));
        assert!(!controls.end_longest_idle());
        assert_eq!((busy.interrupt(), peer.interrupt()), (None, None));
    }

    #[test]
    fn the_end_of_a_drain_interrupts_everybody() {
        let controls = Rc::new(Controls::default());
        let (idle, busy) = (controls.open(), controls.open());
        idle.set_idle(true);
        controls.wake_idle();
        assert_eq!((idle.interrupt(), busy.interrupt()), (None, None));
        controls.end_all();
        assert_eq!(busy.interrupt(), Some(Interrupt::Drain));
    }
}
