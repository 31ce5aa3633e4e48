//! What machines tell each other: questions, announcements, and who is alive.

use super::*;

impl World {
    pub(super) fn send_question(&mut self, asker: u16, to: u16, about: About) {
        self.charge(asker, self.scenario.prices.ask);
        let (asker_boot, sent) = (self.nodes[usize::from(asker)].boot, self.now);
        if self.passes() {
            let after = self.wire() + self.wake(to);
            self.post(after, Event::Question { asker, asker_boot, to, about, sent });
        }
    }

    pub(super) fn question(
        &mut self,
        asker: u16,
        asker_boot: u32,
        to: u16,
        about: About,
        sent: u64,
    ) {
        if !self.nodes[usize::from(to)].up {
            return;
        }
        self.charge(to, self.scenario.prices.answer);
        let now = self.instant();
        let wait = self.nodes[usize::from(asker)].times.wait(&self.scenario.asking);
        let node = &mut self.nodes[usize::from(to)];
        node.granter.expire(now);
        let report = node.hot.report_here(node.granter.expected());
        let reserves = matches!(about, About::Round { .. }) && report.flags.is_none();
        let asker_is = node::speaker(asker, asker_boot);
        let reservation = reserves.then(|| node.granter.grant(now, asker_is, 2 * wait)).flatten();
        let (from, boot, reservation) = (to, node.boot, reservation.unwrap_or(0));
        if self.passes() {
            let after = self.wire() + self.wake(asker);
            let answer =
                Event::Answer { asker, asker_boot, from, boot, about, sent, report, reservation };
            self.post(after, answer);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one event")]
    pub(super) fn answer(
        &mut self,
        asker: u16,
        from: u16,
        boot: u32,
        about: About,
        sent: u64,
        report: Report,
        reservation: u32,
    ) {
        self.charge(asker, self.scenario.prices.hear_answer);
        let now = self.instant();
        let slot = Slot(from);
        if !self.nodes[usize::from(asker)].up {
            return;
        }
        if about == About::Admission {
            if self.nodes[usize::from(asker)].hot.epoch(slot) != boot {
                let facts = node::facts(&self.scenario, from, &mut self.chance);
                self.nodes[usize::from(asker)].admit(now, slot, boot, facts);
                self.nodes[usize::from(asker)].hot.hear(slot, boot, report, now);
            }
            return;
        }
        let node = &mut self.nodes[usize::from(asker)];
        let took = std::time::Duration::from_nanos(self.now - sent);
        node.hot.hear(slot, boot, report, now);
        node.hot.observe_hop(slot, took);
        node.times.observe(took);
        if about == About::Life && node.hot.epoch(slot) == boot {
            node.liveness.handle_answer(now, slot);
            self.follow_liveness(asker);
        }
        if let About::Round { request, attempt } = about {
            let r = &mut self.requests[request as usize];
            let open = r.attempt == attempt && !r.done;
            if open && r.round.as_mut().is_some_and(|round| round.answer(slot, reservation)) {
                self.deadline(request, attempt);
            }
        }
    }

    pub(super) fn schedule_announcement(&mut self, machine: u16) {
        let at = usize::from(machine);
        if self.chain.is_none() || !self.nodes[at].runs() {
            return;
        }
        let due = self.nodes[at].herald.poll_timeout().as_nanos().max(self.now);
        if due < self.next_announcement[at] {
            self.next_announcement[at] = due;
            self.post_at(due, Event::Announce { machine });
        }
    }

    pub(super) fn announce(&mut self, machine: u16) {
        let at = usize::from(machine);
        self.next_announcement[at] = u64::MAX;
        if !self.nodes[at].up {
            return;
        }
        let now = self.instant();
        if self.nodes[at].herald.handle_timeout(now) {
            let words = Rc::new(self.nodes[at].words());
            self.charge(machine, self.scenario.prices.announce);
            self.outcome.datagrams += u64::from(self.measuring());
            for to in (0..self.scenario.machines).filter(|&to| to != machine) {
                if self.chance.unit() >= self.scenario.loss {
                    let after = self.wire() + self.wake(to);
                    self.post(after, Event::Heard { to, from: machine, words: words.clone() });
                }
            }
        }
        self.schedule_announcement(machine);
    }

    pub(super) fn heard(&mut self, to: u16, from: u16, words: &Words) {
        if !self.nodes[usize::from(to)].up {
            return;
        }
        self.charge(to, self.scenario.prices.hear_announcement);
        let now = self.instant();
        let node = &mut self.nodes[usize::from(to)];
        if node.hot.epoch(Slot(from)) == words.boot {
            node.hear(now, Slot(from), words);
        } else {
            // An unknown boot counts only after it has answered.
            self.send_question(to, from, About::Admission);
        }
    }

    pub(super) fn tick(&mut self, machine: u16, count: u32) {
        self.post(TICK, Event::Tick { machine, count: count.wrapping_add(1) });
        let at = usize::from(machine);
        if !self.nodes[at].runs() {
            return;
        }
        let now = self.seconds();
        self.settle(machine, now);
        if count % 20 == 19 {
            let busy = self.machines[at].busy();
            let since = busy - std::mem::replace(&mut self.busy_before[at], busy);
            let running = self.machines[at].len();
            self.nodes[at].measure(running, since);
        }
        if self.chain.is_some() {
            if count % 4 == 3 {
                self.nodes[at].swap();
            }
            self.look(machine);
        }
        if let (Some(checks), Some(_)) = (&self.checks, &self.chain) {
            checks.counts(&self.nodes[at], self.machines[at].len());
        }
    }

    /// Turns what balancing has cost into CPUs that requests do not get.
    pub(super) fn settle(&mut self, machine: u16, now: f64) {
        let at = usize::from(machine);
        let node = &mut self.nodes[at];
        let debt = std::mem::take(&mut node.debt) * 1e-6;
        if debt == 0.0 && node.overhead == 0.0 {
            return;
        }
        node.overhead = debt / TICK / self.machines[at].speed();
        self.machines[at].set_overhead(now, node.overhead);
        self.reschedule(machine);
    }

    pub(super) fn reschedule(&mut self, machine: u16) {
        if let Some((end, stamp)) = self.machines[usize::from(machine)].next_end() {
            self.post_at(nanos(end).max(self.now), Event::Ends { machine, stamp });
        }
    }

    pub(super) fn look(&mut self, machine: u16) {
        let now = self.instant();
        let Node { liveness, hot, .. } = &mut self.nodes[usize::from(machine)];
        liveness.handle_timeout(now, |slot| Look {
            heard: hot.heard(slot).map(|heard| heard.at),
            in_use: hot.mine(slot) > 0,
        });
        self.follow_liveness(machine);
    }

    pub(super) fn follow_liveness(&mut self, machine: u16) {
        while let Some(action) = self.nodes[usize::from(machine)].liveness.poll_action() {
            match action {
                Action::Probe(slot) => self.send_question(machine, slot.0, About::Life),
                Action::Set(slot, condition, _) => {
                    self.nodes[usize::from(machine)].hot.set_condition(slot, condition);
                    if condition == Condition::Dead {
                        self.rescue(machine, slot.0);
                    }
                }
                Action::Forget(slot) => self.nodes[usize::from(machine)].hot.vacate(slot),
            }
        }
    }

    /// Moves what waits at a machine that is dead now.
    pub(super) fn rescue(&mut self, entry: u16, dead: u16) {
        let at_it = |request: &&u32| self.requests[**request as usize].target == dead;
        let waiting: Vec<u32> =
            self.away[usize::from(entry)].iter().filter(at_it).copied().collect();
        waiting.into_iter().for_each(|request| self.move_away(request));
    }
}
