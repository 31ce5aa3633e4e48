//! From one view of a group to the next: the table of notices in `spread-semantics.md`, 3.

use spread_wire::{Cause, GroupId, GroupName};

use super::{History, Stay};

/// Ids of groups from this index on are of views in transition; no regular view counts so far.
const TRANSITIONAL: i32 = 1 << 30;

/// Each view follows from the one before as its cause says; the first one is the client's own join.
pub(crate) fn steps(history: &History<'_>) -> Result<(), String> {
    for stay in &history.stays {
        let before = stay.from.map(|from| &history.stays[from]);
        step(history, before, stay).map_err(|what| {
            let name = history.client(stay).name;
            let before = before.map(|before| before.view);
            format!("{name}: {what}: {before:?}, then {:?}", stay.view)
        })?;
    }
    Ok(())
}

fn step(history: &History<'_>, before: Option<&Stay<'_>>, stay: &Stay<'_>) -> Result<(), String> {
    let (me, view) = (history.client(stay).name, stay.view);
    let Some(before) = before else {
        let by_join = view.cause == Cause::Join && view.subject() == Some(me);
        // In a view that is not over yet the one that joins is alone and last.
        let in_transition = view.cause == Cause::Network
            && view.own_set() == [me]
            && view.own == Some(view.sets.len() - 1);
        return if by_join || in_transition { Ok(()) } else { Err("its first view".into()) };
    };
    let old = before.view;
    if view.cause == Cause::Network {
        return network(history, before, stay);
    }
    if !before.signals.is_empty() {
        return Err("a change by one member after the signal".into());
    }
    let GroupId { proc, time, index } = old.id;
    if (view.id != GroupId { proc, time, index: index + 1 }) {
        return Err("not the next id".into());
    }
    let subject = view.subject().ok_or("a change by nobody")?;
    let (less, more) = match view.cause {
        Cause::Join => (&old.members, &view.members),
        _ => (&view.members, &old.members),
    };
    let rest = more.iter().filter(|member| **member != subject);
    if !rest.eq(less.iter()) || more.len() != less.len() + 1 {
        return Err("other members than its cause leaves".into());
    }
    Ok(())
}

fn network(history: &History<'_>, before: &Stay<'_>, stay: &Stay<'_>) -> Result<(), String> {
    let (old, view) = (before.view, stay.view);
    let came = view.own_set();
    let own = view.id.index >= TRANSITIONAL;
    if !own && view.id.index != 1 {
        return Err("a change by the network does not begin to count anew".into());
    }
    if let Some(stranger) = came.iter().find(|member| !old.members.contains(member)) {
        return Err(format!("{stranger} came along and was not there"));
    }
    let lost = |member: &&GroupName| !came.contains(member);
    if !before.signals.is_empty() {
        // In a view in transition the lost may have left before it is over.
        let due = old.members.iter().any(|member| lost(&member));
        return if due || old.id.index >= TRANSITIONAL {
            Ok(())
        } else {
            Err("a signal for nothing".into())
        };
    }
    if own {
        // One that joins from a lost daemon puts a group in transition that had nobody there.
        let [rest @ .., joiner] = &view.sets[..] else { return Err("nobody".into()) };
        let old_and_new: usize = rest.iter().map(Vec::len).sum();
        let one = joiner.len() == 1 && !old.members.contains(&joiner[0]);
        let by_join = one && old_and_new == old.members.len() && came == old.members;
        return if by_join { Ok(()) } else { Err("in transition without a signal".into()) };
    }
    if let Some(lost) = old.members.iter().find(lost) {
        // A loss in the middle of an exchange of states, and what follows it, are told as one.
        let (from, to) = (history.time(before), history.time(stay));
        let cut_off = history.told.lives.is_none_or(|lives| {
            let life = &lives[history.client(stay).life];
            life.cut_off.iter().any(|at| (from..=to).contains(at))
        });
        if !cut_off {
            return Err(format!("{lost} is lost without a signal"));
        }
    } else if old.members == view.members && view.sets.len() < 2 {
        return Err("nothing changed".into());
    }
    Ok(())
}

/// A signal names the view that is over, once; and the next view comes.
pub(crate) fn signals(history: &History<'_>) -> Result<(), String> {
    let mut followed = vec![false; history.stays.len()];
    history.stays.iter().filter_map(|stay| stay.from).for_each(|from| followed[from] = true);
    for (stay, followed) in history.stays.iter().zip(followed) {
        let (client, view) = (history.client(stay), stay.view);
        let told = |what: &str| Err(format!("{} was told {what} {view:?}", client.name));
        match &stay.signals[..] {
            [] => {}
            [id] if *id != view.id => return told(&format!("that {id:?} is over while in")),
            [_] if client.whole && !followed && !stay.left => {
                return told("and nothing after it, that this is over:");
            }
            [_] => {}
            _ => return told("twice the end of"),
        }
    }
    Ok(())
}
