//! Machines whose files differ in what is under quorum, or in who counts for it, or that have one name: what is told of that.
//!
//! Together a set is under quorum while any of them says so. Apart each goes by its own file: one that lacks the word may hold a set
//! beside a majority that claims it. Nothing here can mend that, since nobody can tell a machine that was told otherwise from one that
//! is out of date; so it is told to whoever can, as soon as they meet.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::quorum;
use crate::table::Member;
use crate::vip::{Event, Vip};

impl Vip {
    /// Tells of differences between the members of the view, each once until they agree.
    pub(crate) fn tell_differences(&mut self) {
        self.tell_quorum();
        self.tell_lists();
        self.tell_doubled();
    }

    fn tell_quorum(&mut self) {
        for row in &self.table.rows {
            let key = row.set.key();
            let listing = || {
                let members = self.members.iter().zip(&row.may);
                members.filter(|(member, may)| may.listed && member.speaks().is_some())
            };
            let differ =
                listing().any(|(_, may)| may.quorum) && listing().any(|(_, may)| !may.quorum);
            if !differ {
                // Who is out of reach may still differ.
                let here =
                    |name: &String| self.members.iter().any(|one| one.shown() == name.as_str());
                let told = self.memory.differing.get(&key);
                if told.is_some_and(|(under, not)| under.iter().chain(not).all(here)) {
                    self.memory.differing.remove(&key);
                }
                continue;
            }
            let names = |quorum: bool| -> Vec<String> {
                let some = listing().filter(|(_, may)| may.quorum == quorum);
                some.map(|(member, _)| member.shown().to_string()).collect()
            };
            let story = (names(true), names(false));
            if self.memory.differing.get(&key) == Some(&story) {
                continue;
            }
            let (under, not) = story.clone();
            self.events.push_back(Event::QuorumDiffers { head: row.set.head(), under, not });
            self.memory.differing.insert(key, story);
        }
        let table = &self.table;
        self.memory.differing.retain(|key, _| table.row(*key).is_some());
    }

    /// The same for the lists of those that count.
    fn tell_lists(&mut self) {
        let mut lists: BTreeMap<BTreeMap<String, u16>, Vec<String>> = BTreeMap::new();
        let peers = self.members.iter().filter_map(Member::speaks);
        for peer in peers.filter(|peer| !peer.quorum.is_empty()) {
            // Who remembers two machines of one name has no other file for that.
            lists.entry(quorum::written(&peer.quorum)).or_default().push(peer.machine.clone());
        }
        let differ = lists.len() > 1;
        if differ && !self.memory.lists_differ {
            self.events.push_back(Event::ListsDiffer { machines: lists.into_values().collect() });
        }
        self.memory.lists_differ = differ;
    }

    /// Names that count for nobody, because two machines have had them.
    pub(crate) fn tell_doubled(&mut self) {
        for machine in self.uncounted() {
            if self.memory.doubled_told.insert(machine.clone()) {
                self.events.push_back(Event::Doubled { machine });
            }
        }
    }
}
