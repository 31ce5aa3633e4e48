//! The daemon: one thread that moves words between the other daemons, the groups and the clients.
//!
//! A hop between threads on different cores costs more than all that is done for a message, so there is one thread; what it
//! does in one turn is bounded everywhere. What comes from daemons is taken first, then timers, then clients in turns.

mod accept;
mod handles;
mod inform;
mod open;
mod reload;

use std::io;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use base::{AddrBlocks, Instant};
use groups::{Groups, Output};
use ring::{Event, Notice, Ring};

pub use self::handles::{Doubles, Reloader, Seeker, Stopper};
pub use self::reload::Reread;

use crate::activity::Activity;
use crate::clock;
use crate::config::{DaemonConfig, Membership, Priority};
use crate::link::Link;
use crate::listen::Listeners;
use crate::memory;
use crate::monitor::{Detail, Here, Monitor};
use crate::poll::{Happened, Poll, Token};
use crate::priority::Standing;
use crate::pulse::Heart;
use crate::session::Sessions;
use crate::status::{Observer, Status};

/// Batches taken from one socket before anything else is done.
const BATCHES: usize = 8;
/// After this thread was away for so long, everything that came meanwhile is taken before anybody is judged by his silence.
const AWAY: Duration = Duration::from_millis(50);
/// Batches taken then: more than a socket's buffer holds.
const BATCHES_AWAY: usize = 4096;
/// With so many bytes waiting in the ring, further messages wait with the groups, which then stop the reading of clients.
const QUEUED: usize = 256 << 10;

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
    heart: Heart,
    seeker: Seeker,
    doubles: Doubles,
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

    /// Looks, after privileges were dropped, whether the priority is still permitted, and says what holds now if it is not.
    pub fn confirm_priority(&mut self) {
        if !self.standing.confirm() {
            tracing::warn!("{}", self.priority());
        }
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
        while !self.stopper.was_asked() && !self.monitor.ends() {
            let now = clock::now();
            let most = self.wait(now);
            let mut happened = std::mem::take(&mut self.happened);
            self.poll.wait(most, &mut happened)?;
            let woke = clock::now();
            if let Some(most) = most {
                // Who waits for no other daemon cannot come too late, and answers its clients faster without.
                let waits = self.ring.view().is_some_and(|view| view.members.len() > 1);
                let late = waits.then(|| woke.since(now).saturating_sub(most));
                self.standing.woke(woke, late);
            }
            let now = woke;
            let kept = most.map_or(Duration::ZERO, |most| now.since(before).saturating_sub(most));
            let away = kept > AWAY;
            before = now;
            if kept >= AWAY.min(self.config.timing.floor / 2) {
                self.heart.kept(now);
            }
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
            self.heart.beat(now, &self.ring);
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
                self.stopper.answer();
                if self.seeker.take() {
                    self.ring.seek(now);
                }
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
        // Before a session ends because of it: its program asks why.
        self.doubles.note(&self.ring);
        while let Some(notice) = self.ring.poll_notice() {
            if matches!(notice, Notice::Refused { .. }) && self.ring.view().is_some() {
                // The view is over, and no other comes as long as this lasts, of which clients could be told.
                self.sessions.end_all(now, &mut self.groups);
            }
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
