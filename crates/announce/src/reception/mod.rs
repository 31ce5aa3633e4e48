//! Which datagram counts: from listed blocks, under the key, new, and of a boot that is proven alive.
//!
//! ```text
//! datagram ─ block? ─ header? ─ own? ─ opened? ─ readable? ─┬ announcement of an admitted boot ─► Heard
//!                                                           ├ announcement of another boot ─► probe it
//!                                                           └ answer ─┬ of a probed boot ─► Admitted
//!                                                                     └ of a member ─► Answered
//! ```
//!
//! An unknown (machine, boot) is put on a bounded list and sent one sealed probe with a random number;
//! only its answer admits it. So a recording of an old boot costs a few probes and changes nothing. An
//! admission gives the machine a row of the matrix and an *epoch*; a new boot of a known machine keeps
//! the row under a new epoch, once the old boot is shown to be gone. If the old boot answers too, two
//! live machines have one identity: everyone who notices says so, both machines themselves included.
//!
//! Sans-io. After each `handle_*`, drain [`poll_transmit`](Reception::poll_transmit) and
//! [`poll_event`](Reception::poll_event); call [`handle_timeout`](Reception::handle_timeout) at
//! [`poll_timeout`](Reception::poll_timeout). Datagrams of both sockets (announcements, and answers to
//! this thread's probes) go into [`handle_datagram`](Reception::handle_datagram).
//!
//! Invariants: a row belongs to at most one boot; epochs only grow; what is refused is counted once and
//! changes nothing else; own words are never heard.

mod admission;
mod counters;
mod event;
mod members;
mod newcomers;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use base::{AddrBlocks, Instant};
use candidacy::Slot;
use seal::{Challenges, ClusterKey, Entropy, Header, Opener, Purpose, Speaker, Suite};

pub use counters::{Counters, Refused};
pub use event::{Event, Whereabouts};

use crate::exchange::{Asker, NoAnswer};
use crate::packet::{Announcement, Malformed};
use members::Members;
use newcomers::{Newcomers, Overdue};

/// How long an answer to a probe is waited for before the next is sent.
pub const PATIENCE: Duration = Duration::from_millis(250);
/// Probes sent to an unknown boot before it is dropped.
pub const TRIES: u8 = 3;
/// Unknown boots waited for at a time.
pub const NEWCOMERS_MAX: usize = 64;
/// How long a boot that was refused (silent, or a double) is not probed again.
pub const COOLDOWN: Duration = Duration::from_secs(10);
/// How long an answer of a member is still taken.
pub const LATEST_ANSWER: Duration = Duration::from_secs(2);
/// This machine's own row.
pub const OWN_SLOT: Slot = Slot(0);
/// This machine's own epoch.
pub const OWN_EPOCH: u32 = 1;

/// What a reception must know from the start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This machine in this life.
    pub me: Speaker,
    /// Where datagrams may come from.
    pub accept: AddrBlocks,
    /// The exchange channel of the thread that owns this reception.
    pub channel: u16,
    /// Rows of the matrix, at most [`candidacy::MAX_MACHINES`]; row 0 is this machine's own.
    pub capacity: usize,
}

/// A datagram to send from this thread's exchange socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// What.
    pub bytes: Vec<u8>,
}

/// The receiving side of the cluster. See the module's text.
pub struct Reception<S: Suite> {
    me: Speaker,
    accept: AddrBlocks,
    announcements: Opener<S>,
    asker: Asker<S>,
    members: Members,
    newcomers: Newcomers,
    challenges: Challenges,
    counters: Counters,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl<S: Suite> Reception<S> {
    /// A reception that knows nobody but itself, in row [`OWN_SLOT`].
    pub fn new(suite: &S, key: &ClusterKey, settings: Settings) -> Self {
        let capacity = settings.capacity.clamp(1, candidacy::MAX_MACHINES);
        // Each machine announces on one channel and answers on one; the rest is for boots that ended
        // or were refused, until their silence gives their place away.
        let channels = 2 * capacity + NEWCOMERS_MAX;
        Self {
            me: settings.me,
            accept: settings.accept,
            announcements: Opener::new(suite, key, Purpose::Announce, channels),
            asker: Asker::new(suite, key, settings.me, settings.channel, channels),
            members: Members::new(capacity),
            newcomers: Newcomers::default(),
            challenges: Challenges::new(4 * capacity),
            counters: Counters::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes one datagram, from either socket. It is decrypted in place.
    ///
    /// Never fails: what is refused is counted in [`counters`](Self::counters) and changes nothing else.
    pub fn handle_datagram<E: Entropy>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &mut [u8],
        entropy: &mut E,
    ) {
        let outcome = self.receive(now, from, bytes, entropy);
        self.counters.count(outcome);
    }

    /// Sends a probe to the machine in `slot`, for liveness or fresh figures; the answer comes as
    /// [`Event::Answered`]. `false` if nobody is there or too many answers are outstanding.
    pub fn probe<E: Entropy>(&mut self, now: Instant, slot: Slot, entropy: &mut E) -> bool {
        let Some((speaker, to)) =
            self.members.at(slot).map(|m| (m.speaker, m.whereabouts.exchange))
        else {
            return false;
        };
        self.challenge(now, speaker, to, entropy)
    }

    /// Frees a row: its machine is dead for long. Should it come back, it is a newcomer.
    pub fn release(&mut self, slot: Slot) {
        if let Some(speaker) = self.members.release(slot) {
            self.challenges.forget(&speaker);
        }
    }

    /// Does what is due: repeats probes, drops who never answered, settles contests.
    pub fn handle_timeout<E: Entropy>(&mut self, now: Instant, entropy: &mut E) {
        self.challenges.expire(now, LATEST_ANSWER);
        while let Some(overdue) = self.newcomers.poll_overdue(now) {
            match overdue {
                Overdue::Again { whom, to, nonce } => self.transmit(&whom, to, nonce),
                Overdue::AskRival(machine) => {
                    let rival =
                        self.members.of(&machine).map(|m| (m.speaker, m.whereabouts.exchange));
                    if let Some((speaker, to)) = rival {
                        self.challenge(now, speaker, to, entropy);
                    }
                }
                // The old boot had its chance to answer.
                Overdue::Settled(newcomer) => {
                    let report = newcomer.decoded.announcement.report;
                    let _ = self.admit(now, *newcomer, report);
                }
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let forgotten = self.challenges.oldest().map(|asked| asked + LATEST_ANSWER);
        self.newcomers.due().into_iter().chain(forgotten).min()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// What happened, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Datagrams accepted and refused so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The row and epoch of an admitted boot.
    pub fn find(&self, speaker: &Speaker) -> Option<(Slot, u32)> {
        self.members.boot(speaker).map(|member| (member.slot, member.epoch))
    }

    /// Machines admitted, without this one.
    pub fn admitted(&self) -> usize {
        self.members.len()
    }

    fn receive<E: Entropy>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &mut [u8],
        entropy: &mut E,
    ) -> Result<(), Refused> {
        if !self.accept.contains(from.ip()) {
            return Err(Refused::Blocked);
        }
        let header = Header::read(bytes)?;
        if header.speaker == self.me {
            return Err(Refused::Own);
        }
        if header.purpose == Purpose::Exchange {
            let (speaker, answer) =
                self.asker.open_from(now, from.ip(), bytes).map_err(|error| match error {
                    NoAnswer::Refused(refusal) => refusal.into(),
                    NoAnswer::Unreadable(_) => Refused::Malformed,
                })?;
            return self.answered(now, &speaker, &answer, entropy);
        }
        let opened = self.announcements.open_from(now, from.ip(), bytes)?;
        let speaker = opened.header.speaker;
        match Announcement::decode(opened.text) {
            Ok(decoded) => self.announced(now, from, speaker, decoded, entropy),
            Err(Malformed::TooNew { needed }) => {
                self.newer(now, speaker, from, needed, false);
                Err(Refused::NewerVersion)
            }
            Err(_) => Err(Refused::Malformed),
        }
    }
}
