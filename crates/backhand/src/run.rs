//! `backhand run`: this machine's part of the cluster, until told to stop.
//!
//! The order of starting is the order of promises: first the configuration, then every listening socket (so that a port in use is
//! told before anything is announced), then measuring and announcing, then the workers. The order of ending is the reverse: the others
//! are told that this machine drains, clients are served to the end, and only then does the announcing stop. The bus is left at once:
//! what is owned there is to go to others before this machine stops serving, and its clients have no request to be finished.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use addresses::service::Legacy;
use anyhow::{Context, Result};
use balancer::sockets::Kept;
use balancer::{Balancer, Running, Sockets};
use console::Console;
use resources::{Handle, Service, Setup};
use tracing::{info, warn};

use crate::MISTAKE;
use crate::addresses::{Addresses, OwnBus, cut_short};
use crate::cli::FileArg;
use crate::config::Config;
use crate::signals::{self, Ask};
use crate::upgrade::{self, Check};

/// Runs until SIGTERM or SIGINT, then drains.
pub(crate) fn run(file: &FileArg) -> Result<ExitCode> {
    let binary = upgrade::binary();
    let config = match Config::load(file.config.as_deref()) {
        Ok(config) => config,
        Err(mistakes) => {
            crate::logging::say(&mistakes.to_string());
            return Ok(ExitCode::from(MISTAKE));
        }
    };
    crate::logging::start(&config.log)?;
    let (tell, mut told) = listen_for_signals()?;
    info!(
        name = config.resources.name,
        source = config.source,
        version = env!("CARGO_PKG_VERSION"),
        "starting"
    );
    for sentence in config.assumed() {
        info!("assumed: {sentence}");
    }
    let lasts = config.balancer.http.drain_timeout + upgrade::BEGINNING;
    if upgrade::is_to_end() {
        info!("the image before this one was told to end, so this one ends at once and in order");
        // As if it was told so when it serves. The receiver is above.
        let _ = tell.send(Word::Ask(Ask::End));
    }
    let machine = Machine::start(config, file)?;
    match machine.serve(binary.as_deref(), file, &tell, &told) {
        Then::End(status) => {
            machine.end(tell, &mut told, None);
            Ok(status)
        }
        Then::Become(binary) => {
            let Ended { left, told_to_end } = machine.end(tell, &mut told, Some(lasts));
            let mut is_to_end = told_to_end || was_told_to_end(&told);
            if is_to_end && left.is_none() {
                info!("told to end: not upgraded");
                return Ok(ExitCode::SUCCESS);
            }
            if is_to_end {
                info!("told to end: addresses are handed over already, so the next image ends");
            }
            info!(binary = %binary.display(), "becoming the next image");
            crate::logging::finish();
            // What is handed over is open until then.
            let listeners = left.as_ref().and_then(|(_, kept)| kept.hand_down().ok());
            let legacy = left.as_ref().map(|(legacy, _)| legacy.words());
            is_to_end |= was_told_to_end(&told);
            let error =
                upgrade::become_it(&binary, &upgrade::Left { legacy, listeners, is_to_end });
            drop(left);
            Err(error)
        }
    }
}

/// Whether there is a word to end that nobody has heard.
fn was_told_to_end(told: &Receiver<Word>) -> bool {
    told.try_iter().any(|word| matches!(word, Word::Ask(Ask::End)))
}

/// What follows on serving.
enum Then {
    End(ExitCode),
    /// The binary at this path takes over.
    Become(PathBuf),
}

/// How a machine has ended.
struct Ended {
    /// What the next image of this program gets.
    left: Option<(Legacy, Kept)>,
    /// It was told to end, when it was to become that.
    told_to_end: bool,
}

/// What wakes the main thread.
enum Word {
    Ask(Ask),
    /// The new binary can be executed and takes the configuration, or not.
    Checked(Result<PathBuf>),
    /// The addresses are with others, or off.
    Left,
    Drained,
}

fn listen_for_signals() -> Result<(Sender<Word>, Receiver<Word>)> {
    let (tell, told) = channel();
    let to = tell.clone();
    signals::each_and_upgrade(move |ask| {
        // The receiver lives as long as the program runs; after that nobody needs to know.
        let _ = to.send(Word::Ask(ask));
    })?;
    Ok((tell, told))
}

/// The next word; none when the time is over in which a binary is to be checked, if one is.
fn next(told: &Receiver<Word>, check: Option<&Check>) -> Result<Option<Word>, RecvError> {
    let Some(check) = check else { return told.recv().map(Some) };
    match told.recv_timeout(check.left()) {
        Ok(word) => Ok(Some(word)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => Err(RecvError),
    }
}

/// Begins to check the binary that this program is to become.
fn check(binary: Option<&Path>, file: &FileArg, tell: &Sender<Word>) -> Result<Check> {
    let binary = binary.context("where this program's binary is could not be found out")?;
    let tell = tell.clone();
    Check::start(binary, file, move |said| {
        // The receiver lives as long as the program runs.
        let _ = tell.send(Word::Checked(said));
    })
}

/// Everything that runs here.
struct Machine {
    resources: Handle,
    balancer: Running,
    console: Arc<Console>,
    bus: Option<Bus>,
    addresses: Option<Addresses>,
    /// The listening sockets, for the next image of this program should it have to keep addresses.
    kept: Kept,
}

/// The bus daemon on its thread.
struct Bus {
    observer: spread_daemon::Observer,
    stopper: spread_daemon::Stopper,
    reloader: spread_daemon::Reloader,
    read: spread_daemon::Reread,
    thread: std::thread::JoinHandle<()>,
}

impl Bus {
    /// Lets a daemon with all its sockets open begin.
    fn start(mut daemon: spread_daemon::Daemon, file: &FileArg) -> Result<Self> {
        let read = reread(file);
        daemon.reread_by(read.clone());
        let (observer, stopper) = (daemon.observer(), daemon.stopper());
        let reloader = daemon.reloader();
        let by_us = stopper.clone();
        let work = move || match daemon.run() {
            Ok(()) if by_us.was_asked() => {}
            // A monitor ends buses, not web servers; clients of those are not to suffer from it.
            Ok(()) => warn!(
                "the bus daemon was ended by an operator; everything else goes on, without a bus until the program is started again"
            ),
            Err(error) => {
                // Rather than limp on without a bus, the program ends, so that a supervisor starts it again.
                tracing::error!(%error, "the bus daemon cannot go on, so the program ends");
                crate::logging::finish();
                std::process::exit(1);
            }
        };
        let thread = std::thread::Builder::new().name("bus".into()).spawn(work);
        let thread = thread.context("no thread for the bus daemon")?;
        Ok(Self { observer, stopper, reloader, read, thread })
    }

    /// Waits until the daemon has told the others, which it was asked to.
    fn wait(self) {
        if self.thread.join().is_err() {
            warn!("the bus daemon did not end well");
        }
    }
}

/// How the section `[bus]` is read again, for what can change while the daemon runs.
fn reread(file: &FileArg) -> spread_daemon::Reread {
    let path = file.config.clone();
    Arc::new(move || match Config::load(path.as_deref()) {
        Ok(Config { bus: Some(config), .. }) => Ok(config),
        Ok(_) => Err("[bus] has gone from it; the daemon goes on until the next start".into()),
        Err(mistakes) => Err(mistakes.to_string()),
    })
}

/// Takes the section of the addresses anew.
fn reread_addresses(running: Option<&Addresses>, file: &FileArg) {
    let config = match Config::load(file.config.as_deref()) {
        Ok(config) => config.addresses,
        Err(mistakes) => {
            if running.is_some() {
                warn!("the addresses stay as they are: the configuration has mistakes\n{mistakes}");
            }
            return;
        }
    };
    match (running, config) {
        (Some(running), Some(config)) => running.reload(config),
        (Some(_), None) => {
            warn!(
                "the section [addresses] is gone; the addresses stay as they were: going without needs a start"
            );
        }
        (None, Some(_)) => {
            warn!("there is a section [addresses] now; it needs a start to be in force")
        }
        (None, None) => {}
    }
}

impl Machine {
    fn start(config: Config, file: &FileArg) -> Result<Self> {
        balancer::sockets::raise_fd_limit();
        let inherited = upgrade::listeners();
        let sockets = Sockets::bind_beside(inherited, &config.balancer, &config.resources)?;
        let kept = config.addresses.as_ref().map(|_| sockets.keep()).unwrap_or_default();
        let setup = Setup {
            http_port: sockets.addresses().first().map_or(0, std::net::SocketAddr::port),
            peer_listener: sockets.peer_address().is_some(),
            peer_port: sockets.peer_address().map_or(0, |peer| peer.port()),
            ..Setup::default()
        };
        let serving = sockets.addresses().to_vec();
        // Until everything else runs it only holds its sockets, which go with it if something cannot be started.
        let daemon = config.bus.map(spread_daemon::Daemon::open).transpose()?;
        let resources = Service::start(&config.resources, setup)?;
        let console = Console::start(config.console).context("no thread for the internal pages")?;
        let pages: Arc<dyn balancer::Pages> = console.clone();
        let settings = Arc::new(config.balancer);
        let balancer = Balancer::start(settings.clone(), sockets, resources.clone(), pages)?;
        let own = daemon.as_ref().and_then(OwnBus::of);
        let bus = daemon.map(|daemon| Bus::start(daemon, file)).transpose()?;
        // Last: addresses come only to a machine that serves.
        let start = |section| Addresses::start(section, own, &balancer, &config.resources);
        let addresses = config.addresses.map(start).transpose()?;
        let live = console::gather::Live::new(resources.clone(), balancer.view(), &settings);
        let live = live.with_bus(bus.as_ref().map(|bus| bus.observer.clone()));
        let handle = addresses.as_ref().map(|addresses| addresses.handle.clone());
        console.watch(live.with_addresses(handle));
        for address in serving {
            info!(%address, "serving");
        }
        Ok(Self { resources, balancer, console, bus, addresses, kept })
    }

    /// Waits for the word to end; does what else is asked meanwhile.
    fn serve(
        &self,
        binary: Option<&Path>,
        file: &FileArg,
        tell: &Sender<Word>,
        told: &Receiver<Word>,
    ) -> Then {
        // Meanwhile everything else is heard: a disk that hangs is to be nobody's master.
        let mut checks: Option<Check> = None;
        loop {
            let word = match next(told, checks.as_ref()) {
                Ok(Some(word)) => word,
                Ok(None) => {
                    // If it has answered in the last moment, that is heard at once.
                    if checks.as_ref().is_some_and(Check::give_up) {
                        checks = None;
                        let within = upgrade::CHECKED_WITHIN;
                        warn!(
                            "not upgraded: the new binary has not said within {within:?} whether it takes the configuration"
                        );
                    }
                    continue;
                }
                Err(RecvError) => return Then::End(ExitCode::FAILURE),
            };
            match word {
                Word::Ask(Ask::Reopen) => {
                    info!("reopening the access log");
                    self.balancer.reopen_log();
                    if let Some(bus) = &self.bus {
                        bus.reloader.reread(&bus.read);
                    }
                    reread_addresses(self.addresses.as_ref(), file);
                }
                Word::Ask(Ask::Upgrade) if checks.is_some() => {
                    info!("told again to upgrade: the new binary is being checked already");
                }
                Word::Ask(Ask::Upgrade) => match check(binary, file, tell) {
                    Ok(check) => checks = Some(check),
                    Err(error) => warn!("not upgraded: {error:#}"),
                },
                Word::Checked(Ok(binary)) => return Then::Become(binary),
                Word::Checked(Err(error)) => {
                    checks = None;
                    warn!("not upgraded: {error:#}");
                }
                Word::Ask(Ask::End) => return Then::End(ExitCode::SUCCESS),
                Word::Left | Word::Drained => {}
            }
        }
    }

    /// Drains; a second word to end cuts it short. With `lasts`, for an upgrade, which a first one ends: addresses that nobody can take
    /// stay for so long, and their clients can connect, to be served by the next image. Then a second word cuts short only what is
    /// not the addresses', which that image could not begin with half done.
    fn end(self, tell: Sender<Word>, told: &mut Receiver<Word>, lasts: Option<Duration>) -> Ended {
        match lasts {
            None => info!("draining; a second signal ends at once"),
            Some(_) => info!("draining for an upgrade; a signal to end is an order to stop"),
        }
        let Self { resources, balancer, console, bus, addresses, kept } = self;
        let ends = AtomicBool::new(lasts.is_none());
        // New clients go to other machines from now on; those that are here are served to the end.
        let legacy =
            addresses.and_then(|addresses| give_away(addresses, lasts, &ends, &tell, told));
        // Otherwise they are closed here, so that the workers' are the last and new clients are refused.
        let left = legacy.map(|legacy| (legacy, kept));
        if let Some(bus) = &bus {
            info!("leaving the bus at once; clients of the web server are served to the end");
            bus.stopper.stop();
        }
        balancer.begin_drain();
        let drain = move || {
            balancer.drain();
            // Whoever waits may have been told to end at once.
            let _ = tell.send(Word::Drained);
        };
        if let Err(error) = std::thread::Builder::new().name("drain".into()).spawn(drain) {
            warn!(%error, "there is no thread to drain with");
            if let Some(bus) = bus {
                bus.wait();
            }
            return Ended { left, told_to_end: ends.into_inner() };
        }
        loop {
            match told.recv() {
                Ok(Word::Ask(Ask::Reopen | Ask::Upgrade) | Word::Checked(_) | Word::Left) => {}
                Ok(Word::Drained) => break,
                Ok(Word::Ask(Ask::End)) if is_first(&ends) => {}
                Ok(Word::Ask(Ask::End)) | Err(_) => {
                    warn!("told again to end: cutting what is in progress");
                    break;
                }
            }
        }
        // Last of those that look: the pages show the drain to its end.
        console.stop();
        resources.stop();
        if let Some(bus) = bus {
            bus.wait();
        }
        info!("ended");
        Ended { left, told_to_end: ends.into_inner() }
    }
}

/// Whether a word to end is the first: then it ends an upgrade, and nothing is cut short.
fn is_first(ends: &AtomicBool) -> bool {
    let first = !ends.swap(true, Ordering::Relaxed);
    if first {
        info!("told to end while upgrading; a second signal ends at once");
    }
    first
}

/// Gives the addresses to others and lets go of the rest; with `lasts`, as long as the program does not end (`ends`), leaves that for
/// the next image. A further word to end cuts that short, and what follows on it too.
fn give_away(
    addresses: Addresses,
    lasts: Option<Duration>,
    ends: &AtomicBool,
    tell: &Sender<Word>,
    told: &mut Receiver<Word>,
) -> Option<Legacy> {
    let handle = addresses.handle.clone();
    let (again, legacy) = std::thread::scope(|scope| {
        let listen = move || told_again(told, &handle, ends);
        let thread = std::thread::Builder::new().name("second word".into());
        let listener = thread.spawn_scoped(scope, listen);
        if let Err(error) = &listener {
            warn!(%error, "a second signal is heard only when the addresses have left");
        }
        let legacy = match lasts {
            Some(lasts) => addresses.hand_over(lasts, ends),
            None => {
                addresses.leave();
                addresses.end();
                None
            }
        };
        // It listens until then.
        let _ = tell.send(Word::Left);
        (listener.is_ok_and(|listener| listener.join().unwrap_or_default()), legacy)
    });
    if again {
        let _ = tell.send(Word::Ask(Ask::End));
    }
    legacy
}

/// Cuts short how the addresses leave at each word to end but the one that ends an upgrade, until they have left. Whether there was one.
fn told_again(
    told: &mut Receiver<Word>,
    handle: &addresses::service::Handle,
    ends: &AtomicBool,
) -> bool {
    let mut again = false;
    loop {
        match told.recv() {
            Ok(Word::Ask(Ask::End)) if is_first(ends) => {}
            Ok(Word::Ask(Ask::End)) => {
                warn!("told again to end: the addresses are let go at once");
                cut_short(handle);
                again = true;
            }
            Ok(Word::Ask(Ask::Reopen | Ask::Upgrade) | Word::Checked(_) | Word::Drained) => {}
            Ok(Word::Left) | Err(_) => return again,
        }
    }
}
