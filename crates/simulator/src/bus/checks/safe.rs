//! Safe messages. Property 7: if one delivers it, every member of the configuration does, unless it fails.

use ring::Service;

use super::History;
use crate::bus::trace::Content;

fn has(history: &History<'_>, life: usize, content: &Content) -> bool {
    history.delivered[life].contains(&content.id)
}

/// Delivered before the transitional signal: every member of the view delivers it, here or later.
pub(crate) fn in_view(history: &History<'_>) -> Result<(), String> {
    for stay in &history.stays {
        for content in stay.regular.iter().filter(|content| content.service == Service::Safe) {
            for (life, trace) in history.traces.iter().enumerate() {
                let owes = stay.view.members.contains(&trace.daemon) && !trace.ended;
                if owes && !has(history, life, content) {
                    return Err(format!(
                        "{} got {:?} as safe in {}, but {} never got it",
                        history.daemon(stay),
                        content.id,
                        stay.view.id,
                        trace.daemon
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Delivered after the signal: everybody named in the signal delivers it.
pub(crate) fn after_signal(history: &History<'_>) -> Result<(), String> {
    for stay in &history.stays {
        let Some(together) = stay.together else { continue };
        for content in stay.late.iter().filter(|content| content.service == Service::Safe) {
            for (life, trace) in history.traces.iter().enumerate() {
                let owes = together.contains(&trace.daemon) && !trace.ended;
                if owes && !has(history, life, content) {
                    return Err(format!(
                        "{} got {:?} after the signal, but {}, who goes with it, never got it",
                        history.daemon(stay),
                        content.id,
                        trace.daemon
                    ));
                }
            }
        }
    }
    Ok(())
}
