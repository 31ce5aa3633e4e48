//! The balancer: listeners, routes, the decision, the relay, peers, the local service, the access log.
//!
//! A supervisor binds [`Sockets`], then [`Balancer::start`] hands them to worker threads. Each worker is
//! an island: a single-threaded runtime, its own listening sockets, pools, buffers and counters. What
//! all share is the matrix of `resources`, read as atomics and an immutable snapshot, so a request
//! crosses no lock and no other thread.
//!
//! ```text
//! Sockets::bind ──► Balancer::start ──► worker 0..n   accept → parse → route → decide → here │ peer │ redirect
//!                                  ├──► pages         the internal pages, never on a worker
//!                                  ├──► access log    written by a thread of its own
//!                                  └──► health        checks the local service
//! ```
//!
//! Not here: what the matrix contains and how it is learned (`resources`), how a machine is chosen
//! (`candidacy`), how a message is read (`http1`), what the status page shows (`console`).

pub mod access_log;
mod asking;
pub mod config;
mod date;
mod exhausted;
pub mod local;
pub mod pages;
mod peers;
mod relay;
mod running;
pub mod sockets;
pub mod stats;
mod worker;

pub use config::Config;
pub use pages::{NoPages, PageReply, PageRequest, PageStream, Pages};
pub use running::{Balancer, Explained, Parter, Running, StartError, View};
pub use sockets::{BindError, Sockets};
