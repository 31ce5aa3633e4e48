//! What the tests of several crates share.
//!
//! [`trial`] lists tests that this machine cannot run as ignored, with the reason; [`reference`] makes the pages of the configuration
//! reference from the doc comments; [`corpus`] reads what fuzz targets are replayed with; [`certificates`] are those of tests of TLS; `bus`, a feature, is a daemon of the bus that does what a test tells it.

#![allow(clippy::unwrap_used, clippy::panic)] // All of it runs in tests, where a failed unwrap is a failed test with its line.

#[cfg(feature = "bus")]
pub mod bus;
pub mod certificates;
pub mod corpus;
pub mod reference;
pub mod trial;
