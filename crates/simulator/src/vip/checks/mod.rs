//! What must hold at every moment, and at the end.
//!
//! - `owners`: how many may have one address, and for how long. `holes`: for how long nobody may.
//! - `tables`: members of one view that have heard the same words have the same table.
//! - `rest`: what is not as it should be once nothing goes wrong any more.

mod holes;
mod owners;
mod rest;
mod tables;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

pub(super) use tables::{Place, Tables};

use super::machine::ip;
use super::plan::Plan;
use super::world::World;

/// What came out of a history.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// From the last fault until everything was settled.
    pub settled: Duration,
    /// Holes that one fault made, with nothing else about it: from the moment nobody had the address.
    pub holes: Vec<Duration>,
    /// The longest time for which two of one view had one address.
    pub doubled: Duration,
    /// Probes of clients that were answered, and that were not.
    pub answered: u64,
    /// As it says.
    pub lost: u64,
}

/// All addresses of all lists.
pub(super) fn addresses(plan: &Plan) -> Vec<IpAddr> {
    let all: BTreeSet<u8> = plan.lists.iter().flatten().flatten().copied().collect();
    all.into_iter().map(ip).collect()
}

/// What is looked at whenever something has changed.
#[derive(Debug, Default)]
pub(super) struct Watch {
    owners: owners::Owners,
    holes: holes::Holes,
    pub(super) lengths: Vec<Duration>,
    pub(super) doubled: Duration,
}

impl Watch {
    pub(super) fn look(&mut self, world: &World) -> Result<(), String> {
        let all = addresses(&world.plan);
        let longest = self.owners.look(world, &all)?;
        self.doubled = self.doubled.max(longest);
        self.holes.look(world, &all, &mut self.lengths)
    }
}
