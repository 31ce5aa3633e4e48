//! What the parent holds, and what is to be run when it is taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::word::Program;
use crate::kernel::Address;

#[derive(Debug, Default)]
pub(super) struct Table {
    sets: BTreeMap<String, Set>,
}

#[derive(Debug)]
struct Set {
    addresses: Vec<Address>,
    /// Empty once they were run.
    programs: Vec<Program>,
}

impl Table {
    pub(super) fn hold(&mut self, set: String, addresses: Vec<Address>, programs: Vec<Program>) {
        self.sets.insert(set, Set { addresses, programs });
    }

    pub(super) fn let_go(&mut self, set: &str) {
        self.sets.remove(set);
    }

    pub(super) fn only(&mut self, sets: &[String]) {
        let sets: BTreeSet<&String> = sets.iter().collect();
        self.sets.retain(|set, _| sets.contains(set));
    }

    pub(super) fn clear(&mut self) {
        self.sets.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    pub(super) fn addresses(&self) -> Vec<Address> {
        self.sets.values().flat_map(|set| &set.addresses).copied().collect()
    }

    pub(super) fn ips(&self) -> BTreeSet<IpAddr> {
        self.sets.values().flat_map(|set| &set.addresses).map(|address| address.ip).collect()
    }

    pub(super) fn has(&self, address: &Address) -> bool {
        self.sets.values().any(|set| set.addresses.contains(address))
    }

    /// The programs, each only once.
    pub(super) fn take_programs(&mut self) -> Vec<Program> {
        self.sets.values_mut().flat_map(|set| std::mem::take(&mut set.programs)).collect()
    }
}
