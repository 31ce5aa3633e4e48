//! What the tests of several crates share.
//!
//! [`trial`] lists tests that this machine cannot run as ignored, with the reason; [`reference`] makes the pages of the configuration
//! reference from the doc comments.

#![allow(clippy::unwrap_used, clippy::panic)] // All of it runs in tests, where a failed unwrap is a failed test with its line.

pub mod reference;
pub mod trial;
