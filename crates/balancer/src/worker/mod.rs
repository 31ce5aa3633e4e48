//! One worker: a thread with its own runtime, listening sockets, pools, buffers and counters.

pub(crate) mod buffers;
pub(crate) mod control;
