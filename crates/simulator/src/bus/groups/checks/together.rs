//! What those have in common who are in a view together.

use std::collections::{BTreeMap, BTreeSet};

use spread_wire::{Cause, GroupName};

use super::super::client::{Client, Item};
use super::{History, Stay};
use crate::bus::trace::MessageId;

/// Who comes to a view together comes from one view, and was told the same in it, before the signal and after it.
pub(crate) fn virtual_synchrony(history: &History<'_>) -> Result<(), String> {
    let mut first: BTreeMap<(usize, &[GroupName]), (&Stay<'_>, &Stay<'_>)> = BTreeMap::new();
    for (before, stay) in history.pairs() {
        let set = match stay.view.cause {
            Cause::Network => stay.view.own_set(),
            _ => &[],
        };
        let (other, next) = *first.entry((stay.key, set)).or_insert((before, stay));
        let names = || {
            let names = (history.client(stay).name, history.client(next).name);
            format!("{names:?} came together to {:?}", stay.view.id)
        };
        if other.key != before.key {
            return Err(format!("{}, from {:?} and {:?}", names(), before.view, other.view));
        }
        let what =
            |stay: &Stay<'_>| (stay.messages.clone(), stay.signals.clone(), stay.late.clone());
        if what(before) != what(other) {
            return Err(format!("{} after {:?} and {:?}", names(), what(before), what(other)));
        }
    }
    Ok(())
}

/// Who got a safe message in a view knows that all its members got it, but for those that are no more.
pub(crate) fn safe(history: &History<'_>) -> Result<(), String> {
    let clients = history.told.clients;
    let got: Vec<BTreeSet<MessageId>> = clients
        .iter()
        .map(|client| {
            let messages = client.heard.iter().filter_map(|(_, item)| match item {
                Item::Message(id) => Some(*id),
                _ => None,
            });
            messages.collect()
        })
        .collect();
    // A name that two sessions had does not say which of them is meant.
    let mut by_name: BTreeMap<GroupName, Vec<usize>> = BTreeMap::new();
    for (at, client) in clients.iter().enumerate() {
        by_name.entry(client.name).or_default().push(at);
    }
    let is_safe = |id: &&MessageId| {
        clients[id.life as usize].sent(id.number).is_some_and(super::super::client::Sent::is_safe)
    };
    for stay in &history.stays {
        let safe: Vec<&MessageId> = stay.messages.iter().filter(is_safe).collect();
        for member in stay.view.members.iter().filter(|_| !safe.is_empty()) {
            let Some([one]) = by_name.get(member).map(|all| &all[..]) else { continue };
            if !clients[*one].whole {
                continue;
            }
            if let Some(id) = safe.iter().find(|id| !got[*one].contains(id)) {
                let who: &Client = history.client(stay);
                return Err(format!("{} got {id:?}, {member} never did", who.name));
            }
        }
    }
    Ok(())
}
