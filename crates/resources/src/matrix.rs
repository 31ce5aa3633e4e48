//! The matrix that all threads share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use candidacy::{Hot, MAX_MACHINES, Slot, Snapshot};

/// This machine's own row.
pub const THIS: Slot = Slot(0);

/// What is known of all machines. Readers never lock and never wait.
///
/// The hot half changes with every request and report; the slow half is swapped whole, at most every
/// 50 ms.
#[derive(Debug)]
pub struct SharedMatrix {
    /// Own requests in flight, newest report, condition of each machine.
    pub hot: Hot,
    /// What the last announcements said.
    pub slow: ArcSwap<Snapshot>,
}

impl SharedMatrix {
    /// A matrix in which no machine is known yet.
    pub fn new() -> Self {
        let snapshot = Snapshot::new(0, THIS, Vec::new());
        Self { hot: Hot::new(MAX_MACHINES), slow: ArcSwap::new(Arc::new(snapshot)) }
    }
}

impl Default for SharedMatrix {
    fn default() -> Self {
        Self::new()
    }
}
