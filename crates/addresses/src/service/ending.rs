//! The end: leaving in order, handing over to the next image, letting go.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use base::Instant;
use tokio::sync::oneshot;

use super::clock;
use super::handle::{Left, Legacy};
use super::holding::State;
use super::run::Service;
use super::worker::{Done, Job};
use crate::hooks::KILL_AFTER;

impl Service {
    /// Whether leaving has come to its end.
    pub(super) fn look_after_leaving(&mut self, now: Instant) {
        let Some(leaving) = &self.leaving else { return };
        let waits =
            self.vip.is_leaving_in_order()
                || self.holdings.sets.values().any(|holding| {
                    matches!(holding.state, State::Lingering(_) | State::Removing(_))
                });
        let late = now >= leaving.until;
        if waits && !late {
            return;
        }
        let Some(leaving) = self.leaving.take() else { return };
        let heads: Vec<IpAddr> =
            self.holdings.sets.values().map(|holding| holding.set.head()).collect();
        let left = match (heads.is_empty(), waits) {
            (true, _) => Left::GivenAway,
            (false, true) => Left::TimedOut(heads),
            (false, false) => Left::NobodyTook(heads),
        };
        // Whoever asked may have given up.
        let _ = leaving.answer.send(left);
    }

    /// What the image before has left is announced and guarded like anything else.
    pub(super) fn go_on_with_what_was_adopted(&mut self, now: Instant) {
        let placed = self.holdings.sets.values().flat_map(|holding| holding.placed.clone());
        for placed in placed.collect::<Vec<_>>() {
            self.air.acquired(now, placed.said(), placed.net, None);
        }
        self.tell_guardian_all();
    }

    /// Everything stays where it is, for the next image.
    pub(super) async fn bequeath(self, lasts: Duration, answer: oneshot::Sender<Option<Legacy>>) {
        let seconds = u32::try_from(lasts.as_secs())
            .ok()
            .and_then(NonZeroU32::new)
            .unwrap_or(NonZeroU32::MIN);
        let until = clock::now() + lasts;
        self.ask_kernel(Job::HandOver(seconds));
        let Self { session, hooks, worker, guardian, jobs, holdings, .. } = self;
        drop(jobs);
        if let Some(worker) = worker
            && worker.join().is_err()
        {
            tracing::error!("the thread of the kernel has died; leases run out by themselves");
        }
        let _ = session.disconnect().await;
        hooks.finish(lasts / 2).await;
        let heir = guardian.and_then(|guardian| match guardian.into_inner().hand_over(lasts) {
            Ok(heir) => Some(heir),
            Err(error) => {
                tracing::warn!(%error, "the guardian cannot be handed over and takes everything away");
                None
            }
        });
        let legacy = (!holdings.sets.is_empty()).then_some(Legacy { heir, until });
        // Whoever asked may have given up; then the leases and the guardian end it.
        let _ = answer.send(legacy);
    }

    pub(super) async fn finish(mut self) {
        if let Some((lasts, answer)) = self.handed_over.take() {
            self.bequeath(lasts, answer).await;
            return;
        }
        self.vip.abandon(clock::now());
        let _ = self.act(clock::now());
        self.tell_events(clock::now());
        self.ask_kernel(Job::End);
        // What is let go is off before the others hear that this machine has gone.
        if let Some(worker) = self.worker.take()
            && worker.join().is_err()
        {
            tracing::error!("the thread of the kernel has died; leases run out by themselves");
        }
        // What it has taken off at the last is down like anything else, and its programs are run.
        while let Ok(done) = self.done.try_recv() {
            if matches!(done, Done::Removed(_)) {
                self.kernel_did(done);
            }
        }
        self.end_round();
        let Self { session, hooks, guardian, .. } = self;
        let _ = session.disconnect().await;
        let longest = self.config.hooks.iter().map(|hook| hook.timeout).max().unwrap_or_default();
        // One that has just begun has all its time, and a moment to obey when that is over.
        hooks.finish((longest + KILL_AFTER).min(Duration::from_secs(30))).await;
        if let Some(guardian) = guardian {
            let _ = guardian.into_inner().end();
        }
    }
}
