//! Messages among each other.

use std::collections::BTreeMap;

use super::History;
use crate::bus::trace::MessageId;

/// One sender's messages come in the order sent; in one view none is left out between two that came. Property 5.
pub(crate) fn fifo(history: &History<'_>) -> Result<(), String> {
    for stay in &history.stays {
        let mut last: BTreeMap<u32, u32> = BTreeMap::new();
        for content in stay.all() {
            let number = content.id.number;
            if let Some(before) = last.insert(content.id.life, number)
                && number != before + 1
            {
                return Err(format!(
                    "{} got number {number} of life {} after number {before}",
                    history.daemon(stay),
                    content.id.life
                ));
            }
        }
    }
    Ok(())
}

/// Property 6: all who deliver two messages deliver them in one order. Views are in one order too.
pub(crate) fn total(history: &History<'_>) -> Result<(), String> {
    for stays in history.views.values() {
        for (i, &a) in stays.iter().enumerate() {
            let place: BTreeMap<MessageId, usize> =
                history.stays[a].all().enumerate().map(|(at, content)| (content.id, at)).collect();
            for &b in &stays[i + 1..] {
                let mut last = None;
                for content in history.stays[b].all() {
                    let at = place.get(&content.id).copied();
                    if at.is_some() && at < last {
                        return Err(format!(
                            "{} and {} disagree about {:?}",
                            history.daemon(&history.stays[a]),
                            history.daemon(&history.stays[b]),
                            content.id
                        ));
                    }
                    last = at.max(last);
                }
            }
        }
    }
    Ok(())
}

/// Property 5: whoever delivers a message has delivered before it what its sender had delivered in that view when it sent it.
///
/// `seen` counts what the sender had delivered in its whole life, so the part in this view is what exceeds its earlier stays.
/// A message waiting while the view changed was sent before the view began: it depends on nothing in it.
pub(crate) fn causal(history: &History<'_>) -> Result<(), String> {
    // How much each life had delivered when a stay of it began.
    let mut before: Vec<u32> = Vec::with_capacity(history.stays.len());
    let mut count: BTreeMap<usize, u32> = BTreeMap::new();
    for stay in &history.stays {
        let so_far = count.entry(stay.life).or_default();
        before.push(*so_far);
        *so_far += stay.all().count() as u32;
    }
    for stays in history.views.values() {
        let mut sender: BTreeMap<u32, usize> = BTreeMap::new();
        for &at in stays {
            sender.insert(history.stays[at].life as u32, at);
        }
        for &at in stays {
            let stay = &history.stays[at];
            let place: BTreeMap<MessageId, usize> =
                stay.all().enumerate().map(|(at, content)| (content.id, at)).collect();
            // By sender: the last place at which the first so many messages it saw were delivered here.
            let mut latest: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for (here, content) in stay.all().enumerate() {
                let Some(&from) = sender.get(&content.id.life) else { continue };
                let latest = latest.entry(from).or_insert_with(|| {
                    let mut last = 0;
                    let places = history.stays[from].all().map(|earlier| {
                        last = last.max(place.get(&earlier.id).map_or(usize::MAX, |at| at + 1));
                        last
                    });
                    [0].into_iter().chain(places).collect()
                });
                let needed = content.seen.saturating_sub(before[from]) as usize;
                if latest.get(needed).is_some_and(|last| *last > here) {
                    return Err(format!(
                        "{} got {:?} without one of the {needed} messages its sender had seen",
                        history.daemon(stay),
                        content.id
                    ));
                }
            }
        }
    }
    Ok(())
}
