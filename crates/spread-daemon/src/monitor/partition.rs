//! Artificial partitions: daemons of different components are deaf to each other.

use std::collections::BTreeMap;
use std::time::Duration;

use base::{Boot, Instant};
use ring::DaemonName;

/// How long a partition lasts without being said again.
pub(super) const LASTS: Duration = Duration::from_secs(60);
/// Lives of daemons that are remembered while a partition lasts.
const BOOTS_MAX: usize = 1024;

/// A partition in force.
#[derive(Debug)]
pub(super) struct Partition {
    mine: i16,
    components: BTreeMap<u32, i16>,
    pub(super) until: Instant,
    /// Whose lives these are: the ring forgets whom it does not hear, but the end of a partition must reach them.
    boots: BTreeMap<Boot, DaemonName>,
}

impl Partition {
    pub(super) fn new(now: Instant, me: &DaemonName, components: Vec<(u32, i16)>) -> Self {
        let components: BTreeMap<u32, i16> = components.into_iter().collect();
        let mine = component(&components, me);
        Self { mine, components, until: now + LASTS, boots: BTreeMap::new() }
    }

    /// Whether this daemon is to end.
    pub(super) fn ends_this(&self) -> bool {
        self.mine < 0
    }

    /// Remembers that a daemon has this life.
    pub(super) fn meet(&mut self, boot: Boot, name: DaemonName) {
        if self.boots.len() < BOOTS_MAX {
            self.boots.insert(boot, name);
        }
    }

    /// What an earlier partition remembered.
    pub(super) fn inherit(&mut self, earlier: Self) {
        for (boot, name) in earlier.boots {
            self.meet(boot, name);
        }
    }

    pub(super) fn met(&self) -> impl Iterator<Item = (&Boot, &DaemonName)> {
        self.boots.iter()
    }

    pub(super) fn name(&self, boot: &Boot) -> Option<DaemonName> {
        self.boots.get(boot).copied()
    }

    /// Whether what `name` says is not to be heard.
    pub(super) fn separates(&self, name: &DaemonName) -> bool {
        component(&self.components, name) != self.mine
    }
}

/// Whoever is not named is in component 0.
fn component(components: &BTreeMap<u32, i16>, name: &DaemonName) -> i16 {
    components.get(&name.virtual_id()).copied().unwrap_or(0)
}
