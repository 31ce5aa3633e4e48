//! Whether tables and clients know what is true, when everything is at rest.

use std::collections::{BTreeMap, BTreeSet};

use groups::Groups;
use ring::{RingId, View};
use spread_wire::{GroupId, GroupName};

use super::client::{Client, Deed, Item};
use super::desk::Desk;
use crate::bus::world::World;

/// Who is in each group.
type Tables = BTreeMap<GroupName, BTreeSet<GroupName>>;

impl World {
    /// Each daemon's table is what the living clients of its view asked for, all daemons of a view have the same one, and
    /// each client was told last what is in it.
    pub(in crate::bus) fn truth(&mut self) -> Result<(), String> {
        let mut digests: BTreeMap<RingId, u64> = BTreeMap::new();
        for i in 0..self.machines.len() {
            let Some((desk, view)) = self.standing(i) else { continue };
            let life = self.machines[i].life;
            let who = self.machines[i].name;
            let groups = &desk.groups;
            let digest = groups.state_digest();
            if *digests.entry(view.id).or_insert(digest) != digest {
                return Err(format!("at the end {who} has another table than others of {view:?}"));
            }
            no_trouble(groups).map_err(|what| format!("{who} counted {what}"))?;
            let here = |client: &&Client| client.life == life && client.end.is_none();
            if groups.session_count() != self.clients.iter().filter(here).count() {
                return Err(format!("{who} has {} sessions", groups.session_count()));
            }
            let lives = self.lives_of(view);
            let living = |client: &&Client| lives.contains(&client.life) && client.end.is_none();
            let wanted = wanted(self.clients.iter().filter(living));
            let table = table(groups);
            if table != wanted {
                return Err(format!("{who} has {table:?}, true is {wanted:?}"));
            }
            for client in self.clients.iter().filter(here) {
                knows(client, groups)?;
            }
            self.clients.iter_mut().filter(|client| here(&&**client)).for_each(|c| c.whole = true);
        }
        Ok(())
    }

    /// What runs on a machine, if it is not kept out for its name.
    fn standing(&self, i: usize) -> Option<(&Desk, &View)> {
        let ring = self.machines[i].ring.as_ref().filter(|ring| !self.gave_way(i, ring))?;
        Some((self.desks[i].as_ref()?, ring.view()?))
    }

    /// The names of all daemons in member order where a list says it; empty where it is that of their bytes.
    pub(in crate::bus) fn member_order(&self) -> Vec<Vec<u8>> {
        let names = self.machines.iter().rev().map(|machine| machine.name.as_bytes().to_vec());
        names.filter(|_| self.plan.fixed).collect()
    }

    fn lives_of(&self, view: &View) -> BTreeSet<usize> {
        let inside = |i: &usize| view.members.iter().any(|d| d.boot == self.machines[*i].boot);
        (0..self.machines.len()).filter(inside).map(|i| self.machines[i].life).collect()
    }
}

fn no_trouble(groups: &Groups) -> Result<(), String> {
    let counters = groups.counters();
    let bad = [
        counters.malformed,
        counters.unknown,
        counters.malformed_states,
        counters.dropped,
        counters.rejected,
    ];
    if bad == [0; 5] { Ok(()) } else { Err(format!("{counters:?}")) }
}

/// The groups that a client is in after all that it asked for.
fn rooms(client: &Client) -> BTreeSet<GroupName> {
    let mut rooms = BTreeSet::new();
    for deed in &client.deeds {
        match deed {
            Deed::Join(room) => _ = rooms.insert(*room),
            Deed::Leave(room) => _ = rooms.remove(room),
            Deed::Say(_) => {}
        }
    }
    rooms
}

fn wanted<'a>(clients: impl Iterator<Item = &'a Client>) -> Tables {
    let mut wanted = Tables::new();
    for client in clients {
        for room in rooms(client) {
            wanted.entry(room).or_default().insert(client.name);
        }
    }
    wanted
}

fn table(groups: &Groups) -> Tables {
    let name = |name: &str| GroupName::destination(name.as_bytes()).ok();
    let views = groups.groups().map(|view| {
        let members = view.members.iter();
        let members = members.filter_map(|one| name(&format!("#{}#{}", one.name, one.daemon)));
        (view.name, members.collect())
    });
    views.collect()
}

/// The last view that a client was told of each of its groups is the one in force.
fn knows(client: &Client, groups: &Groups) -> Result<(), String> {
    if !client.wants {
        return Ok(());
    }
    let mut last: BTreeMap<GroupName, (GroupId, usize)> = BTreeMap::new();
    for (_, item) in &client.heard {
        match item {
            Item::View(view) => _ = last.insert(view.group, (view.id, view.members.len())),
            Item::Left(room) => _ = last.remove(room),
            _ => {}
        }
    }
    for room in rooms(client) {
        let now = groups.group(&room).map(|view| (view.id, view.members.len()));
        if last.remove(&room) != now {
            return Err(format!("{} does not know the view {now:?} of {room}", client.name));
        }
    }
    match last.first_key_value() {
        Some((room, _)) => Err(format!("{} believes to be in {room}", client.name)),
        None => Ok(()),
    }
}
