//! The hooks of the service: what waits, what runs, what has ended.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::ending::{HookDone, Outcome};
use super::launch::Role;
use super::process::{self, Ended, Group, How, Program};
use super::queue::{Lane, Queue};
use super::{GIVE_UP_AFTER, HookCall, KILL_AFTER, is_for, is_post, module, name, stops};
use crate::config::{Hook, HookEvent, HookRun};

/// Calls of one set that wait, for each hook; older ones are dropped.
const MAX_WAITING: usize = 8;
/// Runs that nobody waits for any more, since they do not even die. With so many a disk is away, and more of them help nobody.
const MAX_STUCK: usize = 16;
/// What stops something when the service ends is waited for as long as its limit says, but not longer than this.
const LAST_LIMIT: Duration = Duration::from_secs(30);
/// Runs hooks, outside of the loop that calls it.
///
/// [`Hooks::queue`] never waits. [`Hooks::next`] gives the endings and starts what waits, so it must be polled; it may
/// be dropped at any await. At the end [`Hooks::finish`]. Dropping kills `on-up` and `post-up`; see the module for why
/// the others go on.
pub struct Hooks {
    hooks: Vec<Arc<Hook>>,
    queue: Queue<Job>,
    running: Vec<Running>,
    stuck: Vec<u64>,
    done: VecDeque<HookDone>,
    calls: u64,
    reports: mpsc::UnboundedReceiver<(u64, Ended)>,
    // One report of each thread, so there are never more than threads.
    reporter: mpsc::UnboundedSender<(u64, Ended)>,
}

/// What a call has set going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Called {
    /// By which the endings name it ([`HookDone::call`]).
    pub number: u64,
    /// So many hooks are configured for it: so many endings will come.
    pub hooks: usize,
}

struct Job {
    hook: Arc<Hook>,
    call: Arc<HookCall>,
    number: u64,
    called: Instant,
}

struct Running {
    number: u64,
    job: Job,
    started: Instant,
    give_up: Option<Instant>,
    group: Arc<Group>,
    stopped: bool,
}

impl Hooks {
    /// Nothing runs yet. At most `parallel` (at least 1; 8 is good) run at a time, each of another set; each costs a thread
    /// while it runs.
    pub fn new(hooks: Vec<Hook>, parallel: usize) -> Self {
        let (reporter, reports) = mpsc::unbounded_channel();
        let hooks: Vec<_> = hooks.into_iter().map(Arc::new).collect();
        let queue = Queue::new(parallel, MAX_WAITING * hooks.len());
        let (running, stuck, done) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { hooks, queue, running, stuck, done, calls: 0, reports, reporter }
    }

    /// Calls the hooks that are configured for it, in the order of the configuration.
    pub fn queue(&mut self, call: HookCall) -> Called {
        let call = Arc::new(call);
        self.calls += 1;
        let mut all = Called { number: self.calls, hooks: 0 };
        let lane = || match is_post(call.event) {
            true => Lane::Round,
            false => Lane::Set(call.set.as_str().into()),
        };
        let called = Instant::now();
        for hook in self.hooks.iter().filter(|hook| is_for(hook, &call)) {
            let number = all.number;
            let job = Job { hook: hook.clone(), call: call.clone(), number, called };
            all.hooks += 1;
            if let Some(old) = self.queue.push(lane(), job) {
                self.done.push_back(old.over(Outcome::Superseded));
            }
        }
        self.start();
        all
    }

    /// Whether any of this set waits or runs.
    pub fn is_busy(&self, set: &str) -> bool {
        self.queue.has(&Lane::Set(set.into()))
    }

    /// The `on-down` that run just now: their set, their process, and how long they may still take.
    pub(crate) fn stopping(&self) -> impl Iterator<Item = (&str, u32, Duration)> {
        let own = self.running.iter().filter(|one| one.job.call.event == HookEvent::OnDown);
        own.filter_map(|one| {
            let rest = one.give_up.map(|at| at.saturating_duration_since(Instant::now()));
            Some((one.job.call.set.as_str(), one.group.leader()?, rest.unwrap_or(Duration::MAX)))
        })
    }

    /// How many wait or run.
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    /// How many nobody waits for any more and that have not died all the same: one that comes out of its sleep may still do
    /// what it was called for.
    pub fn stuck(&self) -> usize {
        self.stuck.len()
    }

    /// The next one that is over; waits for ever when nothing is called any more.
    pub async fn next(&mut self) -> HookDone {
        loop {
            self.start();
            if let Some(done) = self.done.pop_front() {
                return tell(done);
            }
            let give_up = self.running.iter().filter_map(|running| running.give_up).min();
            let given_up = async {
                match give_up {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some((number, ended)) = self.reports.recv() => self.ended(number, ended),
                () = given_up => self.give_up(),
            }
        }
    }

    /// Lets what waits and runs come to its end for so long, then kills what runs, but for what stops something: that has its own
    /// limit, and goes on by itself if that is longer than half a minute. Gives what became of each.
    pub async fn finish(mut self, within: Duration) -> Vec<HookDone> {
        let mut all = Vec::new();
        let deadline = Instant::now() + within;
        while self.pending() > 0 || !self.done.is_empty() {
            match timeout_at(deadline, self.next()).await {
                Ok(done) => all.push(done),
                Err(_) => break,
            }
        }
        all.extend(self.queue.clear().map(|job| tell(job.over(Outcome::Stopped))));
        for running in self.running.iter_mut().filter(|running| !stops(running.job.call.event)) {
            running.stopped = true;
            running.group.kill();
        }
        let deadline = Instant::now() + KILL_AFTER;
        while self.running.iter().any(|running| running.stopped) || !self.done.is_empty() {
            match timeout_at(deadline, self.next()).await {
                Ok(done) => all.push(done),
                Err(_) => break,
            }
        }
        // What stops something ends by its own limit, if that is not long.
        let limits = self.running.iter().map(|running| running.job.hook.timeout);
        let longest = limits.max().unwrap_or_default().min(LAST_LIMIT) + KILL_AFTER;
        let deadline = Instant::now() + longest;
        while self.running.iter().any(|running| !running.stopped) || !self.done.is_empty() {
            match timeout_at(deadline, self.next()).await {
                Ok(done) => all.push(done),
                Err(_) => break,
            }
        }
        let rest = std::mem::take(&mut self.running);
        all.extend(rest.into_iter().map(|running| {
            let outcome = if running.stopped { Outcome::Stuck } else { Outcome::GoesOn };
            tell(running.over(outcome))
        }));
        all
    }

    fn start(&mut self) {
        while let Some((number, job)) = self.queue.take() {
            let running = Running::new(number, job);
            match self.run(&running) {
                Ok(()) => self.running.push(running),
                Err(why) => {
                    self.queue.finish(number);
                    self.done.push_back(running.over(Outcome::NotStarted(why)));
                }
            }
        }
    }

    fn run(&self, running: &Running) -> Result<(), String> {
        if self.stuck.len() >= MAX_STUCK {
            return Err(format!(
                "{MAX_STUCK} earlier hooks neither end nor die; see to their disk first"
            ));
        }
        if matches!(running.job.hook.run, HookRun::Module { .. }) {
            module::may_run(&running.job.call)?;
        }
        let (hook, call) = (running.job.hook.clone(), running.job.call.clone());
        let (set, program_name) = (call.set.clone(), name(&hook));
        let log = move |line: &str| tracing::info!(set, hook = program_name, "{line}");
        let make = move || program(&hook, &call);
        let (reporter, number) = (self.reporter.clone(), running.number);
        // If nobody listens any more, the service has ended.
        let done = move |ended| drop(reporter.send((number, ended)));
        process::start(running.group.clone(), make, log, done)
            .map_err(|error| format!("no thread for it: {error}"))
    }

    fn ended(&mut self, number: u64, ended: Ended) {
        self.stuck.retain(|&other| other != number);
        // One that was given up has been told of.
        let Some(at) = self.running.iter().position(|each| each.number == number) else { return };
        let running = self.running.remove(at);
        self.queue.finish(number);
        let outcome = match ended.how {
            _ if running.stopped => Outcome::Stopped,
            How::Exited(status) => Outcome::Exited(status),
            How::Killed(signal) => Outcome::Killed(signal),
            How::TimedOut => Outcome::TimedOut,
            How::NotStarted(why) => Outcome::NotStarted(why),
        };
        let over = running.over(outcome);
        self.done.push_back(HookDone { took: ended.took, said: ended.said, ..over });
    }

    fn give_up(&mut self) {
        let now = Instant::now();
        let late = |running: &mut Running| running.give_up.is_some_and(|at| at <= now);
        for running in self.running.extract_if(.., late) {
            running.group.kill();
            self.queue.finish(running.number);
            self.stuck.push(running.number);
            self.done.push_back(running.over(Outcome::Stuck));
        }
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        for running in self.running.iter().filter(|running| !stops(running.job.call.event)) {
            running.group.kill();
        }
    }
}

impl Job {
    fn over(self, outcome: Outcome) -> HookDone {
        HookDone {
            event: self.call.event,
            set: self.call.set.clone(),
            call: self.number,
            hook: name(&self.hook),
            outcome,
            took: Duration::ZERO,
            waited: self.called.elapsed(),
            said: Vec::new(),
        }
    }
}

impl Running {
    fn new(number: u64, job: Job) -> Self {
        let started = Instant::now();
        let all = job.hook.timeout.saturating_add(KILL_AFTER).saturating_add(GIVE_UP_AFTER);
        let group = Arc::new(Group::default());
        Self { number, job, started, give_up: started.checked_add(all), group, stopped: false }
    }

    fn over(self, outcome: Outcome) -> HookDone {
        let waited = self.started - self.job.called;
        HookDone { took: self.started.elapsed(), waited, ..self.job.over(outcome) }
    }
}

fn program(hook: &Hook, call: &HookCall) -> Program {
    let mut environment = call.environment();
    let (role, argv) = match &hook.run {
        HookRun::Command(argv) => (Role::Program, argv.iter().map(Into::into).collect()),
        HookRun::Module { file, symbol } => {
            // The helper's working directory is another. An error says that we have none; then the name stays as it is.
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            environment.extend(module::marks(&file, symbol));
            (Role::Module, Vec::new())
        }
    };
    let (limit, outlives) = (hook.timeout, stops(call.event));
    Program { role, argv, environment, input: call.document(), limit, outlives }
}

/// Each ending is logged once.
fn tell(done: HookDone) -> HookDone {
    let waited = done.waited.as_millis();
    if done.succeeded() {
        tracing::info!(waited, "{done}");
    } else {
        tracing::warn!(waited, "{done}");
    }
    done
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::config::HookSets;

    fn call() -> HookCall {
        HookCall {
            event: HookEvent::OnDown,
            set: "web".to_owned(),
            sets: vec!["web".to_owned()],
            addresses: Vec::new(),
            machine: "m1".to_owned(),
            owner: None,
            reason: String::new(),
            view: String::new(),
            at: SystemTime::UNIX_EPOCH,
        }
    }

    fn hook() -> Hook {
        let run = HookRun::Command(vec!["/bin/true".to_owned()]);
        let (event, timeout) = (HookEvent::OnDown, Duration::from_millis(10));
        Hook { event, run, timeout, sets: HookSets::All }
    }

    /// One that runs and of which no report comes, as if the kernel did not let it die.
    fn with_one_stuck() -> Hooks {
        let mut hooks = Hooks::new(vec![hook()], 8);
        let (hook, call) = (hooks.hooks[0].clone(), Arc::new(call()));
        let job = Job { hook, call, number: 0, called: Instant::now() };
        hooks.queue.push(Lane::Set("web".into()), job);
        let (number, job) = hooks.queue.take().unwrap();
        let give_up = Some(Instant::now() + Duration::from_millis(10));
        hooks.running.push(Running { give_up, ..Running::new(number, job) });
        hooks
    }

    #[tokio::test]
    async fn one_that_does_not_even_die_is_given_up_and_the_next_of_its_set_runs() {
        let mut hooks = with_one_stuck();
        hooks.queue(call());
        assert_eq!(hooks.pending(), 2);
        assert_eq!(hooks.next().await.outcome, Outcome::Stuck);
        // No test of this kind has a main of its own, so it cannot be started; but its turn came.
        let next = hooks.next().await;
        assert!(matches!(&next.outcome, Outcome::NotStarted(why) if why.contains("hooks::init()")));
        // When the kernel lets it die at last, it is not told again.
        assert_eq!(hooks.stuck(), 1);
        let ended = Ended { how: How::Killed(9), took: Duration::ZERO, said: Vec::new() };
        hooks.reporter.send((0, ended)).unwrap();
        assert!(
            timeout_at(Instant::now() + Duration::from_millis(20), hooks.next()).await.is_err()
        );
        assert_eq!((hooks.stuck(), hooks.pending()), (0, 0));
    }

    #[tokio::test]
    async fn with_many_that_do_not_die_no_more_are_started() {
        let mut hooks = Hooks::new(vec![hook()], 8);
        hooks.stuck = (100..100 + MAX_STUCK as u64).collect();
        hooks.queue(call());
        let done = hooks.next().await;
        assert!(done.to_string().contains("see to their disk first"), "{done}");
    }
}
