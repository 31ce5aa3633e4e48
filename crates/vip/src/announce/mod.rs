//! When to tell the neighbours which Ethernet address an address of ours has.
//!
//! Think of someone who has taken over a shop. He puts the sign out at once, again and again on the first day because the old sign may
//! still be seen, and whenever someone asks for the old owner; later he renews the paint now and then. Regular customers get a letter.
//!
//! Rules:
//! - The first announcement of every address goes out before any repeat of any other, and nothing but the bound on all frames
//!   per second holds it back.
//! - Repeats follow the address's `Schedule`: calm after a release, dense while an old holder's kernel may still answer.
//! - In that time each request for the address that we hear is answered by an announcement at once and 20 ms later: the asker gets two
//!   answers, and the later one wins. It must be a gratuitous one: Linux ignores others for a second after an entry has changed.
//!   At most 50 per second and address.
//! - Whoever simply holds an address announces it once per period, spread so that a thousand addresses do not go out at once.
//! - Hosts of the notify list are told one by one after the first announcement of an address; `throttle` limits only that.
//!   Single hosts are told with each refresh as well.
//! - What is late is not made up for: of several announcements that were missed one goes out. What could not be sent because the link is
//!   down is lost, and `link_up` begins anew.
//!
//! A thousand addresses cost a logarithm: everything that waits is in ordered sets and taken from their beginning.
//!
//! Not here: frames (the driver's), and who is the owner.

mod address;
mod budget;
mod schedule;
mod settings;
mod walk;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use base::{Instant, Random};

use crate::neighbours::{Mac, Neighbours};
use budget::{Budget, Urgency};
use schedule::Schedule;
use walk::Walk;

pub use address::Address;
pub use settings::{FRAMES_PER_SECOND, Notify, PERIOD, Settings};

/// The shortest time between two answers to requests for one address: 50 per second.
const ANSWER_PAUSE: Duration = Duration::from_millis(20);

/// How an address came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nobody else answers for it: released in order, never held, or taken away by a guardian that said so.
    Released,
    /// The old holder went without a word.
    Lost {
        /// When its kernel has certainly stopped answering: the end of its lease and the kernel's delay.
        until: Instant,
    },
}

/// An announcement to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Of this address.
    pub address: Address,
    /// To whom.
    pub kind: Kind,
    /// Why now.
    pub why: Why,
}

/// To whom an announcement goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To everybody: for IPv4 a gratuitous request and a gratuitous reply, for IPv6 an advertisement to all nodes.
    Broadcast,
    /// To one host.
    Directed(Host),
}

/// A host to be told by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its address.
    pub ip: IpAddr,
    /// Its Ethernet address, if any member knows it. Always there for IPv6.
    pub mac: Option<Mac>,
    /// Whether to send an ICMP echo request as well.
    pub ping: bool,
}

/// Why an announcement goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Acquired, won, released by the other, or the link came up.
    First,
    /// The first may have been lost, or another kernel may have answered since.
    Repeat,
    /// Somebody asked while another kernel may answer.
    Asked,
    /// Held for another period.
    Refresh,
    /// The host is on the notify list.
    Notify,
}

/// Announces all addresses of one machine. It is asked with [`poll`](Self::poll) until that gives nothing, after every other call and
/// at [`next_timeout`](Self::next_timeout).
#[derive(Clone, Debug)]
pub struct Announcer {
    period: Duration,
    notify: Vec<Notify>,
    budget: Budget,
    random: Random,
    held: BTreeMap<Address, Held>,
    /// Not announced yet, in the order they came.
    first: BTreeSet<(u64, Address)>,
    /// Repeats, answers and refreshes by when they are due.
    again: BTreeSet<(Instant, Address)>,
    /// Walks through the notify list by when their next host is due. The last number is the walk's.
    directed: BTreeSet<(Instant, Address, usize)>,
    turn: u64,
}

/// An address that we hold.
#[derive(Clone, Debug)]
struct Held {
    net: u8,
    schedule: Schedule,
    /// Its turn among the first ones, until it was announced.
    turn: Option<u64>,
    /// When the schedule's next announcement is due.
    repeat: Option<Instant>,
    /// When the next answer to someone who asked is due.
    answer: Option<Instant>,
    /// Whether that one is to be said twice.
    twice: bool,
    answered: Option<Instant>,
    /// Walks that are under way, at the index of their notify entry, and when they go on.
    walks: Vec<Option<(Instant, Walk)>>,
}

impl Held {
    /// When something is due.
    fn due(&self) -> Option<Instant> {
        self.repeat.into_iter().chain(self.answer).min()
    }
}

impl Announcer {
    /// Holds nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            period: settings.period.max(Duration::from_secs(1)),
            notify: settings.notify,
            budget: Budget::new(settings.frames_per_second),
            random: Random::new(settings.seed),
            held: BTreeMap::new(),
            first: BTreeSet::new(),
            again: BTreeSet::new(),
            directed: BTreeSet::new(),
            turn: 0,
        }
    }

    /// Another notify list, as when interfaces got other numbers. It holds for what is announced from here on; walks under way end.
    pub fn set_notify(&mut self, notify: Vec<Notify>) {
        self.notify = notify;
        self.directed.clear();
        self.held.values_mut().for_each(|held| held.walks.clear());
    }

    /// The address is on the interface now; its network has `net` bits (the hint `nNET`), which says which hosts of the notify list
    /// are meant. An address that was held already begins anew.
    pub fn acquired(&mut self, now: Instant, address: Address, net: u8, after: After) {
        self.released(address);
        let schedule = match after {
            After::Released => Schedule::Calm { start: now },
            After::Lost { until } => Schedule::Contested { start: now, until },
        };
        let held = Held {
            net,
            schedule,
            turn: None,
            repeat: None,
            answer: None,
            twice: false,
            answered: None,
            walks: Vec::new(),
        };
        self.held.insert(address, held);
        self.begin(address);
    }

    /// The address is ours no longer; nothing is said of it.
    pub fn released(&mut self, address: Address) {
        if let Some(held) = self.held.remove(&address) {
            if let Some(turn) = held.turn {
                self.first.remove(&(turn, address));
            }
            if let Some(due) = held.due() {
                self.again.remove(&(due, address));
            }
            for (at, walk) in held.walks.iter().enumerate() {
                if let Some((due, _)) = walk {
                    self.directed.remove(&(*due, address, at));
                }
            }
        }
    }

    /// The other holder lost the address to us in a merge and lets it go: whoever it told must hear of us.
    pub fn won(&mut self, now: Instant, address: Address) {
        self.anew(now, address);
    }

    /// The old owner of a planned move has released, by a message of the bus: a neighbour that asked in between may have learned either.
    pub fn again(&mut self, now: Instant, address: Address) {
        if let Some(held) = self.held.get_mut(&address) {
            // What released answers no more.
            held.schedule = Schedule::Calm { start: now };
        }
        self.anew(now, address);
    }

    /// The interface has a carrier again: whoever is on the other side may be new or have forgotten.
    pub fn link_up(&mut self, now: Instant, interface: u32) {
        let from = Address { interface, ip: IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED) };
        let there = self.held.range(from..).map(|(address, _)| *address);
        let there: Vec<_> = there.take_while(|address| address.interface == interface).collect();
        there.into_iter().for_each(|address| self.anew(now, address));
    }

    /// Somebody asked for the address by ARP request or neighbour solicitation. Nothing unless another kernel may answer too.
    pub fn asked(&mut self, now: Instant, address: Address) {
        let Some(held) = self.held.get_mut(&address) else { return };
        let contested = held.schedule.contested_until().is_some_and(|until| now < until);
        if !contested || held.turn.is_some() {
            return;
        }
        held.twice = true;
        if held.answer.is_none() {
            let earliest = held.answered.map_or(now, |answered| answered + ANSWER_PAUSE);
            let before = held.due();
            held.answer = Some(now.max(earliest));
            Self::queue(&mut self.again, address, before, held.due());
        }
    }

    /// The next announcement to be sent now, if any. `known` gives the Ethernet addresses of hosts that are told by themselves.
    pub fn poll(&mut self, now: Instant, known: &Neighbours) -> Option<Announcement> {
        self.poll_first(now)
            .or_else(|| self.poll_again(now))
            .or_else(|| self.poll_directed(now, known))
    }

    /// When to poll next. In the past when something is waiting already.
    pub fn next_timeout(&self) -> Option<Instant> {
        let room =
            |when, address: Address, urgency| self.budget.room_at(when, frames(address), urgency);
        let first = self.first.first().map(|(_, a)| room(Instant::ORIGIN, *a, Urgency::First));
        let again = self.again.first().map(|(due, a)| room(*due, *a, Urgency::Repeat));
        let directed = self.directed.first();
        // A directed one has a ping at most, so two frames are always enough room.
        let directed = directed.map(|(due, ..)| self.budget.room_at(*due, 2, Urgency::Directed));
        first.into_iter().chain(again).chain(directed).min()
    }

    /// How many addresses are held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether no address is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Begins an address's announcements anew, with the schedule for what may still answer.
    fn anew(&mut self, now: Instant, address: Address) {
        if let Some(held) = self.held.get_mut(&address) {
            held.schedule = match held.schedule.contested_until().filter(|until| now < *until) {
                Some(until) => Schedule::Contested { start: now, until },
                None => Schedule::Calm { start: now },
            };
            self.begin(address);
        }
    }

    /// Puts an address among the first ones, instead of all that was planned for it.
    fn begin(&mut self, address: Address) {
        let Some(held) = self.held.get_mut(&address) else { return };
        let before = held.due();
        (held.repeat, held.answer, held.twice) = (None, None, false);
        Self::queue(&mut self.again, address, before, None);
        if held.turn.is_none() {
            self.turn += 1;
            held.turn = Some(self.turn);
            self.first.insert((self.turn, address));
        }
    }

    fn poll_first(&mut self, now: Instant) -> Option<Announcement> {
        let &(turn, address) = self.first.first()?;
        if !self.budget.take(now, frames(address), Urgency::First) {
            return None;
        }
        self.first.remove(&(turn, address));
        let held = self.held.get_mut(&address)?;
        held.turn = None;
        // Repeats are counted from when it was really said.
        match &mut held.schedule {
            Schedule::Calm { start } | Schedule::Contested { start, .. } => *start = now,
            Schedule::Holding => {}
        }
        self.plan(now, address);
        self.walk(now, address, |_| true);
        Some(Announcement { address, kind: Kind::Broadcast, why: Why::First })
    }

    fn poll_again(&mut self, now: Instant) -> Option<Announcement> {
        let &(due, address) = self.again.first()?;
        if due > now || !self.budget.take(now, frames(address), Urgency::Repeat) {
            return None;
        }
        self.again.remove(&(due, address));
        let held = self.held.get_mut(&address)?;
        let why = if held.answer.is_some_and(|answer| answer <= now) {
            held.answered = Some(now);
            let again = core::mem::take(&mut held.twice);
            held.answer = again.then_some(now + ANSWER_PAUSE);
            Why::Asked
        } else if held.schedule == Schedule::Holding {
            Why::Refresh
        } else {
            Why::Repeat
        };
        // One announcement serves both when both are due.
        if held.repeat.is_some_and(|repeat| repeat <= now) {
            let refreshed = held.schedule == Schedule::Holding;
            held.repeat = None;
            self.plan(now, address);
            if refreshed {
                self.walk(now, address, |walk| walk.is_refreshed);
            }
        } else {
            let due = held.due();
            Self::queue(&mut self.again, address, None, due);
        }
        Some(Announcement { address, kind: Kind::Broadcast, why })
    }

    fn poll_directed(&mut self, now: Instant, known: &Neighbours) -> Option<Announcement> {
        loop {
            let &(due, address, at) = self.directed.first()?;
            // Room for the larger kind, so that the promise of `next_timeout` holds.
            if due > now || self.budget.room_at(now, 2, Urgency::Directed) > now {
                return None;
            }
            self.directed.remove(&(due, address, at));
            let held = self.held.get_mut(&address)?;
            let slot = held.walks.get_mut(at)?;
            let (_, walk) = slot.take()?;
            // A walk that is over is dropped, so this ends.
            let Some((host, walk)) = walk.step(address.ip, known) else { continue };
            let frames = if host.ping { 2 } else { 1 };
            self.budget.take(now, frames, Urgency::Directed);
            // At the end of all that are due, so that all addresses come on alike.
            let due = now + walk.pause;
            *slot = Some((due, walk));
            self.directed.insert((due, address, at));
            return Some(Announcement { address, kind: Kind::Directed(host), why: Why::Notify });
        }
    }

    /// Plans the next repeat, or the next refresh: at most a period from now.
    fn plan(&mut self, now: Instant, address: Address) {
        let Some(held) = self.held.get_mut(&address) else { return };
        let before = held.due();
        let due = held.schedule.after(now).unwrap_or_else(|| {
            // Right after the repeats the first refresh may be any time within a period: so a thousand addresses spread out.
            let spread = if held.schedule == Schedule::Holding { 0.1 } else { 1.0 };
            held.schedule = Schedule::Holding;
            now + self.period.mul_f64(1.0 + spread * (self.random.unit() - 1.0))
        });
        held.repeat = Some(due);
        Self::queue(&mut self.again, address, before, held.due());
    }

    /// Begins the walks through those entries of the notify list that `wanted` lets through.
    fn walk(&mut self, now: Instant, address: Address, wanted: impl Fn(&Walk) -> bool) {
        let Some(held) = self.held.get_mut(&address) else { return };
        held.walks.resize(self.notify.len(), None);
        for (at, notify) in self.notify.iter().enumerate() {
            let walk = Walk::new(notify, address, held.net).filter(&wanted);
            if let (Some(walk), Some(slot)) = (walk, held.walks.get_mut(at)) {
                if let Some((due, _)) = slot.replace((now, walk)) {
                    self.directed.remove(&(due, address, at));
                }
                self.directed.insert((now, address, at));
            }
        }
    }

    /// Moves an address among those that wait for their time.
    fn queue(
        again: &mut BTreeSet<(Instant, Address)>,
        address: Address,
        before: Option<Instant>,
        due: Option<Instant>,
    ) {
        if let Some(before) = before {
            again.remove(&(before, address));
        }
        if let Some(due) = due {
            again.insert((due, address));
        }
    }
}

/// Frames of one announcement to everybody.
fn frames(address: Address) -> u64 {
    if address.ip.is_ipv4() { 2 } else { 1 }
}

#[cfg(test)]
mod tests;
