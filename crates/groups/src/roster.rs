//! Which daemons the table of groups speaks of: those of the last completed view, less those lost since.
//!
//! The daemons that are not lost are the *synced set*: they have seen the same events, so their tables are equal. When a
//! view brings several synced sets together, each tells its table to the others (`exchange`).

use alloc::vec;
use alloc::vec::Vec;

use ring::Daemon;

use crate::group::{Place, ViewId};

/// The daemons in member order, and which of them are lost.
#[derive(Clone, Debug)]
pub(crate) struct Roster {
    daemons: Vec<Daemon>,
    lost: Vec<bool>,
    mine: Place,
    /// What clients see as the time of the view.
    time: i32,
}

impl Roster {
    /// `daemons` in member order; `mine` is this daemon's place.
    pub(crate) fn new(daemons: Vec<Daemon>, mine: Place, time: i32) -> Self {
        Self { lost: vec![false; daemons.len()], daemons, mine, time }
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

    /// Marks all as lost that are not among `together`, and returns the places newly lost. This daemon is never lost.
    pub(crate) fn lose_all_but(&mut self, together: &[Daemon]) -> Vec<Place> {
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

    /// The id of the transitional view in which the synced set is. No view of the ring has it together with an index from
    /// [`crate::group::TRANSITIONAL_INDEX`] on, and no other part of the old view has the same first daemon.
    pub(crate) fn transitional_id(&self) -> ViewId {
        let first = self.synced().next();
        let leader = first.map_or(0, |daemon| daemon.name.virtual_id() as i32);
        ViewId { leader, time: self.time }
    }
}
