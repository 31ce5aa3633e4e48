//! One order: all that was told can be brought into one line of which each client saw a part.

use std::collections::BTreeSet;

use super::super::client::Item;
use super::History;

/// Messages only: every two in one order at all clients, and none before what its sender had been told.
pub(crate) fn messages(history: &History<'_>) -> Result<(), String> {
    line(history, false)
}

/// Messages and views of all groups.
pub(crate) fn all(history: &History<'_>) -> Result<(), String> {
    line(history, true)
}

fn line(history: &History<'_>, with_views: bool) -> Result<(), String> {
    let clients = history.told.clients;
    let mut first = Vec::with_capacity(clients.len());
    let mut count = 0;
    for client in clients {
        first.push(count);
        count += client.sent.len();
    }
    let begin_of_views = count;
    count += if with_views { history.views } else { 0 };
    let mut after: Vec<Vec<u32>> = vec![Vec::new(); count];
    for (at, client) in clients.iter().enumerate() {
        let node = |place: usize| match &client.heard[place].1 {
            Item::Message(id) => Some(first[id.life as usize] + id.number as usize - 1),
            Item::View(_) if with_views => Some(begin_of_views + history.keys[at].get(&place)?),
            _ => None,
        };
        let mut last = None;
        // What stands in the line at or before each thing it was told.
        let mut seen = Vec::with_capacity(client.heard.len());
        for place in 0..client.heard.len() {
            if let Some(now) = node(place)
                && let Some(before) = last.replace(now)
            {
                after[before].push(now as u32);
            }
            seen.push(last);
        }
        // A message comes after what its sender had been told, and after the one it sent before.
        for (number, sent) in client.sent.iter().enumerate() {
            let own = first[at] + number;
            let told = sent.after.min(seen.len()).checked_sub(1).and_then(|place| seen[place]);
            if let Some(told) = told {
                after[told].push(own as u32);
            }
            if number > 0 {
                after[own - 1].push(own as u32);
            }
        }
    }
    acyclic(&after).map_err(|stuck| {
        let name = |node: usize| match first.partition_point(|begin| *begin <= node) {
            client if node < begin_of_views => {
                format!("message {} of {}", node - first[client - 1] + 1, clients[client - 1].name)
            }
            _ => {
                let key = node - begin_of_views;
                let stay = history.stays.iter().find(|stay| stay.key == key);
                stay.map_or_else(String::new, |stay| {
                    format!("view {:?} of {}", stay.view.id, stay.view.group)
                })
            }
        };
        let names: Vec<String> = stuck.into_iter().take(8).map(name).collect();
        format!("each before the next, and the last before the first: {names:?}")
    })
}

/// Nothing comes before itself.
///
/// # Errors
/// A circle.
fn acyclic(after: &[Vec<u32>]) -> Result<(), Vec<usize>> {
    let mut before = vec![0_u32; after.len()];
    after.iter().flatten().for_each(|next| before[*next as usize] += 1);
    let mut free: Vec<usize> = (0..after.len()).filter(|node| before[*node] == 0).collect();
    let mut placed = 0;
    while let Some(node) = free.pop() {
        placed += 1;
        for next in &after[node] {
            let next = *next as usize;
            before[next] -= 1;
            if before[next] == 0 {
                free.push(next);
            }
        }
    }
    if placed == after.len() {
        return Ok(());
    }
    // Whatever is left has something left before it: going back and back ends in a circle.
    let mut left_before = vec![usize::MAX; after.len()];
    for (node, list) in after.iter().enumerate().filter(|(node, _)| before[*node] > 0) {
        list.iter().for_each(|next| left_before[*next as usize] = node);
    }
    let mut node = before.iter().position(|count| *count > 0).unwrap_or(0);
    let mut walked = BTreeSet::new();
    while walked.insert(node) {
        node = left_before[node];
    }
    let mut circle = vec![node];
    let mut back = left_before[node];
    while back != node {
        circle.push(back);
        back = left_before[back];
    }
    circle.reverse();
    Err(circle)
}
