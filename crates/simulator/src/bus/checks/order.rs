//! Messages among each other.

use std::collections::BTreeMap;

use super::{History, Stay};

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

/// Where each message stands in a list of messages; 0 for those that are not in it, else one more than the place.
struct Places {
    at: Vec<u32>,
}

impl Places {
    fn new(history: &History<'_>) -> Self {
        Self { at: vec![0; history.messages()] }
    }

    fn fill(&mut self, history: &History<'_>, stay: &Stay<'_>) {
        for (place, index) in indices(history, stay).enumerate() {
            self.at[index] = place as u32 + 1;
        }
    }

    fn clear(&mut self, history: &History<'_>, stay: &Stay<'_>) {
        indices(history, stay).for_each(|index| self.at[index] = 0);
    }
}

fn indices(history: &History<'_>, stay: &Stay<'_>) -> impl Iterator<Item = usize> {
    stay.all().filter_map(|content| history.index(content.id))
}

/// Property 6: all who deliver two messages deliver them in one order. Views are in one order too.
pub(crate) fn total(history: &History<'_>) -> Result<(), String> {
    let mut places = Places::new(history);
    for stays in history.views.values() {
        for (i, &a) in stays.iter().enumerate() {
            places.fill(history, &history.stays[a]);
            for &b in &stays[i + 1..] {
                let mut last = 0;
                for content in history.stays[b].all() {
                    let at = history.index(content.id).map_or(0, |index| places.at[index]);
                    if at != 0 && at < last {
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
            places.clear(history, &history.stays[a]);
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
    let mut before: Vec<u32> = vec![0; history.stays.len()];
    for stays in &history.of_life {
        let mut so_far = 0;
        for at in stays.clone() {
            before[at] = so_far;
            so_far += history.stays[at].all().count() as u32;
        }
    }
    let mut places = Places::new(history);
    for stays in history.views.values() {
        for &at in stays {
            let stay = &history.stays[at];
            places.fill(history, stay);
            for &from in stays {
                let sender = &history.stays[from];
                // How many of the messages the sender saw in this view were looked at, and the last place of those here.
                let (mut looked, mut latest) = (0, 0);
                let mut saw = indices(history, sender);
                for (here, content) in stay.all().enumerate() {
                    if content.id.life as usize != sender.life {
                        continue;
                    }
                    let needed = content.seen.saturating_sub(before[from]);
                    while looked < needed {
                        let Some(index) = saw.next() else { break };
                        looked += 1;
                        latest = latest.max(match places.at[index] {
                            0 => u32::MAX,
                            place => place,
                        });
                    }
                    if latest > here as u32 {
                        return Err(format!(
                            "{} got {:?} without one of the {needed} messages its sender had seen",
                            history.daemon(stay),
                            content.id
                        ));
                    }
                }
            }
            places.clear(history, stay);
        }
    }
    Ok(())
}
