//! The daemon: one thread that moves words between the other daemons, the groups and the clients.
//!
//! A hop between threads on different cores costs more than all that is done for a message, so there is one thread; what it
//! does in one turn is bounded everywhere. What comes from daemons is taken first, then timers, then clients in turns.

mod reload;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use base::{AddrBlocks, Boot, Instant, Random};
use groups::{Groups, Limits, Output};
use ring::{Daemon as Identity, Event, Ring, Surroundings, Tag};

pub use self::reload::Reread;

use self::reload::{ids, settings};
use crate::activity::Activity;
use crate::clock;
use crate::config::{DaemonConfig, Membership, Priority};
use crate::error::StartError;
use crate::link::{Book, Link};
use crate::listen::Listeners;
use crate::memory;
use crate::monitor::{Detail, Here, Monitor};
use crate::poll::{Happened, Poll, Token};
use crate::priority::Standing;
use crate::session::Sessions;
use crate::status::{GroupsStatus, Observer, Status};

/// Batches taken from one socket before anything else is done.
const BATCHES: usize = 8;
/// After this thread was away for so long, everything that came meanwhile is taken before anybody is judged by his silence.
const AWAY: Duration = Duration::from_millis(50);
/// Batches taken then: more than a socket's buffer holds.
const BATCHES_AWAY: usize = 4096;
/// With so many bytes waiting in the ring, further messages wait with the groups, which then stop the reading of clients.
const QUEUED: usize = 256 << 10;
/// Bytes that wait there before clients are not read any more.
const PAUSE_BYTES: usize = 1 << 20;
/// Clients accepted before anything else is done.
const ACCEPTS: usize = 64;

/// What the ring asks of the system, and where daemons are.
struct System(Book);

impl Surroundings for System {
    fn random(&mut self, out: &mut [u8]) {
        crypto::random(out);
    }

    fn unix_seconds(&mut self) -> u32 {
        clock::unix_seconds()
    }

    fn address(&mut self, daemon: Tag) -> Vec<u8> {
        self.0.get(daemon).map(|at| at.to_string().into_bytes()).unwrap_or_default()
    }

    fn introduce(&mut self, daemon: Tag, address: &[u8]) {
        if let Some(at) = std::str::from_utf8(address).ok().and_then(|text| text.parse().ok()) {
            self.0.hint(daemon, at);
        }
    }
}

/// Stops a daemon from another thread.
#[derive(Clone, Debug)]
pub struct Stopper {
    asked: Arc<AtomicBool>,
    bell: Arc<OwnedFd>,
}

impl Stopper {
    /// The daemon tells the others that it goes, closes its clients and returns.
    pub fn stop(&self) {
        self.asked.store(true, Relaxed);
        // A full counter wakes just as well.
        let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
    }

    /// Whether [`stop`](Self::stop) was called. A daemon that ends without was told to by an operator's monitor.
    pub fn was_asked(&self) -> bool {
        self.asked.load(Relaxed)
    }
}

/// Gives a running daemon another configuration.
#[derive(Clone, Debug)]
pub struct Reloader {
    to: Sender<Box<DaemonConfig>>,
    bell: Arc<OwnedFd>,
}

impl Reloader {
    /// Takes what can change while the daemon runs: the list of daemons, segments, keys, seeds, who is accepted, timeouts and windows,
    /// certificates, what may wait for a client, how many clients there may be. The log names what else differs and needs a start.
    pub fn reload(&self, config: DaemonConfig) {
        // A daemon that has ended has nothing to change.
        if self.to.send(Box::new(config)).is_ok() {
            let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
        }
    }
}

/// A daemon with all its sockets open.
pub struct Daemon {
    config: DaemonConfig,
    ring: Ring,
    groups: Groups,
    link: Link,
    listeners: Listeners,
    sessions: Sessions,
    poll: Poll,
    stopper: Stopper,
    observer: Observer,
    asked: Receiver<Sender<Status>>,
    reloader: Reloader,
    reloads: Receiver<Box<DaemonConfig>>,
    reread: Option<Reread>,
    /// From where datagrams are looked at by the configuration alone.
    listed: AddrBlocks,
    begun: Instant,
    standing: Standing,
    /// What of the memory is locked, in words.
    locked: String,
    monitor: Monitor,
    activity: Option<Activity>,
    happened: Vec<Happened>,
    /// Clients cannot be accepted until then.
    accept_again: Option<Instant>,
    short_told: bool,
    batches: usize,
}

impl Daemon {
    /// Opens everything that `config` names.
    ///
    /// # Errors
    /// The first thing that cannot be opened, with its remedy.
    pub fn open(config: DaemonConfig) -> Result<Self, StartError> {
        let mut boot = [0; 16];
        crypto::random(&mut boot);
        let me = Identity { name: config.name, boot: Boot(boot) };
        let system = |what| move |error: io::Error| StartError::System { what, error };
        let link = Link::open(&config, &me)?;
        let listeners = Listeners::open(&config.clients)?;
        let poll = Poll::new().map_err(system("watch sockets"))?;
        for (at, socket) in link.sockets().enumerate() {
            poll.add(socket, Token::Link(at)).map_err(system("watch a socket"))?;
        }
        for (at, socket) in listeners.sockets().enumerate() {
            poll.add(socket, Token::Listener(at)).map_err(system("watch a socket"))?;
        }
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        let bell = rustix::event::eventfd(0, flags)
            .map_err(|error| StartError::System { what: "make a bell", error: error.into() })?;
        poll.add(bell.as_fd(), Token::Call).map_err(system("watch a bell"))?;
        let bell = Arc::new(bell);
        let stopper = Stopper { asked: Arc::new(AtomicBool::new(false)), bell: bell.clone() };
        let (observer, asked) = Observer::new(bell.clone());
        let (to, reloads) = std::sync::mpsc::channel();
        let reloader = Reloader { to, bell };

        let settings = settings(&config, me, &link);
        let ring = Ring::new(clock::now(), settings, Box::new(System(link.book())), crypto::seed());
        let limits = Limits {
            sessions: config.clients.sessions,
            pause_bytes: PAUSE_BYTES,
            ..Limits::default()
        };
        let sessions = Sessions::new(config.clients.clone(), Random::new(crypto::seed()));
        let clients = config.clients.socket.as_ref().map(|socket| socket.path.as_path());
        let dangerous = config.dangerous_monitor;
        let monitor = Monitor::new(config.name, dangerous, clients, &poll, crypto::seed());
        for line in &config.warnings {
            tracing::warn!("{line}");
        }
        Ok(Self {
            groups: Groups::new(me, limits).with_ids(ids(&config)),
            listed: config.data.accept.clone(),
            reread: None,
            config,
            ring,
            link,
            listeners,
            sessions,
            poll,
            stopper,
            observer,
            asked,
            reloader,
            reloads,
            begun: clock::now(),
            standing: Standing::default(),
            locked: String::new(),
            monitor,
            activity: None,
            happened: Vec::new(),
            accept_again: None,
            short_told: false,
            batches: BATCHES,
        })
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// What asks it how it is.
    pub fn observer(&self) -> Observer {
        self.observer.clone()
    }

    /// What gives it another configuration.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    fn status(&self, now: Instant) -> Status {
        let (open, shaking) = self.sessions.counts();
        Status {
            name: self.config.name,
            up: now.since(self.begun),
            now,
            ring: self.ring.status(now),
            groups: GroupsStatus {
                groups: self.groups.group_count(),
                paused: self.groups.is_paused(),
                waiting: self.groups.waiting_submissions(),
                counters: *self.groups.counters(),
            },
            sessions: self.sessions.counters,
            open,
            shaking,
            slowest: self.sessions.slowest(now),
            link: self.link.counters,
            priority: self.priority(),
        }
    }

    /// Where clients connect by TCP.
    pub fn addresses(&self) -> &[std::net::SocketAddr] {
        &self.listeners.addresses
    }

    /// Where clients connect by TLS.
    pub fn tls_addresses(&self) -> &[std::net::SocketAddr] {
        &self.listeners.tls_addresses
    }

    /// The file of the Unix socket for clients.
    pub fn socket_file(&self) -> Option<&std::path::Path> {
        self.listeners.file()
    }

    /// The file of the control socket for monitors.
    pub fn control_file(&self) -> Option<&std::path::Path> {
        self.monitor.file()
    }

    /// Writes memberships and sessions into a file named after the daemon, in the working directory (`-l y`).
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn log_activity(&mut self) -> io::Result<()> {
        self.activity = Some(Activity::open(self.config.name)?);
        self.sessions.watch();
        Ok(())
    }

    /// Gives the calling thread the priority that is configured, locks the memory that the token needs, and says both.
    /// [`run`](Self::run) does it as well; before privileges are dropped it has to be done earlier, on the thread that will run.
    pub fn take_priority(&mut self) {
        self.standing = Standing::take(self.config.priority);
        if self.config.priority != Priority::None {
            self.locked = format!("; {}", memory::lock(&self.link.buffers()));
        }
        tracing::info!("{}", self.priority());
    }

    fn priority(&self) -> String {
        format!("{}{}{}", self.standing.said(), self.standing.spell(), self.locked)
    }

    /// Works until it is stopped.
    ///
    /// # Errors
    /// The system does not let it wait any more.
    pub fn run(mut self) -> io::Result<()> {
        let name = self.config.name;
        if self.standing.said().is_empty() {
            self.take_priority();
        }
        tracing::info!(%name, clients = ?self.listeners.addresses, "the bus daemon is ready");
        let mut before = clock::now();
        self.pump(before);
        while !self.stopper.asked.load(Relaxed) && !self.monitor.ends() {
            let now = clock::now();
            let most = self.wait(now);
            let mut happened = std::mem::take(&mut self.happened);
            self.poll.wait(most, &mut happened)?;
            let woke = clock::now();
            if let Some(most) = most {
                self.standing.woke(woke, woke.since(now).saturating_sub(most));
            }
            let now = woke;
            let away = most.is_some_and(|most| now.since(before) > most + AWAY);
            before = now;
            self.batches = if away { BATCHES_AWAY } else { BATCHES };
            for event in &happened {
                self.handle(now, event);
            }
            self.happened = happened;
            if self.ring.next_timeout(now).is_some_and(|at| at <= now) {
                self.ring.handle_timeout(now);
            }
            if self.accept_again.is_some_and(|at| at <= now) {
                self.accept_again = None;
                self.hush(false);
            }
            if self.standing.is_raised() && self.sessions.has_work() {
                // The other daemons do not wait for clients that are served at a lower priority.
                self.send();
                self.standing.lower();
            }
            self.sessions.turns(now, &mut self.groups);
            self.sessions.sweep(now, &mut self.groups);
            self.watch(now);
            self.standing.raise();
            self.pump(now);
            self.standing.raise();
        }
        tracing::info!(%name, "the bus daemon leaves");
        self.ring.leave();
        self.pump(clock::now());
        Ok(())
    }

    /// Does what operators ask.
    fn watch(&mut self, now: Instant) {
        let (segments, listed) = match &self.config.membership {
            Membership::Fixed(list) => (list.segments.len(), &list.members[..]),
            Membership::Found { .. } => (1, &[][..]),
        };
        let mut here = Here {
            ring: &mut self.ring,
            groups: &self.groups,
            sessions: &self.sessions,
            up: now.since(self.begun),
            segments,
            listed,
        };
        self.monitor.turn(now, &self.poll, &mut here);
        if std::mem::take(&mut self.monitor.reread) {
            self.begin_reread();
        }
        if self.monitor.is_looked_at() {
            let detail = Detail::new(&self.status(now));
            self.monitor.show(&detail);
        }
    }

    fn wait(&self, now: Instant) -> Option<Duration> {
        if self.sessions.has_work() || self.sessions.has_output() {
            return Some(Duration::ZERO);
        }
        let times = [
            self.ring.next_timeout(now),
            self.sessions.next_sweep(),
            self.accept_again,
            self.monitor.next_timeout(now),
        ];
        times.into_iter().flatten().min().map(|at| at.since(now))
    }

    fn handle(&mut self, now: Instant, event: &Happened) {
        match event.token {
            Token::Link(at) => {
                if event.error {
                    while let Some(tags) = self.link.unreachable(at) {
                        tags.for_each(|tag| self.ring.handle_unreachable(now, tag));
                    }
                }
                for _ in 0..self.batches {
                    let (config, ring) = (&self.config, &mut self.ring);
                    let monitor = &mut self.monitor;
                    let more = self.link.receive(
                        now,
                        at,
                        |ip| config.accepts(ip.to_canonical()),
                        |boot, text| {
                            if monitor.lets_through(ring, &boot, text) {
                                ring.handle_datagram(now, &boot, text);
                            }
                        },
                    );
                    if !more {
                        break;
                    }
                }
                self.link.strangers.tell();
            }
            Token::Listener(at) => {
                self.standing.lower();
                self.accept(now, at);
                self.standing.raise();
            }
            Token::Session(at) => {
                self.sessions.notice(at, event.readable, event.writable, event.ended)
            }
            Token::Control => self.monitor.accept(now, &self.poll),
            Token::Caller(at) => self.monitor.notice(at),
            Token::Call => {
                let mut count = [0; 8];
                let _ = rustix::io::read(&*self.stopper.bell, &mut count);
                while let Ok(new) = self.reloads.try_recv() {
                    self.reload(now, *new);
                }
                while let Ok(tell) = self.asked.try_recv() {
                    // Whoever asked may have given up.
                    let _ = tell.send(self.status(now));
                }
            }
        }
    }

    fn accept(&mut self, now: Instant, at: usize) {
        for _ in 0..ACCEPTS {
            match self.listeners.accept(at) {
                Ok(Some(arrival)) => {
                    self.short_told = false;
                    self.sessions.accept(now, &self.poll, &mut self.groups, arrival);
                }
                Ok(None) => return,
                Err(error) => {
                    // No descriptors, no memory. Those who wait are looked at again in a while, and not before: the kernel
                    // would say again and again that they wait.
                    if !std::mem::replace(&mut self.short_told, true) {
                        tracing::warn!(%error, "clients cannot be accepted for now; raise the limit of open files if that is why");
                    }
                    self.accept_again = Some(now + Duration::from_millis(100));
                    self.hush(true);
                    return;
                }
            }
        }
    }

    fn hush(&self, hush: bool) {
        for (at, socket) in self.listeners.sockets().enumerate() {
            if let Err(error) = self.poll.hush(socket, Token::Listener(at), hush) {
                tracing::error!(%error, "a listening socket cannot be watched");
            }
        }
    }

    /// Moves on everything that can be moved on now.
    fn pump(&mut self, now: Instant) {
        loop {
            let mut moved = false;
            while let Some(event) = self.ring.poll_event() {
                self.tell(&event);
                self.groups.handle_event(&event);
                moved = true;
            }
            while self.ring.queued_bytes() < QUEUED
                && let Some(submission) = self.groups.poll_submission()
            {
                if let Err(error) = self.ring.submit(submission.message, submission.service) {
                    tracing::error!(%error, "a message cannot be ordered and is lost");
                }
                moved = true;
            }
            if !moved {
                break;
            }
            self.ring.handle_submitted(now);
        }
        while let Some(notice) = self.ring.poll_notice() {
            if notice.is_trouble() {
                tracing::warn!("{notice}");
            } else {
                tracing::info!("{notice}");
            }
        }
        self.queue();
        // They live until they are sent: the link tells equal datagrams by where they are.
        let letters = self.monitor.take_out();
        letters.iter().for_each(|letter| self.link.queue(letter));
        let clients_first = self.link.can_wait();
        if !clients_first {
            self.link.flush();
        }
        while let Some(output) = self.groups.poll_output() {
            self.standing.lower();
            match output {
                Output::Deliver { session, message } => self.sessions.deliver(session, message),
                Output::Close { session } => self.sessions.end(now, &mut self.groups, session),
                Output::Pause => self.sessions.paused = true,
                Output::Resume => self.sessions.paused = false,
            }
        }
        if self.sessions.has_output() {
            self.standing.lower();
        }
        self.sessions.flush(now, &mut self.groups);
        if clients_first {
            self.link.flush();
        }
        if let Some(activity) = &mut self.activity {
            activity.sessions(self.sessions.changes());
        }
        self.ring.set_held_up(self.sessions.held_up());
    }

    /// Piles up what the ring has to send.
    fn queue(&mut self) {
        while let Some(transmit) = self.ring.poll_transmit() {
            self.link.queue(&transmit);
        }
    }

    fn send(&mut self) {
        self.queue();
        self.link.flush();
    }

    fn tell(&mut self, event: &Event) {
        if let Event::Installed(view) = event {
            self.groups.set_ids(self.ids_of(view));
            self.accept_members();
            if let Some(activity) = &mut self.activity {
                activity.view(view, &self.config);
            }
            let members: Vec<&str> = view.members.iter().map(|m| m.name.as_str()).collect();
            tracing::info!(view = %view.id, ?members, "a view is installed");
        }
    }
}
