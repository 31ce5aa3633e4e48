//! Views and the ways between them.

use std::collections::BTreeMap;

use super::History;
use crate::bus::trace::MessageId;

/// Two daemons that install a view under one id see the same view; clients see one id for one view of a leader's life
/// (a daemon that starts again alone within the second cannot know what it said before).
pub(crate) fn agreement(history: &History<'_>) -> Result<(), String> {
    let mut by_client = BTreeMap::new();
    for stays in history.views.values() {
        let first = history.stays[stays[0]].view;
        if let Some(&other) = stays.iter().find(|&&at| history.stays[at].view != first) {
            return Err(format!("{first:?} is also {:?}", history.stays[other].view));
        }
        if let Some(other) = by_client.insert((first.leader(), first.client_id()), first.id) {
            return Err(format!("clients see {other} and {} under one id", first.id));
        }
    }
    Ok(())
}

/// A daemon installs only views it is a member of, with growing ids and times, and says truly where it came from.
pub(crate) fn progress(history: &History<'_>) -> Result<(), String> {
    for stay in &history.stays {
        let who = history.daemon(stay);
        if stay.view.position(&who).is_none() {
            return Err(format!("{who} installed {:?} without itself", stay.view));
        }
        if stay.view.members.len() != stay.view.previous.len() {
            return Err(format!("{:?} does not say where its members come from", stay.view));
        }
        if let Some(next) = stay.next {
            let from = next.position(&who).map(|place| next.previous[place]);
            if next.id.counter <= stay.view.id.counter || next.time <= stay.view.time {
                return Err(format!("{who} went back from {:?} to {next:?}", stay.view));
            }
            if from != Some(stay.view.id) {
                return Err(format!("{who} came to {next:?} from {}", stay.view.id));
            }
            if stay.together.is_none() {
                return Err(format!("{who} got no transitional signal in {}", stay.view.id));
            }
        }
    }
    Ok(())
}

/// Who is named in the signal: members of the old view that the new one says came from it, exactly.
pub(crate) fn transitional(history: &History<'_>) -> Result<(), String> {
    for stay in &history.stays {
        let (Some(together), Some(next)) = (stay.together, stay.next) else { continue };
        let who = history.daemon(stay);
        let Some(place) = next.position(&who) else { continue };
        if next.together_with(place) != together {
            return Err(format!("{who} was told {together:?} on its way to {next:?}"));
        }
        if let Some(stranger) = together.iter().find(|d| stay.view.position(d).is_none()) {
            return Err(format!("{stranger} was not in {:?}", stay.view));
        }
    }
    Ok(())
}

/// Property 4: daemons that go from one view to the next together deliver the same messages, before and after the signal.
pub(crate) fn virtual_synchrony(history: &History<'_>) -> Result<(), String> {
    for stays in history.views.values() {
        for (i, &a) in stays.iter().enumerate() {
            let a = &history.stays[a];
            for &b in &stays[i + 1..] {
                let b = &history.stays[b];
                let (Some(to_a), Some(to_b)) = (a.next, b.next) else { continue };
                if to_a.id != to_b.id {
                    continue;
                }
                let ids = |list: &[&super::Content]| -> Vec<MessageId> {
                    list.iter().map(|content| content.id).collect()
                };
                if ids(&a.regular) != ids(&b.regular) || ids(&a.late) != ids(&b.late) {
                    return Err(format!(
                        "{} saw {} and {} messages in {}, {} saw {} and {}",
                        history.daemon(a),
                        a.regular.len(),
                        a.late.len(),
                        a.view.id,
                        history.daemon(b),
                        b.regular.len(),
                        b.late.len()
                    ));
                }
            }
        }
    }
    Ok(())
}
