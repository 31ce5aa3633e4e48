//! Each message by itself.

use std::collections::BTreeSet;

use super::History;

/// Properties 1.3 and 1.4: a delivered message was sent, once, by a member of the view it is delivered in; all deliver
/// it in the same view.
pub(crate) fn integrity(history: &History<'_>) -> Result<(), String> {
    for stay in &history.stays {
        let who = history.daemon(stay);
        for content in stay.all() {
            let sender = history.traces.get(content.id.life as usize);
            let Some(sender) = sender.filter(|s| u64::from(content.id.number) <= s.sent) else {
                return Err(format!("{who} got {:?}, which nobody sent", content.id));
            };
            if !stay.view.members.contains(&sender.daemon) {
                return Err(format!("{who} got {:?} in a view without its sender", content.id));
            }
            if history.home[&content.id] != stay.view.id {
                return Err(format!(
                    "{who} got {:?} in {}, somebody else in {}",
                    content.id, stay.view.id, history.home[&content.id]
                ));
            }
        }
    }
    Ok(())
}

/// Property 1.4: nobody delivers a message twice.
pub(crate) fn no_duplication(history: &History<'_>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for stay in &history.stays {
        for content in stay.all() {
            if !seen.insert((stay.life, content.id)) {
                return Err(format!("{} got {:?} twice", history.daemon(stay), content.id));
            }
        }
    }
    Ok(())
}

/// Property 3: a daemon delivers all it sent, unless it fails. Traffic stopped a while before the end, so whoever lives then has.
pub(crate) fn self_delivery(history: &History<'_>) -> Result<(), String> {
    for (life, trace) in history.traces.iter().enumerate().filter(|(_, trace)| !trace.ended) {
        let stays = history.stays.iter().filter(|stay| stay.life == life);
        let own = stays.flat_map(|stay| stay.all()).filter(|c| c.id.life as usize == life).count();
        if own as u64 != trace.sent {
            return Err(format!(
                "{} sent {} and delivered {own} of them",
                trace.daemon, trace.sent
            ));
        }
    }
    Ok(())
}
