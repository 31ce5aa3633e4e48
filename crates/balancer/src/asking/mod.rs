//! Questions before a decision and probes after it, over a UDP socket of the worker's own.

use std::rc::Rc;

use base::Instant;
use candidacy::Slot;

use crate::relay::conn::Conn;
use crate::worker::Worker;
use crate::worker::decision::Plan;

impl Worker {
    /// Whether questions can be asked at all.
    pub(crate) fn can_ask(&self) -> bool {
        false
    }

    /// Sends one probe whose answer nobody waits for.
    pub(crate) fn probe(&self, _slot: Slot, _now: Instant) {}
}

impl Conn {
    pub(crate) async fn ask(&mut self, _plan: &mut Plan) {}
}

/// Takes answers for as long as the worker lives.
pub(crate) async fn listen(_w: Rc<Worker>) {}
