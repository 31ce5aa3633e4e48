//! How fresh the ring is, for other threads of this process: what a lease may rest on.
//!
//! Asking the daemon would mean waiting for it, and then the answer says little about this moment. So it writes down what it
//! knows whenever it has something new to say, and others read it when they need it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::Instant;
use ring::{DaemonName, Ring, RingId};

/// The daemon writes no more often than this.
const EVERY: Duration = Duration::from_millis(10);

/// What the daemon knows of its ring.
#[derive(Clone, Debug)]
pub struct Beat {
    /// The moment up to which it is certain that no daemon of the view that was there then had gone on without this one
    /// ([`Ring::fresh_since`]), on the clock that goes on while the machine sleeps (`CLOCK_BOOTTIME`).
    pub since: Instant,
    /// The daemons of the view.
    pub daemons: Arc<[DaemonName]>,
    /// When this daemon last went on after it had been kept from running for so long that the others may have gone on without it.
    pub kept: Option<Instant>,
}

/// Reads it.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Mutex<Option<Beat>>>);

impl Pulse {
    /// What the daemon wrote last; `None` before its first view.
    pub fn read(&self) -> Option<Beat> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The daemon's side.
#[derive(Debug)]
pub(crate) struct Heart {
    shared: Pulse,
    next: Instant,
    view: Option<RingId>,
    daemons: Arc<[DaemonName]>,
    kept: Option<Instant>,
}

impl Heart {
    pub(crate) fn new() -> Self {
        let shared = Pulse(Arc::new(Mutex::new(None)));
        Self { shared, next: Instant::ORIGIN, view: None, daemons: Arc::new([]), kept: None }
    }

    pub(crate) fn pulse(&self) -> Pulse {
        self.shared.clone()
    }

    /// The daemon goes on after it was kept from running: to be known before what the others have said meanwhile is read.
    pub(crate) fn kept(&mut self, now: Instant) {
        self.kept = Some(now);
        let mut shared = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(beat) = shared.as_mut() {
            beat.kept = self.kept;
        }
    }

    /// Writes down what is new: another view at once, a fresher word soon. While no view stands nothing is written, and what was
    /// written grows old.
    pub(crate) fn beat(&mut self, now: Instant, ring: &Ring) {
        let Some(view) = ring.view() else { return };
        let other = self.view != Some(view.id);
        if !other && now < self.next {
            return;
        }
        let since = ring.fresh_since(now);
        if other {
            self.view = Some(view.id);
            self.daemons = view.members.iter().map(|member| member.name).collect();
        } else if since.is_none() {
            return;
        }
        self.next = now + EVERY;
        let mut shared = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What was said of the daemons before stays true of those that are still here, and grows old until they have answered in
        // this view; of one that has come nothing is known yet, but nothing rests on it yet either.
        let before = shared.as_ref().map_or(Instant::ORIGIN, |beat| beat.since);
        let (since, daemons) = (since.unwrap_or(before), self.daemons.clone());
        *shared = Some(Beat { since, daemons, kept: self.kept });
    }
}
