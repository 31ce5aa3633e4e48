//! The addresses: what of this program their service is given, and how they end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use addresses::config::Config;
use addresses::control::{self, Control, OpenError, Presence};
use addresses::service::{self, Beat, Doubled, Doubles, Going, Handle, Left, Legacy, Pulse, Setup};
use anyhow::Context;
use balancer::Running;
use resources::config::Protection;
use spread_client::Endpoint;
use tracing::{info, warn};

use crate::upgrade;

/// A service that runs.
pub(crate) struct Addresses {
    pub(crate) handle: Handle,
    control: Option<Control>,
    thread: JoinHandle<()>,
}

/// What the daemon of this program gives to the addresses.
pub(crate) struct OwnBus {
    /// Where its clients connect.
    pub(crate) endpoint: Endpoint,
    pub(crate) pulse: spread_daemon::Pulse,
    pub(crate) seeker: spread_daemon::Seeker,
    pub(crate) doubles: spread_daemon::Doubles,
}

impl OwnBus {
    /// Of a daemon with its sockets open; `None` if no client can reach it from here.
    pub(crate) fn of(daemon: &spread_daemon::Daemon) -> Option<Self> {
        let by_file = daemon.socket_file().map(|file| Endpoint::Unix(file.to_owned()));
        let by_port = || {
            let at = daemon.addresses().first()?;
            Some(Endpoint::Tcp { host: at.ip().to_string(), port: at.port() })
        };
        let endpoint = by_file.or_else(by_port)?;
        let (pulse, seeker, doubles) = (daemon.pulse(), daemon.seeker(), daemon.doubles());
        Some(Self { endpoint, pulse, seeker, doubles })
    }
}

impl Addresses {
    /// Starts the service that the configuration asks for.
    pub(crate) fn start(
        config: Config,
        own: Option<OwnBus>,
        balancer: &Running,
        resources: &resources::config::Config,
    ) -> anyhow::Result<Self> {
        let (endpoint, pulse, seek, doubles) = match (&config.daemon, own) {
            (Some(daemon), _) => (daemon.clone(), None, None, None),
            (None, Some(own)) => {
                let OwnBus { endpoint, pulse, seeker, doubles } = own;
                let seek: Arc<dyn Fn() + Send + Sync> = Arc::new(move || seeker.seek());
                let doubles = self::doubles(doubles, &config.machine);
                (endpoint, Some(self::pulse(pulse)), Some(seek), Some(doubles))
            }
            (None, None) => anyhow::bail!(
                "the addresses cannot reach the bus: its daemon takes no clients on this machine; write bus.clients.socket, or addresses.daemon"
            ),
        };
        let parter = balancer.parter();
        let going: Going = Arc::new(move |ips| parter.part_from(ips));
        let (balancer, going) = (Some(balancer.health()), Some(going));
        let legacy = crate::upgrade::legacy();
        let state = Some(resources.state_dir.clone());
        let key = match &resources.protection {
            Protection::Key(key) => Some(key.clone()),
            Protection::Alone | Protection::Loopback | Protection::Insecure => None,
        };
        Self::with(Setup {
            config,
            endpoint,
            pulse,
            seek,
            doubles,
            balancer,
            going,
            state,
            key,
            legacy,
        })
    }

    /// Starts it with all that it needs, and its control sockets.
    pub(crate) fn with(setup: Setup) -> anyhow::Result<Self> {
        warn_of(&setup.config);
        let sockets: Vec<_> =
            setup.config.socket.iter().chain(&setup.config.control).cloned().collect();
        let (sockets, troubles) = control::open(&sockets);
        for trouble in troubles {
            if let OpenError::SamePlace { .. } = trouble {
                return Err(trouble.into());
            }
            // Addresses are served without it.
            warn!("{trouble}; nobody can ask or command there");
        }
        let presence = present(&setup.config)?;
        let (handle, thread) = service::start(setup).context("the addresses")?;
        let control = control::serve(handle.clone(), sockets, presence);
        let control = control.inspect_err(|why| warn!("{why}; nobody can ask or command")).ok();
        Ok(Self { handle, control, thread })
    }

    /// Takes another configuration.
    pub(crate) fn reload(&self, config: Config) {
        warn_of(&config);
        self.handle.reload(config);
    }

    /// Others get what is held here; what nobody takes is let go.
    pub(crate) fn leave(&self) {
        match self.handle.leave(None) {
            Ok(left) => tell(&left),
            Err(error) => warn!(%error, "the addresses are let go without a word"),
        }
    }

    /// The same before this program becomes its next image. What nobody could take stays here for it, for `lasts`, unless the program
    /// `ends` instead by then.
    pub(crate) fn hand_over(self, lasts: Duration, ends: &AtomicBool) -> Option<Legacy> {
        let legacy = match self.handle.leave(Some(upgrade::BACK_WITHIN)) {
            Ok(Left::NobodyTook(heads)) if !ends.load(Ordering::Relaxed) => {
                info!(
                    ?heads,
                    "nobody could take these addresses: they are kept for the next image"
                );
                // The programs of hooks may take half of the time.
                self.handle.hand_over(lasts).unwrap_or_default()
            }
            Ok(left) => {
                tell(&left);
                None
            }
            Err(error) => {
                warn!(%error, "the addresses are let go without a word");
                None
            }
        };
        self.end();
        legacy
    }

    /// Lets go of the rest and waits for the end.
    pub(crate) fn end(self) {
        let Self { handle, control, thread, .. } = self;
        handle.end();
        let ended = thread.join();
        // Last: what it does until then can be watched.
        drop(control);
        if ended.is_err() {
            warn!("the addresses did not end well; their leases run out by themselves");
        }
    }
}

/// Cuts short what [`Addresses::leave`] and [`Addresses::end`] wait for on another thread.
pub(crate) fn cut_short(handle: &Handle) {
    // The first ends the wait for others to take over, if that is what it does; the second that for what is under quorum to stop.
    handle.end();
    handle.end();
}

fn warn_of(config: &Config) {
    for sentence in &config.warnings {
        warn!("{sentence}");
    }
}

/// The sign that this program is the one of this machine that holds the addresses of its group. It is an error if another is. Where no
/// address is put on an interface nobody takes off what another puts on, and there may be several.
fn present(config: &Config) -> anyhow::Result<Option<Presence>> {
    if !config.historical && !config.sets.iter().any(|set| set.kernel) {
        return Ok(None);
    }
    match control::claim(&config.group) {
        Ok(presence) => Ok(Some(presence)),
        Err(error @ OpenError::SameGroup { .. }) => Err(error.into()),
        Err(error) => {
            warn!("{error}");
            Ok(None)
        }
    }
}

fn tell(left: &Left) {
    match left {
        Left::HadNothing => info!("no address was held here"),
        Left::GivenAway => info!("all addresses are with other machines"),
        Left::NobodyTook(heads) => warn!(?heads, "nobody could take these addresses"),
        Left::TimedOut(heads) => warn!(?heads, "nobody took these addresses in time"),
    }
}

fn pulse(pulse: spread_daemon::Pulse) -> Pulse {
    Arc::new(move || {
        let beat = pulse.read()?;
        let daemons = beat.daemons.iter().map(|name| name.as_str().to_owned()).collect();
        Some(Beat { since: beat.since, daemons, kept: beat.kept })
    })
}

/// A namesake of the daemon is one of the machine only where both have the same name.
fn doubles(doubles: spread_daemon::Doubles, machine: &str) -> Doubles {
    let alike = doubles.name().as_str() == machine;
    Arc::new(move || Doubled {
        refused: doubles.is_refused(),
        namesake: alike && doubles.had_namesake(),
        pushed_out: doubles.pushed_out(),
    })
}
