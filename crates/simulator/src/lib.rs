//! Many deciding machines in one thread, under a seeded scheduler.
//!
//! A wind tunnel: the wing is real, the weather is ours. Every simulated machine runs the real
//! `candidacy` (matrix, chain, `byFresh`, asking first, failures) and the real cores of `announce` (when
//! to announce, who is alive, what was promised to askers). Simulated are the work, the wires and what
//! goes wrong: processor sharing, antagonists, latency, loss, crashes, freezes, restarts.
//!
//! - [`scenario`]: the fleet, the load, the prices and the faults of one run.
//! - [`machine`]: processor sharing on one machine.
//! - [`node`]: one machine's belongings as a balancer.
//! - [`world`]: the events, in order.
//! - [`rivals`]: policies that are not ours, as reference models.
//! - [`checks`]: what must hold after every step; a failure prints the seed.
//! - [`measure`]: what came out.
//! - [`bus`]: rings of daemons with groups and clients. [`vip`]: on top of them, who owns which address.
//!
//! The same seed gives the same run, to the last event. Arrivals and demands are drawn from a stream of
//! their own, so all policies face the same requests.
//!
//! Not here: HTTP, TCP, sealing; and no second implementation of any policy of ours.

#![forbid(unsafe_code)]

pub mod bus;
pub mod checks;
pub mod machine;
pub mod measure;
pub mod node;
pub mod rivals;
pub mod scenario;
pub mod vip;
pub mod world;

pub use measure::Outcome;
pub use scenario::{Policy, Scenario};
pub use world::World;
