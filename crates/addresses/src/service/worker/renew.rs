//! The leases of what is held here are renewed, as long as the bus is fresh before and after.

use std::time::Duration;

use vip::lease::{Todo, Worth};

use super::super::clock;
use super::{Done, Worker};
use crate::kernel::{self, Address, batches};

/// What may stay of what was renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stays {
    All,
    /// All but what is under quorum.
    WithoutQuorum,
    Nothing,
}

/// Judges a part of the renewals. `covers` says that the word it was begun on is not too old even now, `majority` whether there
/// still is one.
///
/// A majority that is not known at the moment is no reason by itself: it is not known in each view until all have spoken. What was
/// renewed on a word that is still young runs out before anybody else may claim it, and what is not to be held any more the core
/// takes off. Only what rests on a newer word of the bus, in the view of which there may be no majority, goes.
fn stays(worth: Worth, covers: bool, majority: bool) -> Stays {
    match worth {
        Worth::Gap => Stays::Nothing,
        Worth::Good if covers || majority => Stays::All,
        Worth::Good => Stays::WithoutQuorum,
    }
}

impl Worker {
    /// Whether a part is to be renewed now.
    pub(super) fn renews(&mut self) -> bool {
        if !self.renewing.is_empty() {
            return true;
        }
        if self.held.is_empty() {
            return false;
        }
        let (basis, _, bus) = self.shared.read();
        let now = clock::now();
        if self.lease.poll(now, basis, bus) == Todo::Nothing {
            return false;
        }
        self.round = Some(now);
        self.renewed = 0;
        let all: Vec<Address> = self.held.keys().copied().collect();
        self.renewing = batches(&all).collect();
        !self.renewing.is_empty()
    }

    /// Renews one part, with the bus asked before and after.
    pub(super) fn renew(&mut self) {
        let Some(mut part) = self.renewing.pop_front() else { return };
        part.retain(|address| self.held.contains_key(address));
        let (basis, quorum, bus) = self.shared.read();
        let (begun, word) = (clock::now(), bus.since);
        if !self.lease.allows(begun, basis, bus) {
            // It grew old in the middle of the round: the rest comes with the next one.
            self.renewing.clear();
            self.round = None;
            return;
        }
        self.lease.begin(word);
        if !quorum {
            part.retain(|address| self.held.get(address).is_some_and(|terms| !terms.quorum));
        }
        let mut refused = Vec::new();
        for source in [false, true] {
            let some: Vec<Address> = part
                .iter()
                .filter(|address| {
                    self.held.get(address).is_some_and(|terms| terms.source == source)
                })
                .copied()
                .collect();
            if some.is_empty() {
                continue;
            }
            match self.kernel.add(&some, kernel::Lease { seconds: self.seconds, source }) {
                Ok(results) => {
                    let wrong = some.into_iter().zip(results);
                    refused.extend(wrong.filter_map(|(address, result)| {
                        Some((address, result.err()?.to_string()))
                    }));
                }
                Err(error) => {
                    refused.extend(some.into_iter().map(|address| (address, error.to_string())))
                }
            }
        }
        let (basis, majority, bus) = self.shared.read();
        let after = clock::now();
        let worth = self.lease.renewed(begun, after, basis, bus);
        match stays(worth, self.lease.covers(after, word), majority) {
            Stays::All => {}
            Stays::WithoutQuorum => {
                let under =
                    |address: &Address| self.held.get(address).is_some_and(|terms| terms.quorum);
                let (off, rest): (Vec<Address>, Vec<Address>) = part.into_iter().partition(under);
                part = rest;
                if !off.is_empty() {
                    self.forfeit(&off);
                    self.tell(Done::Doubt(off));
                }
            }
            Stays::Nothing => {
                self.renewing.clear();
                self.round = None;
                let all: Vec<Address> = self.held.keys().copied().collect();
                self.forfeit(&all);
                self.tell(Done::Gap(all));
                return;
            }
        }
        self.renewed += part.len();
        if !refused.is_empty() {
            self.tell(Done::NotRenewed(refused));
        }
        if self.renewing.is_empty() {
            let took = self.round.take().map_or(Duration::ZERO, |round| after.since(round));
            self.tell(Done::Renewed { count: self.renewed, took });
            let (missed, late) = self.lease.counters();
            self.tell(Done::Counters { missed, late });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_that_changes_during_a_renewal_throws_nothing_away() {
        // While its members are being heard there is no majority to be known of.
        assert_eq!(stays(Worth::Good, true, false), Stays::All);
        assert_eq!(stays(Worth::Good, true, true), Stays::All);
        assert_eq!(stays(Worth::Good, false, true), Stays::All);
        // The word it was begun on is too old, and what is fresh may be the word of a minority.
        assert_eq!(stays(Worth::Good, false, false), Stays::WithoutQuorum);
        for (covers, majority) in [(false, false), (false, true), (true, true)] {
            assert_eq!(stays(Worth::Gap, covers, majority), Stays::Nothing);
        }
    }
}
