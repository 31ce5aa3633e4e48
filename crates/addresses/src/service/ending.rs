//! The end: leaving in order, handing over to the next image, letting go.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use base::Instant;
use tokio::sync::oneshot;
use tokio::time::sleep;
use vip::SetKey;

use super::clock;
use super::handle::{Left, Legacy};
use super::holding::{Holding, State};
use super::programs::guardian_name;
use super::run::{HOOKS_AT_ONCE, Service, beat};
use super::setup::settings;
use super::stopping::Stopping;
use super::worker::{Done, Job};
use crate::config::HookEvent;
use crate::guardian::Guardian;
use crate::hooks::{HookDone, Hooks, KILL_AFTER, Outcome};

/// How long programs may take at most once this machine is out of the group, all together.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the next image of this program waits at most for what is under quorum to be stopped.
pub(super) const RELEASED_WITHIN: Duration = Duration::from_secs(300);

impl Service {
    /// Whether leaving has come to its end.
    pub(super) fn look_after_leaving(&mut self, now: Instant) {
        let Some(leaving) = &self.leaving else { return };
        // What is off is nobody else's yet while its programs hold it back.
        let stopping: Vec<IpAddr> = self.stopping.withheld().collect();
        let waits = self.vip.is_leaving_in_order()
            || !stopping.is_empty()
            || self.holdings.sets.values().any(|holding| holding.state.goes());
        let late = now >= leaving.until;
        if waits && !late {
            return;
        }
        self.has_left(waits);
    }

    /// Tells whoever asked how this machine has left, and whether it still `waits` for others.
    fn has_left(&mut self, waits: bool) {
        let Some(leaving) = self.leaving.take() else { return };
        let stopping = self.stopping.withheld();
        // What lingers is another machine's already.
        let held = self.holdings.sets.values();
        let held = held.filter(|holding| !matches!(holding.state, State::Lingering { .. }));
        let held = held.map(|holding| holding.set.head());
        let heads: BTreeSet<IpAddr> = held.chain(stopping).collect();
        let heads: Vec<IpAddr> = heads.into_iter().collect();
        let left = match (heads.is_empty(), waits) {
            (true, _) if !leaving.had => Left::HadNothing,
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
        self.take_over_guardian(now);
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
        // Before anything that takes its time: nobody beats from here on.
        let heir = guardian.and_then(|guardian| match guardian.into_inner().hand_over(lasts) {
            Ok(heir) => Some(heir),
            Err(error) => {
                tracing::warn!(%error, "the guardian cannot be handed over and takes everything away");
                None
            }
        });
        drop(jobs);
        if let Some(worker) = worker
            && worker.join().is_err()
        {
            tracing::error!("the thread of the kernel has died; leases run out by themselves");
        }
        let _ = session.disconnect().await;
        hooks.finish(lasts / 2).await;
        let legacy = (!holdings.sets.is_empty()).then_some(Legacy { heir, until });
        // Whoever asked may have given up; then the leases and the guardian end it.
        let _ = answer.send(legacy);
    }

    pub(super) async fn finish(mut self) {
        // Told to end meanwhile, it does not wait any longer for others to take what is here.
        self.has_left(true);
        let next = self.handed_over.take();
        self.release_within_the_group(next.is_some()).await;
        if let Some((lasts, answer)) = next {
            if !self.holdings.sets.is_empty() {
                self.bequeath(lasts, answer).await;
                return;
            }
            // Nothing is left to be handed over. Whoever asked may have given up.
            let _ = answer.send(None);
        }
        self.vip.abandon(clock::now());
        let _ = self.act(clock::now());
        // What others have, and what could be here a moment longer, goes now, with its programs.
        let lingers = |holding: &Holding| matches!(holding.state, State::Lingering { .. });
        let rest = self.holdings.sets.iter().filter(|(_, holding)| lingers(holding));
        for key in rest.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.take_off(key);
        }
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
        let Self { session, hooks, guardian, stopping, config, .. } = self;
        let _ = session.disconnect().await;
        let longest = config.hooks.iter().map(|hook| hook.timeout).max().unwrap_or_default();
        // One that has just begun has all its time, and a moment to obey when that is over.
        let within = (longest + KILL_AFTER).min(PATIENCE);
        let guardian = guardian.map(crate::kernel::Awaited::into_inner);
        end_programs(hooks, within, guardian, beat(&config.guardian), &stopping).await;
    }

    /// What is under quorum is given up as long as this machine can say so: who is out of the group is waited for no longer than a
    /// lease, however long its programs take to stop what they have to. The next image, if there `is_next`, gets the rest: it would
    /// hold nothing under quorum on the strength of what this one knew, finds nothing that no kernel has, and could not stop what this one
    /// has started.
    async fn release_within_the_group(&mut self, is_next: bool) {
        if !self.has_to_release(is_next) {
            return;
        }
        let now = clock::now();
        let most = if is_next { RELEASED_WITHIN } else { Duration::MAX };
        let until = now + self.time_to_release().min(most);
        // A set that is listed stays with a machine that goes, if nobody else can have it.
        let mut rest = settings(&self.config, self.fresh());
        let in_kernel = |key: SetKey| self.sets.get(&key).is_some_and(|set| set.kernel);
        rest.sets.retain(|one| is_next && !one.quorum && in_kernel(one.set.key()));
        self.vip.reload(now, rest);
        let mut since = None;
        // Whoever ends it once more waits for nothing; the next image would begin with what is not stopped, in the group or out of it.
        while (is_next || !self.ends_at_once)
            && (self.vip.stands().is_some() || is_next && !self.stopping.is_empty())
            && clock::now() < until
        {
            if self.has_to_release(is_next) {
                since = None;
            } else {
                // The word that the last is off has reached the others when one that was said later has.
                let since = *since.get_or_insert_with(clock::now);
                if self.vip.echoed().is_some_and(|echoed| echoed >= since) {
                    return;
                }
            }
            self.turn().await;
        }
        if self.has_to_release(false) {
            let heads: Vec<IpAddr> = self.stopping.withheld().collect();
            tracing::warn!(
                ?heads,
                "this machine ends before everything under quorum is stopped; others wait for the lease and no longer"
            );
        }
    }

    /// Whether anything under quorum is here, or is not known to be stopped; before the next image also anything that no kernel has, and
    /// whatever is going or being stopped.
    fn has_to_release(&self, is_next: bool) -> bool {
        let goes = |holding: &Holding| {
            holding.set.quorum || is_next && (!holding.set.kernel || holding.state.goes())
        };
        self.stopping.withheld().next().is_some()
            || is_next && !self.stopping.is_empty()
            || self.holdings.sets.values().any(goes)
    }

    /// The longest time in which all that can be stopped: of each set one program after the other, so many sets beside each other; and
    /// a lease for what cannot be.
    fn time_to_release(&self) -> Duration {
        let sets = self.holdings.sets.len() + self.stopping.keys().len();
        let rounds = u32::try_from(sets.div_ceil(HOOKS_AT_ONCE)).unwrap_or(u32::MAX);
        let hooks = self.config.hooks.iter();
        let own = hooks.filter(|hook| matches!(hook.event, HookEvent::OnUp | HookEvent::OnDown));
        let each: Duration = own.map(|hook| hook.timeout + 3 * KILL_AFTER).sum();
        each.saturating_mul(rounds) + self.whole_lease()
    }
}

/// Lets programs come to their end, with the guardian told all the while that this thread lives. When one that stops something
/// could not be run, or does not die, the guardian runs it.
async fn end_programs(
    hooks: Hooks,
    within: Duration,
    mut guardian: Option<Guardian>,
    beat: Duration,
    stopping: &Stopping,
) {
    let mut end = std::pin::pin!(hooks.finish(within));
    let all = loop {
        if let Some(guardian) = &mut guardian {
            // One that is dead has nothing to do any more.
            let _ = guardian.beat();
        }
        tokio::select! {
            all = &mut end => break all,
            () = sleep(beat) => {}
        }
    };
    let Some(mut guardian) = guardian else { return };
    let undone = undone(&all, stopping);
    if undone.is_empty() && !stopping.waits_for_guardian() {
        let _ = guardian.end();
        return;
    }
    let left: Vec<String> = undone.into_iter().map(guardian_name).collect();
    if !left.is_empty() {
        tracing::warn!(
            sets = left.len(),
            "the guardian runs the programs that did not get to run before the end"
        );
    }
    // Of the others it would run them once more. What it runs already comes to its end with it.
    let _ = guardian.hold_only(&left);
    drop(guardian);
}

/// The sets of which a program that stops something was not run, or neither ends nor dies.
fn undone(all: &[HookDone], stopping: &Stopping) -> BTreeSet<SetKey> {
    let undone = all.iter().filter(|done| {
        done.event == HookEvent::OnDown && matches!(done.outcome, Outcome::Stopped | Outcome::Stuck)
    });
    undone.filter_map(|done| stopping.of_call(done.call)).collect()
}
