//! What happens to machines: burners, crashes, freezes, drains.

use super::*;

impl World {
    pub(super) fn burn(&mut self, machine: u16, begins: bool) {
        let share = if begins { 0.3 + 0.3 * self.weather.unit() } else { 0.0 };
        let now = self.seconds();
        self.machines[usize::from(machine)].burn(now, share);
        self.reschedule(machine);
        self.post(if begins { 1.0 } else { 4.0 }, Event::Burn { machine, begins: !begins });
    }

    pub(super) fn fault(&mut self, machine: u16, fault: Fault) {
        let at = usize::from(machine);
        let (now, moment) = (self.seconds(), self.instant());
        match fault {
            Fault::Crash => self.crash(machine, now),
            Fault::Restart => {
                let boot = self.nodes[at].boot + 1;
                let own = node::facts(&self.scenario, machine, &mut self.chance);
                self.nodes[at] = Node::new(&self.scenario, Slot(machine), boot, own, moment);
                self.schedule_announcement(machine);
            }
            Fault::Freeze | Fault::Thaw => {
                let frozen = fault == Fault::Freeze;
                self.nodes[at].frozen = frozen;
                self.machines[at].stop(now, frozen);
                if !frozen {
                    self.reschedule(machine);
                    let waiting = std::mem::take(&mut self.deferred[at]);
                    waiting.into_iter().for_each(|event| self.post(0.0, event));
                    self.schedule_announcement(machine);
                }
            }
            Fault::Drain => {
                self.nodes[at].hot.set_flags_here(Flags::DRAINING);
                self.nodes[at].herald.hurry();
                self.schedule_announcement(machine);
            }
            Fault::Undrain => self.nodes[at].hot.clear_flags_here(Flags::DRAINING),
        }
    }

    pub(super) fn crash(&mut self, machine: u16, now: f64) {
        let at = usize::from(machine);
        self.nodes[at].up = false;
        self.nodes[at].frozen = false;
        self.machines[at].stop(now, false);
        let mut lost = self.machines[at].crash(now);
        for event in std::mem::take(&mut self.deferred[at]) {
            // The kernel had accepted these connections for a process that did not read them.
            if let Event::Reach { request, attempt } = event
                && self.requests[request as usize].attempt == attempt
            {
                lost.push(request);
            }
        }
        self.away[at].clear();
        if let Some(checks) = &mut self.checks {
            checks.forget(machine);
        }
        for request in 0..self.requests.len() as u32 {
            let r = &self.requests[request as usize];
            if r.entry == machine && !r.done {
                self.finish(request, End::EntryLost);
            }
        }
        for request in lost {
            let r = &self.requests[request as usize];
            let attempt = r.attempt;
            if !r.done && r.target == machine {
                let after = self.wire();
                self.post(after, Event::Broken { request, attempt, evidence: Evidence::Reset });
            }
        }
    }
}
