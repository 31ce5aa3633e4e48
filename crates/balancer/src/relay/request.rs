//! What becomes of one request: an internal page, this machine, a peer, a redirect, a refusal; and another
//! attempt where one failed that left no trace.
//!
//! The rules of another attempt: nothing of a response may have gone to the client; the body must still be
//! held; and either the method is idempotent or it is certain that nothing was done. A machine that
//! refused, fell silent or says of itself that it should not be chosen is left at once; leaving one on
//! mere suspicion (an error, slowness) draws on a budget, so that a slow cluster is not buried under its
//! own second attempts.

use std::net::IpAddr;
use std::time::Duration;

use base::Instant;
use candidacy::Slot;

use super::conn::{Conn, Entry, Holding};
use super::exchange::Target;
use super::http::Request;
use super::outcome::{Ended, Failure};
use super::upload::{Upload, UploadError};
use crate::peers::pool::Key;
use crate::worker::admission::Entrance;
use crate::worker::control::Interrupt;
use crate::worker::decision::{Plan, Step};

/// The most attempts at one request.
const ATTEMPTS: u32 = 6;

/// What is told of a request when it is over.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// The machine that served it, by row of the matrix.
    pub(crate) machine: Option<u16>,
    /// Why it was chosen.
    pub(crate) reason: &'static str,
    /// The age of what was known of it.
    pub(crate) age: Option<Duration>,
    pub(crate) route: usize,
    pub(crate) attempts: u32,
}

impl Conn {
    /// Serves one request; returns whether the connection goes on.
    pub(crate) async fn serve(&mut self, mut request: Request) -> bool {
        let w = self.w.clone();
        let begun = w.now();
        self.slot.set_served();
        self.set_head_apart(request.head.len);
        let from = (self.entry, self.remote);
        let client = request.true_client(self.head.bytes(), from, &w);
        self.client = client;
        self.lasts = false;
        self.taken_leave = !request.keep && request.body.is_none();
        let mut upload =
            Upload::new(request.body.take(), w.config.http.max_body.unwrap_or(u64::MAX));
        self.waits_for_leave =
            request.head.expects_continue && !upload.is_complete() && self.inbox.is_empty();
        let mut trace = Trace::default();
        let ended = self.answer(&mut request, client, &mut upload, &mut trace, begun).await;
        let ended = match ended {
            Ended::BadRequest(status) => {
                self.refuse(&request, status, "The request's body could not be taken.").await
            }
            other => other,
        };
        // A body that nobody read stands between this request and the next.
        let whole = upload.is_complete() || self.discard(&mut upload).await;
        w.stats.counters.bytes_in.add(upload.taken);
        upload.release(&w.buffers);
        let keep = self.account(&request, &ended, &trace, begun);
        self.head.clear(&w.buffers);
        w.reuse(request);
        keep && whole && !self.gone
    }

    async fn answer(
        &mut self,
        request: &mut Request,
        client: IpAddr,
        upload: &mut Upload,
        trace: &mut Trace,
        begun: Instant,
    ) -> Ended {
        let w = self.w.clone();
        if self.entry == Entry::Client {
            if request.internal {
                trace.reason = "page";
                return self.page(request, client).await;
            }
            w.stats.counters.requests.bump();
        } else {
            w.stats.counters.peer_requests.bump();
        }
        if upload.is_announced_too_long() {
            return self.refuse(request, 413, "The request's body is too large.").await;
        }
        match upload.take_arrived(&mut self.inbox, &w.buffers) {
            Ok(()) => {}
            Err(UploadError::TooLong) => return Ended::BadRequest(413),
            Err(_) => return Ended::BadRequest(400),
        }
        let Some(plan) = request.plan.take() else {
            return self.refuse(request, 500, "Nothing was decided.").await;
        };
        if !request.is_ours
            && let Some(why) = w.refusal()
        {
            return self.refuse_peer(request, why).await;
        }
        trace.route = plan.route;
        let ended = self.attempt(request, upload, plan, trace).await;
        if self.entry == Entry::Client
            && !self.lasts
            && let Some(histogram) = w.stats.routes.get(trace.route)
        {
            histogram.record(w.now().since(begun));
        }
        ended
    }

    /// Goes from machine to machine until one answers.
    async fn attempt(
        &mut self,
        request: &Request,
        upload: &mut Upload,
        mut plan: Plan,
        trace: &mut Trace,
    ) -> Ended {
        let w = self.w.clone();
        let counters = &w.stats.counters;
        w.deciding.borrow_mut().budget.deposit();
        if plan.round.is_some() {
            self.ask(request, &mut plan).await;
            if self.gone {
                return Ended::Gone;
            }
        }
        loop {
            trace.attempts += 1;
            (trace.reason, trace.age) = (plan.reason, plan.age);
            let step = std::mem::replace(&mut plan.step, Step::Refuse);
            let (slot, ended) = match step {
                Step::Here => {
                    counters.decided_here.bump();
                    trace.machine = Some(w.snapshot().this().0);
                    (w.snapshot().this(), self.here(request, upload, &plan).await)
                }
                Step::Machine(slot) => {
                    counters.decided_proxy.bump();
                    trace.machine = Some(slot);
                    (Slot(slot), self.proxy(request, upload, slot, &plan).await)
                }
                Step::Redirect(location) => {
                    counters.decided_redirect.bump();
                    return self.redirect(request, &location).await;
                }
                Step::Forbid => return self.forbid(request).await,
                Step::Refuse => {
                    counters.decided_refused.bump();
                    return self.unavailable(request, "No machine is left for this request.").await;
                }
            };
            self.holding = Holding::default();
            let Ended::Failed(failure) = ended else { return ended };
            if failure == Failure::Refused {
                counters.peer_refused.bump();
            }
            let more = request.is_ours
                && trace.attempts < ATTEMPTS
                && self.may_try_again(request, upload, failure)
                && plan.tried.add(slot);
            if !more {
                return self.give_up(request, failure).await;
            }
            upload.rewind();
            w.decide_again(&request.view(self.head.bytes()), &mut plan, w.now());
            if plan.step == Step::Refuse {
                if !failure.is_certain() {
                    w.refund_retry();
                }
                return self.give_up(request, failure).await;
            }
            counters.retries.bump();
            if failure == Failure::Died {
                counters.moved_by_death.bump();
            }
        }
    }

    fn may_try_again(&self, request: &Request, upload: &Upload, failure: Failure) -> bool {
        if !upload.is_replayable() || !(request.is_idempotent || failure.nothing_done()) {
            return false;
        }
        if failure.is_certain() || self.w.spend_retry() {
            return true;
        }
        self.w.stats.counters.retries_denied.bump();
        false
    }

    /// Gives the request to another machine.
    async fn proxy(
        &mut self,
        request: &Request,
        upload: &mut Upload,
        slot: u16,
        plan: &Plan,
    ) -> Ended {
        let w = self.w.clone();
        let Some(relaying) = w.begin_relay() else {
            w.stats.counters.relay_limit.bump();
            return self.unavailable(request, "Too many requests are being relayed.").await;
        };
        let Some(machine) = w.machine(slot) else { return Ended::Failed(Failure::Died) };
        let begun = w.now();
        self.holding.sent = Some((w.begin_at(slot), relaying));
        let up = w
            .upstream(
                Key::Machine(slot),
                machine.epoch,
                machine.way(),
                w.config.peers.connect_timeout,
            )
            .await;
        let mark = Some(plan.reservation).filter(|_| machine.is_marked());
        let target =
            Target { key: Key::Machine(slot), mark, patience: plan.patience, route: plan.route };
        let ended = match up {
            Ok(up) => self.exchange(request, upload, up, &target).await,
            Err(failure) => Ended::Failed(failure),
        };
        self.holding = Holding::default();
        w.judge(slot, machine.epoch, &ended, begun, self.lasts);
        ended
    }

    /// Serves the request on this machine, when there is room.
    async fn here(&mut self, request: &Request, upload: &mut Upload, plan: &Plan) -> Ended {
        let w = self.w.clone();
        if let Some(reservation) = request.reservation {
            w.shared.resources.consume_reservation(reservation);
        }
        let decided = w.now();
        let mut begun = decided;
        let ticket = match w.gate.enter(|| self.slot.control()) {
            Entrance::In(ticket) => ticket,
            // Another may have room.
            Entrance::Full => return Ended::Failed(Failure::OverLimit),
            Entrance::Wait(waiting) => {
                w.stats.counters.queued.bump();
                self.due_in(w.config.local.queue_time);
                let turn = std::future::poll_fn(|cx| {
                    if let Some(ticket) = waiting.turn() {
                        return std::task::Poll::Ready(Some(ticket));
                    }
                    let over = self.slot.interrupt() == Some(Interrupt::Deadline);
                    if over || self.poll_gone(cx).is_ready() {
                        return std::task::Poll::Ready(None);
                    }
                    std::task::Poll::Pending
                })
                .await;
                self.slot.clear_deadline();
                begun = w.now();
                match turn {
                    Some(ticket) => ticket,
                    None if self.gone => return Ended::Gone,
                    None => return Ended::Failed(Failure::OverLimit),
                }
            }
        };
        self.holding.ticket = Some((ticket, w.busy_with(plan.route)));
        let ended = self.local_service(request, upload, plan).await;
        if matches!(ended, Ended::Done { .. }) && !self.lasts {
            let now = w.now();
            let took = now.since(begun);
            if let Some(here) = w.stats.here.get(plan.route) {
                here.record(took);
            }
            if self.entry == Entry::Peer {
                w.stats.for_peers.record(took);
            }
            // Among the others it is compared with, and their queues count, so its own does too.
            if request.is_ours
                && let Some(histogram) = w.stats.peer(w.shared.resources.this().index())
            {
                histogram.record(now.since(decided));
            }
        }
        if matches!(ended, Ended::Failed(_)) {
            w.shared.check_health();
        }
        self.holding = Holding::default();
        ended
    }

    /// Throws the rest of a small body away, so that the connection can go on. `false` if it is not worth it.
    async fn discard(&mut self, upload: &mut Upload) -> bool {
        if self.gone || !upload.is_worth_discarding() {
            return false;
        }
        self.due_in(Duration::from_secs(1));
        let w = self.w.clone();
        let done = std::future::poll_fn(|cx| {
            if self.slot.interrupt().is_some() {
                return std::task::Poll::Ready(false);
            }
            upload.poll_discard(cx, &mut self.inbox, &mut self.stream, &w.buffers)
        })
        .await;
        self.slot.clear_deadline();
        done
    }
}
