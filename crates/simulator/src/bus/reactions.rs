//! How long a ring takes to notice what happened, on a good network: 100 µs from machine to machine, nothing lost.

use std::time::Duration;

use base::{Instant, Random};

use super::plan::{Fault, Plan};
use super::world::World;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// All daemons start within 80 ms; measured from the last start.
    Start,
    /// A machine dies without a word.
    Machine,
    /// A process dies, and the network says that nobody listens there.
    Process,
    /// A daemon says that it goes.
    Leave,
    /// A process starts again 50 ms after it died; measured from its start.
    Restart,
    /// Two halves that were apart for a while hear each other again.
    Heal,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Start, Self::Machine, Self::Process, Self::Leave, Self::Restart, Self::Heal];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start → one view",
            Self::Machine => "crash of a machine → view",
            Self::Process => "crash of a process → view",
            Self::Leave => "leave → view",
            Self::Restart => "restart → view",
            Self::Heal => "heal → view",
        }
    }
}

/// When the event happens: long after everything is at rest.
const AT: Instant = Instant::from_millis(3000);
/// How long is waited for its view.
const LONGEST: Duration = Duration::from_secs(8);

/// How long it takes with so many daemons until all that live are in the view that is to come.
///
/// # Errors
/// Nothing within eight seconds.
pub fn measure(event: Event, machines: usize, seed: u64) -> Result<Duration, String> {
    let mut plan = Plan::still(seed, machines);
    let mut dice = Random::new(seed);
    let one = dice.below(machines as u32) as usize;
    let at = AT + Duration::from_micros(dice.below(1_000_000).into());
    let never = Duration::from_secs(100);
    let mut alive = machines - 1;
    let mut from = at;
    plan.calm = at + LONGEST;
    plan.unreachable = event != Event::Machine;
    match event {
        Event::Start => {
            plan.faults.clear();
            alive = machines;
        }
        Event::Machine | Event::Process => plan.faults.push((at, Fault::Crash(one, never))),
        Event::Leave => plan.faults.push((at, Fault::Leave(one, never))),
        Event::Restart => {
            let down = Duration::from_millis(50);
            plan.faults.push((at, Fault::Crash(one, down)));
            (alive, from) = (machines, at + down);
        }
        Event::Heal => {
            let sides = (0..machines).map(|i| i < machines / 2).collect();
            let apart = Duration::from_millis(1500);
            plan.faults.push((at, Fault::Partition(sides)));
            plan.faults.push((at + apart, Fault::Heal));
            (alive, from) = (machines, at + apart);
        }
    }
    let mut world = World::new(&plan);
    world.run_until(Instant::from_millis(90));
    if event == Event::Start {
        let last = world.traces.iter().map(|trace| trace.begin).max();
        from = last.unwrap_or(Instant::ORIGIN);
    } else {
        world.run_until(from);
    }
    while world.now() < from + LONGEST {
        world.run_until(world.now() + Duration::from_millis(20));
        if let Some(last) = world.all_in_one(alive).filter(|last| *last > from) {
            return Ok(last.since(from));
        }
    }
    Err(format!("{} with {machines} daemons, seed {seed}: not within {LONGEST:?}", event.name()))
}
