//! How other threads speak with the service.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use vip::{NoSuch, Order};

use super::ending::RELEASED_WITHIN;
use super::report::{Decision, Report};
use crate::config::Config;
use crate::guardian::Heir;

/// What may be asked of it.
pub(super) enum Command {
    Report(oneshot::Sender<Box<Report>>),
    /// Those with a higher number.
    Decisions(u64, oneshot::Sender<Vec<Decision>>),
    Order {
        machine: String,
        order: Order,
        answer: oneshot::Sender<Result<(), NoSuch>>,
    },
    /// Away from the bus until told otherwise (`wackatrl -f`), or back (`-s`).
    Away(bool, oneshot::Sender<()>),
    /// Give everything away in order, then tell.
    Leave {
        back_within: Option<Duration>,
        left: oneshot::Sender<Left>,
    },
    /// Ends without letting anything go: the next image of this program has it for so long.
    HandOver {
        within: Duration,
        answer: oneshot::Sender<Option<Legacy>>,
    },
    Reload(Box<Config>),
    End,
}

/// What the next image of this program needs to go on with the addresses of this one. It is to be kept until that is executed.
#[derive(Debug)]
pub struct Legacy {
    pub(super) heir: Option<Heir>,
    pub(super) until: base::Instant,
}

impl Legacy {
    /// As words for an environment variable: which boot of the machine, until when (CLOCK_BOOTTIME, in nanoseconds), and the guardian.
    pub fn words(&self) -> String {
        let heir = self.heir.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{} {} {heir}", super::clock::boot_id(), self.until.as_nanos())
    }
}

/// How a machine left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// It had nothing.
    HadNothing,
    /// Others have everything it had.
    GivenAway,
    /// Nobody else could take these; they are let go.
    NobodyTook(Vec<IpAddr>),
    /// The time was over with these still here, or, under quorum, with programs that have still to stop them; they are let go.
    TimedOut(Vec<IpAddr>),
}

/// A running service.
#[derive(Clone)]
pub struct Handle {
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) ended: Arc<std::sync::atomic::AtomicBool>,
    pub(super) changes: watch::Receiver<u64>,
    /// How long an orderly stop may take by the configuration that was given last, in milliseconds.
    pub(super) stop_within: Arc<AtomicU64>,
}

/// Why nothing was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the addresses do not answer: their thread has ended or hangs")]
pub struct NoAnswer;

impl Handle {
    /// How everything is.
    ///
    /// # Errors
    /// It does not answer in time.
    pub fn report(&self, within: Duration) -> Result<Report, NoAnswer> {
        let (tell, told) = oneshot::channel();
        self.ask(Command::Report(tell))?;
        wait(told, within).map(|report| *report)
    }

    /// As [`report`](Self::report), to be awaited.
    ///
    /// # Errors
    /// The service has ended.
    pub async fn report_async(&self) -> Result<Report, NoAnswer> {
        let (tell, told) = oneshot::channel();
        self.ask(Command::Report(tell))?;
        told.await.map(|report| *report).map_err(|_| NoAnswer)
    }

    /// Asks something of a machine through the group: by its private group, or by its name where no other has that. The order has been
    /// given when this returns; whether and when it is carried out, the report shows.
    ///
    /// # Errors
    /// It does not answer in time; or, inside, there is no such machine, or several, or no group.
    pub fn order(
        &self,
        machine: &str,
        order: Order,
        within: Duration,
    ) -> Result<Result<(), NoSuch>, NoAnswer> {
        let (answer, told) = oneshot::channel();
        self.ask(Command::Order { machine: machine.to_owned(), order, answer })?;
        wait(told, within)
    }

    /// As [`order`](Self::order), to be awaited.
    ///
    /// # Errors
    /// The service has ended; or, inside, there is no such machine, or several, or no group.
    pub async fn order_async(
        &self,
        machine: &str,
        order: Order,
    ) -> Result<Result<(), NoSuch>, NoAnswer> {
        let (answer, told) = oneshot::channel();
        self.ask(Command::Order { machine: machine.to_owned(), order, answer })?;
        told.await.map_err(|_| NoAnswer)
    }

    /// The last decisions with a number above this one, the oldest first. Cheaper than a whole [`report`](Self::report_async).
    ///
    /// # Errors
    /// The service has ended.
    pub async fn decisions_async(&self, above: u64) -> Result<Vec<Decision>, NoAnswer> {
        let (tell, told) = oneshot::channel();
        self.ask(Command::Decisions(above, tell))?;
        told.await.map_err(|_| NoAnswer)
    }

    /// Wakes whoever awaits it each time that a report may say something new: a decision, or a word of the group.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// Goes away from the bus and lets everything go, or comes back: the historical simulation of a failure.
    ///
    /// # Errors
    /// It does not answer in time.
    pub fn away(&self, away: bool, within: Duration) -> Result<(), NoAnswer> {
        let (answer, told) = oneshot::channel();
        self.ask(Command::Away(away, answer))?;
        wait(told, within)
    }

    /// As [`away`](Self::away), to be awaited. What was held is off a moment later: [`Report::held`] shows it.
    ///
    /// # Errors
    /// The service has ended.
    pub async fn away_async(&self, away: bool) -> Result<(), NoAnswer> {
        let (answer, told) = oneshot::channel();
        self.ask(Command::Away(away, answer))?;
        told.await.map_err(|_| NoAnswer)
    }

    /// Gives everything to others, each with the new owner there before the old one goes, then lets go of the rest and ends its part in the
    /// group. With `back_within`, the others do without an even share until then. It takes as long as the configuration allows at most,
    /// as it was read last.
    ///
    /// # Errors
    /// It does not answer in time.
    pub fn leave(&self, back_within: Option<Duration>) -> Result<Left, NoAnswer> {
        // Its own time is over first.
        let within = self.stop_within() + Duration::from_secs(2);
        let (left, told) = oneshot::channel();
        self.ask(Command::Leave { back_within, left })?;
        wait(told, within)
    }

    /// Ends and leaves everything where it is, for the next image of this program (exec), which has to begin within that time: leases are
    /// made so long, and the guardian minds no silence, only the death of the process. What is under quorum is stopped and released before, which may take minutes more.
    /// `None` if there is nothing to hand over.
    ///
    /// # Errors
    /// It does not answer in time.
    pub fn hand_over(&self, lasts: Duration) -> Result<Option<Legacy>, NoAnswer> {
        let (answer, told) = oneshot::channel();
        self.ask(Command::HandOver { within: lasts, answer })?;
        wait(told, lasts + RELEASED_WITHIN)
    }

    pub(super) fn stop_within(&self) -> Duration {
        Duration::from_millis(self.stop_within.load(Relaxed))
    }

    /// Takes another configuration.
    pub fn reload(&self, config: Config) {
        self.stop_within.store(millis(config.stop_within), Relaxed);
        // One that has ended has nothing to change.
        let _ = self.ask(Command::Reload(Box::new(config)));
    }

    /// Lets go of everything and ends. [`leave`](Self::leave) first, for others to take it. What is under quorum is stopped and released
    /// before; asked again, it ends without that, and others wait for the lease.
    pub fn end(&self) {
        let _ = self.ask(Command::End);
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.load(std::sync::atomic::Ordering::Acquire)
    }

    fn ask(&self, command: Command) -> Result<(), NoAnswer> {
        self.commands.send(command).map_err(|_| NoAnswer)
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Waits on a thread that is not the runtime's.
fn wait<T>(mut told: oneshot::Receiver<T>, within: Duration) -> Result<T, NoAnswer> {
    use std::task::{Context, Poll, Wake};
    struct Waker(std::thread::Thread);
    impl Wake for Waker {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Waker(std::thread::current())).into();
    let mut cx = Context::from_waker(&waker);
    let end = std::time::Instant::now() + within;
    loop {
        match std::pin::Pin::new(&mut told).poll(&mut cx) {
            Poll::Ready(answer) => return answer.map_err(|_| NoAnswer),
            Poll::Pending => {}
        }
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return Err(NoAnswer);
        }
        std::thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_for_an_orderly_stop_waits_as_long_as_it_was_said_last() {
        let section: crate::config::AddressesSection =
            toml::from_str("list = [\"10.0.0.1\"]\nstop_within = \"1m\"").unwrap();
        let around = crate::config::Around { machine: "m1", bus: true };
        let (commands, mut orders) = mpsc::unbounded_channel();
        let (_changed, changes) = watch::channel(0);
        let stop_within = Arc::new(AtomicU64::new(5_000));
        let handle = Handle { commands, ended: Arc::default(), changes, stop_within };
        assert_eq!(handle.stop_within(), Duration::from_secs(5));
        handle.reload(section.check(&around).unwrap());
        assert_eq!(handle.stop_within(), Duration::from_secs(60));
        // The service has it by the same way, before any later word.
        assert!(
            matches!(orders.try_recv(), Ok(Command::Reload(config)) if config.stop_within == Duration::from_secs(60))
        );
    }
}
