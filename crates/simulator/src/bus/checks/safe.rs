//! Safe messages. Property 7: if one delivers it, every member of the configuration does, unless it fails.

use ring::{Daemon, Service};

use super::History;
use crate::bus::trace::Content;

/// The first of `owing` lives that never delivers one of these.
fn lacks<'a>(
    history: &History<'_>,
    owing: &[usize],
    contents: impl Iterator<Item = &'a Content>,
) -> Option<(usize, &'a Content)> {
    for content in contents.filter(|content| content.service == Service::Safe) {
        let index = history.index(content.id)?;
        if let Some(&life) = owing.iter().find(|&&life| history.delivered[life][index] == 0) {
            return Some((life, content));
        }
    }
    None
}

/// The lives of these daemons that did not fail.
fn owing(history: &History<'_>, daemons: &[Daemon]) -> Vec<usize> {
    let traces = history.traces.iter().enumerate();
    let owing = traces.filter(|(_, trace)| !trace.ended && daemons.contains(&trace.daemon));
    owing.map(|(life, _)| life).collect()
}

/// Delivered before the transitional signal: every member of the view delivers it, here or later.
pub(crate) fn in_view(history: &History<'_>) -> Result<(), String> {
    for stays in history.views.values() {
        let owing = owing(history, &history.stays[stays[0]].view.members);
        for stay in stays.iter().map(|&at| &history.stays[at]) {
            if let Some((life, content)) = lacks(history, &owing, stay.regular.iter().copied()) {
                return Err(format!(
                    "{} got {:?} as safe in {}, but {} never got it",
                    history.daemon(stay),
                    content.id,
                    stay.view.id,
                    history.traces[life].daemon
                ));
            }
        }
    }
    Ok(())
}

/// Delivered after the signal: everybody named in the signal delivers it.
pub(crate) fn after_signal(history: &History<'_>) -> Result<(), String> {
    for stay in &history.stays {
        let Some(together) = stay.together else { continue };
        let owing = owing(history, together);
        if let Some((life, content)) = lacks(history, &owing, stay.late.iter().copied()) {
            return Err(format!(
                "{} got {:?} after the signal, but {}, who goes with it, never got it",
                history.daemon(stay),
                content.id,
                history.traces[life].daemon
            ));
        }
    }
    Ok(())
}
