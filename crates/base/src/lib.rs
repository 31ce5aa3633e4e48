//! What every floor above shares: monotonic time, identities, address blocks, units, seeded
//! randomness, histograms, reading configurations, mistakes in them and their places, the rule of how often a thing is said, and which
//! addresses stay on a machine.
//!
//! Everything here is a value. No clock is read, no socket opened, no entropy drawn: the drivers
//! pass time in as [`Instant`] and seeds in as numbers, so the same inputs give the same outputs on
//! every machine and in the simulator.
//!
//! Not here: anything that knows what a message means. See `announce`, `http1`, `candidacy`.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod block;
pub mod cursor;
pub mod histogram;
pub mod id;
pub mod place;
pub mod problem;
pub mod random;
pub mod seldom;
pub mod stay;
pub mod time;
pub mod units;

pub use block::{AddrBlock, AddrBlocks};
pub use cursor::Cursor;
pub use histogram::Histogram;
pub use id::{Boot, MachineId};
pub use place::Place;
pub use problem::Problem;
pub use random::Random;
pub use seldom::Seldom;
pub use stay::Stay;
pub use time::Instant;
