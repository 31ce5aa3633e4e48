//! Whether the local service is well, so that a machine whose application died is no candidate.
//!
//! [`Judge`] decides from outcomes alone; [`Checker`] is the thread that makes them. A check that contradicts
//! what is believed is soon repeated, and a refused connection needs no repetition: nobody listens there.
//!
//! Not here: what being unwell means for others (`resources` announces it), nor the health of peers.

mod judge;
mod probe;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::config::{Health, HealthCheck, Itself, Local, Service};
use crate::local::files;

pub use judge::{Judge, Outcome};

/// The thread that checks. Dropping it ends the thread after the check it is at.
#[derive(Debug)]
pub struct Checker {
    bell: SyncSender<()>,
}

/// What is checked.
#[derive(Clone, Debug)]
enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
    Directory(files::Options),
}

impl Checker {
    /// Starts checking what `local` describes; `None` if it says that nothing be checked.
    ///
    /// `report` is called on the checker's thread with the first verdict and then with each change: whether
    /// the service is well, and why that is believed.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        local: &Local,
        report: impl FnMut(bool, &str) + Send + 'static,
    ) -> io::Result<Option<Self>> {
        let target = match (&local.itself, &local.service) {
            (Itself::Proxy(address), _) => Target::Tcp(*address),
            (_, Service::Server(address)) => Target::Tcp(*address),
            (_, Service::Unix(path)) => Target::Unix(path.clone()),
            (_, Service::Files(options)) if options.root.is_some() => {
                Target::Directory(options.clone())
            }
            (_, Service::Files(_)) => return Ok(None),
        };
        if local.health.check == HealthCheck::Off {
            return Ok(None);
        }
        // One ring may wait: more would say nothing new.
        let (bell, rung) = sync_channel(1);
        let health = local.health.clone();
        thread::Builder::new()
            .name("health".into())
            .spawn(move || run(&target, &health, &rung, report))?;
        Ok(Some(Self { bell }))
    }

    /// Checks as soon as possible: somebody was refused by the service. Never waits.
    pub fn check_now(&self) {
        // Full means that somebody has rung already; closed, that the thread is gone with the program.
        let _ = self.bell.try_send(());
    }
}

fn run(target: &Target, health: &Health, rung: &Receiver<()>, mut report: impl FnMut(bool, &str)) {
    let mut judge = Judge::new(health.rise, health.fall, health.interval);
    loop {
        let (outcome, why) = probe::check(target, &health.check, health.timeout);
        if let Some(well) = judge.observe(outcome) {
            report(well, &why);
        }
        match rung.recv_timeout(judge.next_in()) {
            // A service that refuses every request rings without end.
            Ok(()) => thread::sleep(Duration::from_millis(5)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests;
