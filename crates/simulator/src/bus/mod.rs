//! Rings of daemons under a seeded scheduler: the real `ring`, with weather on every wire.
//!
//! - [`plan`]: what happens in one history, drawn from its seed: the cluster, the traffic, the faults.
//! - [`groups`]: the second storey: groups and their clients, instead of messages of the daemons' own.
//! - `outside`: what a storey on top of the groups needs: a session of its own at each daemon (`crate::vip`).
//! - [`net`]: the wires: who reaches whom, what is lost, doubled, late, out of order.
//! - [`world`]: the events in order of time; daemons that crash, freeze, start again; whether all is at rest in the end.
//! - [`reactions`]: how long it takes until a view follows what happened.
//! - [`trace`]: what each life of a daemon sent and was told.
//! - [`checks`]: extended virtual synchrony, property by property, over the traces.

pub(crate) mod agenda;
pub mod checks;
mod faults;
pub mod groups;
mod lists;
mod machine;
pub mod net;
mod outside;
pub mod plan;
mod post;
pub mod reactions;
mod rest;
pub mod trace;
pub mod world;

pub use plan::Plan;
pub use world::World;

/// Runs one history to its end and checks it.
///
/// # Errors
/// The first thing that is wrong, with all that is needed to see it again.
pub fn run(plan: &Plan) -> Result<Summary, String> {
    let mut world = World::new(plan);
    let calm = world.run();
    let summary = Summary {
        views: world.traces.iter().map(trace::Trace::views).sum(),
        delivered: world.traces.iter().map(trace::Trace::delivered).sum(),
        sent: world.traces.iter().map(|trace| trace.sent).sum(),
        clients: world.clients.len() as u64,
        said: world.clients.iter().map(|client| client.sent.len() as u64).sum(),
        told: world.clients.iter().map(|client| client.heard.len() as u64).sum(),
        lives: world.traces.len() as u64,
        steps: world.steps,
        datagrams: world.datagrams,
        calm_after: calm.as_ref().ok().copied(),
    };
    checks::all(&world.traces)
        .and_then(|()| groups::checks::all(&world))
        .and(calm.map(|_| ()))
        .map_err(|what| format!("seed {} ({}): {what}", plan.seed, plan.kind()))?;
    Ok(summary)
}

/// What one history contained.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Views installed, counted at every member.
    pub views: u64,
    /// Messages delivered, counted at every receiver.
    pub delivered: u64,
    /// Messages sent.
    pub sent: u64,
    /// Sessions of clients.
    pub clients: u64,
    /// Messages that they sent.
    pub said: u64,
    /// Messages and notices that they got.
    pub told: u64,
    /// Events of the simulation.
    pub steps: u64,
    /// Datagrams, each copy counted.
    pub datagrams: u64,
    /// Lives of daemons.
    pub lives: u64,
    /// How long after the last fault everybody was in a view to stay.
    pub calm_after: Option<std::time::Duration>,
}
