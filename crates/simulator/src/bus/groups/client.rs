//! What one client did and was told, in its own order.

use base::Instant;
use bytes::{Bytes, BytesMut};
use spread_wire::client::{Decoder, Event};
use spread_wire::{Cause, GroupId, GroupName, Membership, Names, Regular, Service, ServiceType};

use crate::bus::trace::{Content, MessageId};

/// Something a client asked its daemon for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// To be a member.
    Join(GroupName),
    /// To be one no more.
    Leave(GroupName),
    /// To deliver its message of this number.
    Say(u32),
}

/// A message that a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its destinations, as they were written.
    pub to: Vec<GroupName>,
    /// Its service, with the flags.
    pub service: ServiceType,
    /// How many things its sender had been told before.
    pub after: usize,
}

impl Sent {
    /// Whether it was sent as safe.
    pub fn is_safe(&self) -> bool {
        self.service.service() == Some(Service::Safe)
    }

    /// Whether it is not for the session that sent it.
    pub fn discards_self(&self) -> bool {
        self.service.contains(ServiceType::SELF_DISCARD)
    }
}

/// A view of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The group.
    pub group: GroupName,
    /// Its id.
    pub id: GroupId,
    /// Why it came.
    pub cause: Cause,
    /// All members.
    pub members: Vec<GroupName>,
    /// The vs sets.
    pub sets: Vec<Vec<GroupName>>,
    /// Which of them is the receiver's.
    pub own: Option<usize>,
}

impl View {
    /// The members that came with the receiver.
    pub fn own_set(&self) -> &[GroupName] {
        self.own.and_then(|own| self.sets.get(own)).map_or(&[], |set| set)
    }

    /// The one that joined, left or was disconnected.
    pub fn subject(&self) -> Option<GroupName> {
        match (self.cause, &self.sets[..]) {
            (Cause::Network, _) => None,
            (_, [set]) => set.first().copied().filter(|_| set.len() == 1),
            _ => None,
        }
    }
}

impl From<&Membership> for View {
    fn from(told: &Membership) -> Self {
        let list = |names: &Names| names.iter().collect();
        Self {
            group: told.group,
            id: told.id,
            cause: told.cause,
            members: list(&told.members),
            sets: told.sets.iter().map(|set| list(&set)).collect(),
            own: told.own,
        }
    }
}

/// Something that a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A message; `life` in it is the client that sent it.
    Message(MessageId),
    /// A view of a group.
    View(Box<View>),
    /// The view of a group is over.
    Signal(GroupName, GroupId),
    /// It has left this group.
    Left(GroupName),
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It said so.
    Asked,
    /// Its connection was lost, or it was dropped.
    Lost,
    /// Its daemon died.
    Daemon,
}

/// One client.
#[derive(Clone, Debug)]
pub struct Client {
    /// The life of the daemon that it is at: an index of the traces.
    pub life: usize,
    /// Its private group.
    pub name: GroupName,
    /// It wants to be told of members.
    pub wants: bool,
    /// What it asked for.
    pub deeds: Vec<Deed>,
    /// What it sent; number 1 is the first.
    pub sent: Vec<Sent>,
    /// What it was told, and when its daemon told it.
    pub heard: Vec<(Instant, Item)>,
    /// How it ended, if it did.
    pub end: Option<End>,
    /// It was there when everything was at rest.
    pub whole: bool,
    /// What could not be understood.
    pub corrupt: Option<String>,
}

impl Client {
    /// A session that begins.
    pub fn new(life: usize, name: GroupName, wants: bool) -> Self {
        Self {
            life,
            name,
            wants,
            deeds: Vec::new(),
            sent: Vec::new(),
            heard: Vec::new(),
            end: None,
            whole: false,
            corrupt: None,
        }
    }

    /// Its message of this number.
    pub fn sent(&self, number: u32) -> Option<&Sent> {
        self.sent.get((number as usize).checked_sub(1)?)
    }

    /// It sends its next message, and is told what it is told from now on after that. Its number.
    pub fn say(&mut self, to: Vec<GroupName>, service: ServiceType) -> u32 {
        self.sent.push(Sent { to, service, after: self.heard.len() });
        let number = self.sent.len() as u32;
        self.deeds.push(Deed::Say(number));
        number
    }
}

/// What the bytes say that were given to a client.
///
/// # Errors
/// They are not one message, or say what nobody has said.
pub(super) fn understand(clients: &[Client], message: &Bytes) -> Result<Item, String> {
    let mut buffer = BytesMut::from(&message[..]);
    let told = Decoder::default().decode(&mut buffer).map_err(|error| error.to_string())?;
    let told = told.filter(|_| buffer.is_empty()).ok_or("bytes that are not one message")?;
    Ok(match told {
        Event::Regular(regular) => Item::Message(as_sent(clients, &regular)?),
        Event::Membership(view) => Item::View(Box::new(View::from(&view))),
        Event::Transitional(signal) => Item::Signal(signal.group, signal.id),
        Event::SelfLeave(group) => Item::Left(group),
        Event::Reject(_) => return Err("that something was rejected".into()),
    })
}

/// Which message it is, if it is byte for byte as it was sent.
fn as_sent(clients: &[Client], regular: &Regular) -> Result<MessageId, String> {
    let content = Content::decode(&regular.body).ok_or("a body that nobody sent")?;
    let id = content.id;
    let sender = clients.get(id.life as usize).ok_or("a message of nobody")?;
    let sent = sender.sent(id.number).ok_or_else(|| format!("{id:?}, which nobody sent"))?;
    let same = sent.service == regular.service
        && regular.sender == Some(sender.name)
        && regular.groups.iter().eq(sent.to.iter().copied())
        && regular.hint.kind() == hint(id.number);
    same.then_some(id).ok_or_else(|| format!("{regular:?}, which was sent as {sent:?}"))
}

/// The application's 16 bits of a client's message.
pub(super) fn hint(number: u32) -> i16 {
    (number % 30_000) as i16
}
