//! What holds for each client by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use base::Instant;
use spread_wire::{Cause, GroupName};

use super::super::client::{Client, Deed, Item};
use super::History;
use crate::bus::trace::{self, MessageId};

fn messages(client: &Client) -> impl Iterator<Item = (usize, Instant, MessageId)> {
    client.heard.iter().enumerate().filter_map(|(place, (at, item))| match item {
        Item::Message(id) => Some((place, *at, *id)),
        _ => None,
    })
}

/// Nobody gets a message twice, whatever number of its destinations it matches.
pub(crate) fn once(history: &History<'_>) -> Result<(), String> {
    for client in history.told.clients {
        let mut seen = BTreeSet::new();
        if let Some((_, _, id)) = messages(client).find(|(_, _, id)| !seen.insert(*id)) {
            return Err(format!("{} got {id:?} twice", client.name));
        }
    }
    Ok(())
}

/// What comes back to a session of what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Echo {
    In(GroupName),
    Out(GroupName),
    Said(u32),
}

/// A session sees its joins, its leaves and its messages to groups that it is in, each once and in the order it asked; all of
/// them, if it lives on.
pub(crate) fn echo(history: &History<'_>) -> Result<(), String> {
    for (at, client) in history.told.clients.iter().enumerate() {
        let mut due = due(client);
        let got = came(at, client);
        if !client.wants {
            due.retain(|echo| matches!(echo, Echo::Said(_)));
        }
        let name = client.name;
        if let Some(n) = got.iter().zip(&due).position(|(got, due)| got != due) {
            return Err(format!("{name} got {:?} where {:?} was due", got[n], due[n]));
        }
        if got.len() > due.len() {
            return Err(format!("{name} got {:?}, which it did not do", got[due.len()]));
        }
        if client.whole && got.len() < due.len() {
            return Err(format!("{name} never got {:?}", due[got.len()]));
        }
    }
    Ok(())
}

fn due(client: &Client) -> Vec<Echo> {
    let mut inside = BTreeSet::new();
    let mut due = Vec::new();
    for deed in &client.deeds {
        match deed {
            Deed::Join(group) if inside.insert(*group) => due.push(Echo::In(*group)),
            Deed::Leave(group) if inside.remove(group) => due.push(Echo::Out(*group)),
            Deed::Say(number) => {
                let for_itself = client.sent(*number).is_some_and(|sent| {
                    let matches = |to: &GroupName| inside.contains(to) || *to == client.name;
                    !sent.discards_self() && sent.to.iter().any(matches)
                });
                due.extend(for_itself.then_some(Echo::Said(*number)));
            }
            _ => {}
        }
    }
    due
}

fn came(at: usize, client: &Client) -> Vec<Echo> {
    let mut inside = BTreeSet::new();
    let mut came = Vec::new();
    for (_, item) in &client.heard {
        match item {
            Item::View(view) if inside.insert(view.group) => came.push(Echo::In(view.group)),
            Item::Left(group) => {
                inside.remove(group);
                came.push(Echo::Out(*group));
            }
            Item::Message(id) if id.life as usize == at => came.push(Echo::Said(id.number)),
            _ => {}
        }
    }
    came
}

/// Whether messages of `sender` may be missing at a client between two of the things it was told.
fn may_miss(history: &History<'_>, me: &Client, sender: &Client, places: Range<usize>) -> bool {
    let told = &me.heard[places];
    let Some(lives) = history.told.lives else {
        // Only a view that the sender did not come to together with this client says that they were apart.
        return told.iter().any(|(_, item)| {
            matches!(item, Item::View(view)
                if view.cause == Cause::Network && !view.own_set().contains(&sender.name))
        });
    };
    let (Some((from, _)), Some((to, _))) = (told.first(), told.last()) else { return false };
    let life = lives.get(me.life);
    life.is_some_and(|life| life.items.iter().any(|(at, _)| (*from..=*to).contains(at)))
}

/// A session's messages come in the order sent. Between two that came none is missing that was for the receiver, unless the
/// view of the daemons changed meanwhile.
pub(crate) fn fifo(history: &History<'_>) -> Result<(), String> {
    for (me, client) in history.told.clients.iter().enumerate() {
        let mut last: BTreeMap<u32, (usize, u32)> = BTreeMap::new();
        // The groups it is in, and since which of the things it was told.
        let mut since: BTreeMap<GroupName, usize> = BTreeMap::new();
        for (place, (at, item)) in client.heard.iter().enumerate() {
            match item {
                Item::View(view) => _ = since.entry(view.group).or_insert(place),
                Item::Left(group) => _ = since.remove(group),
                Item::Signal(..) => {}
                Item::Message(id) => {
                    let Some(before) = last.insert(id.life, (place, id.number)) else {
                        continue;
                    };
                    let (from, number) = before;
                    if id.number <= number {
                        return Err(format!("{} got {id:?} after {number}", client.name));
                    }
                    let sender = &history.told.clients[id.life as usize];
                    if may_miss(history, client, sender, from..place + 1) {
                        continue;
                    }
                    let due = |to: &GroupName| {
                        *to == client.name || since.get(to).is_some_and(|since| *since < from)
                    };
                    let missing = (number + 1..id.number).find(|between| {
                        sender.sent(*between).is_some_and(|sent| {
                            sent.to.iter().any(due)
                                && !(sent.discards_self() && id.life as usize == me)
                        })
                    });
                    if let Some(missing) = missing {
                        return Err(format!(
                            "{} got {id:?} at {:.6} and not {missing}",
                            client.name,
                            trace::seconds(*at)
                        ));
                    }
                }
            }
        }
    }
    Ok(())
}
