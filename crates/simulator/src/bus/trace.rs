//! What one life of a daemon did and saw, in its own order.

use std::time::Duration;

use base::Instant;
use ring::{Daemon, Event, Notice, Service, View};

/// A message of the simulation: who sent it, as which of its messages, and what it had seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// The life that sent it: an index of the traces.
    pub life: u32,
    /// Its number there, from 1.
    pub number: u32,
}

/// A message as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Which.
    pub id: MessageId,
    /// How many messages its sender had delivered before it sent this.
    pub seen: u32,
    /// What it was sent with.
    pub service: Service,
    /// The bytes it has in all.
    pub length: usize,
}

/// Bytes before the filling.
pub const HEAD: usize = 17;

impl Content {
    /// The bytes: the content, then a filling that follows from it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.length.max(HEAD));
        out.extend_from_slice(&self.id.life.to_be_bytes());
        out.extend_from_slice(&self.id.number.to_be_bytes());
        out.extend_from_slice(&self.seen.to_be_bytes());
        out.push(u8::from(self.service == Service::Safe));
        out.extend_from_slice(&(self.length as u32).to_be_bytes());
        let fill = (self.id.life as u8) ^ (self.id.number as u8);
        out.resize(self.length.max(HEAD), fill);
        out
    }

    /// What was encoded; `None` if a byte of it is not as it was sent.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        let id = MessageId { life: word(0)?, number: word(4)? };
        let service = if *bytes.get(12)? == 1 { Service::Safe } else { Service::Agreed };
        let length = word(13)? as usize;
        let fill = (id.life as u8) ^ (id.number as u8);
        let whole = bytes.len() == length.max(HEAD) && bytes[12] <= 1;
        let sound = whole && bytes[HEAD..].iter().all(|byte| *byte == fill);
        sound.then_some(Self { id, seen: word(8)?, service, length })
    }
}

/// One thing that a daemon was told.
#[derive(Clone, Debug)]
pub enum Item {
    /// A message.
    Delivered(Content),
    /// The view is over; these go on together.
    Transitional(Vec<Daemon>),
    /// A view.
    Installed(View),
}

/// One life.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Who.
    pub daemon: Daemon,
    /// On which machine.
    pub machine: usize,
    /// When it began.
    pub begin: Instant,
    /// When it crashed or left.
    pub end: Option<Instant>,
    /// What it had to say to the operator.
    pub notices: Vec<(Instant, Notice)>,
    /// What it was told, and when.
    pub items: Vec<(Instant, Item)>,
    /// When exchanges of states of its groups were cut off by another change.
    pub cut_off: Vec<Instant>,
    /// How many messages it sent.
    pub sent: u64,
    /// Messages delivered so far.
    pub seen: u32,
    /// Members of its last view.
    members: usize,
    /// It was not found alive at the end.
    pub ended: bool,
    /// What could not be understood.
    pub corrupt: Option<String>,
}

impl Trace {
    /// A life that begins.
    pub fn new(daemon: Daemon, machine: usize, begin: Instant) -> Self {
        Self {
            daemon,
            machine,
            begin,
            end: None,
            notices: Vec::new(),
            items: Vec::new(),
            cut_off: Vec::new(),
            sent: 0,
            seen: 0,
            members: 0,
            ended: true,
            corrupt: None,
        }
    }

    /// Writes down an event.
    pub fn record(&mut self, now: Instant, event: Event) {
        let item = match event {
            Event::Installed(view) => {
                self.members = view.members.len();
                Item::Installed(view)
            }
            Event::Transitional { together } => Item::Transitional(together.to_vec()),
            Event::Delivered { sender, service, message } => {
                let Some(content) = Content::decode(&message) else {
                    self.corrupt = Some(format!("{} bytes that were never sent", message.len()));
                    return;
                };
                if sender >= self.members {
                    self.corrupt = Some(format!("a sender at place {sender} that no member has"));
                }
                if service != content.service {
                    self.corrupt = Some(format!("{:?} delivered as {service:?}", content));
                }
                self.seen += 1;
                Item::Delivered(content)
            }
        };
        self.items.push((now, item));
    }

    /// Writes down an event if it is not a message: those are not ours where there are clients.
    pub fn record_view(&mut self, now: Instant, event: Event) {
        if matches!(event, Event::Delivered { .. }) {
            self.seen += 1;
        } else {
            self.record(now, event);
        }
    }

    /// When it installed a view last.
    pub fn last_install(&self) -> Option<Instant> {
        let mut items = self.items.iter().rev();
        items.find(|(_, item)| matches!(item, Item::Installed(_))).map(|(at, _)| *at)
    }

    /// How many views it installed.
    pub fn views(&self) -> u64 {
        self.items.iter().filter(|(_, item)| matches!(item, Item::Installed(_))).count() as u64
    }

    /// How many messages it delivered.
    pub fn delivered(&self) -> u64 {
        self.seen.into()
    }
}

/// Formats a time for messages.
pub fn seconds(at: Instant) -> f64 {
    Duration::from_nanos(at.as_nanos()).as_secs_f64()
}
