//! Extended virtual synchrony, property by property, as it is checked over the traces of one history.
//!
//! The numbers are those of Moser, Amir, Melliar-Smith, Agarwal: *Extended Virtual Synchrony* (1994), where a property has
//! one there. A configuration of that paper is here one view (*regular*) or what follows its transitional signal.

#[cfg(test)]
mod bad;
mod order;
mod safe;
mod sound;
mod views;

use std::collections::BTreeMap;

use ring::{Daemon, RingId, View};

use super::trace::{Content, Item, MessageId, Trace};

/// What one life was told between the installation of a view and that of the next.
#[derive(Debug)]
pub(crate) struct Stay<'a> {
    pub(crate) life: usize,
    pub(crate) view: &'a View,
    /// Messages before the transitional signal.
    pub(crate) regular: Vec<&'a Content>,
    /// Who goes on together, if the view ended here.
    pub(crate) together: Option<&'a [Daemon]>,
    /// Messages after it.
    pub(crate) late: Vec<&'a Content>,
    /// The view that was installed next.
    pub(crate) next: Option<&'a View>,
}

impl Stay<'_> {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Content> {
        self.regular.iter().chain(&self.late).copied()
    }
}

/// All traces, cut into stays.
#[derive(Debug)]
pub(crate) struct History<'a> {
    pub(crate) traces: &'a [Trace],
    pub(crate) stays: Vec<Stay<'a>>,
    /// The stays in each view.
    pub(crate) views: BTreeMap<RingId, Vec<usize>>,
    /// In which view each message was delivered first, by the message's index.
    pub(crate) home: Vec<Option<RingId>>,
    /// How often each life delivered each message, by its index.
    pub(crate) delivered: Vec<Vec<u8>>,
    /// The stays of each life.
    pub(crate) of_life: Vec<core::ops::Range<usize>>,
    /// Where the messages of each life begin.
    first: Vec<usize>,
}

impl<'a> History<'a> {
    fn new(traces: &'a [Trace]) -> Result<Self, String> {
        let mut stays: Vec<Stay<'a>> = Vec::new();
        let mut of_life = Vec::new();
        for (life, trace) in traces.iter().enumerate() {
            if let Some(what) = &trace.corrupt {
                return Err(format!("{} was told {what}", trace.daemon));
            }
            let first = stays.len();
            for (_, item) in &trace.items {
                match item {
                    Item::Installed(view) => {
                        if stays.len() > first
                            && let Some(stay) = stays.last_mut()
                        {
                            stay.next = Some(view);
                        }
                        stays.push(Stay {
                            life,
                            view,
                            regular: Vec::new(),
                            together: None,
                            late: Vec::new(),
                            next: None,
                        });
                    }
                    other => {
                        let Some(stay) = stays.get_mut(first..).and_then(<[_]>::last_mut) else {
                            return Err(format!(
                                "{} was told {other:?} before any view",
                                trace.daemon
                            ));
                        };
                        match other {
                            Item::Transitional(_) if stay.together.is_some() => {
                                return Err(format!(
                                    "{} got two transitional signals in {}",
                                    trace.daemon, stay.view.id
                                ));
                            }
                            Item::Transitional(together) => stay.together = Some(together),
                            Item::Delivered(content) if stay.together.is_none() => {
                                stay.regular.push(content);
                            }
                            Item::Delivered(content) => stay.late.push(content),
                            Item::Installed(_) => {}
                        }
                    }
                }
            }
            of_life.push(first..stays.len());
        }
        let mut views: BTreeMap<RingId, Vec<usize>> = BTreeMap::new();
        for (at, stay) in stays.iter().enumerate() {
            views.entry(stay.view.id).or_default().push(at);
        }
        let mut count = 0;
        let first = traces
            .iter()
            .map(|trace| {
                let begin = count;
                count += trace.sent as usize;
                begin
            })
            .collect();
        let mut history = Self {
            traces,
            stays,
            views,
            home: vec![None; count],
            delivered: vec![vec![0; count]; traces.len()],
            of_life,
            first,
        };
        for at in 0..history.stays.len() {
            let stay = &history.stays[at];
            let indices: Option<Vec<usize>> =
                stay.all().map(|content| history.index(content.id)).collect();
            let Some(indices) = indices else {
                return Err(format!("{} got a message nobody sent", history.daemon(stay)));
            };
            let (life, id) = (stay.life, stay.view.id);
            for index in indices {
                history.home[index].get_or_insert(id);
                let times = &mut history.delivered[life][index];
                *times = times.saturating_add(1);
            }
        }
        Ok(history)
    }

    /// All messages ever sent have an index; `None` if this one was not.
    pub(crate) fn index(&self, id: MessageId) -> Option<usize> {
        let sent = self.traces.get(id.life as usize)?.sent;
        let number = u64::from(id.number);
        (1..=sent).contains(&number).then(|| self.first[id.life as usize] + number as usize - 1)
    }

    /// How many messages were sent in all.
    pub(crate) fn messages(&self) -> usize {
        self.home.len()
    }

    pub(crate) fn daemon(&self, stay: &Stay<'_>) -> Daemon {
        self.traces[stay.life].daemon
    }
}

type Check = fn(&History<'_>) -> Result<(), String>;

/// Every property, with its name.
const PROPERTIES: [(&str, Check); 12] = [
    ("integrity: what is delivered was sent, by a member, in this view only", sound::integrity),
    ("no duplication", sound::no_duplication),
    ("views: one id, one view; ids of clients are unique too", views::agreement),
    ("views: a daemon is in its views, and they only go forward", views::progress),
    ("transitional sets: who goes together agrees on it", views::transitional),
    ("FIFO: one sender's messages in the order sent, none left out", order::fifo),
    ("total order: any two messages in one order everywhere", order::total),
    ("causal order: nothing before what its sender had seen", order::causal),
    ("self-delivery", sound::self_delivery),
    ("virtual synchrony: who goes together saw the same", views::virtual_synchrony),
    ("safe in a view: all its members have it", safe::in_view),
    ("safe after the signal: all who go together have it", safe::after_signal),
];

/// Checks all properties.
///
/// # Errors
/// The first one broken, and how.
pub fn all(traces: &[Trace]) -> Result<(), String> {
    let history = History::new(traces)?;
    for (name, check) in PROPERTIES {
        check(&history).map_err(|what| format!("{name}: {what}"))?;
    }
    Ok(())
}
