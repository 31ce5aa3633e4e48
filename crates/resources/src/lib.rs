//! Knowing the machines: measuring this one, announcing it, and hearing of the others.
//!
//! Two threads work here. *Control* measures every second, announces, receives announcements, admits
//! new machines by probes, watches who falls silent, and keeps the shared matrix up to date. The
//! *answerer* answers probes and questions, and does nothing else, so that an answer is never late
//! because something else was measured. The state machines behind both are cores (`announce`, `seal`,
//! `candidacy`); here are only sockets, clocks, files and threads.
//!
//! The rest of the program holds a [`Handle`]: the matrix to decide with, the counters of the own
//! load to keep, and a few words to say (*my load crossed a mark*, *that machine refused me*).
//!
//! Not here: what to do with a request. See `balancer`.

pub mod clock;
pub mod config;
mod error;
mod handle;
pub mod holder;
mod local;
mod matrix;
pub mod measure;
mod net;
mod served;
mod service;
pub mod state;
mod stats;
mod threads;
mod wake;

pub use clock::Clock;
pub use config::Config;
pub use error::StartError;
pub use handle::{Death, Evidence, Handle, Setup};
pub use local::LocalLoad;
pub use matrix::{SharedMatrix, THIS};
pub use served::{NothingServed, Served, ServedFigures};
pub use service::Service;
pub use stats::Stats;
