//! Boots that announced themselves and have yet to prove that they live.
//!
//! At most [`NEWCOMERS_MAX`] at a time. When the list is full, whoever was asked longest ago and has
//! not answered for [`HEAD_START`] makes room: a live machine answers within milliseconds, so
//! recordings cannot keep it out. Who was refused is left alone for [`COOLDOWN`]; that memory is bounded
//! too, and losing it costs a probe.
//!
//! A boot is asked at each place that its announcements name, one place no less for the silence of another: a
//! genuine packet sent again from elsewhere would otherwise keep the machine that sent it first waiting.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use base::{Instant, MachineId};
use seal::challenge::Nonce;
use seal::{Entropy, Speaker};

use super::event::Whereabouts;
use super::{COOLDOWN, NEWCOMERS_MAX, PATIENCE, TRIES};
use crate::packet::Decoded;

/// How long a newcomer is safe from being displaced.
const HEAD_START: Duration = Duration::from_millis(50);
/// Refused boots, and complaints, remembered.
const MEMORY: usize = 256;
/// How often the same complaint is made.
const COMPLAIN: Duration = Duration::from_secs(60);

/// Somebody who was sent a random number.
#[derive(Clone, Debug)]
pub(super) struct Newcomer {
    pub(super) speaker: Speaker,
    pub(super) whereabouts: Whereabouts,
    pub(super) decoded: Decoded,
    nonce: Nonce,
    asked: Instant,
    tries: u8,
    /// It has proven to live, and since then we wait for the boot that has its machine's row.
    contest: Option<Instant>,
}

/// What is to be done about a newcomer whose time is over.
#[derive(Debug)]
pub(super) enum Overdue {
    /// Ask it again.
    Again { whom: Speaker, to: SocketAddr, nonce: Nonce },
    /// Ask the boot that holds its machine's row again.
    AskRival(MachineId),
    /// The other boot did not answer: the newcomer takes the row.
    Settled(Box<Newcomer>),
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(super) struct Newcomers {
    waiting: Vec<Newcomer>,
    cooling: BTreeMap<(Speaker, SocketAddr), Instant>,
    complaints: BTreeMap<Speaker, Instant>,
}

impl Newcomers {
    /// Notes an announcement of a boot not proven. If it is to be asked now, the number to put to it.
    pub(super) fn meet<E: Entropy>(
        &mut self,
        now: Instant,
        speaker: Speaker,
        whereabouts: Whereabouts,
        decoded: Decoded,
        entropy: &mut E,
    ) -> Option<Nonce> {
        let place = whereabouts.exchange;
        // One that has proven to live is not asked again.
        let is_known = |known: &&mut Newcomer| {
            known.speaker == speaker
                && (known.whereabouts.exchange == place || known.contest.is_some())
        };
        if let Some(known) = self.waiting.iter_mut().find(is_known) {
            if decoded.announcement.sequence > known.decoded.announcement.sequence {
                known.decoded = decoded;
            }
            return None;
        }
        let is_cooling = self.cooling.get(&(speaker, place)).is_some_and(|&until| now < until);
        if is_cooling || !self.make_room(now) {
            return None;
        }
        let mut nonce = Nonce::default();
        entropy.fill(&mut nonce);
        let contest = None;
        self.waiting.push(Newcomer {
            speaker,
            whereabouts,
            decoded,
            nonce,
            asked: now,
            tries: 1,
            contest,
        });
        Some(nonce)
    }

    /// Takes the newcomer who answered the number it was sent. At other places it is waited for no longer.
    pub(super) fn take_proven(&mut self, speaker: &Speaker, nonce: &Nonce) -> Option<Newcomer> {
        let proven =
            self.take(|n| n.contest.is_none() && n.speaker == *speaker && n.nonce == *nonce)?;
        self.waiting.retain(|other| other.speaker != *speaker);
        Some(proven)
    }

    /// Puts a proven newcomer back, to wait for the boot that holds its machine's row.
    pub(super) fn contest(&mut self, now: Instant, newcomer: Newcomer) {
        self.waiting.push(Newcomer { asked: now, tries: 1, contest: Some(now), ..newcomer });
    }

    /// Takes the newcomer that contests the row of `holder`, who has answered what it was asked
    /// `round_trip` ago, if that was after the contest began. The newcomer is refused.
    pub(super) fn take_rival(
        &mut self,
        now: Instant,
        holder: &Speaker,
        round_trip: Duration,
    ) -> Option<Newcomer> {
        let rival = self.take(|n| {
            n.speaker.machine == holder.machine
                && n.contest.is_some_and(|began| now.since(began) >= round_trip)
        })?;
        self.cool(now, rival.speaker, rival.whereabouts.exchange);
        Some(rival)
    }

    /// Leaves a boot at this place alone for a while; `false` if that was decided already.
    pub(super) fn cool(&mut self, now: Instant, speaker: Speaker, place: SocketAddr) -> bool {
        note(&mut self.cooling, now, (speaker, place), COOLDOWN)
    }

    /// Whether it is time to complain about this boot (again).
    pub(super) fn may_complain(&mut self, now: Instant, speaker: Speaker) -> bool {
        note(&mut self.complaints, now, speaker, COMPLAIN)
    }

    /// One thing that is due at `now`. Newcomers that never answered are dropped on the way.
    pub(super) fn poll_overdue(&mut self, now: Instant) -> Option<Overdue> {
        loop {
            let at = self.waiting.iter().position(|n| now >= n.asked + PATIENCE)?;
            let newcomer = &mut self.waiting[at];
            if newcomer.tries < TRIES {
                newcomer.tries += 1;
                newcomer.asked = now;
                return Some(match newcomer.contest {
                    None => Overdue::Again {
                        whom: newcomer.speaker,
                        to: newcomer.whereabouts.exchange,
                        nonce: newcomer.nonce,
                    },
                    Some(_) => Overdue::AskRival(newcomer.speaker.machine),
                });
            }
            let newcomer = self.waiting.swap_remove(at);
            if newcomer.contest.is_some() {
                return Some(Overdue::Settled(Box::new(newcomer)));
            }
            self.cool(now, newcomer.speaker, newcomer.whereabouts.exchange);
        }
    }

    /// When something is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.iter().map(|newcomer| newcomer.asked + PATIENCE).min()
    }

    fn take(&mut self, is_it: impl Fn(&Newcomer) -> bool) -> Option<Newcomer> {
        let at = self.waiting.iter().position(is_it)?;
        Some(self.waiting.swap_remove(at))
    }

    fn make_room(&mut self, now: Instant) -> bool {
        if self.waiting.len() < NEWCOMERS_MAX {
            return true;
        }
        let silent = self.waiting.iter().enumerate().filter(|(_, n)| n.contest.is_none());
        match silent.min_by_key(|(_, n)| n.asked).map(|(at, n)| (at, n.asked)) {
            Some((at, asked)) if now.since(asked) >= HEAD_START => {
                let displaced = self.waiting.swap_remove(at);
                self.cool(now, displaced.speaker, displaced.whereabouts.exchange);
                true
            }
            _ => false,
        }
    }
}

/// Notes `who` until `now + lasting`; `false` if it is noted still.
fn note<K: Copy + Ord>(
    memory: &mut BTreeMap<K, Instant>,
    now: Instant,
    who: K,
    lasting: Duration,
) -> bool {
    if memory.get(&who).is_some_and(|&until| now < until) {
        return false;
    }
    if memory.len() >= MEMORY {
        memory.retain(|_, until| now < *until);
    }
    if memory.len() >= MEMORY
        && let Some(soonest) = memory.iter().min_by_key(|(_, until)| **until).map(|(&who, _)| who)
    {
        memory.remove(&soonest);
    }
    memory.insert(who, now + lasting);
    true
}
