//! The guardian as the service has it: what it says, that of the image before, and another in the place of one that is gone.

use std::collections::BTreeSet;
use std::fs::File;
use std::time::Duration;

use base::Instant;
use tokio::sync::oneshot;
use vip::{Reason, SetKey};

use super::before::{self, Before};
use super::clock;
use super::holding::{Holding, State};
use super::programs::guardian_name;
use super::run::{HOOKS_AT_ONCE, Service};
use crate::config::{self, Config, HookEvent};
use crate::guardian::{self, Guardian};
use crate::hooks::KILL_AFTER;
use crate::kernel::Awaited;

/// So often it is tried to start one while there is none.
const AGAIN: Duration = Duration::from_secs(5);
/// One that has read nothing for so long, though what it is told is more than it is given room for, is stopped or hangs.
const DEAF: Duration = Duration::from_secs(2);

/// Whether there was a lock for it, and what became of it.
type Started = (bool, Result<Guardian, guardian::Error>);

/// What is to be known of it besides itself.
#[derive(Default)]
pub(super) struct Guarding {
    /// It is that of the image before, and was not told anything yet.
    pub(super) inherited: bool,
    /// There is none, and that is when another is tried.
    again: Option<Instant>,
    /// What becomes of one that is being started.
    starting: Option<oneshot::Receiver<Started>>,
    /// That of a run before still ends programs; nothing begins before, neither the guardian that is being started nor this run.
    before: bool,
    /// Whether that one has ended; it is not waited for without end.
    before_is_over: bool,
    /// The programs of this run that it knows of: for which set, and their processes.
    pub(super) runs: Vec<(String, u32)>,
    /// Since when it has not read what it is told.
    deaf: Option<Instant>,
}

impl Guarding {
    /// When something is due.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.again
    }

    /// Whether this run has to wait for the guardian of the one before.
    pub(super) fn waits_for_before(&self) -> bool {
        self.before
    }

    /// Starts one beside the loop: one that cannot begin is waited for, and so is the lock.
    fn begin(
        &mut self,
        now: Instant,
        wanted: guardian::Config,
        lock: impl FnOnce() -> Option<File> + Send + 'static,
    ) {
        let (tell, told) = oneshot::channel();
        let thread = std::thread::Builder::new().name("addresses-guard".into());
        let started = thread.spawn(move || {
            let lock = lock();
            let locked = lock.is_some();
            // If nobody waits for it any more, it has nothing to guard.
            if let Err((_, Ok(guardian))) = tell.send((locked, Guardian::start(wanted, lock))) {
                let _ = guardian.end();
            }
        });
        match started {
            Ok(_) => self.starting = Some(told),
            Err(_) => (self.again, self.before) = (Some(now + AGAIN), false),
        }
    }

    /// What became of the one that was being started.
    pub(super) async fn started(&mut self) -> Result<Guardian, String> {
        let Some(starting) = &mut self.starting else { return std::future::pending().await };
        let outcome = starting.await;
        self.starting = None;
        match outcome {
            Ok((locked, started)) => {
                self.before_is_over = locked;
                started.map_err(|error| error.to_string())
            }
            Err(_) => Err("the thread that was to start it has died".into()),
        }
    }
}

/// The guardian with which a run begins, or why there is none though there should be; and what is to be known of it.
pub(super) fn first(
    config: &Config,
    inherited: Option<Guardian>,
    now: Instant,
) -> (Option<Awaited<Guardian>>, Guarding, Option<String>) {
    if !config.guardian.enabled {
        if let Some(mut guardian) = inherited {
            // What is here is nobody's but this image's from now on. One that does not hear it is killed, and takes nothing away either.
            let _ = guardian.hold_only(&[]);
            let _ = guardian.end();
        }
        return (None, Guarding::default(), None);
    }
    if let Some(Ok(guardian)) = inherited.map(Awaited::new) {
        return (Some(guardian), Guarding { inherited: true, ..Guarding::default() }, None);
    }
    let lock = match before::look(config) {
        Before::Over(lock) => lock,
        Before::AtWork(file) => {
            let mut guarding = Guarding { before: true, ..Guarding::default() };
            let longest = guardian_s_time(config, config.sets.len()) + time_of_one(config);
            guarding.begin(now, wanted(config), move || before::wait(file, longest));
            return (None, guarding, None);
        }
    };
    match start(config, lock) {
        Ok(guardian) => (Some(guardian), Guarding::default(), None),
        Err(why) => (None, Guarding::default(), Some(why)),
    }
}

/// The lock for another in the place of one that is gone.
fn lock(config: &Config) -> Option<File> {
    match before::look(config) {
        Before::Over(lock) => lock,
        Before::AtWork(_) => {
            tracing::warn!(
                "another guardian still has the lock of this program's: a run that begins after this one will not wait for the new one"
            );
            None
        }
    }
}

/// The longest time that the programs of so many sets take a guardian: of each set one after the other, at least so many sets beside
/// each other.
fn guardian_s_time(config: &Config, sets: usize) -> Duration {
    let rounds = u32::try_from(sets.div_ceil(HOOKS_AT_ONCE)).unwrap_or(u32::MAX);
    let own = config.hooks.iter().filter(|hook| hook.event == HookEvent::OnDown);
    let each: Duration = own.map(|hook| hook.timeout + 4 * KILL_AFTER).sum();
    each.saturating_mul(rounds)
}

/// The longest time that a program of the run itself may take, which its guardian waits for before it begins.
fn time_of_one(config: &Config) -> Duration {
    let own = config.hooks.iter().filter(|hook| hook.event == HookEvent::OnDown);
    own.map(|hook| hook.timeout + 4 * KILL_AFTER).max().unwrap_or_default()
}

fn start(config: &Config, lock: Option<File>) -> Result<Awaited<Guardian>, String> {
    let started = Guardian::start(wanted(config), lock).map_err(|error| error.to_string());
    started.and_then(|one| Awaited::new(one).map_err(|error| error.to_string()))
}

fn wanted(config: &Config) -> guardian::Config {
    guardian::Config { suspicion: config.guardian.suspicion }
}

impl Service {
    pub(super) fn guardian_said(&mut self, event: std::io::Result<guardian::Event>) {
        let now = clock::now();
        match event {
            Ok(guardian::Event::Fenced) => {
                self.counters.fenced += 1;
                self.alarm(None, "the guardian has taken every address away: this program was silent for too long".into());
                self.leave_programs_to_guardian(now);
                self.all_gone();
                self.guardian_s_sets_changed(now);
                if let Some(guardian) = &mut self.guardian {
                    // One that does not hear it says so again.
                    let _ = guardian.get_mut().acknowledge();
                }
            }
            Ok(guardian::Event::Stopped { well }) => {
                if !well && self.stopping.waits_for_guardian() {
                    // Which of them it does not say.
                    self.alarm(
                        None,
                        "not all programs that the guardian ran have ended well".into(),
                    );
                }
                self.guardian_has_stopped(now, well);
            }
            Ok(guardian::Event::Ended) | Err(_) => {
                self.alarm(None, "the guardian has ended; another is started".into());
                self.replace_guardian(now);
            }
        }
    }

    /// What it has said by now, before anything is done that it may have done already.
    pub(super) fn hear_guardian(&mut self) {
        let next = |service: &mut Self| service.guardian.as_mut()?.get_mut().next_event();
        while let Some(event) = next(self) {
            self.guardian_said(Ok(event));
        }
    }

    /// It has taken away what it knew of, and runs the programs that were left with it: they are not run here too.
    fn leave_programs_to_guardian(&mut self, now: Instant) {
        let Some(guardian) = &mut self.guardian else { return };
        let guardian = guardian.get_mut();
        let mut keys = self.stopping.keys();
        keys.extend(self.holdings.sets.keys());
        keys.retain(|key| guardian.has_programs(&guardian_name(*key)));
        let sets = self.stopping.keys().len() + keys.len();
        let until = now + self.guardian_s_time(sets) + self.time_before();
        for key in keys {
            let held = self.holdings.sets.get(&key).or_else(|| self.stopping.holding(key));
            if let Some(holding) = held.cloned() {
                self.stopping.begin_at_guardian(key, holding, until);
            }
        }
    }

    fn guardian_s_time(&self, sets: usize) -> Duration {
        guardian_s_time(&self.config, sets)
    }

    /// How long it may wait at most for what runs here.
    fn time_before(&self) -> Duration {
        let any = !self.guarding.runs.is_empty();
        if any { time_of_one(&self.config) } else { Duration::ZERO }
    }

    /// All programs that it was running have ended, well or not.
    fn guardian_has_stopped(&mut self, now: Instant, well: bool) {
        let lease = self.whole_lease();
        let ended = self.stopping.guardian_ended(now, well, lease);
        if !ended.is_empty() {
            tracing::info!(sets = ended.len(), "the programs that the guardian ran have ended");
        }
        let any = !ended.is_empty();
        for stopped in ended {
            self.follow_stopped(stopped, lease);
        }
        if any {
            self.guardian_s_sets_changed(now);
        }
    }

    /// What it is stopping cannot be held here meanwhile, so that another machine has it.
    fn guardian_s_sets_changed(&mut self, now: Instant) {
        self.interfaces_changed(now, &BTreeSet::new());
    }

    /// It hears that this thread lives. One that has not read anything for long, as when somebody has stopped it, guards nothing.
    pub(super) fn beat_guardian(&mut self, now: Instant) {
        let Some(guardian) = &mut self.guardian else { return };
        // One that is dead says so as an event.
        if !matches!(guardian.get_mut().beat(), Err(guardian::Error::Stuck)) {
            self.guarding.deaf = None;
            return;
        }
        let since = *self.guarding.deaf.get_or_insert(now);
        if now.since(since) < DEAF {
            return;
        }
        self.guarding.deaf = None;
        self.alarm(None, "the guardian does not read what it is told: it was stopped, or hangs; another is started".into());
        if let Some(guardian) = self.guardian.take() {
            guardian.into_inner().kill();
        }
        self.replace_guardian(now);
    }

    /// One that does not say in time that its programs have ended is not waited for any longer.
    pub(super) fn look_after_guardian(&mut self, now: Instant) {
        if self.stopping.is_guardian_late(now) {
            self.alarm(None, "the guardian does not say that the programs it runs have ended; they are not waited for any longer".into());
            self.guardian_has_stopped(now, false);
        }
        if self.guarding.inherited {
            self.take_over_guardian(now);
        }
        if self.guardian.is_none() && self.guarding.again.is_some_and(|at| at <= now) {
            self.guarding.again = None;
            self.start_another(now);
        }
    }

    /// Another in the place of one that is gone. It is told everything, and what that one ran and has not ended is run here.
    pub(super) fn replace_guardian(&mut self, now: Instant) {
        self.guardian = None;
        match start(&self.config, lock(&self.config)) {
            Ok(guardian) => self.has_guardian(guardian),
            Err(why) => {
                self.has_no_guardian(now, &why);
                self.guardian_is_gone();
            }
        }
    }

    fn has_guardian(&mut self, guardian: Awaited<Guardian>) {
        self.guardian = Some(guardian);
        self.guarding.inherited = false;
        self.guarding.runs.clear();
        self.guarding.deaf = None;
        self.counters.guardians += 1;
        self.guardian_is_gone();
        self.tell_guardian_all();
    }

    /// There should be one.
    pub(super) fn has_no_guardian(&mut self, now: Instant, why: &str) {
        let every = AGAIN.as_secs();
        self.alarm(None, format!("there is no guardian: {why}; when this program dies, its addresses stay until their leases run out; it is tried again every {every} s"));
        self.guarding.again = Some(now + AGAIN);
        self.guarding.inherited = false;
    }

    /// The one before has no word to say any more, and runs nothing of which it will say that it has ended.
    fn guardian_is_gone(&mut self) {
        self.forget_farewell();
        let all = self.stopping.without_guardian();
        if !all.is_empty() {
            self.guardian_s_sets_changed(clock::now());
        }
        for (key, holding, certain) in all {
            if !self.stopping.withholds(key) {
                self.to_release.push(key);
            }
            if self.stopping.is_called(key) {
                continue;
            }
            if !certain {
                // It may never have been here.
                self.is_stopped(key);
                continue;
            }
            match self.call(HookEvent::OnDown, &holding.set, holding.reason) {
                Some(called) => self.stopping.begin(key, holding, called),
                None => self.is_stopped(key),
            }
        }
    }

    fn start_another(&mut self, now: Instant) {
        let lock = lock(&self.config);
        self.guarding.begin(now, wanted(&self.config), move || lock);
    }

    /// What became of that.
    pub(super) fn another_started(&mut self, started: Result<Guardian, String>) {
        let guardian = started.and_then(|one| Awaited::new(one).map_err(|error| error.to_string()));
        let before = std::mem::take(&mut self.guarding.before);
        if before {
            self.bus = Err("not connected yet".into());
        }
        match guardian {
            Ok(guardian) => {
                self.has_guardian(guardian);
                let what = match (before, self.guarding.before_is_over) {
                    (true, true) => {
                        "the guardian of the run before has ended, and this machine takes part"
                    }
                    (true, false) => {
                        "the guardian of the run before does not end in time and is not waited for any more"
                    }
                    (false, _) => "there is a guardian again",
                };
                self.note(None, what.into());
            }
            Err(error) if before => self.has_no_guardian(clock::now(), &error),
            Err(error) => {
                tracing::debug!(error, "there is still no guardian");
                self.guarding.again = Some(clock::now() + AGAIN);
            }
        }
    }

    /// The guardian of the image before goes on for this one, as it is configured now and for what is here now. What else it was told of
    /// it takes away, and runs the programs for that.
    pub(super) fn take_over_guardian(&mut self, now: Instant) {
        let inherited = std::mem::take(&mut self.guarding.inherited);
        if inherited && let Some(guardian) = &mut self.guardian {
            // One that does not hear it has died and says so, or does not read and is told the rest again.
            let _ = guardian.get_mut().configure(wanted(&self.config));
        }
        self.tell_guardian_all();
        let Some(guardian) = self.guardian.as_mut().filter(|_| inherited) else { return };
        let held: Vec<String> = self.holdings.sets.keys().copied().map(guardian_name).collect();
        // It may not know under which name an address stays, and must not take that away.
        if self.untold.is_empty() && guardian.get_mut().take_all_but(&held).is_ok() {
            self.wait_for_what_was_not_adopted(now);
        } else {
            // It does not read at the moment, and is told in the next turn.
            self.guarding.inherited = true;
        }
    }

    /// Which sets were here when the image before ended only its guardian knows. Until it has stopped them, none of those that it may be
    /// about comes back.
    fn wait_for_what_was_not_adopted(&mut self, now: Instant) {
        let may_be = |(key, set): &(&SetKey, &config::Set)| {
            !self.holdings.sets.contains_key(*key) && self.runs_hooks(HookEvent::OnDown, set)
        };
        let sets: Vec<(SetKey, config::Set)> =
            self.sets.iter().filter(may_be).map(|(key, set)| (*key, set.clone())).collect();
        // Few were, as a rule; and one of an earlier version does not answer.
        let until = now + self.guardian_s_time(1);
        for (key, set) in sets {
            let holding = Holding {
                set,
                placed: Vec::new(),
                state: State::Removing(0),
                reason: Reason::Held,
                contested: None,
                since: now,
                put_back: 0,
            };
            self.stopping.begin_perhaps(key, holding, until);
        }
    }
}
