//! The checker of histories finds what cannot be: a sound history, spoilt in one place.

use spread_client::{Cause, GroupId};
use testkit::trial::Failed;

use crate::history::{Item, MessageId, Trace, View, check};

pub(crate) const TRIALS: &[crate::Named] =
    &[("the_checker_finds_every_spoilt_history_and_passes_the_sound_one", finds)];

fn view(time: i32, cause: Cause, members: &[&str], together: &[&str]) -> Item {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let id = GroupId { proc: 1, time, index: 1 };
    Item::View(View { id, cause, members: list(members), together: list(together) })
}

fn message(session: u32, number: u32, safe: bool) -> Item {
    Item::Message { id: MessageId { session, number }, safe }
}

/// Three in a view; the third is cut off and comes back.
fn sound() -> Vec<Trace> {
    let signal = Item::Transition(GroupId { proc: 1, time: 1, index: 1 });
    let trace = |session: u32, name: &str, items: Vec<Item>, sent| Trace {
        session,
        name: name.into(),
        items,
        sent,
        whole: true,
        corrupt: None,
    };
    let all = ["a", "b", "c"];
    let pair = |first: Item| {
        vec![
            first,
            message(0, 1, false),
            message(1, 1, true),
            message(0, 2, false),
            signal.clone(),
            message(0, 3, true),
            view(2, Cause::Network, &["a", "b"], &["a", "b"]),
            message(1, 2, false),
            view(4, Cause::Network, &all, &["a", "b"]),
            message(2, 3, false),
        ]
    };
    let third = vec![
        view(1, Cause::Join, &all, &all),
        message(0, 1, false),
        message(1, 1, true),
        signal.clone(),
        message(2, 1, false),
        view(3, Cause::Network, &["c"], &["c"]),
        message(2, 2, false),
        view(4, Cause::Network, &all, &["c"]),
        message(2, 3, false),
    ];
    let first = || view(1, Cause::Join, &all, &all);
    vec![trace(0, "a", pair(first()), 3), trace(1, "b", pair(first()), 2), trace(2, "c", third, 3)]
}

fn finds() -> Result<(), Failed> {
    check(&sound())?;
    type Spoil = fn(&mut Vec<Trace>);
    let spoilt: [(&str, Spoil); 14] = [
        ("nobody sent", |t| t[0].items.push(message(1, 9, false))),
        ("twice", |t| t[0].items.push(message(0, 1, false))),
        ("before any view", |t| t[2].items.insert(0, message(2, 1, false))),
        ("in its own view", |t| t[1].items[8] = view(4, Cause::Network, &["a", "b", "c"], &["a"])),
        ("two views", |t| t[2].items[7] = view(4, Cause::Network, &["b", "c"], &["c"])),
        ("after number", |t| drop(t[0].items.remove(3))),
        ("of them", |t| t[1].sent += 1),
        ("no one order", |t| {
            t.iter_mut().take(2).for_each(|t| t.items.swap(1, 2));
        }),
        // The last message before the view; the place is that of the signal then.
        ("and were told", |t| drop(t[1].items.remove(5))),
        ("came together", |t| {
            t[0].items[8] = view(4, Cause::Network, &["a", "b", "c"], &["a", "b", "c"]);
            t[1].items[8] = t[0].items[8].clone();
        }),
        ("as safe", |t| {
            t[2].items.remove(2);
        }),
        ("told twice that", |t| {
            let signal = t[2].items[3].clone();
            t[2].items.insert(4, signal);
        }),
        ("that GroupId", |t| {
            t[2].items[3] = Item::Transition(GroupId { proc: 9, time: 1, index: 1 })
        }),
        ("gibberish", |t| t[1].corrupt = Some("gibberish".into())),
    ];
    for (expected, spoil) in spoilt {
        let mut traces = sound();
        spoil(&mut traces);
        match check(&traces) {
            Err(what) if what.contains(expected) => {}
            other => return Err(format!("{expected:?} was to be found, not {other:?}").into()),
        }
    }
    Ok(())
}
