//! A request's way: decided, asked about, sent, served, brought back, or moved.

use super::*;

impl World {
    pub(super) fn arrive(&mut self) {
        let gap = exponential(&mut self.work, 1.0 / self.scenario.rate());
        self.post(gap, Event::Arrive);
        let mean = self.scenario.demand * if self.work.unit() < 0.9 { 0.5 } else { 5.5 };
        let demand = exponential(&mut self.work, mean);
        let n = self.scenario.machines;
        let drawn = self.work.below(n.into()) as u16;
        // A client whose address does not answer tries the next.
        let tries = (drawn..n).chain(0..drawn);
        let Some(entry) = tries.into_iter().find(|&m| self.nodes[usize::from(m)].runs()) else {
            return;
        };
        let request = self.requests.len() as u32;
        self.requests.push(Request {
            entry,
            born: self.now,
            demand,
            target: entry,
            attempt: 0,
            tried: Tried::NONE,
            round: None,
            asked_at: 0,
            sent: self.now,
            reservation: 0,
            measured: self.measuring(),
            done: false,
        });
        self.dispatch(request);
    }

    /// Decides about a request, the first time or again.
    pub(super) fn dispatch(&mut self, request: u32) {
        let entry = self.requests[request as usize].entry;
        let Some(chain) = self.chain.clone() else {
            let target = self.rivals.choose(entry, &self.machines, &mut self.chance);
            let central = self.scenario.policy == Policy::CentralLeastConn;
            return self.send(request, target, target == entry && !central);
        };
        let now = self.instant();
        let node = &mut self.nodes[usize::from(entry)];
        let Request { tried, .. } = self.requests[request as usize];
        let service = node.service;
        let view = View { hot: &node.hot, snapshot: &node.snapshot, now, service };
        let seen = Plain { host: "www", target: "/", method: "GET", headers: &[] };
        let (random, scratch) = (&mut node.random, &mut node.scratch);
        let decision = decide(&chain, &view, &seen, &tried, random, scratch, None);
        let rules = &self.scenario.asking;
        let asks = self.scenario.policy == Policy::Asking
            && chain.asks()
            && tried.is_empty()
            && node.switch.worth(service, &node.times, rules);
        let round = asks
            .then(|| Round::plan(&decision, &view, scratch, random, &node.times, rules))
            .flatten();
        if let Some(checks) = &self.checks {
            checks.decision(node, &decision, &tried, now);
        }
        match round {
            Some(round) => self.ask(request, round),
            None => {
                self.act(request, &decision);
                if let Some(slot) = decision.probe {
                    self.send_question(entry, slot.0, About::Freshness);
                }
            }
        }
    }

    pub(super) fn ask(&mut self, request: u32, round: Round) {
        let r = &mut self.requests[request as usize];
        let (entry, attempt, measured) = (r.entry, r.attempt, r.measured);
        let whom: Vec<Slot> = round.asked().collect();
        let deadline = round.deadline().as_nanos();
        r.round = Some(Box::new(round));
        r.asked_at = self.now;
        if measured {
            self.outcome.asked += 1;
            self.outcome.questions += whom.len() as u64;
        }
        for slot in whom {
            self.send_question(entry, slot.0, About::Round { request, attempt });
        }
        self.post_at(deadline, Event::Deadline { request, attempt });
    }

    pub(super) fn deadline(&mut self, request: u32, attempt: u8) {
        let r = &mut self.requests[request as usize];
        if r.done || r.attempt != attempt {
            return;
        }
        let Some(round) = r.round.take() else { return };
        let (entry, tried, measured, asked_at) = (r.entry, r.tried, r.measured, r.asked_at);
        let now = Instant::from_nanos(self.now);
        let node = &mut self.nodes[usize::from(entry)];
        let view = View { hot: &node.hot, snapshot: &node.snapshot, now, service: node.service };
        let decision = round.decide(&view, &mut node.random, &mut node.scratch, None);
        if let Verdict::Proxy(slot) = decision.verdict {
            self.requests[request as usize].reservation = round.reservation(slot);
        }
        if measured {
            let (asked, answered) = round.counts();
            self.outcome.silent += (asked - answered) as u64;
            self.outcome.waited += (self.now - asked_at) as f64 * 1e-9;
        }
        if let Some(checks) = &self.checks {
            checks.decision(&self.nodes[usize::from(entry)], &decision, &tried, now);
        }
        self.act(request, &decision);
    }

    pub(super) fn act(&mut self, request: u32, decision: &Decision) {
        let r = &self.requests[request as usize];
        let (entry, measured) = (r.entry, r.measured);
        match decision.verdict {
            Verdict::Here => self.send(request, entry, true),
            Verdict::Proxy(slot) => {
                if let Some(age) = decision.age.filter(|_| measured) {
                    self.outcome.ages.push(age.as_secs_f32());
                }
                self.send(request, slot.0, false);
            }
            _ => self.finish(request, End::Refused),
        }
    }

    pub(super) fn send(&mut self, request: u32, target: u16, here: bool) {
        let r = &mut self.requests[request as usize];
        (r.target, r.sent) = (target, self.now);
        let (entry, attempt) = (r.entry, r.attempt);
        if here {
            return self.reach(request, attempt);
        }
        self.outcome.relayed += u64::from(r.measured);
        if self.scenario.policy != Policy::CentralLeastConn {
            self.nodes[usize::from(entry)].debt += self.scenario.prices.relay;
        }
        if self.chain.is_some() {
            let node = &self.nodes[usize::from(entry)];
            node.hot.begin(Slot(target));
            node.hot.begin_relay();
            self.away[usize::from(entry)].insert(request);
            if let Some(checks) = &mut self.checks {
                checks.opened(entry, target);
            }
        }
        let after = self.wire() + self.wake(target);
        self.post(after, Event::Reach { request, attempt });
    }

    /// A request is at the machine that shall serve it.
    pub(super) fn reach(&mut self, request: u32, attempt: u8) {
        let r = &self.requests[request as usize];
        let (entry, target, demand) = (r.entry, r.target, r.demand);
        let (remote, measured) = (target != entry, r.measured);
        let over = r.done || r.attempt != attempt;
        self.rivals.arrived(target);
        if over {
            return;
        }
        if !self.nodes[usize::from(target)].up {
            let after = self.wire();
            return self
                .post(after, Event::Broken { request, attempt, evidence: Evidence::Refused });
        }
        if remote {
            self.nodes[usize::from(target)].debt += self.scenario.prices.from_peer;
        }
        if measured {
            self.outcome.found.push(self.machines[usize::from(target)].len() as u16);
        }
        let node = &mut self.nodes[usize::from(target)];
        let reservation = self.requests[request as usize].reservation;
        node.promises.consume(reservation);
        if node.hot.serving() >= self.scenario.limit {
            let (report, boot) = (node.hot.report_here(0), node.boot);
            let answer = Event::Return { request, attempt, report, boot, refused: true };
            let after = if remote { self.wire() } else { 0.0 };
            return self.post(after, answer);
        }
        node.hot.begin_service();
        let now = self.seconds();
        self.machines[usize::from(target)].start(now, request, demand);
        self.service_changed(target);
    }

    /// The next request of a machine is done.
    pub(super) fn ends(&mut self, machine: u16, stamp: u64) {
        let now = self.seconds();
        let Some(request) = self.machines[usize::from(machine)].end(now, stamp) else { return };
        let node = &self.nodes[usize::from(machine)];
        // The report goes out with the response, so this request is still in it.
        let (report, boot) = (node.hot.report_here(0), node.boot);
        node.hot.end_service();
        self.service_changed(machine);
        let r = &self.requests[request as usize];
        let (attempt, entry) = (r.attempt, r.entry);
        if r.done || r.target != machine {
            return;
        }
        let central = self.scenario.policy == Policy::CentralLeastConn;
        let after = if entry == machine && !central { 0.0 } else { self.wire() + self.wake(entry) };
        self.post(after, Event::Return { request, attempt, report, boot, refused: false });
    }

    pub(super) fn service_changed(&mut self, machine: u16) {
        let at = usize::from(machine);
        if let Some((end, stamp)) = self.machines[at].next_end() {
            self.post_at(nanos(end).max(self.now), Event::Ends { machine, stamp });
        }
        let node = &mut self.nodes[at];
        let full = node.hot.serving() >= self.scenario.limit;
        if full {
            node.hot.set_flags_here(Flags::OVER_LIMIT);
        } else {
            node.hot.clear_flags_here(Flags::OVER_LIMIT);
        }
        node.herald.handle_in_flight(node.hot.serving());
        self.schedule_announcement(machine);
    }

    /// A response, or a refusal, is back where the client is.
    pub(super) fn returned(
        &mut self,
        request: u32,
        attempt: u8,
        report: Report,
        boot: u32,
        refused: bool,
    ) {
        let r = &self.requests[request as usize];
        if r.done || r.attempt != attempt {
            return;
        }
        let (entry, target, sent) = (r.entry, r.target, r.sent);
        let now = self.instant();
        let node = &mut self.nodes[usize::from(entry)];
        if self.chain.is_some() && target != entry {
            node.hot.hear(Slot(target), boot, report, now);
            if !refused {
                failures::succeeded(&node.hot, Slot(target), now);
            }
        }
        if !refused {
            node.served.record(std::time::Duration::from_nanos(self.now - sent));
        }
        self.leave(request);
        if !refused {
            self.finish(request, End::Served);
        } else if self.chain.is_some() && target != entry {
            // Its own word: the next candidate is tried, on no budget.
            self.again(request, target);
        } else {
            self.finish(request, End::Refused);
        }
    }

    /// A connection of a request broke.
    pub(super) fn broken(&mut self, request: u32, attempt: u8, evidence: Evidence) {
        let r = &self.requests[request as usize];
        if r.done || r.attempt != attempt {
            return;
        }
        let (entry, target) = (r.entry, r.target);
        if self.chain.is_none() || entry == target {
            self.leave(request);
            return self.finish(request, End::Failed);
        }
        let now = self.instant();
        let node = &mut self.nodes[usize::from(entry)];
        failures::failed(
            &node.hot,
            &node.snapshot,
            Slot(target),
            &failures::FailureRules::default(),
            now,
        );
        self.move_away(request);
        self.nodes[usize::from(entry)].liveness.handle_evidence(now, Slot(target), evidence);
        self.follow_liveness(entry);
    }

    /// Takes a request off its machine and tries another.
    pub(super) fn move_away(&mut self, request: u32) {
        let target = self.requests[request as usize].target;
        self.leave(request);
        self.again(request, target);
    }

    pub(super) fn again(&mut self, request: u32, failed: u16) {
        let r = &mut self.requests[request as usize];
        r.attempt += 1;
        (r.round, r.reservation) = (None, 0);
        self.outcome.moves += u64::from(r.measured);
        if !r.tried.add(Slot(failed)) {
            return self.finish(request, End::Failed);
        }
        self.dispatch(request);
    }

    /// The entry counts the request off.
    pub(super) fn leave(&mut self, request: u32) {
        let r = &self.requests[request as usize];
        let (entry, target) = (r.entry, r.target);
        self.rivals.ended(entry, target);
        if self.chain.is_some() && self.away[usize::from(entry)].remove(&request) {
            let node = &self.nodes[usize::from(entry)];
            node.hot.end(Slot(target));
            node.hot.end_relay();
            if let Some(checks) = &mut self.checks {
                checks.closed(entry, target);
            }
        }
    }

    pub(super) fn finish(&mut self, request: u32, end: End) {
        let r = &mut self.requests[request as usize];
        assert!(!r.done, "seed {}: request {request} ended twice", self.scenario.seed);
        r.done = true;
        r.round = None;
        if !r.measured {
            return;
        }
        let took = (self.now - r.born) as f64 * 1e-9;
        let late = took > self.scenario.patience && end == End::Served;
        let end = if late { End::Late } else { end };
        self.outcome.count_end(end);
        if end == End::EntryLost {
            return;
        }
        // A refusal costs the client what waiting in vain costs: it did not get its page.
        let clipped = if end == End::Served { took } else { self.scenario.patience };
        self.outcome.times.push(clipped as f32);
    }
}
