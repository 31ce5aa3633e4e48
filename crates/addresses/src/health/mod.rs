//! Checks that decide whether this machine may have addresses.
//!
//! Each check runs again `interval` after its last run ended, so runs never pile up and there is never more than one of a
//! check; the first begins after a random part of the interval. A run is judged by its own time limit, measured
//! at the service's clock: where the loop itself was so late that the limit says nothing about what was asked (a machine
//! under load), the run does not count, three times in a row at most.
//!
//! **At the start** nothing is known of a check, which is not healthy: a machine takes no addresses before all of
//! its checks have passed. One pass suffices then: `rise` is against flapping, and nothing has flapped yet. Should
//! every machine of a lone cluster boot unhealthy, the rule for "all are unhealthy" decides, as at any other time. After
//! that a check falls after `fall` failures in a row and rises after `rise` passes in a row; the machine is healthy
//! while all of its checks are.

mod command;
mod http;
mod judge;
mod tcp;
#[cfg(test)]
mod tests;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::config::{Check, CheckKind};
use judge::Judge;

/// Runs in a row that may not count because the loop was late.
const MAX_VOID: u32 = 3;
/// The loop is late when a limit fires so much after its time, or a quarter of the limit if that is more.
const LATE: Duration = Duration::from_millis(50);

/// What this program's own balancer says of its local server; `Err` says what is wrong.
pub type BalancerState = Result<(), String>;

/// The machine's health, after a check has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether this machine may have addresses as far as its checks go.
    pub healthy: bool,
    /// Why, as `check web: 3 failures in a row, last: connection refused by 127.0.0.1:80`.
    pub why: String,
}

/// Where a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has neither passed nor failed often enough.
    Unknown,
    /// It passes.
    Up,
    /// It fails.
    Down,
}

/// What the status page shows of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckState {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub standing: Standing,
    /// Since when.
    pub since: SystemTime,
    /// How the last run ended; `None` before the first.
    pub last: Option<Result<(), String>>,
    /// How long the last run took.
    pub took: Duration,
    /// Passes in a row up to now.
    pub passes: u32,
    /// Failures in a row up to now.
    pub failures: u32,
}

/// How one run ended.
struct Run {
    check: usize,
    result: Result<(), String>,
    took: Duration,
}

/// Runs the checks.
///
/// They run on the runtime of the caller, as tasks that end when this is dropped; commands on threads of their own.
pub struct Health {
    states: Vec<(Judge, CheckState)>,
    runs: mpsc::Receiver<Run>,
    _tasks: JoinSet<()>,
}

impl Health {
    /// Starts the checks; call it within a runtime. `balancer` is for checks of the kind balancer; without one they fail
    /// and say so.
    pub fn new(checks: Vec<Check>, balancer: Option<watch::Receiver<BalancerState>>) -> Self {
        // A report each is enough: a task that cannot tell its result waits with the next run.
        let (reporter, runs) = mpsc::channel(checks.len().max(1));
        let mut tasks = JoinSet::new();
        let now = SystemTime::now();
        let mut states = Vec::new();
        for (number, check) in checks.into_iter().enumerate() {
            let state = CheckState {
                name: check.name.clone(),
                standing: Standing::Unknown,
                since: now,
                last: None,
                took: Duration::ZERO,
                passes: 0,
                failures: 0,
            };
            states.push((Judge::new(check.rise, check.fall), state));
            tasks.spawn(forever(number, Arc::new(check), balancer.clone(), reporter.clone()));
        }
        Self { states, runs, _tasks: tasks }
    }

    /// What holds now.
    pub fn verdict(&self) -> Verdict {
        let not_up = |standing| self.states.iter().find(|(_, state)| state.standing == standing);
        let (healthy, why) = match (not_up(Standing::Down), not_up(Standing::Unknown)) {
            (Some((_, state)), _) => (false, sentence(state)),
            (None, Some((_, state))) => (false, sentence(state)),
            (None, None) if self.states.is_empty() => (true, "there are no checks".to_owned()),
            (None, None) => (true, "all checks pass".to_owned()),
        };
        Verdict { healthy, why }
    }

    /// The next change of a check, with what it means for the machine; waits for ever where there are no checks. May be
    /// dropped at the await.
    pub async fn next(&mut self) -> Verdict {
        loop {
            let Some(run) = self.runs.recv().await else {
                // No checks, so no tasks.
                return std::future::pending().await;
            };
            if let Some(why) = self.take(run) {
                let healthy = self.verdict().healthy;
                if healthy {
                    tracing::info!("healthy: {why}");
                } else {
                    tracing::warn!("not healthy: {why}");
                }
                return Verdict { healthy, why };
            }
        }
    }

    /// Each check, in the order of the configuration.
    pub fn state(&self) -> impl Iterator<Item = &CheckState> {
        self.states.iter().map(|(_, state)| state)
    }

    /// Takes note of a run; gives the reason if its check changed by it.
    fn take(&mut self, run: Run) -> Option<String> {
        let (judge, state) = self.states.get_mut(run.check)?;
        let before = state.standing;
        state.standing = judge.judge(run.result.is_ok());
        (state.passes, state.failures) = (judge.passes(), judge.failures());
        state.last = Some(run.result);
        state.took = run.took;
        if state.standing == before {
            return None;
        }
        state.since = SystemTime::now();
        Some(sentence(state))
    }
}

/// Why a check is where it is.
fn sentence(state: &CheckState) -> String {
    let name = &state.name;
    match (state.standing, &state.last) {
        (Standing::Up, _) => format!("check {name}: passes"),
        (Standing::Unknown, None) => format!("check {name}: has not run yet"),
        (Standing::Unknown, Some(Ok(()))) => format!("check {name}: has not passed yet"),
        (Standing::Unknown, Some(Err(why))) => format!("check {name}: has not passed yet: {why}"),
        (Standing::Down, Some(Err(why))) => {
            let times = state.failures;
            let times = if times == 1 {
                "1 failure".to_owned()
            } else {
                format!("{times} failures in a row")
            };
            format!("check {name}: {times}, last: {why}")
        }
        (Standing::Down, _) => format!("check {name}: has not passed often enough again"),
    }
}

/// The runs of one check.
async fn forever(
    number: usize,
    check: Arc<Check>,
    balancer: Option<watch::Receiver<BalancerState>>,
    reports: mpsc::Sender<Run>,
) {
    sleep(part_of(check.interval)).await;
    let (mut void, mut command) = (0, command::Command::default());
    loop {
        let began = Instant::now();
        let run = once(&check, balancer.as_ref(), &mut command, void < MAX_VOID).await;
        match run {
            None => void += 1,
            Some(result) => {
                void = 0;
                let run = Run { check: number, result, took: began.elapsed() };
                if reports.send(run).await.is_err() {
                    return;
                }
            }
        }
        sleep(check.interval).await;
    }
}

/// One run; `None` if it says nothing, since the loop was late.
async fn once(
    check: &Check,
    balancer: Option<&watch::Receiver<BalancerState>>,
    command: &mut command::Command,
    forgive: bool,
) -> Option<Result<(), String>> {
    let (limit, began) = (check.timeout, Instant::now());
    let run = async {
        match &check.kind {
            CheckKind::Tcp { address } => tcp::check(*address).await,
            CheckKind::Http { address, path, host, status, contains } => {
                let asked = http::Asked { address: *address, path, host, status, contains };
                http::check(&asked).await
            }
            CheckKind::Command { argv, exit } => command.check(argv, *exit, limit).await,
            CheckKind::Balancer => own_balancer(balancer),
        }
    };
    // A command has its limit from the thread that runs it, and more time to die.
    if matches!(check.kind, CheckKind::Command { .. }) {
        return Some(run.await);
    }
    let deadline = began + limit;
    tokio::select! {
        biased;
        result = run => Some(result),
        () = sleep_until(deadline) => {
            let late = deadline.elapsed() > LATE.max(limit / 4);
            let why = || Err(format!("no answer within {} ms", limit.as_millis()));
            (!late || !forgive).then(why)
        }
    }
}

fn own_balancer(balancer: Option<&watch::Receiver<BalancerState>>) -> Result<(), String> {
    match balancer {
        None => Err("this program runs no balancer; add one or remove the check".to_owned()),
        Some(state) if state.has_changed().is_err() => Err("the balancer has ended".to_owned()),
        Some(state) => state.borrow().clone(),
    }
}

/// A random part of a time, so that the checks of machines that boot together do not run together.
fn part_of(time: Duration) -> Duration {
    // Seeded by the system, which is all that is needed here.
    let random = RandomState::new().build_hasher().finish() % 1024;
    time.mul_f64(random as f64 / 1024.0)
}
