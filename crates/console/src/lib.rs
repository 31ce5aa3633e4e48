//! The internal pages: what a cluster of peers looks like from one of its machines.
//!
//! One thread of its own answers every request that the balancer hands over, samples the figures once
//! per interval, and feeds the viewers who watch. Nothing here ever runs on a worker, and a slow viewer
//! costs a bounded queue and then its connection.
//!
//! ```text
//! resources ─┐                                   ┌─► page     HTML, complete without JavaScript
//!            ├─► gather ─► StatusView ─ history ─┼─► events   the same HTML, again and again
//! balancer ──┘             (one value)           ├─► json     the same value for programs
//!                                                └─► metrics  the same value as OpenMetrics
//! ```
//!
//! All four render the same [`StatusView`], so they cannot disagree.
//!
//! Not here: how anything is measured (`resources`), decided (`candidacy`) or counted (`balancer`).

mod access;
mod assets;
pub mod config;
mod console;
mod events;
pub mod gather;
mod history;
mod metrics;
mod page;
pub mod view;

pub use config::{Config, Status};
pub use console::{Console, Source};
pub use view::StatusView;
