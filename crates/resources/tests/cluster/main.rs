//! Several services in one process, on loopback addresses of their own, with real sockets.
//!
//! Nothing here sleeps: a test waits for a snapshot or a death, which the service tells, and looks again.

// A failed unwrap in a helper of tests is a failed test with its line.
#![allow(clippy::unwrap_used)]

mod bench;
mod discovery;
mod exchange;
mod hostile;
mod liveness;
mod trouble;
