//! Opens everything a daemon needs.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use base::{Boot, Random};
use groups::{Groups, Limits};
use ring::{Daemon as Identity, Ring, Surroundings, Tag};

use super::handles::{Doubles, Reloader, Seeker, Stopper};
use super::reload::{ids, settings};
use super::{BATCHES, Daemon};
use crate::clock;
use crate::config::DaemonConfig;
use crate::error::StartError;
use crate::link::{Book, Link};
use crate::listen::Listeners;
use crate::monitor::Monitor;
use crate::poll::{Poll, Token};
use crate::priority::Standing;
use crate::pulse::Heart;
use crate::session::Sessions;
use crate::status::Observer;

/// Bytes that wait with the groups before clients are not read any more.
const PAUSE_BYTES: usize = 1 << 20;

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
        let stopper = Stopper::new(bell.clone());
        let (observer, asked) = Observer::new(bell.clone());
        let seeker = Seeker::new(bell.clone());
        let (reloader, reloads) = Reloader::new(bell);
        let doubles = Doubles::new(config.name);

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
            heart: Heart::new(),
            seeker,
            doubles,
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
}
