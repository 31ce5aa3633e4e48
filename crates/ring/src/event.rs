//! What the ring tells the layer above, in the one order that all members agree on.

use alloc::sync::Arc;

use bytes::Bytes;

use crate::view::{Daemon, View};

/// When a message may be delivered.
///
/// The services of clients map onto two: unreliable, reliable, FIFO, causal and agreed are all delivered in
/// the agreed order (a stronger promise than the weaker four make, which `spread-semantics.md` allows).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// As soon as everything before it is here.
    Agreed,
    /// As soon as, besides, every member of the view is known to have it.
    Safe,
}

/// What happened, in order.
///
/// Between two [`Event::Installed`] come the messages of the first view; then, when it ends, one
/// [`Event::Transitional`], and after that the messages that are known only to have reached the members named
/// there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message of the current view.
    Delivered {
        /// Who sent it: a place in the members of the current view.
        sender: usize,
        /// What it was sent with.
        service: Service,
        /// The message, as it was submitted.
        message: Bytes,
    },
    /// The current view is over. `together` go on together, in member order; this daemon is one of them.
    Transitional {
        /// The members of the current view that come into the next one with this daemon.
        together: Arc<[Daemon]>,
    },
    /// A new view. The first event of all is one.
    Installed(View),
}
