//! How tables become one when a view is complete (`spread-semantics.md`, 3).
//!
//! Each synced set contributes, for each of its groups, the members it has there. A group that comes from one set only and
//! lost nobody stays as it is, with its id, and nobody is told anything. Every other group begins anew: index 1 of the new
//! view, and one set of members for each synced set, ordered by the views in which they knew the group before.

use alloc::vec::Vec;

use ring::View;

use crate::group::{Group, GroupId, Member, Place, ViewId};
use crate::groups::Groups;
use crate::notice;
use crate::roster::Roster;
use crate::table::Table;

impl Groups {
    /// What this daemon's synced set has, with the places of `view`: the groups without what was lost, in ascending order
    /// of names.
    pub(crate) fn own_state(&self, view: &View) -> Vec<Group> {
        let places = self.places_in(view);
        let own = self.table.iter().filter_map(|group| {
            let mut members: Vec<Member> = group
                .members
                .iter()
                .filter_map(|member| {
                    let place = *places.get(usize::from(member.place))?;
                    Some(Member { place: place?, name: member.name })
                })
                .collect();
            // Another order of the daemons is another order of the members.
            if !members.is_sorted() {
                members.sort_unstable();
            }
            let local = group.local.clone();
            (!members.is_empty()).then_some(Group { members, local, ..*group })
        });
        own.collect()
    }

    /// For each place of the roster its place in `view`; none for what is lost.
    fn places_in(&self, view: &View) -> Vec<Option<Place>> {
        let place = |(place, daemon): (usize, &ring::Daemon)| {
            if self.roster.is_lost(place as Place) {
                return None;
            }
            view.position(daemon).map(|place| place as Place)
        };
        self.roster.daemons().iter().enumerate().map(place).collect()
    }

    /// Makes one table of our own and `others`, the tables of the other synced sets, and tells members what changed.
    pub(crate) fn complete(&mut self, view: &View, mine: Place, others: Vec<Vec<Group>>) {
        let unchanged = others.is_empty() && self.roster.daemons() == &*view.members;
        if unchanged {
            // Nothing was lost and nobody came: the table is right as it is.
            self.roster = Roster::of(view, mine, self.ids.clone());
            return;
        }
        let own = self.own_state(view);
        self.roster = Roster::of(view, mine, self.ids.clone());
        let id = self.roster.id();
        self.table = Table::default();
        self.unsignalled = false;
        let mut all: Vec<Group> = own;
        all.extend(others.into_iter().flatten());
        // Each set's groups are in order already, so this is a merge.
        all.sort_by_key(|group| group.name);
        let mut all = all.into_iter().peekable();
        while let Some(first) = all.next() {
            let mut same = Vec::from([first]);
            while let Some(next) = all.next_if(|group| group.name == same[0].name) {
                same.push(next);
            }
            self.put_merged(id, same);
        }
    }

    /// Puts one group into the table: what each set contributes to it.
    fn put_merged(&mut self, view: ViewId, mut contributions: Vec<Group>) {
        if let [group] = &contributions[..]
            && !group.changed
        {
            contributions.into_iter().for_each(|group| _ = self.table.put(group));
            return;
        }
        contributions.sort_by_key(|group| (group.id.view, group.members.first().copied()));
        let mut group = Group {
            name: contributions[0].name,
            id: GroupId { view, index: 1 },
            changed: false,
            unsignalled: None,
            members: contributions.iter().flat_map(|group| group.members.iter().copied()).collect(),
            local: contributions.iter().flat_map(|group| group.local.iter().copied()).collect(),
        };
        group.members.sort_unstable();
        group.members.dedup();
        let mine = self.roster.mine();
        let sets: Vec<&[Member]> = contributions.iter().map(|group| &group.members[..]).collect();
        let here = contributions.iter().position(|group| !group.members_at(mine).is_empty());
        if let Some(own) = here
            && self.any_wants_notices(&group.local)
        {
            let message = notice::network(&self.roster, &group, &sets, own);
            group.local.iter().for_each(|slot| self.give(*slot, &message, true));
        }
        self.table.put(group);
    }
}
