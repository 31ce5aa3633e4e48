//! What a client may rely on, property by property, checked over what all clients of a history did and were told: of simulated
//! daemons, and of real ones.
//!
//! The rules are those of `spread-semantics.md`: chapter 2 for the services, 3 for views and the order of notices.

#[cfg(test)]
mod bad;
mod order;
mod sound;
mod steps;
mod together;
mod views;

use std::collections::BTreeMap;

use spread_wire::{GroupId, GroupName};

use super::client::{Client, Deed, Item, View};
use crate::bus::World;
use crate::bus::trace::{MessageId, Trace};

/// What is checked.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// All clients; messages name their senders by their places here.
    pub clients: &'a [Client],
    /// All lives of daemons. Not known of real ones: then what happened between them is what clients were told of it, and
    /// clients that are not among these may have taken part.
    pub lives: Option<&'a [Trace]>,
    /// No group was forgotten and made again. If not, one id can stand for two views, and only what does not need ids
    /// is checked.
    pub anchored: bool,
    /// The daemons' names in member order; empty if that is the order of their bytes; none if the order has changed.
    pub order: Option<&'a [Vec<u8>]>,
}

/// What one client was told of one group from one view to the next.
#[derive(Debug)]
pub(crate) struct Stay<'a> {
    pub(crate) client: usize,
    /// Which of the things it was told the view was.
    pub(crate) at: usize,
    pub(crate) view: &'a View,
    /// The number of the view: equal where group, id and members are.
    pub(crate) key: usize,
    /// The stay before, if the client was in the group already.
    pub(crate) from: Option<usize>,
    /// Messages for the group that were not kept from their sender, before the signal that the view is over.
    pub(crate) messages: Vec<MessageId>,
    /// The ids of the signals.
    pub(crate) signals: Vec<GroupId>,
    /// Messages after the first signal.
    pub(crate) late: Vec<MessageId>,
    /// The client has left; the self-leave came then.
    pub(crate) left: bool,
}

/// All that was told, cut into stays.
pub(crate) struct History<'a> {
    pub(crate) told: Told<'a>,
    pub(crate) stays: Vec<Stay<'a>>,
    /// The number of the view in each item, by client.
    pub(crate) keys: Vec<BTreeMap<usize, usize>>,
    /// How many different views there are.
    pub(crate) views: usize,
}

impl<'a> History<'a> {
    fn new(told: Told<'a>) -> Result<Self, String> {
        let mut history = Self { told, stays: Vec::new(), keys: Vec::new(), views: 0 };
        let mut numbers: BTreeMap<(GroupName, GroupId, &[GroupName]), usize> = BTreeMap::new();
        for (at, client) in told.clients.iter().enumerate() {
            if let Some(what) = &client.corrupt {
                return Err(format!("integrity: {} was told {what}", client.name));
            }
            let keys = history.cut(at, client, &mut numbers)?;
            history.keys.push(keys);
        }
        history.views = numbers.len();
        Ok(history)
    }

    fn cut(
        &mut self,
        at: usize,
        client: &'a Client,
        numbers: &mut BTreeMap<(GroupName, GroupId, &'a [GroupName]), usize>,
    ) -> Result<BTreeMap<usize, usize>, String> {
        let mut keys = BTreeMap::new();
        let mut inside: BTreeMap<GroupName, usize> = BTreeMap::new();
        for (place, (_, item)) in client.heard.iter().enumerate() {
            let strange = || format!("{} was told {item:?} of a group it is not in", client.name);
            match item {
                Item::Message(id) => self.place(at, *id, &inside)?,
                other if !client.wants => {
                    return Err(format!("{} did not want to be told {other:?}", client.name));
                }
                Item::View(view) => {
                    let next = numbers.len();
                    let key = (view.group, view.id, &view.members[..]);
                    let key = *numbers.entry(key).or_insert(next);
                    keys.insert(place, key);
                    let from = inside.insert(view.group, self.stays.len());
                    self.stays.push(Stay {
                        client: at,
                        at: place,
                        view,
                        key,
                        from,
                        messages: Vec::new(),
                        signals: Vec::new(),
                        late: Vec::new(),
                        left: false,
                    });
                }
                Item::Signal(group, id) => {
                    let stay = inside.get(group).ok_or_else(strange)?;
                    self.stays[*stay].signals.push(*id);
                }
                Item::Left(group) => {
                    let stay = inside.remove(group).ok_or_else(strange)?;
                    self.stays[stay].left = true;
                }
            }
        }
        Ok(keys)
    }

    /// Puts a message into the stays of the groups that it was for. Integrity: it was for this client.
    fn place(
        &mut self,
        at: usize,
        id: MessageId,
        inside: &BTreeMap<GroupName, usize>,
    ) -> Result<(), String> {
        let client = &self.told.clients[at];
        let sender = self.told.clients.get(id.life as usize);
        let sent = sender.and_then(|sender| sender.sent(id.number));
        let Some(sent) = sent else {
            return Err(format!("integrity: {} got {id:?}, which nobody sent", client.name));
        };
        if sent.discards_self() && id.life as usize == at {
            return Err(format!("integrity: {} got {id:?} from itself", client.name));
        }
        let mut stays: Vec<usize> =
            sent.to.iter().filter_map(|to| inside.get(to)).copied().collect();
        stays.sort_unstable();
        stays.dedup();
        // Who is told nothing of members has at least asked to be one.
        let asked = |to: &GroupName| client.deeds.contains(&Deed::Join(*to));
        let for_it = !stays.is_empty()
            || sent.to.contains(&client.name)
            || !client.wants && sent.to.iter().any(asked);
        if !for_it {
            return Err(format!("integrity: {} got {id:?}, sent to {:?}", client.name, sent.to));
        }
        for stay in stays.into_iter().filter(|_| !sent.discards_self()) {
            let stay = &mut self.stays[stay];
            if stay.signals.is_empty() {
                stay.messages.push(id);
            } else {
                stay.late.push(id);
            }
        }
        Ok(())
    }

    pub(crate) fn client(&self, stay: &Stay<'_>) -> &'a Client {
        &self.told.clients[stay.client]
    }

    /// When the view of a stay was told.
    pub(crate) fn time(&self, stay: &Stay<'_>) -> base::Instant {
        self.client(stay).heard[stay.at].0
    }

    /// The stays that follow another, each with the one before.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&Stay<'a>, &Stay<'a>)> {
        self.stays.iter().filter_map(|stay| Some((&self.stays[stay.from?], stay)))
    }
}

type Check = fn(&History<'_>) -> Result<(), String>;

/// The properties that need no ids.
const ALWAYS: [(&str, Check); 7] = [
    ("no duplication", sound::once),
    ("self-delivery: what a session did comes back in the order it did it", sound::echo),
    ("FIFO: in the order sent, none left out while the daemons are together", sound::fifo),
    ("form: sets part the members, who are in order", views::form),
    ("causes: somebody did what the notice says", views::causes),
    ("disconnects: groups in the order of their names", views::ends_in_order),
    ("one order of messages, which is causal", order::messages),
];

/// The properties that need one view for each id.
const ANCHORED: [(&str, Check); 6] = [
    ("ids: one id, one view", views::ids),
    ("steps: each view follows from the one before as its cause says", steps::steps),
    ("signals: once for each view that ends with a loss", steps::signals),
    ("one order of messages and views", order::all),
    ("virtual synchrony: who comes together was told the same", together::virtual_synchrony),
    ("safe: all members of the view have it", together::safe),
];

/// Checks all properties.
///
/// # Errors
/// The first one broken, and how.
pub fn check(told: Told<'_>) -> Result<(), String> {
    let history = History::new(told)?;
    let anchored = &ANCHORED[..if told.anchored { ANCHORED.len() } else { 0 }];
    for (name, check) in ALWAYS.iter().chain(anchored) {
        check(&history).map_err(|what| format!("{name}: {what}"))?;
    }
    Ok(())
}

/// Checks what the clients of a history were told.
///
/// # Errors
/// The first property that is broken, and how.
pub fn all(world: &World) -> Result<(), String> {
    let Some(crowd) = &world.plan.crowd else { return Ok(()) };
    check(Told {
        clients: &world.clients,
        lives: Some(&world.traces),
        anchored: crowd.anchored,
        order: Some(&world.member_order()),
    })
}
