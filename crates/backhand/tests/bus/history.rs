//! What clients were told, and whether it can be true: extended virtual synchrony as clients see it, property by property.
//!
//! The properties are those of the semantics of the original as its clients rely on them: one total order of messages and views,
//! first in first out, nothing twice, nothing that was never sent, self-delivery, the same messages between the same two views for all
//! who go through them together, and safe messages at all members. One group is looked at.

use std::collections::{BTreeMap, BTreeSet};

use spread_client::{Cause, GroupId};

/// A message: which session sent it, as which of its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MessageId {
    pub(crate) session: u32,
    pub(crate) number: u32,
}

/// A view as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) id: GroupId,
    pub(crate) cause: Cause,
    pub(crate) members: Vec<String>,
    /// Who came here together with this client from its view before.
    pub(crate) together: Vec<String>,
}

/// Something a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Message { id: MessageId, safe: bool },
    Transition(GroupId),
    View(View),
}

/// All that one session did and was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// Its number, unlike all others.
    pub(crate) session: u32,
    /// Its private group, which no other session of the history has.
    pub(crate) name: String,
    pub(crate) items: Vec<Item>,
    /// How many messages it sent, the last included.
    pub(crate) sent: u32,
    /// It was there to the end, and was told all that it had to be told.
    pub(crate) whole: bool,
    /// What could not be understood.
    pub(crate) corrupt: Option<String>,
}

/// From one view to the next, or to the end.
struct Stay<'a> {
    trace: &'a Trace,
    view: &'a View,
    /// Messages and at most one transitional signal.
    items: &'a [Item],
    next: Option<&'a View>,
}

impl Stay<'_> {
    fn messages(&self) -> impl Iterator<Item = (MessageId, bool)> {
        self.items.iter().filter_map(|item| match item {
            Item::Message { id, safe } => Some((*id, *safe)),
            _ => None,
        })
    }

    /// What came before the signal, and what after it.
    fn halves(&self) -> (&[Item], &[Item]) {
        let signal = self.items.iter().position(|item| matches!(item, Item::Transition(_)));
        self.items.split_at(signal.unwrap_or(self.items.len()))
    }
}

/// Checks everything.
///
/// # Errors
/// The first thing that cannot be.
pub(crate) fn check(traces: &[Trace]) -> Result<(), String> {
    let stays = traces.iter().map(stays).collect::<Result<Vec<_>, _>>()?;
    let stays: Vec<Stay<'_>> = stays.into_iter().flatten().collect();
    integrity(traces)?;
    views(&stays)?;
    fifo(&stays)?;
    self_delivery(traces)?;
    total_order(traces)?;
    virtual_synchrony(&stays)?;
    safe(traces, &stays)
}

fn stays(trace: &Trace) -> Result<Vec<Stay<'_>>, String> {
    if let Some(what) = &trace.corrupt {
        return Err(format!("{} was told {what}", trace.name));
    }
    let mut places: Vec<usize> = Vec::new();
    for (at, item) in trace.items.iter().enumerate() {
        match item {
            Item::View(_) => places.push(at),
            other if places.is_empty() => {
                return Err(format!("{} was told {other:?} before any view", trace.name));
            }
            _ => {}
        }
    }
    let view = |at: usize| match &trace.items[at] {
        Item::View(view) => Some(view),
        _ => None,
    };
    let ends = places.iter().skip(1).copied().chain([trace.items.len()]);
    let cut = places.iter().zip(ends).filter_map(|(&at, end)| {
        let next = if end < trace.items.len() { view(end) } else { None };
        Some(Stay { trace, view: view(at)?, items: &trace.items[at + 1..end], next })
    });
    Ok(cut.collect())
}

/// What came was sent, and came once.
fn integrity(traces: &[Trace]) -> Result<(), String> {
    let sent: BTreeMap<u32, u32> = traces.iter().map(|t| (t.session, t.sent)).collect();
    for trace in traces {
        let mut seen = BTreeSet::new();
        for item in &trace.items {
            let Item::Message { id, .. } = item else { continue };
            if sent.get(&id.session).is_none_or(|sent| id.number > *sent) {
                return Err(format!("{} got {id:?}, which nobody sent", trace.name));
            }
            if !seen.insert(*id) {
                return Err(format!("{} got {id:?} twice", trace.name));
            }
        }
    }
    Ok(())
}

/// What tells views apart. Not the id alone: its time is that of the clock, or one more than the last, and a daemon that starts again
/// after more than one view a second finds its clock behind the ids of its life before.
type Key<'a> = (GroupId, &'a [String]);

fn key(view: &View) -> Key<'_> {
    (view.id, &view.members)
}

/// One id, one list of members, among all who can have met; everybody is in its own views and sees each once; a signal ends the view it names, once.
fn views(stays: &[Stay<'_>]) -> Result<(), String> {
    let mut known: BTreeMap<GroupId, Vec<&View>> = BTreeMap::new();
    let mut seen: BTreeSet<(u32, GroupId)> = BTreeSet::new();
    for stay in stays {
        let (name, view) = (&stay.trace.name, stay.view);
        let same = known.entry(view.id).or_default();
        if let Some(other) = same.iter().find(|other| {
            other.members != view.members
                && other.members.iter().any(|member| view.members.contains(member))
        }) {
            return Err(format!("one id, two views: {other:?}; to {name}: {view:?}"));
        }
        if !same.iter().any(|other| other.members == view.members) {
            same.push(view);
        }
        if !view.members.contains(name) || !view.together.contains(name) {
            return Err(format!("{name} is not in its own view {view:?}"));
        }
        if let Some(stranger) = view.together.iter().find(|one| !view.members.contains(one)) {
            return Err(format!("{stranger} came along, but is not in {view:?}"));
        }
        if !seen.insert((stay.trace.session, view.id)) {
            return Err(format!("{name} was told {view:?} twice"));
        }
        let mut signals = stay.items.iter().filter(|item| matches!(item, Item::Transition(_)));
        if let Some(Item::Transition(id)) = signals.next()
            && *id != view.id
        {
            return Err(format!("{name} was in {view:?} and told that {id:?} ends"));
        }
        if signals.next().is_some() {
            return Err(format!("{name} was told twice that {view:?} ends"));
        }
    }
    Ok(())
}

/// A session's messages come in the order sent; while sender and receiver go together, none is left out.
fn fifo(stays: &[Stay<'_>]) -> Result<(), String> {
    let mut last: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    let mut gap: BTreeSet<(u32, u32)> = BTreeSet::new();
    let names: BTreeMap<u32, &str> =
        stays.iter().map(|stay| (stay.trace.session, stay.trace.name.as_str())).collect();
    for stay in stays {
        let receiver = stay.trace.session;
        // Whoever did not come along may have been heard by others meanwhile.
        for (sender, name) in &names {
            let joined = stay.view.cause != Cause::Network;
            if !joined && !stay.view.together.iter().any(|one| one == name) {
                gap.insert((receiver, *sender));
            }
        }
        for (id, _) in stay.messages() {
            let key = (receiver, id.session);
            let before = last.insert(key, id.number);
            let wrong = match before {
                Some(before) if gap.contains(&key) => id.number <= before,
                Some(before) => id.number != before + 1,
                None => false,
            };
            if wrong {
                return Err(format!(
                    "{} got number {} of {:?} after number {before:?}",
                    stay.trace.name,
                    id.number,
                    names.get(&id.session)
                ));
            }
            gap.remove(&key);
        }
    }
    Ok(())
}

fn self_delivery(traces: &[Trace]) -> Result<(), String> {
    for trace in traces.iter().filter(|trace| trace.whole) {
        let own =
            |item: &&Item| matches!(item, Item::Message { id, .. } if id.session == trace.session);
        let got = trace.items.iter().filter(own).count();
        if got != trace.sent as usize {
            return Err(format!("{} sent {} and got {got} of them", trace.name, trace.sent));
        }
    }
    Ok(())
}

/// What stands at one place of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place<'a> {
    Message(MessageId),
    View(Key<'a>),
}

/// All messages and views can be brought into one order of which every trace is a part.
fn total_order(traces: &[Trace]) -> Result<(), String> {
    let mut after: BTreeMap<Place<'_>, BTreeSet<Place<'_>>> = BTreeMap::new();
    let mut before: BTreeMap<Place<'_>, usize> = BTreeMap::new();
    for trace in traces {
        let places = trace.items.iter().filter_map(|item| match item {
            Item::Message { id, .. } => Some(Place::Message(*id)),
            Item::View(view) => Some(Place::View(key(view))),
            Item::Transition(_) => None,
        });
        let mut last = None;
        for place in places {
            before.entry(place).or_insert(0);
            if let Some(last) = last.replace(place)
                && after.entry(last).or_default().insert(place)
            {
                *before.entry(place).or_insert(0) += 1;
            }
        }
    }
    let mut free: Vec<Place<'_>> =
        before.iter().filter(|(_, n)| **n == 0).map(|(p, _)| *p).collect();
    let mut placed = 0;
    while let Some(place) = free.pop() {
        placed += 1;
        for next in after.remove(&place).unwrap_or_default() {
            if let Some(n) = before.get_mut(&next) {
                *n -= 1;
                if *n == 0 {
                    free.push(next);
                }
            }
        }
    }
    if placed == before.len() {
        return Ok(());
    }
    let stuck: Vec<_> = after.iter().filter(|(_, next)| !next.is_empty()).take(8).collect();
    Err(format!("there is no one order; of {} places among others {stuck:?}", before.len()))
}

/// Who comes to a view together comes from one view, and was told the same in it, before the signal and after it.
fn virtual_synchrony(stays: &[Stay<'_>]) -> Result<(), String> {
    let mut arrivals: BTreeMap<Key<'_>, Vec<&Stay<'_>>> = BTreeMap::new();
    for stay in stays {
        if let Some(next) = stay.next {
            arrivals.entry(key(next)).or_default().push(stay);
        }
    }
    for stays in arrivals.values() {
        for (at, one) in stays.iter().enumerate() {
            let Some(next) = one.next else { continue };
            for other in &stays[at + 1..] {
                let together =
                    next.cause != Cause::Network || next.together.contains(&other.trace.name);
                if !together {
                    continue;
                }
                let names = (&one.trace.name, &other.trace.name);
                if key(one.view) != key(other.view) {
                    return Err(format!(
                        "{names:?} came together to {:?}, one from {:?}, the other from {:?}",
                        next.id, one.view, other.view
                    ));
                }
                if one.items != other.items {
                    let (a, b) = (one.halves(), other.halves());
                    let counts = [a.0.len(), a.1.len(), b.0.len(), b.1.len()];
                    return Err(format!(
                        "{names:?} went together from {:?} to {:?} and were told, before and after the signal, {counts:?} things",
                        one.view.id, next.id
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Who got a safe message knows that all members got it, or, after the signal, all who go on with it; the dead excepted.
fn safe(traces: &[Trace], stays: &[Stay<'_>]) -> Result<(), String> {
    let mut got: BTreeMap<u32, BTreeSet<MessageId>> = BTreeMap::new();
    let mut been: BTreeSet<(u32, GroupId)> = BTreeSet::new();
    for stay in stays {
        got.entry(stay.trace.session).or_default().extend(stay.messages().map(|(id, _)| id));
        been.insert((stay.trace.session, stay.view.id));
    }
    let all: BTreeMap<&str, &Trace> = traces.iter().map(|t| (t.name.as_str(), t)).collect();
    for stay in stays {
        let (before, after) = stay.halves();
        let together = stay.next.map_or(&[][..], |next| &next.together[..]);
        let parts = [(before, &stay.view.members[..]), (after, together)];
        for (items, owed) in parts {
            let owed: Vec<&Trace> = owed
                .iter()
                .filter_map(|name| all.get(name.as_str()).copied())
                .filter(|to| to.whole && been.contains(&(to.session, stay.view.id)))
                .collect();
            for item in items {
                let Item::Message { id, safe: true } = item else { continue };
                let without = |to: &&&Trace| !got.get(&to.session).is_some_and(|g| g.contains(id));
                if let Some(without) = owed.iter().find(without) {
                    return Err(format!(
                        "{} got {id:?} as safe in {:?}, {} never did",
                        stay.trace.name, stay.view.id, without.name
                    ));
                }
            }
        }
    }
    Ok(())
}
