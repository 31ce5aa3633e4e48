//! Whether who asks for what is here is answered: a setting of the kernel (`arp_ignore`) can keep it from that, and nothing tells when
//! somebody changes it. A machine that does not answer is as good as none for an address that another can have.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base::Instant;
use vip::SetKey;

use super::run::Service;
use crate::kernel::sysctl::{Flux, arp_flux};

/// So often the setting is looked at: it is read without waiting for anything.
const EVERY: Duration = Duration::from_secs(5);

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Answering {
    looked: Option<Instant>,
    /// What was in force, at the interfaces that addresses of version 4 are for, when these were looked at last.
    found: BTreeMap<u32, Flux>,
    /// Interfaces where the kernel answers no question for what is held there: what was said of each, and its name.
    silent: BTreeMap<u32, (String, String)>,
    /// What is to be said of the sets with addresses there.
    pub(super) sets: BTreeMap<SetKey, String>,
}

/// An address of version 4 that is, or could be, on an interface.
pub(super) struct Asked {
    pub(super) key: SetKey,
    pub(super) interface: u32,
    /// Whether it has the scope of a host there.
    pub(super) host: bool,
}

/// For what the kernel does not answer, if that concerns such an address.
fn unanswered(found: Flux, host: bool) -> Option<&'static str> {
    match found {
        Flux::Never => Some("for any address"),
        Flux::NotForHost if host => Some("for a /32 that is no source of connections"),
        Flux::NotForHost | Flux::OwnOnly | Flux::Everywhere => None,
    }
}

fn sentence(name: &str, what: &str) -> String {
    format!(
        "the kernel answers at {name} no question of a neighbour {what}: what is held there cannot be reached, and goes to another machine if one can have it; set net.ipv4.conf.{name}.arp_ignore and net.ipv4.conf.all.arp_ignore to 0 or 1"
    )
}

impl Service {
    /// Interfaces where the kernel answers no question for what is held there: said once, and again when it has changed. Another machine
    /// gets what is held there, and if none can it stays: somebody may have told the neighbours in another way.
    pub(super) fn look_who_answers(&mut self, now: Instant, all: &[Asked]) {
        let used: BTreeSet<u32> = all.iter().map(|one| one.interface).collect();
        let found: BTreeMap<u32, Flux> =
            used.into_iter().filter_map(|index| Some((index, self.flux_at(index)?))).collect();
        let mut silent: BTreeMap<u32, (String, String)> = BTreeMap::new();
        let mut sets = BTreeMap::new();
        for Asked { key, interface, host } in all {
            let what = found.get(interface).and_then(|found| unanswered(*found, *host));
            let (Some(what), Some(link)) = (what, self.places.link(*interface)) else { continue };
            let said = sentence(&link.name, what);
            silent.entry(*interface).or_insert_with(|| (said.clone(), link.name.clone()));
            sets.entry(*key).or_insert(said);
        }
        for (index, (said, _)) in &silent {
            if self.answering.silent.get(index).is_none_or(|(before, _)| before != said) {
                self.alarm(None, said.clone());
            }
        }
        for (index, (_, name)) in std::mem::replace(&mut self.answering.silent, silent) {
            if !self.answering.silent.contains_key(&index) {
                self.note(None, format!("the kernel answers neighbours at {name} again"));
            }
        }
        self.answering.found = found;
        self.vip.handle_hidden(now, sets.keys().copied());
        self.answering.sets = sets;
    }

    /// Looks whether somebody has changed the setting.
    pub(super) fn look_again_who_answers(&mut self, now: Instant) {
        if self.answering.looked.is_some_and(|at| now.since(at) < EVERY) {
            return;
        }
        self.answering.looked = Some(now);
        let before = self.answering.found.iter();
        let mut now_there = before.filter_map(|(index, was)| Some((*was, self.flux_at(*index)?)));
        if now_there.any(|(was, is)| was != is) {
            self.interfaces_changed(now, &BTreeSet::new());
        }
    }

    /// What is in force at an interface where neighbours are asked for. What cannot be read is no reason for an alarm.
    fn flux_at(&self, index: u32) -> Option<Flux> {
        let link = self.places.link(index).filter(|link| link.mac.is_some())?;
        arp_flux(&link.name).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_a_source_or_has_a_network_is_answered_for_where_others_are_not() {
        for host in [false, true] {
            assert!(unanswered(Flux::Never, host).is_some());
            assert_eq!(unanswered(Flux::NotForHost, host).is_some(), host);
            assert_eq!(unanswered(Flux::OwnOnly, host), None);
            assert_eq!(unanswered(Flux::Everywhere, host), None);
        }
    }
}
