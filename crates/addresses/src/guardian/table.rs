//! What the parent holds, and what is to be run when it is taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::word::Program;
use crate::kernel::Address;

/// Addresses that are remembered when they were let go.
const MAX_EVER: usize = 16_384;

#[derive(Debug, Default)]
pub(super) struct Table {
    sets: BTreeMap<String, Set>,
    /// Of all that it was ever told, for [`Table::had`].
    ever: BTreeSet<IpAddr>,
}

#[derive(Debug)]
struct Set {
    addresses: Vec<Address>,
    /// Empty once they were run.
    programs: Vec<Program>,
}

impl Table {
    pub(super) fn hold(&mut self, set: String, addresses: Vec<Address>, programs: Vec<Program>) {
        for address in &addresses {
            if self.ever.len() < MAX_EVER {
                self.ever.insert(address.ip);
            }
        }
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

    /// Takes out all but these: the addresses that are in none of these, and the programs of each set that has nothing left here. One
    /// with an address that stays goes on in another form, as after a change of the configuration, and what it has started goes on too.
    pub(super) fn take_all_but(
        &mut self,
        sets: &[String],
    ) -> (Vec<Address>, Vec<(String, Vec<Program>)>) {
        let kept: BTreeSet<&String> = sets.iter().collect();
        let all = std::mem::take(&mut self.sets);
        let (stay, go): (BTreeMap<String, Set>, BTreeMap<String, Set>) =
            all.into_iter().partition(|(set, _)| kept.contains(set));
        self.sets = stay;
        let ips = self.ips();
        let (mut addresses, mut programs) = (Vec::new(), Vec::new());
        for (name, set) in go {
            let (stay, off): (Vec<Address>, Vec<Address>) =
                set.addresses.into_iter().partition(|address| ips.contains(&address.ip));
            if stay.is_empty() && !set.programs.is_empty() {
                programs.push((name, set.programs));
            }
            addresses.extend(off);
        }
        (addresses, programs)
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

    /// Whether the parent may have put this address on an interface, now or earlier: what was let go may be there still, when it could
    /// not be deleted or a renewal that was on its way has put it back. What the parent never had is another program's of this machine,
    /// which has the same mark.
    pub(super) fn had(&self, ip: &IpAddr) -> bool {
        self.ever.len() >= MAX_EVER || self.ever.contains(ip)
    }

    /// The programs of each set that has any, in their order, each only once.
    pub(super) fn take_programs(&mut self) -> Vec<(String, Vec<Program>)> {
        let some = self.sets.iter_mut().filter(|(_, set)| !set.programs.is_empty());
        some.map(|(name, set)| (name.clone(), std::mem::take(&mut set.programs))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> Address {
        let ip = std::net::Ipv4Addr::from(0x0a00_0000 | number).into();
        Address { ip, prefix: 32, interface: 7 }
    }

    #[test]
    fn what_was_let_go_may_be_there_and_what_the_parent_never_had_is_another_s() {
        let mut table = Table::default();
        table.hold("a".into(), vec![address(1)], Vec::new());
        table.hold("b".into(), vec![address(2)], Vec::new());
        table.hold("c".into(), vec![address(3)], Vec::new());
        table.let_go("a");
        table.only(&["c".into()]);
        table.clear();
        assert!(table.is_empty() && table.ips().is_empty());
        for number in 1..=3 {
            assert!(table.had(&address(number).ip), "{number}");
        }
        assert!(!table.had(&address(4).ip));
    }

    #[test]
    fn of_more_than_can_be_remembered_nothing_is_another_s() {
        let mut table = Table::default();
        for number in 0..40_000 {
            table.hold("a".into(), vec![address(number)], Vec::new());
        }
        assert_eq!(table.ever.len(), MAX_EVER);
        assert!(table.had(&address(39_999).ip) && table.had(&address(50_000).ip));
    }

    fn program(name: &str) -> Program {
        Program { command: vec![name.into()], ..Program::default() }
    }

    #[test]
    fn what_goes_on_in_another_form_is_not_stopped_and_the_rest_is() {
        let mut table = Table::default();
        table.hold("stays".into(), vec![address(1), address(2)], vec![program("stays")]);
        table.hold("other form".into(), vec![address(2), address(3)], vec![program("form")]);
        table.hold("goes".into(), vec![address(4)], vec![program("first"), program("second")]);
        // An address that no kernel has: only its programs say who has it.
        table.hold("call".into(), Vec::new(), vec![program("call")]);
        table.hold("was stopped".into(), vec![address(5)], Vec::new());
        let (addresses, programs) = table.take_all_but(&["stays".into(), "nobody's".into()]);
        assert_eq!(addresses, [address(4), address(3), address(5)]);
        assert_eq!(
            programs,
            [
                ("call".to_owned(), vec![program("call")]),
                ("goes".to_owned(), vec![program("first"), program("second")])
            ]
        );
        assert_eq!(table.addresses(), [address(1), address(2)]);
        assert_eq!(table.take_programs(), [("stays".to_owned(), vec![program("stays")])]);
    }

    #[test]
    fn programs_are_taken_by_sets_and_once() {
        let mut table = Table::default();
        table.hold("b".into(), vec![address(1)], vec![program("first"), program("second")]);
        table.hold("a".into(), vec![address(2)], Vec::new());
        assert_eq!(
            table.take_programs(),
            [("b".to_owned(), vec![program("first"), program("second")])]
        );
        assert!(table.take_programs().is_empty());
    }
}
