//! Whether a program ends well.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::timeout;

use crate::hooks::KILL_AFTER;
use crate::hooks::launch::Role;
use crate::hooks::process::{self, Ended, Group, How, Program};

/// Kills the program when nobody waits for it any more.
struct Guard(Arc<Group>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// How long after SIGKILL a run is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(2);

/// The runs of one check.
#[derive(Default)]
pub(super) struct Command {
    /// A run that was given up, since it does not even die. With the disk away, more of them would only pile up.
    stuck: Option<oneshot::Receiver<Ended>>,
}

impl Command {
    /// Runs it with PATH, HOME and LANG; what it says is shown when it fails.
    pub(super) async fn check(
        &mut self,
        argv: &[String],
        exit: u8,
        limit: Duration,
    ) -> Result<(), String> {
        if let Some(stuck) = &mut self.stuck {
            if matches!(stuck.try_recv(), Err(TryRecvError::Empty)) {
                return Err("an earlier run neither ends nor dies; is its disk away?".to_owned());
            }
            self.stuck = None;
        }
        let group = Arc::new(Group::default());
        let guard = Guard(group.clone());
        let (report, mut ended) = oneshot::channel();
        let argv: Vec<_> = argv.iter().map(Into::into).collect();
        let make = move || Program {
            role: Role::Program,
            argv,
            environment: process::handed_on(),
            input: Vec::new(),
            limit,
            outlives: false,
        };
        // If nobody listens any more, the check has ended.
        let done = move |ended| drop(report.send(ended));
        process::start(group, make, |_: &str| {}, done)
            .map_err(|error| format!("no thread for the command: {error}"))?;
        let whole = limit.saturating_add(KILL_AFTER).saturating_add(GIVE_UP_AFTER);
        let result = timeout(whole, &mut ended).await;
        drop(guard);
        match result {
            Ok(ended) => {
                judge(ended.map_err(|_| "the command was not waited for".to_owned())?, exit, limit)
            }
            Err(_) => {
                self.stuck = Some(ended);
                Err("it neither ends nor dies; is its disk away?".to_owned())
            }
        }
    }
}

fn judge(ended: Ended, exit: u8, limit: Duration) -> Result<(), String> {
    let said = ended.said.last().map(|line| format!(": {line}")).unwrap_or_default();
    match ended.how {
        How::Exited(status) if status == i32::from(exit) => Ok(()),
        How::Exited(status) => Err(format!("exit status {status}{said}")),
        How::Killed(signal) => Err(format!("ended by signal {signal}{said}")),
        How::TimedOut => Err(format!("killed after {} ms without an end{said}", limit.as_millis())),
        How::NotStarted(why) => Err(why),
    }
}
