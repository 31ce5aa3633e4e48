//! What the demonstration shows besides the terminal, and what it is asked to do: shared by the story and by the control page.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::cluster::Harm;
use super::probe::Probes;

/// Events that are kept.
const EVENTS: usize = 12;
/// Orders that may wait.
const ORDERS: usize = 8;

/// Something to do to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// This, to this one.
    Harm(usize, Harm),
    /// It comes back, from whatever it suffers.
    BringBack(usize),
}

/// Why an order was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The demonstration does it by itself for now.
    NotYet,
    /// Others wait to be carried out.
    TooMany,
}

/// A machine as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) name: String,
    /// What it suffers.
    pub(crate) harm: Option<Harm>,
}

/// What is shown.
pub(crate) struct Board {
    machines: Mutex<Vec<Shown>>,
    events: Mutex<VecDeque<String>>,
    probes: Mutex<Option<Arc<Probes>>>,
    /// Whether machines have cables that can be pulled.
    pub(crate) cables: AtomicBool,
    open: AtomicBool,
    orders: SyncSender<Order>,
}

impl Board {
    /// An empty one, and where its orders come out.
    pub(crate) fn new() -> (Arc<Self>, Receiver<Order>) {
        let (orders, taken) = sync_channel(ORDERS);
        let board = Self {
            machines: Mutex::default(),
            events: Mutex::default(),
            probes: Mutex::default(),
            cables: AtomicBool::new(false),
            open: AtomicBool::new(false),
            orders,
        };
        (Arc::new(board), taken)
    }

    /// From now on the machines are as said.
    pub(crate) fn show_machines(&self, machines: Vec<Shown>) {
        *self.machines.lock().unwrap_or_else(PoisonError::into_inner) = machines;
    }

    pub(crate) fn machines(&self) -> Vec<Shown> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on these probes are shown.
    pub(crate) fn show_probes(&self, probes: Arc<Probes>) {
        *self.probes.lock().unwrap_or_else(PoisonError::into_inner) = Some(probes);
    }

    pub(crate) fn probes(&self) -> Option<Arc<Probes>> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something has happened.
    pub(crate) fn event(&self, what: String) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() >= EVENTS {
            events.pop_front();
        }
        events.push_back(what);
    }

    /// What has happened of late, the oldest first.
    pub(crate) fn events(&self) -> Vec<String> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// From now on orders are taken, or not.
    pub(crate) fn open(&self, open: bool) {
        self.open.store(open, Relaxed);
    }

    /// Whether orders are taken.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }

    /// Gives an order.
    pub(crate) fn order(&self, order: Order) -> Result<(), NotTaken> {
        if !self.is_open() {
            return Err(NotTaken::NotYet);
        }
        self.orders.try_send(order).map_err(|_| NotTaken::TooMany)
    }
}
