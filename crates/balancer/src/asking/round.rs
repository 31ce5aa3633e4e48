//! One request that asks before it goes.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use announce::exchange::Question;
use candidacy::asking::Round;
use candidacy::{RouteId, Slot, View};

use crate::relay::conn::Conn;
use crate::relay::http::Request;
use crate::worker::control::Control;
use crate::worker::decision::Plan;

/// A round whose answers are awaited.
pub(crate) struct Asked {
    round: RefCell<Round>,
    control: Rc<Control>,
    over: Cell<bool>,
}

impl Asked {
    /// Notes an answer; the last one ends the round.
    pub(super) fn answer(&self, slot: Slot, reservation: u32) {
        if !self.over.get() && self.round.borrow_mut().answer(slot, reservation) {
            self.expire();
        }
    }

    /// The round is over.
    pub(super) fn expire(&self) {
        if !self.over.replace(true) {
            self.control.wake();
        }
    }
}

impl Conn {
    /// Asks the machines of the plan's round, waits for them, and decides on what they say.
    pub(crate) async fn ask(&mut self, request: &Request, plan: &mut Plan) {
        let w = self.w.clone();
        let Some(round) = plan.round.take() else { return };
        let Some(timer) = w.desk.as_ref().and_then(|desk| desk.timer.as_ref()) else { return };
        let begun = w.now();
        let deadline = round.deadline();
        let whom: Vec<Slot> = round.asked().collect();
        let asked = Rc::new(Asked {
            round: RefCell::new(*round),
            control: self.slot.control(),
            over: Cell::new(false),
        });
        let micros = u32::try_from(deadline.since(begun).as_micros()).unwrap_or(u32::MAX);
        let route = w.routes.get(RouteId(plan.route as u16)).key;
        let question = Some(Question { route, reserve: true, deadline_micros: micros });
        for slot in whom {
            w.question(slot, question, Some(asked.clone()), begun);
        }
        w.stats.counters.asked.bump();
        timer.add(asked.clone(), deadline, begun);
        poll_fn(|cx| {
            if asked.over.get() || self.poll_gone(cx).is_ready() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        asked.over.set(true);
        let round = *asked.round.borrow();
        if round.counts().1 == 0 {
            w.stats.counters.asked_silent.bump();
        }
        let now = w.now();
        let snapshot = w.snapshot();
        let mut kept = w.deciding.borrow_mut();
        let kept = &mut *kept;
        let service = kept.service.get(plan.route).copied().unwrap_or_default();
        let hot = &w.shared.resources.matrix().hot;
        let view = View { hot, snapshot: &snapshot, now, service };
        // Told from the beginning or not at all.
        let mut told = plan.told.take();
        let decision =
            round.decide(&view, &mut kept.random, &mut kept.scratch, told.as_deref_mut());
        if let candidacy::Verdict::Proxy(slot) = decision.verdict {
            plan.reservation = round.reservation(slot);
        }
        // Chains that redirect do not ask.
        w.adopt(plan, &decision, |_, _| None);
        w.count(&decision);
        if let Some(told) = told {
            w.explain(&request.view(self.head.bytes()), plan.route, *told, now);
        }
    }
}
