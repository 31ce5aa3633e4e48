//! The shared neighbour cache: whom to tell when an address moves.
//!
//! The new owner of an address never spoke with most of the hosts that used the old one; the other members did. So each member
//! samples its kernel's table of neighbours (ARP and IPv6), multicasts what changed, and keeps the sum of what all have said. An
//! announcement can then be directed at each of these hosts (`notify = ["neighbours"]`, historically `Notify arp-cache`).
//!
//! Rules:
//! - The newest word wins, by the age that the teller gives: a member that repeats what it saw ten minutes ago does not overrule one
//!   that saw another Ethernet address a minute ago.
//! - Everything ages: what nobody repeated for [`Settings::age`] is forgotten. A sampler repeats what it still sees every half
//!   of that. (The original never forgot, and shared its table once.)
//! - No clocks are compared: ages travel, moments do not.
//! - Bounded by [`ENTRIES_MAX`], the oldest go first.
//!
//! Not here: reading the kernel's table, and the bus.

mod codec;
mod mac;
mod network;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::Bound;
use core::time::Duration;

use base::Instant;

pub use codec::{BATCH, DecodeError, Told, decode, encode, is_tellable};
pub use mac::{Mac, MacError};
pub use network::Network;

/// The most neighbours that are kept, of all members together and of this machine's own.
///
/// A /16 full of hosts: 5 MB. The announcer would need 13 s per address to tell them all.
pub const ENTRIES_MAX: usize = 65_536;
/// Age at which a neighbour is forgotten unless configured. Most hosts forget one in minutes, Cisco's routers in four hours, but those
/// answer now and then and so are seen again.
pub const AGE: Duration = Duration::from_secs(20 * 60);

/// What all members know of hosts on their networks, and what this one has yet to tell.
///
/// Feed [`sampled`](Self::sampled) and [`received`](Self::received); drain [`poll_batch`](Self::poll_batch) after a sample and after
/// [`tell_all`](Self::tell_all).
#[derive(Debug)]
pub struct Neighbours {
    age: Duration,
    known: BTreeMap<IpAddr, Known>,
    /// The same by the moment they are forgotten.
    by_end: BTreeSet<(Instant, IpAddr)>,
    own: BTreeMap<IpAddr, Own>,
    to_tell: BTreeSet<IpAddr>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    mac: Mac,
    end: Instant,
}

/// What this machine's kernel had in the last sample.
#[derive(Clone, Copy, Debug)]
struct Own {
    mac: Mac,
    seen: Instant,
    told: Option<Instant>,
}

impl Neighbours {
    /// Knows nobody; forgets what was not repeated for `age` (at least a second; [`AGE`] unless configured).
    pub fn new(age: Duration) -> Self {
        Self {
            age: age.max(Duration::from_secs(1)),
            known: BTreeMap::new(),
            by_end: BTreeSet::new(),
            own: BTreeMap::new(),
            to_tell: BTreeSet::new(),
        }
    }

    /// Takes the whole table of this machine's kernel, and decides what of it the others have to be told: what is new, what has another
    /// Ethernet address, and what was last told half an age ago.
    ///
    /// What cannot be told (see [`is_tellable`]) and what exceeds [`ENTRIES_MAX`] is skipped.
    pub fn sampled(&mut self, now: Instant, table: impl IntoIterator<Item = (IpAddr, Mac)>) {
        let before = core::mem::take(&mut self.own);
        for (ip, mac) in table {
            if self.own.len() == ENTRIES_MAX {
                break;
            }
            if !is_tellable(ip, mac) {
                continue;
            }
            let same = before.get(&ip).filter(|own| own.mac == mac);
            let told = same.and_then(|own| own.told);
            if told.is_none_or(|told| now.since(told) >= self.age / 2) {
                self.to_tell.insert(ip);
            }
            self.own.insert(ip, Own { mac, seen: now, told });
            self.learn(ip, mac, now + self.age);
        }
        // What left the table before it was told is nobody's news.
        self.to_tell.retain(|ip| self.own.contains_key(ip));
        self.forget(now);
    }

    /// Makes everything of the last sample news again: somebody joined who has not heard it.
    pub fn tell_all(&mut self) {
        self.to_tell.extend(self.own.keys());
    }

    /// The next batch to be multicast: at most [`BATCH`] neighbours, encoded.
    pub fn poll_batch(&mut self, now: Instant) -> Option<Vec<u8>> {
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            let Some(ip) = self.to_tell.pop_first() else { break };
            if let Some(own) = self.own.get_mut(&ip) {
                own.told = Some(now);
                let age = u16::try_from(now.since(own.seen).as_secs()).unwrap_or(u16::MAX);
                batch.push(Told { ip, mac: own.mac, age });
            }
        }
        if batch.is_empty() {
            return None;
        }
        let mut bytes = Vec::new();
        encode(&batch, &mut bytes);
        Some(bytes)
    }

    /// Takes what a member multicast (this one's own words as well, which change nothing). Returns how many it told of.
    ///
    /// An error leaves everything as it was.
    pub fn received(&mut self, now: Instant, bytes: &[u8]) -> Result<usize, DecodeError> {
        let batch = decode(bytes)?;
        for told in &batch {
            let left = self.age.saturating_sub(Duration::from_secs(told.age.into()));
            if !left.is_zero() {
                self.learn(told.ip, told.mac, now + left);
            }
        }
        self.forget(now);
        Ok(batch.len())
    }

    /// Forgets what has aged. Returns how many were forgotten.
    pub fn forget(&mut self, now: Instant) -> usize {
        let before = self.known.len();
        while self.by_end.first().is_some_and(|(end, _)| *end <= now) {
            self.drop_oldest();
        }
        before - self.known.len()
    }

    /// When the next neighbour is to be forgotten.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.by_end.first().map(|(end, _)| *end)
    }

    /// The Ethernet address of a host.
    pub fn mac(&self, ip: IpAddr) -> Option<Mac> {
        self.known.get(&ip).map(|known| known.mac)
    }

    /// All hosts known on a network, in the order of their addresses.
    pub fn within(&self, network: Network) -> impl Iterator<Item = (IpAddr, Mac)> {
        self.known.range(network.first()..=network.last()).map(|(ip, known)| (*ip, known.mac))
    }

    /// The next host known on a network after the address `after`, so that a walk can stop and go on while the cache changes.
    pub fn next_within(&self, network: Network, after: Option<IpAddr>) -> Option<(IpAddr, Mac)> {
        let begin = match after.filter(|after| *after >= network.first()) {
            // A range whose excluded begin is its end is empty, but one whose begin is behind its end would panic.
            Some(after) if after >= network.last() => return None,
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(network.first()),
        };
        let mut range = self.known.range((begin, Bound::Included(network.last())));
        range.next().map(|(ip, known)| (*ip, known.mac))
    }

    /// How many hosts are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn learn(&mut self, ip: IpAddr, mac: Mac, end: Instant) {
        if let Some(known) = self.known.get_mut(&ip) {
            // Of two words of one age the later counts: the bus delivers to all members in one order.
            if known.end > end {
                return;
            }
            self.by_end.remove(&(known.end, ip));
            *known = Known { mac, end };
        } else {
            self.known.insert(ip, Known { mac, end });
        }
        self.by_end.insert((end, ip));
        if self.known.len() > ENTRIES_MAX {
            self.drop_oldest();
        }
        debug_assert_eq!(self.known.len(), self.by_end.len());
    }

    fn drop_oldest(&mut self) {
        if let Some((_, ip)) = self.by_end.pop_first() {
            self.known.remove(&ip);
        }
    }
}

#[cfg(test)]
mod tests;
