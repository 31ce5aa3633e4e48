//! Going on with what the image of this program before had: an upgrade of a machine that nobody could take anything from.
//!
//! Such a machine keeps its addresses while it executes its next image. Their leases are made long enough for that, the guardian
//! minds no silence for as long (the death of the process it does), and a record says until when and in which boot of the machine that holds. Whoever comes too late
//! finds nothing to adopt and begins like after any start.

use std::collections::{BTreeMap, BTreeSet};

use vip::{Set, SetKey};

use super::clock;
use super::holding::{Holding, Placed, State};
use super::places::{Place, Places};
use super::setup::core_set;
use super::worker::{Terms, Worker};
use crate::config;
use crate::guardian::Guardian;
use crate::kernel;

/// The record of the image before, if it holds.
pub(super) struct Record {
    /// Its guardian.
    pub(super) guardian: Option<Guardian>,
}

/// Reads a record; one of another boot, or whose time is over, is none.
pub(super) fn read(words: &str) -> Option<Record> {
    let mut words = words.splitn(3, ' ');
    let (boot, until, heir) = (words.next()?, words.next()?.parse::<u64>().ok()?, words.next()?);
    let guardian = Guardian::adopt(heir).ok();
    if boot != clock::boot_id() || boot.is_empty() || until < clock::now().as_nanos() {
        tracing::warn!("the addresses that were handed over are too old: they are taken off");
        if let Some(guardian) = guardian {
            // It would take off what this image has by then.
            guardian.kill();
        }
        return None;
    }
    Some(Record { guardian })
}

/// The sets that are completely there, as they are held from now on.
pub(super) fn adopt(
    worker: &mut Worker,
    sets: &BTreeMap<SetKey, config::Set>,
    places: &Places,
    managed: &BTreeSet<std::net::IpAddr>,
) -> Result<Vec<(Set, Holding)>, kernel::Error> {
    let there = worker.ours()?;
    let mut adopted = Vec::new();
    for set in sets.values() {
        let place = |address: &config::Address| match places.of(address, managed) {
            Place::On(interface) => {
                let on = kernel::Address { ip: address.ip, prefix: address.prefix, interface };
                let terms = Terms { source: address.source, quorum: set.quorum };
                there.contains(&on).then_some(Placed { address: on, net: address.net, terms })
            }
            Place::NotNow(_) => None,
        };
        // Under quorum nothing is held on the strength of what was decided before.
        let placed: Option<Vec<Placed>> = set.addresses.iter().map(place).collect();
        let (Some(placed), Some(core), true, false) =
            (placed, core_set(set), set.kernel, set.quorum)
        else {
            continue;
        };
        placed.iter().for_each(|one| worker.adopt(one.address, one.terms));
        let holding = Holding {
            set: set.clone(),
            placed,
            state: State::Up,
            reason: vip::Reason::Held,
            contested: None,
            since: clock::now(),
            put_back: 0,
        };
        adopted.push((core, holding));
    }
    Ok(adopted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_another_boot_or_too_old_is_none() {
        let boot = clock::boot_id();
        let now = clock::now().as_nanos();
        assert!(read(&format!("{boot} {} ", now + 60_000_000_000)).is_some());
        for words in [
            String::new(),
            "x".into(),
            format!("{boot} {} ", now - 1),
            format!("other {} ", now + 60_000_000_000),
            format!(" {} ", now + 60_000_000_000),
            format!("{boot} soon "),
        ] {
            assert!(read(&words).is_none(), "{words}");
        }
    }
}
