//! Starting the workers, watching them, and bringing them to an orderly end.

pub(crate) mod explain;
mod served;

use std::io;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, mpsc, watch};

use crate::access_log::{AccessLog, Lost, StartError as LogError};
use crate::config::Config;
use crate::local::health::Checker;
use crate::pages::Pages;
use crate::relay::page::Job;
use crate::sockets::{Sockets, WorkerSockets, raise_fd_limit};
use crate::stats::{self, Stats};
use crate::worker::admission::Admission;
use crate::worker::parting::{Going, LASTS};
use crate::worker::room::{Room, Shares};
use crate::worker::vital::Vital;
use crate::worker::{Phase, Shared, Worker, run};

pub use explain::Explained;
use explain::Explainer;

/// Requests to the internal pages that may wait for their thread.
const PAGE_BACKLOG: usize = 256;
/// Deaths that a worker may be behind.
const DEATHS: usize = 256;
/// How long the access log may take to write its last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The balancer of this machine, before it runs.
#[derive(Debug)]
pub struct Balancer;

/// The balancer could not be started; everything begun was ended again.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The access log cannot be written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The directory to serve cannot be opened.
    #[error("{0}")]
    Files(#[from] crate::local::files::OpenError),
    /// A thread or its runtime could not be made.
    #[error("cannot start {what}: {source}; the limits of processes or memory may be reached")]
    Thread {
        /// Which thread.
        what: String,
        /// The kernel's word.
        source: io::Error,
    },
    /// The sockets were not made for this configuration.
    #[error("there are no listening sockets to serve on")]
    NoSockets,
}

/// A running balancer. Dropping it ends it at once; [`Running::drain`] ends it in good order.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    workers: Vec<Arc<stats::Worker>>,
    threads: Vec<JoinHandle<()>>,
    phase: watch::Sender<Phase>,
    going: watch::Sender<Going>,
    healthy: watch::Receiver<Result<(), String>>,
    log: Option<AccessLog>,
    routes: Vec<String>,
    /// Closes when all workers have ended.
    alive: Mutex<Receiver<()>>,
}

impl Balancer {
    /// Starts the workers on their sockets. Returns when all of them listen.
    pub fn start(
        config: Arc<Config>,
        sockets: Sockets,
        resources: resources::Handle,
        pages: Arc<dyn Pages>,
    ) -> Result<Running, StartError> {
        if sockets.workers.is_empty() {
            return Err(StartError::NoSockets);
        }
        let descriptors = raise_fd_limit();
        resources.local().set_limits(config.local.limit, config.peers.relay_limit);
        let log = AccessLog::start(&config.access_log)?;
        let (phase, watched) = watch::channel(Phase::Serving);
        let (going, parting) = watch::channel(Going::default());
        let (verdict, healthy) = watch::channel(Err("it has not been looked at yet".to_owned()));
        let (pages_to, pages_from) = mpsc::channel(PAGE_BACKLOG);
        let count = sockets.workers.len();
        let shares = Shares::of(descriptors, count);
        let well = resources.clone();
        let first = verdict.clone();
        let health = Checker::start(&config.local, move |is_well, why| {
            well.local().set_healthy(is_well);
            // Whoever watches may have gone.
            let _ = first.send_replace(if is_well { Ok(()) } else { Err(why.to_owned()) });
            if is_well {
                tracing::info!("the local service is well");
            } else {
                tracing::warn!(why, "the local service is unwell: this machine is no candidate");
            }
        })
        .map_err(|source| StartError::Thread { what: "health".into(), source })?;
        if health.is_none() {
            // Nothing is checked, so nothing is unwell.
            let _ = verdict.send_replace(Ok(()));
        }
        let (deaths, _) = broadcast::channel(DEATHS);
        let died = deaths.clone();
        // Nobody listens before the workers do.
        resources.on_death(move |death| drop(died.send(death)));
        let shared = Arc::new(Shared {
            deaths,
            peer_key: resources.peer_key(),
            health,
            room: Room::under(descriptors, shares, count),
            shares,
            admission: Arc::new(Admission::new(config.local.queue, count)),
            explainer: Explainer::default(),
            phase: watched,
            going: parting,
            config,
            resources,
            pages,
            pages_to,
        });
        let routes = shared.config.routes.all().iter().map(|r| r.name.clone()).collect();
        let (living, alive) = channel();
        let mut running = Running {
            shared: shared.clone(),
            workers: Vec::new(),
            threads: Vec::new(),
            phase,
            going,
            healthy,
            log: Some(log),
            routes,
            alive: Mutex::new(alive),
        };
        running.start_pages(pages_from)?;
        for (index, sockets) in sockets.workers.into_iter().enumerate() {
            running.start_worker(index, sockets, living.clone())?;
        }
        shared.room.measure(descriptors, shares, count);
        running.tell_figures();
        Ok(running)
    }
}

impl Running {
    /// Lets the announcements say what is served here.
    fn tell_figures(&self) {
        let keys = self.shared.config.routes.table.all().iter().map(|route| route.key).collect();
        let limit = self.shared.config.local.limit;
        self.shared.resources.set_served(served::Figures::new(self.workers.clone(), keys, limit));
    }

    fn start_pages(&mut self, mut from: mpsc::Receiver<Job>) -> Result<(), StartError> {
        let pages = self.shared.pages.clone();
        // Ends when the workers, who hold the other end, have ended.
        spawn("pages".into(), move || {
            while let Some((request, reply)) = from.blocking_recv() {
                pages.handle(request, reply);
            }
        })
        .map(drop)
    }

    fn start_worker(
        &mut self,
        index: usize,
        sockets: WorkerSockets,
        living: Sender<()>,
    ) -> Result<(), StartError> {
        let capacity = self.shared.resources.matrix().hot.capacity();
        let stats = Arc::new(stats::Worker::new(capacity, self.routes.len()));
        self.workers.push(stats.clone());
        let shared = self.shared.clone();
        let recorder = self.log.as_ref().map(AccessLog::recorder).ok_or(StartError::NoSockets)?;
        let name = format!("worker {index}");
        let (ready, started) = channel();
        let thread = spawn(name.clone(), move || {
            let (_living, _vital) = (living, Vital);
            let made = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(tokio::runtime::LocalOptions::default());
            let runtime = match made {
                Ok(runtime) => runtime,
                Err(e) => return drop(ready.send(Err(e))),
            };
            runtime.block_on(async {
                let worker = Worker::new(index, shared, stats, recorder);
                let worker = match worker {
                    Ok(worker) => Rc::new(worker),
                    Err(e) => return drop(ready.send(Err(e))),
                };
                let _ = ready.send(Ok(()));
                if let Err(error) = run::run(worker, sockets).await {
                    tracing::error!(%error, "a worker ended");
                }
            });
        })?;
        self.threads.push(thread);
        let failed = |source| StartError::Thread { what: name.clone(), source };
        let ended = || io::Error::other("it ended before it began");
        started.recv().map_err(|_| failed(ended()))?.map_err(failed)
    }

    /// The sum of what all workers have counted.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::collect(&self.workers, &self.routes);
        stats.totals.log_lost = self.log.as_ref().map_or(0, AccessLog::lost);
        stats
    }

    /// What was decided lately and why, the newest last. Asking turns the collecting on for the next
    /// ten seconds; while nobody asks it costs nothing.
    pub fn explanations(&self) -> Vec<Explained> {
        self.shared.explainer.watch(self.shared.resources.clock().now())
    }

    /// Opens the access log anew, after it was renamed by whoever rotates logs.
    pub fn reopen_log(&self) {
        if let Some(log) = &self.log {
            log.reopen();
        }
    }

    /// A view of the counters and explanations that can be handed to other threads.
    pub fn view(&self) -> View {
        View {
            shared: self.shared.clone(),
            workers: self.workers.clone(),
            routes: self.routes.clone(),
            lost: self.log.as_ref().map(AccessLog::lost_counter),
        }
    }

    /// What is known of the local service, with why it is unwell; always well where nothing is checked.
    pub fn health(&self) -> watch::Receiver<Result<(), String>> {
        self.healthy.clone()
    }

    /// What parts from clients whose address goes to another machine.
    pub fn parter(&self) -> Parter {
        Parter(self.going.clone())
    }

    /// Begins the end: peers are told, no new connection is taken, idle ones are closed, each response now
    /// says that it is the last of its connection. Returns at once.
    pub fn begin_drain(&self) {
        self.shared.resources.local().set_draining(true);
        self.phase.send_replace(Phase::Draining);
    }

    /// Drains for at most `[http] drain_timeout`, cuts what is left, and returns when all workers have ended.
    pub fn drain(self) {
        let patience = self.shared.config.http.drain_timeout;
        self.drain_within(patience);
    }

    /// The same with another limit.
    pub fn drain_within(mut self, patience: Duration) {
        self.begin_drain();
        // Nothing is ever sent: the channel closes when the last worker has ended.
        if let Ok(alive) = self.alive.lock() {
            let _ = alive.recv_timeout(patience);
        }
        self.end();
    }

    fn end(&mut self) {
        self.phase.send_replace(Phase::Over);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
        if let Some(log) = self.log.take() {
            log.finish(LAST_LINES);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Parts from the clients of addresses that go to other machines; for other threads.
#[derive(Clone, Debug)]
pub struct Parter(watch::Sender<Going>);

impl Parter {
    /// These addresses go in a moment: idle connections to them are closed, and responses say that they are the last.
    pub fn part_from(&self, addresses: &[std::net::IpAddr]) {
        self.0.send_modify(|going| {
            let now = Instant::now();
            let before =
                going.iter().map(|(ip, at)| (*ip, *at)).filter(|(_, at)| now - *at < LASTS);
            *going = Arc::new(before.chain(addresses.iter().map(|ip| (*ip, now))).collect());
        });
    }
}

/// Counters and explanations of a running balancer, for the pages that show them.
#[derive(Clone, Debug)]
pub struct View {
    shared: Arc<Shared>,
    workers: Vec<Arc<stats::Worker>>,
    routes: Vec<String>,
    lost: Option<Lost>,
}

impl View {
    /// See [`Running::stats`].
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::collect(&self.workers, &self.routes);
        stats.totals.log_lost = self.lost.as_ref().map_or(0, Lost::get);
        stats
    }

    /// See [`Running::explanations`].
    pub fn explanations(&self) -> Vec<Explained> {
        self.shared.explainer.watch(self.shared.resources.clock().now())
    }
}

fn spawn(what: String, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    std::thread::Builder::new()
        .name(what.clone())
        .spawn(body)
        .map_err(|source| StartError::Thread { what, source })
}
