//! Each message by itself.

use super::History;

/// Properties 1.3 and 1.4: a delivered message was sent, once, by a member of the view it is delivered in; all deliver
/// it in the same view.
pub(crate) fn integrity(history: &History<'_>) -> Result<(), String> {
    for stay in &history.stays {
        let who = history.daemon(stay);
        for content in stay.all() {
            let sender = &history.traces[content.id.life as usize];
            if !stay.view.members.contains(&sender.daemon) {
                return Err(format!("{who} got {:?} in a view without its sender", content.id));
            }
            let home = history.index(content.id).and_then(|index| history.home[index]);
            if home != Some(stay.view.id) {
                let here = stay.view.id;
                return Err(format!(
                    "{who} got {:?} in {here}, somebody else in {home:?}",
                    content.id
                ));
            }
        }
    }
    Ok(())
}

/// Property 1.4: nobody delivers a message twice.
pub(crate) fn no_duplication(history: &History<'_>) -> Result<(), String> {
    for stay in &history.stays {
        let often = |id| history.index(id).map_or(0, |index| history.delivered[stay.life][index]);
        if let Some(content) = stay.all().find(|content| often(content.id) > 1) {
            return Err(format!("{} got {:?} twice", history.daemon(stay), content.id));
        }
    }
    Ok(())
}

/// Property 3: a daemon delivers all it sent, unless it fails. Traffic stopped a while before the end, so whoever lives then has.
pub(crate) fn self_delivery(history: &History<'_>) -> Result<(), String> {
    for (life, trace) in history.traces.iter().enumerate().filter(|(_, trace)| !trace.ended) {
        let stays = &history.stays[history.of_life[life].clone()];
        let own = stays.iter().flat_map(|stay| stay.all()).filter(|c| c.id.life as usize == life);
        let own = own.count();
        if own as u64 != trace.sent {
            return Err(format!(
                "{} sent {} and delivered {own} of them",
                trace.daemon, trace.sent
            ));
        }
    }
    Ok(())
}
