//! Views of groups, each for itself and against those with its id.

use std::collections::{BTreeMap, BTreeSet};

use spread_wire::{Cause, GroupId, GroupName};

use super::super::client::{Client, Deed, Item, View};
use super::History;

/// The place of a member in the order of members: its daemon's, then its name.
fn rank<'a>(order: &[Vec<u8>], member: &'a GroupName) -> (usize, &'a [u8], &'a [u8]) {
    let bytes = member.as_bytes();
    let cut = bytes.iter().rposition(|byte| *byte == b'#').unwrap_or(0);
    let (name, daemon) = (&bytes[..cut], &bytes[(cut + 1).min(bytes.len())..]);
    match order.iter().position(|one| one == daemon) {
        Some(place) => (place, b"", name),
        None => (order.len(), daemon, name),
    }
}

/// The receiver is in its view; members are in member order; the sets of a change by the network part the members, and the
/// receiver's has it; other changes name the one that they are about.
pub(crate) fn form(history: &History<'_>) -> Result<(), String> {
    for stay in &history.stays {
        let (name, view) = (history.client(stay).name, stay.view);
        let wrong = |what: &str| Err(format!("{name} was told a view {what}: {view:?}"));
        if !view.members.contains(&name) {
            return wrong("without itself");
        }
        let in_order = history
            .told
            .order
            .is_none_or(|order| view.members.is_sorted_by(|a, b| rank(order, a) < rank(order, b)));
        if !in_order {
            return wrong("with members out of order");
        }
        if view.cause != Cause::Network {
            let Some(subject) = view.subject() else { return wrong("about nobody") };
            if view.members.contains(&subject) != (view.cause == Cause::Join) {
                return wrong("whose subject is where it cannot be");
            }
            continue;
        }
        let mut parted: Vec<GroupName> = view.sets.iter().flatten().copied().collect();
        let mut members = view.members.clone();
        parted.sort_unstable();
        members.sort_unstable();
        if parted != members || view.sets.iter().any(Vec::is_empty) {
            return wrong("whose sets do not part its members");
        }
        if !view.own_set().contains(&name) {
            return wrong("with itself in another set");
        }
    }
    Ok(())
}

/// Who is said to have joined, left or ended has done so.
pub(crate) fn causes(history: &History<'_>) -> Result<(), String> {
    let mut by_name: BTreeMap<GroupName, Vec<&Client>> = BTreeMap::new();
    for client in history.told.clients {
        by_name.entry(client.name).or_default().push(client);
    }
    for stay in &history.stays {
        let view = stay.view;
        let Some(subject) = view.subject() else { continue };
        let did = |client: &&Client| match view.cause {
            Cause::Join => client.deeds.contains(&Deed::Join(view.group)),
            Cause::Leave => client.deeds.contains(&Deed::Leave(view.group)),
            Cause::Disconnect => client.end.is_some(),
            Cause::Network => true,
        };
        let known = by_name.get(&subject);
        let done = known.map_or(history.told.lives.is_none(), |clients| clients.iter().any(did));
        if !done {
            let name = history.client(stay).name;
            return Err(format!("{name} was told {view:?}, but {subject} did no such thing"));
        }
    }
    Ok(())
}

/// The end of a session is told for each of its groups, in the order of their names.
pub(crate) fn ends_in_order(history: &History<'_>) -> Result<(), String> {
    for client in history.told.clients {
        let mut last: Option<&View> = None;
        for (_, item) in &client.heard {
            let view = match item {
                Item::View(view) if view.cause == Cause::Disconnect => Some(&**view),
                _ => None,
            };
            if let (Some(last), Some(view)) = (last, view)
                && last.subject() == view.subject()
                && last.group >= view.group
            {
                return Err(format!("{} was told {last:?}, then {view:?}", client.name));
            }
            last = view;
        }
    }
    Ok(())
}

/// One id, one view: of those that the network made, among all who can have met; of others, among those that came from one
/// view. (Of two parts of a network one can have delivered a join at the very end that the other never gets; the next
/// change there has the same number.) All are told the same sets.
pub(crate) fn ids(history: &History<'_>) -> Result<(), String> {
    let mut network: BTreeMap<(GroupName, GroupId), Vec<&View>> = BTreeMap::new();
    let mut others: BTreeMap<(usize, GroupId), &View> = BTreeMap::new();
    for stay in &history.stays {
        let view = stay.view;
        if view.cause != Cause::Network {
            let Some(from) = stay.from else { continue };
            let first = *others.entry((history.stays[from].key, view.id)).or_insert(view);
            if first.members != view.members {
                return Err(format!("{first:?} and {view:?}"));
            }
            continue;
        }
        let same = network.entry((view.group, view.id)).or_default();
        let members: BTreeSet<&GroupName> = view.members.iter().collect();
        for other in same.iter() {
            if other.members.iter().any(|one| members.contains(one))
                && (other.members != view.members || other.sets != view.sets)
            {
                return Err(format!("{other:?} and {view:?}"));
            }
        }
        if !same.iter().any(|other| other.members == view.members) {
            same.push(view);
        }
    }
    Ok(())
}
