//! Which daemons the table of groups speaks of: those of the last completed view, less those lost since.
//!
//! The daemons that are not lost are the *synced set*: they have seen the same events, so their tables are equal. When a
//! view brings several synced sets together, each tells its table to the others (`exchange`).

use alloc::vec;
use alloc::vec::Vec;

use ring::{Daemon, View, VirtualIds};

use crate::group::{GroupId, Place, TRANSITIONAL_CHANGES, TRANSITIONAL_INDEX, ViewId};

/// The daemons in member order, and which of them are lost.
#[derive(Clone, Debug)]
pub(crate) struct Roster {
    daemons: Vec<Daemon>,
    lost: Vec<bool>,
    mine: Place,
    /// What clients see as the time of the view.
    time: i32,
    /// The view is over, or there was none yet.
    transitional: bool,
    /// What clients see as the ids of daemons.
    ids: VirtualIds,
}

impl Roster {
    /// The daemons of `view`, in which this daemon has the place `mine`.
    pub(crate) fn of(view: &View, mine: Place, ids: VirtualIds) -> Self {
        let daemons = view.members.to_vec();
        let lost = vec![false; daemons.len()];
        Self { lost, daemons, mine, time: view.time as i32, transitional: false, ids }
    }

    /// Only this daemon, before its first view.
    pub(crate) fn alone(me: Daemon, ids: VirtualIds) -> Self {
        let daemons = Vec::from([me]);
        Self { lost: vec![false], daemons, mine: 0, time: 0, transitional: true, ids }
    }

    /// The first view comes while no other was complete: its time tells this life's groups from those of another.
    pub(crate) fn begin(&mut self, view: &View) {
        if self.time == 0 {
            self.time = view.time as i32;
        }
    }

    /// This daemon's place.
    pub(crate) fn mine(&self) -> Place {
        self.mine
    }

    /// The place of `daemon`, lost or not.
    pub(crate) fn place(&self, daemon: &Daemon) -> Option<Place> {
        self.daemons.iter().position(|other| other == daemon).map(|place| place as Place)
    }

    /// The daemon at `place`.
    pub(crate) fn daemon(&self, place: Place) -> Option<&Daemon> {
        self.daemons.get(usize::from(place))
    }

    /// All of them, lost ones too, in member order.
    pub(crate) fn daemons(&self) -> &[Daemon] {
        &self.daemons
    }

    /// Whether the daemon at `place` is lost; one that was never there is.
    pub(crate) fn is_lost(&self, place: Place) -> bool {
        self.lost.get(usize::from(place)).is_none_or(|lost| *lost)
    }

    /// The daemons whose tables are equal to ours, in member order.
    pub(crate) fn synced(&self) -> impl Iterator<Item = &Daemon> {
        self.daemons.iter().zip(&self.lost).filter(|(_, lost)| !**lost).map(|(daemon, _)| daemon)
    }

    /// The view is over: marks all as lost that are not among `together`, and returns the places newly lost. This daemon is never lost.
    pub(crate) fn lose_all_but(&mut self, together: &[Daemon]) -> Vec<Place> {
        self.transitional = true;
        let mut newly = Vec::new();
        for (place, daemon) in self.daemons.iter().enumerate() {
            let stays = place == usize::from(self.mine) || together.contains(daemon);
            if !stays && !self.lost[place] {
                self.lost[place] = true;
                newly.push(place as Place);
            }
        }
        newly
    }

    /// The id of the view in which the synced set is: the last completed one, or the transitional one after it.
    pub(crate) fn id(&self) -> ViewId {
        if self.transitional { self.transitional_view() } else { self.id_of(self.daemons.first()) }
    }

    /// The view of the transitional ids: the first daemon of the synced set.
    fn transitional_view(&self) -> ViewId {
        self.id_of(self.synced().next())
    }

    /// The first id of a group in the transitional view. No view of the ring has such an index, and of two parts of the old
    /// view each has its own.
    ///
    /// The first daemon alone does not tell parts apart: it can go on alone while others, who have its word that it comes
    /// along, still count it among theirs. So the index begins with a hash of who goes together, of 20 bits.
    pub(crate) fn transitional_id(&self) -> GroupId {
        let mut hash = 0x811c_9dc5_u32;
        for byte in self.synced().flat_map(|daemon| daemon.boot.0) {
            hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
        let set = (hash ^ hash >> 12) & 0x000f_ffff;
        let index = TRANSITIONAL_INDEX + set as i32 * TRANSITIONAL_CHANGES;
        GroupId { view: self.transitional_view(), index }
    }

    fn id_of(&self, leader: Option<&Daemon>) -> ViewId {
        let leader = leader.map_or(0, |daemon| self.ids.of(&daemon.name) as i32);
        ViewId { leader, time: self.time }
    }

    /// The id of a group that is created now, less the first join.
    pub(crate) fn fresh_id(&self) -> GroupId {
        if self.transitional {
            self.transitional_id()
        } else {
            GroupId { view: self.id(), index: 0 }
        }
    }
}

#[cfg(test)]
mod tests {
    use base::Boot;
    use ring::{DaemonName, RingId};

    use super::*;

    #[test]
    fn a_written_id_is_what_clients_see_instead_of_the_hash_of_the_name() {
        let name = |text: &str| DaemonName::of_host(text);
        let ann = Daemon { name: name("ann"), boot: Boot([1; 16]) };
        let bob = Daemon { name: name("bob"), boot: Boot([2; 16]) };
        let view = |first: Daemon| View {
            id: RingId { counter: 1, founder: 1 },
            members: [first].into(),
            previous: [RingId::default()].into(),
            time: 7,
        };
        let ids = VirtualIds::written([(name("ann"), 4711)]);
        assert_eq!(Roster::of(&view(ann), 0, ids.clone()).id().leader, 4711);
        let hash = name("bob").virtual_id() as i32;
        assert_eq!(Roster::of(&view(bob), 0, ids).id().leader, hash);
    }
}
