//! Whose Ethernet address is it: ours, a member's, that of a machine we know but do not see now, or a stranger's.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use base::MachineId;

use crate::neighbours::Mac;

/// The most Ethernet addresses of machines outside of our view that are remembered: years of replaced interfaces. The oldest go.
const APART_MAX: usize = 4096;

/// Whose an Ethernet address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// One of this machine's interfaces.
    Ours,
    /// A member of our view.
    Member(MachineId),
    /// A machine that was once a member and is not in our view.
    Apart(MachineId),
    /// Nobody we ever knew.
    Stranger,
}

/// All Ethernet addresses that the bus ever told of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stations {
    ours: Vec<Mac>,
    members: BTreeMap<Mac, MachineId>,
    apart: BTreeMap<Mac, MachineId>,
    /// Those apart in the order in which they went.
    gone: VecDeque<Mac>,
}

impl Stations {
    pub(crate) fn set_ours(&mut self, ours: impl IntoIterator<Item = Mac>) {
        self.ours = ours.into_iter().collect();
    }

    pub(crate) fn set_members(&mut self, members: impl IntoIterator<Item = (MachineId, Mac)>) {
        let members = members.into_iter().filter(|(_, mac)| mac.is_station());
        let before =
            core::mem::replace(&mut self.members, members.map(|(id, mac)| (mac, id)).collect());
        for mac in self.members.keys() {
            if self.apart.remove(mac).is_some() {
                self.gone.retain(|gone| gone != mac);
            }
        }
        for (mac, machine) in before {
            if !self.members.contains_key(&mac) && self.apart.insert(mac, machine).is_none() {
                self.gone.push_back(mac);
            }
        }
        while self.gone.len() > APART_MAX {
            if let Some(mac) = self.gone.pop_front() {
                self.apart.remove(&mac);
            }
        }
    }

    pub(crate) fn whose(&self, mac: Mac) -> Whose {
        if self.ours.contains(&mac) {
            return Whose::Ours;
        }
        let member = self.members.get(&mac).map(|machine| Whose::Member(*machine));
        let apart = || self.apart.get(&mac).map(|machine| Whose::Apart(*machine));
        member.or_else(apart).unwrap_or(Whose::Stranger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(n: u16) -> Mac {
        let [a, b] = n.to_be_bytes();
        Mac([2, 0, 0, 0, a, b])
    }

    fn machine(n: u8) -> MachineId {
        MachineId([n; 16])
    }

    #[test]
    fn who_leaves_the_view_is_apart_until_it_returns() {
        let mut stations = Stations::default();
        stations.set_ours([mac(1)]);
        stations.set_members([(machine(1), mac(1)), (machine(2), mac(2)), (machine(2), mac(3))]);
        assert_eq!(stations.whose(mac(1)), Whose::Ours);
        assert_eq!(stations.whose(mac(3)), Whose::Member(machine(2)));
        assert_eq!(stations.whose(mac(4)), Whose::Stranger);
        stations.set_members([(machine(1), mac(1))]);
        assert_eq!(stations.whose(mac(2)), Whose::Apart(machine(2)));
        stations.set_members([(machine(1), mac(1)), (machine(2), mac(2))]);
        assert_eq!(stations.whose(mac(2)), Whose::Member(machine(2)));
        assert_eq!(stations.whose(mac(3)), Whose::Apart(machine(2)));
        assert_eq!(stations.gone, [mac(3)]);
    }

    #[test]
    fn an_ethernet_address_that_no_station_can_have_makes_nobody_a_member() {
        let mut stations = Stations::default();
        stations.set_members([(machine(2), Mac::ZERO), (machine(2), Mac::BROADCAST)]);
        assert_eq!(stations.whose(Mac::ZERO), Whose::Stranger);
    }

    #[test]
    fn of_those_apart_the_oldest_are_forgotten() {
        let mut stations = Stations::default();
        for n in 0..5000 {
            stations.set_members([(machine(2), mac(n))]);
        }
        assert_eq!(stations.apart.len(), APART_MAX);
        assert_eq!(stations.gone.len(), APART_MAX);
        assert_eq!(stations.whose(mac(0)), Whose::Stranger);
        assert_eq!(stations.whose(mac(4998)), Whose::Apart(machine(2)));
    }
}
