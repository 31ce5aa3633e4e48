//! Hosts and routers with neighbour caches: whom they take to have which address, and whether he answers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use base::{Instant, Random};

/// A client at the port of a machine.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// It hears what this machine's wires carry, and is heard so.
    pub(super) at: usize,
    cache: BTreeMap<IpAddr, Neighbour>,
    /// How long it goes on with an entry that does not answer.
    patience: Duration,
    /// Which address is probed next.
    pub(super) turn: usize,
    /// Probes that were answered, and that were not.
    pub(super) answered: u64,
    pub(super) lost: u64,
}

/// An entry of the cache.
#[derive(Clone, Copy, Debug)]
struct Neighbour {
    machine: usize,
    /// Since when it does not answer.
    silent: Option<Instant>,
}

impl Client {
    pub(super) fn new(at: usize, dice: &mut Random) -> Self {
        // Linux: an entry is taken as good for 15 to 45 s and then asked for 3 s and more, but traffic that is not answered
        // shortens that.
        let patience = Duration::from_millis(5_000 + u64::from(dice.below(20_000)));
        Self { at, cache: BTreeMap::new(), patience, turn: 0, answered: 0, lost: 0 }
    }

    /// Whom it takes to have the address.
    pub(super) fn knows(&self, address: IpAddr) -> Option<usize> {
        self.cache.get(&address).map(|entry| entry.machine)
    }

    /// It learns where the address is.
    pub(super) fn learn(&mut self, address: IpAddr, machine: usize) {
        let silent = self.cache.get(&address).filter(|old| old.machine == machine);
        let silent = silent.and_then(|old| old.silent);
        self.cache.insert(address, Neighbour { machine, silent });
    }

    /// It hears where an address is. Hosts change an entry that they have by that, and make none.
    pub(super) fn is_told(&mut self, address: IpAddr, machine: usize) {
        if self.cache.contains_key(&address) {
            self.learn(address, machine);
        }
    }

    /// What came of a packet to the address.
    pub(super) fn probed(&mut self, now: Instant, address: IpAddr, answered: bool) {
        if answered {
            self.answered += 1;
        } else {
            self.lost += 1;
        }
        if let Some(entry) = self.cache.get_mut(&address) {
            entry.silent = if answered { None } else { entry.silent.or(Some(now)) };
            if entry.silent.is_some_and(|since| now.since(since) > self.patience) {
                self.cache.remove(&address);
            }
        }
    }
}
