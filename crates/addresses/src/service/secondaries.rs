//! The setting of the kernel that addresses with a shorter prefix than /32 need: somebody may take it back while they are here.

use std::collections::BTreeSet;
use std::time::Duration;

use base::Instant;

use super::run::Service;
use crate::kernel::{Address, Link, sysctl};

/// So often it is looked at, at most: with renewals, of which there are several in a lease.
const EVERY: Duration = Duration::from_secs(5);

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Secondaries {
    looked: Option<Instant>,
    /// Interfaces where it could not be set again, which was said.
    off: BTreeSet<u32>,
}

impl Service {
    /// Where an address that runs out would take others of its network along, it is set again. Where that cannot be done the
    /// address stays all the same: to take it off would do just what is feared.
    pub(super) fn look_at_secondaries(&mut self, now: Instant) {
        if self.secondaries.looked.is_some_and(|at| now.since(at) < EVERY) {
            return;
        }
        self.secondaries.looked = Some(now);
        let needs = |address: &&Address| address.ip.is_ipv4() && !address.is_single();
        let all = self.holdings.sets.values().flat_map(|holding| &holding.placed);
        let used: BTreeSet<u32> =
            all.map(|placed| &placed.address).filter(needs).map(|one| one.interface).collect();
        self.secondaries.off.retain(|index| used.contains(index));
        for index in used {
            // One that is gone has no settings, and no addresses for long.
            let Some(name) = self.places.link(index).map(|Link { name, .. }| name.clone()) else {
                continue;
            };
            match sysctl::promote_secondaries(&name) {
                Ok(set) => {
                    self.secondaries.off.remove(&index);
                    if set {
                        self.alarm(None, format!("somebody has set net.ipv4.conf.{name}.promote_secondaries to 0; it is 1 again, since an address here that goes would take others of its network along"));
                    }
                }
                Err(error) => {
                    if self.secondaries.off.insert(index) {
                        self.alarm(None, format!("an address at {name} that goes takes others of its network along: {error}"));
                    }
                }
            }
        }
    }
}
