//! The service: a thread that keeps this machine's part of the addresses.
//!
//! One loop on one thread: what the bus says, what the kernel says, what the network says, what is due. It never waits for any
//! of them: the kernel is spoken to by a thread of its own (`worker`), programs run in processes of their own.
//!
//! - `run`: the loop. `bus`, `others`, `orders`: what the bus, strangers and operators say. `doubles`: what follows from daemons with one name. `reload`: another configuration. `setup`, `ending`: before and after.
//! - `act`: what the core wants done. `outcome`, `refusals`: what became of it. `programs`: what is run. `tell`: what is logged and remembered.
//! - `worker`: the kernel's thread. `basis`: on what it renews. `places`: where an address belongs. `holding`: what is here.
//! - `watching`: what the kernel says by itself. `secondaries`, `answering`: settings of it that are looked at. `stopping`: what is off and whose programs have not ended. `drained`: what outlives the program.
//! - `passing`: which packets belong to another machine while addresses move.
//! - `guarding`: the guardian. `before`: that of a run that was killed. `farewell`: its last word. `air`: what is said and heard on the networks.
//! - [`Handle`]: how others speak with it. [`Report`]: what they see.

mod act;
mod air;
mod answering;
mod basis;
mod before;
mod bus;
mod clock;
mod doubles;
mod drained;
mod ending;
mod farewell;
mod guarding;
mod handle;
mod holding;
mod legacy;
mod orders;
mod others;
mod outcome;
mod passing;
mod places;
mod programs;
mod refusals;
mod reload;
mod report;
mod run;
mod secondaries;
mod setup;
mod stopping;
mod tell;
mod watching;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use spread_client::Endpoint;
use tokio::sync::{mpsc, watch};

pub use basis::{Beat, Pulse};
pub use doubles::{Doubled, Doubles};
pub use handle::{Handle, Left, Legacy, NoAnswer};
pub use report::{Counters, Decision, Report, SetName};

use crate::config::Config;
use crate::health::BalancerState;
use crate::kernel;

/// Called with the addresses of a set that is about to go from here, so that whoever serves on them can part from clients politely.
pub type Going = Arc<dyn Fn(&[std::net::IpAddr]) + Send + Sync>;

/// What the program around it gives.
pub struct Setup {
    /// The configuration.
    pub config: Config,
    /// Where the daemon of the bus is.
    pub endpoint: Endpoint,
    /// How fresh its ring is, where it runs in this program.
    pub pulse: Option<Pulse>,
    /// Lets it look for others at once.
    pub seek: Option<Arc<dyn Fn() + Send + Sync>>,
    /// What it knows of daemons with one name.
    pub doubles: Option<Doubles>,
    /// What this program's balancer says of its local server.
    pub balancer: Option<watch::Receiver<BalancerState>>,
    /// Called before a set goes.
    pub going: Option<Going>,
    /// The state directory, which is there already; without one, a drain does not outlive the program.
    pub state: Option<std::path::PathBuf>,
    /// The cluster key, with which the guardian's last word is sealed; without one there is none.
    pub key: Option<seal::ClusterKey>,
    /// What the image of this program before has handed over ([`Legacy::words`]).
    pub legacy: Option<String>,
}

/// Why it cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The kernel cannot be spoken to.
    #[error("the addresses cannot be managed: {0}")]
    Kernel(#[from] kernel::Error),
    /// Power is missing.
    #[error("the addresses cannot be managed: {0}")]
    Power(String),
    /// The system refuses something.
    #[error("the addresses cannot be managed: no {what}: {error}")]
    System {
        /// What.
        what: &'static str,
        /// What it said.
        error: std::io::Error,
    },
}

/// What its threads and the guardian have, as the bus does: a machine whose processors are all in use keeps its addresses.
const NICE: i32 = -19;

/// Before others, where that is allowed. It belongs to the thread, and what this one starts has it too; programs that are run
/// give it back.
fn go_before_others() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the addresses are kept at the usual priority");
    }
}

/// Starts it.
///
/// # Errors
/// Power is missing, or the system refuses a thread or a socket.
pub fn start(setup: Setup) -> Result<(Handle, JoinHandle<()>), StartError> {
    if setup.config.sets.iter().any(|set| set.kernel)
        && let Some(missing) = kernel::capabilities::missing()
    {
        return Err(StartError::Power(missing));
    }
    let (commands, orders) = mpsc::unbounded_channel();
    let ended = Arc::new(AtomicBool::new(false));
    let (changed, changes) = watch::channel(0);
    let stop_within = Arc::new(AtomicU64::new(handle::millis(setup.config.stop_within)));
    let handle = Handle { commands, ended: ended.clone(), changes, stop_within };
    // Sockets belong to the thread's network, and the runtime to the thread: everything is made there, and told of here.
    let (ready, begun) = std::sync::mpsc::channel();
    let runs = |check: &crate::config::Check| {
        matches!(check.kind, crate::config::CheckKind::Command { .. })
    };
    let kills = !setup.config.hooks.is_empty() || setup.config.health.iter().any(runs);
    let work = move || {
        go_before_others();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = ready.send(Err(StartError::System { what: "runtime", error }));
                return;
            }
        };
        runtime.block_on(async {
            match run::Service::open(setup, orders, changed) {
                Ok(service) => {
                    // The kernel's thread has done the same for itself.
                    if let Err(error) = kernel::capabilities::drop_to_net_admin_and_raw(kills) {
                        tracing::warn!(%error, "the addresses keep more power than they need");
                    }
                    let _ = ready.send(Ok(()));
                    service.run().await;
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        });
        ended.store(true, Ordering::Release);
    };
    let thread = std::thread::Builder::new().name("addresses".into()).spawn(work);
    let thread = thread.map_err(|error| StartError::System { what: "thread", error })?;
    match begun.recv() {
        Ok(Ok(())) => Ok((handle, thread)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(StartError::System {
            what: "thread that lives",
            error: std::io::ErrorKind::Other.into(),
        }),
    }
}
