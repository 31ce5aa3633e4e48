//! What is not as it should be once nothing goes wrong any more.

use vip::ViewId;
use vip::properties::{Seen, exactly_once, not_ready};
use vip::status::Stage;

use crate::vip::machine::{Job, sets};
use crate::vip::world::World;

impl World {
    /// The first thing that is not settled.
    pub(in crate::vip) fn unsettled(&self) -> Option<String> {
        if let Some(what) = self.bus.restless() {
            return Some(what);
        }
        let mut views: Vec<ViewId> = Vec::new();
        let mut rings = Vec::new();
        let mut seen = Vec::new();
        for (i, machine) in self.machines.iter().enumerate().filter(|(_, m)| !m.bystander) {
            let name = &machine.name;
            let Some(program) = machine.program.as_ref().filter(|_| machine.frozen.is_none())
            else {
                return Some(format!("{name} does not run"));
            };
            let status = program.vip.status(self.now);
            let Some(view) = status.view else { return Some(format!("{name} is in no view")) };
            let at = views.iter().position(|known| *known == view);
            let component = at.unwrap_or(views.len());
            let ring = self.bus.fresh(self.now, i).0;
            if at.is_none() {
                if rings.contains(&ring) {
                    return Some(format!("{name} is in a ring with others and not in their view"));
                }
                views.push(view);
                rings.push(ring);
            }
            let busy = program.busy.as_ref().is_some_and(|busy| !matches!(busy.job, Job::Renew));
            if busy || !program.jobs.is_empty() || !program.parked.is_empty() {
                return Some(format!("{name} has something to do: {:?}", program.parked));
            }
            if let Some(set) = status.sets.iter().find(|set| set.moving_to.is_some()) {
                return Some(format!("{} moves at {name}: {set:?}", set.head));
            }
            let list = sets(&self.plan, machine.list);
            let listed = |key| list.iter().any(|set| set.key() == key);
            let mut blocked = status.sets.iter().filter(|set| set.blocked_by.is_some());
            if let Some(set) = blocked.find(|set| listed(set.key))
                && self.lists_agree()
            {
                return Some(format!("{} is in the way of another at {name}", set.head));
            }
            let failed = |key| machine.failed.get(&key).is_some_and(|until| *until > self.now);
            let can_hold = program.leaving.is_none()
                && (!self.plan.quorum || status.majority == Some(true))
                && self.lists_agree();
            let able = sets(&self.plan, machine.list)
                .into_iter()
                .filter(|set| can_hold && machine.carrier && !failed(set.key()));
            seen.push(Seen {
                component,
                ready: status.stage == Stage::Running,
                able: able.flat_map(|set| set.addresses().to_vec()).collect(),
                held: machine.kernel.all().collect(),
            });
        }
        if let Some(at) = not_ready(&seen).first() {
            return Some(format!("not ready: {:?}", seen[*at]));
        }
        if let Some(wrong) = exactly_once(&seen).first() {
            return Some(format!("{wrong:?}"));
        }
        self.deaf_client()
    }

    fn lists_agree(&self) -> bool {
        let list = self.machines.iter().find(|machine| !machine.bystander).map(|m| m.list);
        self.machines.iter().filter(|m| !m.bystander).all(|machine| Some(machine.list) == list)
    }

    /// A client that takes another for the holder of an address than one who is it.
    fn deaf_client(&self) -> Option<String> {
        for (number, client) in self.clients.iter().enumerate() {
            for address in super::addresses(&self.plan) {
                let reached = |i: usize| {
                    let heard = self.hears(client.at, i) && self.hears(i, client.at);
                    heard && self.machines[i].kernel.holds(address)
                };
                let knows = client.knows(address);
                if (0..self.machines.len()).any(reached) && !knows.is_some_and(reached) {
                    return Some(format!("client {number} takes {knows:?} for {address}"));
                }
            }
        }
        None
    }
}
