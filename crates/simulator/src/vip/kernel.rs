//! The kernel of a machine, as far as it is about addresses: they are there for a lease, and go late.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use base::{Instant, Random};
use vip::settings::EXPIRY_LATE;

/// An address on an interface.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// When the kernel really takes it away.
    dies: Instant,
    /// It was put there or renewed by a batch that has not been found good yet: until when it would be there without that.
    unproven: Option<Instant>,
}

/// Addresses with `valid_lft`. It goes on whatever stops on the machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Kernel {
    entries: BTreeMap<IpAddr, Entry>,
}

impl Kernel {
    /// Adds or renews; one that has run out is made again. The batch is not proven yet.
    pub(super) fn put(
        &mut self,
        now: Instant,
        addresses: &[IpAddr],
        valid: Duration,
        dice: &mut Random,
    ) {
        for address in addresses {
            let before = self.entries.get(address).filter(|entry| entry.dies > now);
            let without = before.map_or(now, |entry| entry.unproven.unwrap_or(entry.dies));
            let dies = now + valid + EXPIRY_LATE.mul_f64(dice.unit());
            self.entries.insert(*address, Entry { dies, unproven: Some(without) });
        }
    }

    /// What was put there is there by right.
    pub(super) fn prove(&mut self, addresses: &[IpAddr]) {
        for address in addresses {
            if let Some(entry) = self.entries.get_mut(address) {
                entry.unproven = None;
            }
        }
    }

    pub(super) fn remove(&mut self, address: IpAddr) {
        self.entries.remove(&address);
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Takes away what has run out; when the next does.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Instant> {
        self.entries.retain(|_, entry| entry.dies > now);
        self.entries.values().map(|entry| entry.dies).min()
    }

    pub(super) fn holds(&self, address: IpAddr) -> bool {
        self.entries.contains_key(&address)
    }

    /// Whether it holds it by more than a batch in flight.
    pub(super) fn holds_by_right(&self, now: Instant, address: IpAddr) -> bool {
        let entry = self.entries.get(&address);
        entry.is_some_and(|entry| entry.unproven.is_none_or(|until| until > now))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.entries.keys().copied()
    }
}
