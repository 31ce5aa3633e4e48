//! For how long nobody may have an address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use base::Instant;
use vip::settings::{MEET_WITHIN, RECLAIM_AFTER};
use vip::status::Stage;

use crate::vip::driver::SLOW;
use crate::vip::machine::sets;
use crate::vip::plan::Fault;
use crate::vip::world::World;

/// A hole that one fault made in quiet weather ends within this time: detection, one agreement, and adding. Measured from the
/// moment when nobody has the address.
const BOUND: Duration = Duration::from_secs(1);
/// A fault may be felt for so long: as long as a lease, and until those that it parted have met again.
const FELT: Duration = Duration::from_secs(6);
/// A fault makes a hole within this time.
const SOON: Duration = Duration::from_millis(700);

#[derive(Clone, Copy, Debug)]
struct Hole {
    since: Instant,
}

/// Machines that are connected, as bits.
type Part = u64;

#[derive(Debug, Default)]
pub(super) struct Holes {
    open: BTreeMap<(IpAddr, Part), Hole>,
    /// What somebody had when it was looked at last.
    had: BTreeMap<(IpAddr, Part), ()>,
}

impl Holes {
    pub(super) fn look(
        &mut self,
        world: &World,
        all: &[IpAddr],
        lengths: &mut Vec<Duration>,
    ) -> Result<(), String> {
        let parts = parts(world);
        let mut had = BTreeMap::new();
        let mut open = BTreeMap::new();
        for (part, members) in parts.iter().filter_map(|part| Some((part.0, part.1.as_ref()?))) {
            let ready: Vec<usize> =
                members.iter().copied().filter(|i| is_ready(world, *i)).collect();
            for address in all {
                let at = (*address, part);
                if members.iter().any(|i| world.machines[*i].kernel.holds(*address)) {
                    let by_right =
                        |i: &usize| world.machines[*i].kernel.holds_by_right(world.now, *address);
                    if members.iter().any(by_right) {
                        had.insert(at, ());
                    }
                    if let Some(hole) = self.open.remove(&at) {
                        let length = world.now.since(hole.since);
                        if is_clean(world, &hole) {
                            lengths.push(length);
                            judge(world, at, &hole, length)?;
                        }
                    }
                    continue;
                }
                let could = |i: &usize| could_hold(world, *i, *address);
                if !ready.iter().any(could) {
                    continue;
                }
                let hole = self.open.get(&at).copied();
                if hole.is_none() && self.had.contains_key(&at) {
                    unfounded(world, at)?;
                }
                let hole = hole.unwrap_or(Hole { since: world.now });
                if is_clean(world, &hole) {
                    judge(world, at, &hole, world.now.since(hole.since))?;
                }
                // What could not be added there is tried again when everything is calm.
                if world.calm && world.now.since(hole.since) > calm_bound(world) {
                    return Err(format!("nobody has {address} while nothing happens"));
                }
                open.insert(at, hole);
            }
        }
        (self.had, self.open) = (had, open);
        Ok(())
    }
}

/// How long nobody may have an address in calm: under quorum as long as a move takes, and what has failed as long as trying it again,
/// both with an addition that may come after others that are slow.
fn calm_bound(world: &World) -> Duration {
    let work = world.plan.work;
    let slow = work.slow > 0.0 && (world.plan.quorum || work.fails > 0.0);
    let queue = world.plan.lists.iter().map(Vec::len).max().unwrap_or(0) as u32;
    BOUND + if slow { SLOW * queue } else { Duration::ZERO }
}

/// Parts of machines that all hear each other and nobody else; `None` where it is not as simple.
fn parts(world: &World) -> Vec<(Part, Option<Vec<usize>>)> {
    let n = world.machines.len();
    let heard = |a: usize, b: usize| world.hears(a, b) && world.hears(b, a);
    let any = |a: usize, b: usize| a == b || world.hears(a, b) || world.hears(b, a);
    let of = |a: usize| (0..n).filter(|b| any(a, *b)).fold(0, |bits: Part, b| bits | 1 << b);
    let mut parts: Vec<(Part, Option<Vec<usize>>)> = Vec::new();
    for a in 0..n {
        let part = of(a);
        if parts.iter().any(|(known, _)| *known == part) {
            continue;
        }
        let members: Vec<usize> = (0..n).filter(|b| part >> b & 1 == 1).collect();
        let whole = members
            .iter()
            .all(|a| of(*a) == part && members.iter().all(|b| a == b || heard(*a, *b)));
        parts.push((part, whole.then_some(members)));
    }
    parts
}

/// Whether a machine takes part and stays.
fn is_ready(world: &World, i: usize) -> bool {
    let machine = &world.machines[i];
    let Some(program) = machine.program.as_ref().filter(|_| machine.frozen.is_none()) else {
        return false;
    };
    let status = program.vip.status(world.now);
    program.leaving.is_none()
        && machine.carrier
        && world.now >= reclaims(world, i)
        && status.stage == Stage::Running
        && (!world.plan.quorum || status.majority == Some(true))
}

/// When a machine that was without a carrier, or stood still, may hold something again, if it has met nobody: until then others may
/// have it.
fn reclaims(world: &World, i: usize) -> Instant {
    let machine = &world.machines[i];
    let after = |since, wait| if since == Instant::ORIGIN { since } else { since + wait };
    after(machine.carrier_since, RECLAIM_AFTER).max(after(machine.woken_since, MEET_WITHIN))
}

/// Whether it lists the address and could add it.
fn could_hold(world: &World, i: usize, address: IpAddr) -> bool {
    let machine = &world.machines[i];
    let failed = |key| machine.failed.get(&key).is_some_and(|until| *until > world.now);
    let list = sets(&world.plan, machine.list);
    list.iter().any(|set| set.addresses().contains(&address) && !failed(set.key()))
}

/// Whether one hard fault made the hole and nothing else has happened about that time.
fn is_clean(world: &World, hole: &Hole) -> bool {
    let plan = &world.plan;
    // Who hangs in the middle of others is waited for as long as a lease.
    let hangs = plan.faults.iter().any(|(_, fault)| matches!(fault, Fault::Hang(..)));
    if hangs
        || plan.bus.weather.loss > 0.0
        || plan.quorum
        || plan.work.fails > 0.0
        || plan.work.slow > 0.0
        || plan.lists.len() > 1
    {
        return false;
    }
    let mut before = world.happened.iter().rev().filter(|(at, _)| *at <= hole.since);
    let (Some((fault, true)), others) = (before.next(), before.next()) else { return false };
    let alone = others.is_none_or(|(at, _)| fault.since(*at) > Duration::from_secs(3));
    let none_after = world.happened.last().is_some_and(|(at, _)| at == fault);
    let reclaimed = (0..world.machines.len()).map(|i| reclaims(world, i));
    let begun = reclaimed.filter(|at| *at <= hole.since).chain([*fault]).max();
    alone && none_after && begun.is_some_and(|begun| hole.since.since(begun) < SOON)
}

fn judge(world: &World, at: (IpAddr, Part), hole: &Hole, length: Duration) -> Result<(), String> {
    if length <= BOUND {
        return Ok(());
    }
    let begun = crate::bus::trace::seconds(hole.since);
    let now = crate::bus::trace::seconds(world.now);
    Err(format!("nobody of {:b} has {} from {begun:.6} s to {now:.6} s", at.1, at.0))
}

/// Somebody had it a moment ago and nobody has it now: only a fault may do that.
fn unfounded(world: &World, at: (IpAddr, Part)) -> Result<(), String> {
    let hard = world.happened.iter().rev().find(|(_, hard)| *hard);
    let felt = hard.is_some_and(|(when, _)| world.now.since(*when) <= FELT);
    // Under quorum a move is a hole: it is released before it is added elsewhere.
    if felt || world.plan.work.fails > 0.0 || world.plan.quorum {
        return Ok(());
    }
    Err(format!("nobody of {:b} has {} any more, and no fault made it so", at.1, at.0))
}
