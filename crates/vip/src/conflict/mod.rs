//! Does somebody else have this address? Asking before it is taken, and what to do when another shows up with it.
//!
//! Think of a seat in a theatre. Nobody of our party sat there: ask around before sitting down. Sitting: if a friend of the party claims it,
//! the party is sorting that out already; if a friend who lost the party claims it, find him; if a stranger does, say once that it is
//! taken, tell the usher, and stay.
//!
//! Rules (RFC 5227 for IPv4; RFC 4862 section 5.4 asks the same way for IPv6):
//! - Only addresses that nobody in the group's memory held are asked for. A take-over never waits: the old holder's kernel may
//!   still answer, and its answer is no conflict.
//! - While asking, whoever says that he has the address, or asks for it as we do, has it (section 2.1.1). That a member or a machine
//!   we know wants it does not count: who of the group takes it is decided by the bus. That one has it does: nobody in the group's
//!   memory has, so it has the address for itself, as the one that it is reached by. The caller knows whether the group has learned
//!   of a holder meanwhile.
//! - While holding, only those who say that they have it count: what a stranger merely asks is answered by the kernel.
//! - A member of our view may have it for a moment during a move. Nothing is done.
//! - A machine we know outside of our view has it: the bus is cut and the network is not. It is never defended against; the caller
//!   looks for it at once, so that the two views merge.
//! - A stranger: defended at most once per 10 s, and kept (section 2.4 (c)): giving it up would let anybody take a cluster's
//!   addresses from it with one frame.
//!
//! Not here: frames and interfaces, and who of the members gets the address.

mod settings;
mod stations;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::time::Duration;

use base::{Instant, MachineId, Random};

use crate::announce::Address;
use crate::neighbours::Mac;
use stations::{Stations, Whose};

pub use settings::Settings;

/// What somebody does with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Says that it is at his Ethernet address: any ARP packet with it as sender, or an advertisement of it.
    Has,
    /// Asks whether somebody has it, in order to take it: an ARP request without a sender, or a solicitation from ::.
    Wants,
}

/// What a claim means for an address that we hold or ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the address is not ours, or the claim is our own or no conflict.
    Nothing,
    /// A member of our view has it, as it may during a move.
    Expected {
        /// That member.
        machine: MachineId,
    },
    /// A machine that we know but do not see has it: look for it, do not defend. It may also be the kernel of a machine whose daemon
    /// has just died, until the address's lease has run out there.
    Apart {
        /// That machine.
        machine: MachineId,
    },
    /// A stranger has it.
    Stranger {
        /// His Ethernet address.
        mac: Mac,
        /// Whether to send a defence now: an announcement to everybody. Never while asking.
        defend: bool,
    },
}

/// Something to do, or a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send an ARP probe or a solicitation from :: for it.
    Ask(Address),
    /// Nobody has it.
    Free(Address),
    /// Somebody has it.
    Taken {
        /// The address.
        address: Address,
        /// Who has it.
        mac: Mac,
        /// Which machine that is, unless it is a stranger.
        machine: Option<MachineId>,
    },
}

/// How often claims on addresses of ours were heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// By members of our view.
    pub expected: u64,
    /// By machines that we know outside of our view.
    pub apart: u64,
    /// By strangers, of addresses that we hold.
    pub strangers: u64,
    /// How many of those were answered with a defence.
    pub defended: u64,
    /// Addresses that were found taken when asked for.
    pub taken: u64,
}

/// Asks for addresses and judges claims on those held. After each call, and at [`next_timeout`](Self::next_timeout), take
/// [`poll`](Self::poll) until it gives nothing.
#[derive(Clone, Debug)]
pub struct Conflicts {
    settings: Settings,
    random: Random,
    stations: Stations,
    /// When each address that we hold was last defended.
    held: BTreeMap<Address, Option<Instant>>,
    asking: BTreeMap<Address, Asking>,
    /// Those that are asked for, by when something is due.
    due: BTreeSet<(Instant, Address)>,
    taken: VecDeque<(Address, Mac, Option<MachineId>)>,
    counters: Counters,
}

#[derive(Clone, Copy, Debug)]
struct Asking {
    /// Questions still to be asked.
    left: u8,
    due: Instant,
}

impl Conflicts {
    /// Holds nothing and knows nobody.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            random: Random::new(settings.seed),
            stations: Stations::default(),
            held: BTreeMap::new(),
            asking: BTreeMap::new(),
            due: BTreeSet::new(),
            taken: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// The Ethernet addresses of this machine's interfaces.
    pub fn set_ours(&mut self, ours: impl IntoIterator<Item = Mac>) {
        self.stations.set_ours(ours);
    }

    /// The Ethernet addresses of all members of the view. Those of earlier views that are not among them are apart from now on.
    pub fn set_members(&mut self, members: impl IntoIterator<Item = (MachineId, Mac)>) {
        self.stations.set_members(members);
    }

    /// The address is on an interface of ours: claims on it count.
    pub fn hold(&mut self, address: Address) {
        self.held.entry(address).or_insert(None);
    }

    /// The address is ours no longer.
    pub fn let_go(&mut self, address: Address) {
        self.held.remove(&address);
    }

    /// Begins to ask whether somebody has the address. Asking already: nothing changes. A result that was not taken yet is
    /// dropped. The result comes as [`Action::Free`] or [`Action::Taken`].
    pub fn probe(&mut self, now: Instant, address: Address) {
        if !self.asking.contains_key(&address) {
            self.taken.retain(|(taken, ..)| *taken != address);
            let due = now + self.settings.wait.mul_f64(self.random.unit());
            self.plan(address, Asking { left: self.settings.questions.max(1), due });
        }
    }

    /// Ends asking for an address without a result.
    pub fn cancel(&mut self, address: Address) {
        self.taken.retain(|(taken, ..)| *taken != address);
        self.end(address);
    }

    /// Somebody at `mac` claims `address`. Anybody on the network can send this.
    pub fn seen(&mut self, now: Instant, address: Address, mac: Mac, claim: Claim) -> Verdict {
        let asking = self.asking.contains_key(&address);
        let holding = self.held.contains_key(&address);
        if !asking && (!holding || claim == Claim::Wants) {
            return Verdict::Nothing;
        }
        let whose = self.stations.whose(mac);
        let (has, machine) = match whose {
            Whose::Ours => (false, None),
            Whose::Member(machine) | Whose::Apart(machine) => (claim == Claim::Has, Some(machine)),
            Whose::Stranger => (true, None),
        };
        if asking && has {
            self.end(address);
            self.counters.taken += 1;
            self.taken.push_back((address, mac, machine));
        }
        match whose {
            Whose::Ours => Verdict::Nothing,
            Whose::Member(machine) => {
                self.counters.expected += 1;
                Verdict::Expected { machine }
            }
            Whose::Apart(machine) => {
                self.counters.apart += 1;
                Verdict::Apart { machine }
            }
            Whose::Stranger => {
                let defend = claim == Claim::Has && self.defend(now, address);
                Verdict::Stranger { mac, defend }
            }
        }
    }

    /// The next thing to do now, if any.
    pub fn poll(&mut self, now: Instant) -> Option<Action> {
        if let Some((address, mac, machine)) = self.taken.pop_front() {
            return Some(Action::Taken { address, mac, machine });
        }
        let (_, address) = self.due.first().filter(|(due, _)| *due <= now).copied()?;
        let left = self.end(address)?.left;
        if left == 0 {
            return Some(Action::Free(address));
        }
        let pause = match left {
            1 => self.settings.listen,
            _ => self.pause(),
        };
        self.plan(address, Asking { left: left - 1, due: now + pause });
        Some(Action::Ask(address))
    }

    /// When to poll next.
    pub fn next_timeout(&self) -> Option<Instant> {
        if !self.taken.is_empty() {
            return Some(Instant::ORIGIN);
        }
        self.due.first().map(|(due, _)| *due)
    }

    /// What was heard so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether to defend a held address against a stranger now.
    fn defend(&mut self, now: Instant, address: Address) -> bool {
        let Some(defended) = self.held.get_mut(&address) else { return false };
        self.counters.strangers += 1;
        if defended.is_some_and(|defended| now.since(defended) < self.settings.defend) {
            return false;
        }
        *defended = Some(now);
        self.counters.defended += 1;
        true
    }

    fn pause(&mut self) -> Duration {
        let Settings { least, most, .. } = self.settings;
        least + most.saturating_sub(least).mul_f64(self.random.unit())
    }

    fn plan(&mut self, address: Address, asking: Asking) {
        self.due.insert((asking.due, address));
        self.asking.insert(address, asking);
    }

    fn end(&mut self, address: Address) -> Option<Asking> {
        let asking = self.asking.remove(&address)?;
        self.due.remove(&(asking.due, address));
        Some(asking)
    }
}

#[cfg(test)]
mod tests;
