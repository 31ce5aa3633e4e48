//! Who owns which address, under the fault model of the bus: the real `vip` on the real groups on the real ring.
//!
//! Each machine runs a daemon with one session in it, which drives a real [`vip::Vip`], a real [`vip::lease::Lease`] and a real
//! [`vip::announce::Announcer`]. Ours are the kernels, the guardians, the wires and the clients.
//!
//! - [`plan`]: what happens in one history, drawn from its seed.
//! - `machine`: a machine, its guardian, its program. `kernel`: addresses that are there for a lease. `driver`: what the program
//!   does around its `Vip`.
//! - `lan`: clients with neighbour caches. `faults`: what goes wrong. [`world`]: the events in order.
//! - [`checks`]: who holds what when, and whether that is allowed.
//!
//! Assumptions:
//!
//! - Kernels' clocks never stand still while their machine answers. A virtual machine that is paused with its clock comes back with
//!   addresses whose leases have not run; no lease can bound that.
//! - A batch of renewals or an addition in flight may make again what has run out: a machine that was stopped between the question and
//!   the act has the addresses for as long as it takes to ask again, and for a lease if it is stopped once more in just that time.
//!   Under quorum such addresses are not counted.
//! - An order, a new list or a cable reaches a program that stands still when it goes on.

pub mod checks;
mod driver;
mod faults;
mod kernel;
mod lan;
mod machine;
pub mod plan;
pub mod world;

pub use checks::Measured;
pub use plan::Plan;
pub use world::World;

/// Runs one history to its end, checked.
///
/// # Errors
/// The first thing that is wrong, with all that is needed to see it again.
pub fn run(plan: &Plan) -> Result<Measured, String> {
    let kind = |what| format!("seed {} ({}): {what}", plan.seed, plan.kind());
    World::new(plan).run().map_err(kind)
}
