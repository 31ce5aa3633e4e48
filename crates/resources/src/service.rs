//! Starting: state, sockets, then threads, so that what fails leaves nothing behind.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::Builder;

use tracing::{info, warn};

use crate::config::{Config, Protection};
use crate::error::StartError;
use crate::handle::{Handle, Setup, Shared, lock};
use crate::measure::{self, Facts, Meter};
use crate::net::announcer::{Announcer, place};
use crate::net::pair::Pair;
use crate::state::State;
use crate::threads::answerer;
use crate::threads::control::{Control, Sockets};

/// Measuring, announcing, hearing and answering.
#[derive(Clone, Copy, Debug)]
pub struct Service;

impl Service {
    /// Starts the threads *control* and *answerer*.
    ///
    /// # Errors
    /// The state directory or a port cannot be had; nothing is left running.
    pub fn start(config: &Config, setup: Setup) -> Result<Handle, StartError> {
        let state = State::open(&config.state_dir)?;
        let claim = state.claim()?;
        let now = setup.clock.now();
        let place = place(config);
        let exchange = Pair::bind(place, config.exchange_port).map_err(|(at, error)| {
            StartError::bind("probes", "announce.exchange_port", at, error)
        })?;
        let probes = Pair::bind(place, 0)
            .map_err(|(at, error)| StartError::bind("asking", "announce.address", at, error))?;
        for udp in probes.each() {
            // Without it a closed port is found out by silence, a little later.
            let _ = udp.hear_unreachable();
        }
        let announcer = Announcer::open(config, now)?;
        let meter = Meter::new(setup.root.clone(), config.scope, config.cgroup.as_deref());
        let (handle, granter) = Handle::prepare(config, setup, &state)?;
        let shared = &handle.0;
        say(shared, meter.facts());
        find_speed(shared, state, meter.facts());
        let control = Control::new(Arc::clone(shared), Sockets { announcer, probes }, meter);
        let announce = move || {
            // For as long as this machine speaks.
            let _claim = claim;
            control.run();
        };
        let started = spawn(shared, "control", announce).and_then(|()| {
            let answering = Arc::clone(shared);
            spawn(shared, "answerer", move || answerer::run(&answering, &exchange, granter))
        });
        if let Err(error) = started {
            handle.stop();
            return Err(error);
        }
        Ok(handle)
    }
}

fn spawn(
    shared: &Shared,
    name: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> Result<(), StartError> {
    let thread = Builder::new()
        .name(name.into())
        .spawn(work)
        .map_err(StartError::system("start a thread"))?;
    lock(&shared.threads).push(thread);
    Ok(())
}

fn say(shared: &Shared, facts: &Facts) {
    let config = &shared.config;
    info!(
        name = config.name, machine = %shared.me.machine,
        cpus = f64::from(facts.cpus_milli) / 1000.0, memory = facts.total_memory, cgroup = facts.cgroup,
        "this machine"
    );
    if !config.protection.is_alone() {
        info!(port = config.port, exchange = config.exchange_port, "announcing this machine");
    }
    match config.protection {
        Protection::Key(_) => {}
        Protection::Alone => info!(
            "there is neither a cluster key nor a target of announcements: this machine is alone and listens to no other"
        ),
        Protection::Loopback => warn!(
            "there is no cluster key: whatever runs on this machine, as any user, can claim to be one of the cluster \
             and be sent requests; only loopback addresses are spoken to. Set cluster.key_file"
        ),
        Protection::Insecure => warn!(
            "cluster.insecure is on and there is no cluster key: anyone who can send packets from an accepted \
             block can claim to be a machine and be sent requests; set cluster.key_file"
        ),
    }
}

/// Takes the CPU's speed from the cache, or measures it beside the start and keeps it.
fn find_speed(shared: &Arc<Shared>, state: State, facts: &Facts) {
    if let Some(speed) = state.speed(&facts.cpu_model, facts.cpus_milli) {
        shared.arriba.store(speed, Relaxed);
        return;
    }
    let (shared, facts) = (Arc::clone(shared), facts.clone());
    let measuring = move || {
        let speed = measure::arriba();
        shared.arriba.store(speed, Relaxed);
        shared.bell.ring();
        info!(arriba = speed, "measured the speed of a CPU");
        if let Err(error) = state.keep_speed(&facts.cpu_model, facts.cpus_milli, speed) {
            warn!(%error, "the measured speed is not kept; the next start measures again");
        }
    };
    if let Err(error) = Builder::new().name("arriba".into()).spawn(measuring) {
        warn!(%error, "the speed of the CPU cannot be measured; the others will assume a common one");
    }
}
