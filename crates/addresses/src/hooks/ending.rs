//! How a hook ended.

use std::fmt;
use std::time::Duration;

use super::{KILL_AFTER, event_name};
use crate::config::HookEvent;

/// How one run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this exit status. A function of a module that returned has 0, whatever it returned.
    Exited(i32),
    /// By this signal, not from us.
    Killed(i32),
    /// Its time was over, and its process group was killed.
    TimedOut,
    /// It could not be started; why.
    NotStarted(String),
    /// It was dropped before it began: newer calls for the same set were waiting behind it.
    Superseded,
    /// Killed or never begun, since the service ended.
    Stopped,
    /// The service ends without waiting for it any longer. It stops something, so it is not killed, and has the rest of its time.
    GoesOn,
    /// Its time is over and it does not even die, or cannot be loaded: a disk or a network file system hangs. It is
    /// killed when the kernel lets it; others do not wait for it any more.
    Stuck,
}

/// A hook that was called and is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookDone {
    /// What it was called for.
    pub event: HookEvent,
    /// The set; empty after a round.
    pub set: String,
    /// The call, as [`Called`](super::Called) numbers it.
    pub call: u64,
    /// The program, or `file:symbol`.
    pub hook: String,
    /// How it ended.
    pub outcome: Outcome,
    /// From its start to its end.
    pub took: Duration,
    /// From the call to its start.
    pub waited: Duration,
    /// The last lines that it said; at most 20.
    pub said: Vec<String>,
}

impl HookDone {
    /// Whether it did what it was called for, as far as its exit status tells.
    pub fn succeeded(&self) -> bool {
        self.outcome == Outcome::Exited(0)
    }
}

impl fmt::Display for HookDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", event_name(self.event), self.hook)?;
        if !self.set.is_empty() {
            write!(f, " for {}", self.set)?;
        }
        let took = self.took.as_millis();
        match &self.outcome {
            Outcome::Exited(0) => write!(f, " ended well after {took} ms"),
            Outcome::Exited(status) => write!(f, " ended with status {status} after {took} ms"),
            Outcome::Killed(signal) => write!(f, " was ended by signal {signal} after {took} ms"),
            Outcome::TimedOut => {
                write!(
                    f,
                    " was killed after {took} ms: its time limit was over; SIGTERM came {} s before SIGKILL; raise its timeout or make it faster",
                    KILL_AFTER.as_secs()
                )
            }
            Outcome::NotStarted(why) => write!(f, " was not run: {why}"),
            Outcome::Superseded => {
                write!(f, " was dropped: newer calls for the same set were waiting behind it")
            }
            Outcome::Stopped => write!(f, " was stopped, since the service ends"),
            Outcome::GoesOn => write!(f, " goes on after {took} ms, though the service ends"),
            Outcome::Stuck => {
                write!(
                    f,
                    " neither ends nor dies after {took} ms: is its disk away?; others go on without waiting for it"
                )
            }
        }
    }
}
