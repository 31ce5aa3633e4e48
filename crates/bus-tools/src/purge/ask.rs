//! `backhand purge`: tells the group what to remove, and waits for every member's answer.
//!
//! Who must answer is told by the answers: each names the members of the view in which the purge was delivered, and views are the
//! same everywhere. A member that is cut off at that moment is in it too, so it is missed and named.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Write};
use std::time::{Duration, Instant};

use spread_client::blocking::Connection;
use spread_client::{
    Endpoint, Error, Event, GroupName, NameError, Options, Outgoing, Regular, Service,
};

use super::message::{Answer, UNANSWERED};
use super::object::{Object, ObjectError};
use super::private_name;
use crate::tls::TlsFiles;

/// Objects that are not yet answered by all.
const UNDERWAY_MAX: usize = 64;

/// What to purge, and where.
#[derive(Clone, Debug)]
pub struct Request {
    /// The daemon.
    pub spread: Endpoint,
    /// The certificates, if that is with TLS.
    pub tls: TlsFiles,
    /// The group of the caches.
    pub group: String,
    /// Paths and URLs.
    pub objects: Vec<Vec<u8>>,
    /// How long to wait for the answers about each object; `None` sends without waiting.
    pub patience: Option<Duration>,
}

/// Why nothing was asked, or no more.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// A group that nobody can be in.
    #[error("\"{group}\" is no group: {source}")]
    Group {
        /// The group.
        group: String,
        /// Why not.
        source: NameError,
    },
    /// Something that cannot be purged. Nothing was.
    #[error("\"{object}\" cannot be purged: {source}")]
    Object {
        /// What was written.
        object: String,
        /// Why not.
        source: ObjectError,
    },
    /// There is no session, or not any more.
    #[error(transparent)]
    Bus(#[from] Error),
    /// The outcome cannot be written.
    #[error("the outcome cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl AskError {
    /// Whether what was asked is wrong, as distinct from something that failed.
    pub fn is_mistake(&self) -> bool {
        matches!(self, Self::Group { .. } | Self::Object { .. })
    }
}

/// Asks, and writes a line to `output` for each object that every member has purged, and one to `errors` for each that not
/// every member has. Returns whether all were purged by all.
///
/// # Errors
/// See [`AskError`].
pub fn ask(
    request: &Request,
    output: &mut dyn Write,
    errors: &mut dyn Write,
) -> Result<bool, AskError> {
    let group = GroupName::new(request.group.as_bytes())
        .map_err(|source| AskError::Group { group: request.group.clone(), source })?;
    let mut objects = VecDeque::new();
    for text in &request.objects {
        let wrong = |source| AskError::Object { object: text.escape_ascii().to_string(), source };
        objects.push_back(Object::named(text).map_err(wrong)?);
    }
    let tls = request.tls.read(&request.spread)?;
    let options = Options {
        membership: false,
        tls,
        ..Options::named(&private_name("purge")).unwrap_or_default()
    };
    let mut bus = Connection::connect(&request.spread, &options)?;
    let mut asking = Asking { group, underway: BTreeMap::new(), output, errors, all: true };
    let Some(patience) = request.patience else {
        for object in objects {
            asking.send(&mut bus, UNANSWERED, &object)?;
        }
        bus.disconnect()?;
        return Ok(true);
    };
    let mut kinds = (UNANSWERED + 1..=i16::MAX).cycle();
    loop {
        while asking.underway.len() < UNDERWAY_MAX
            && let Some(object) = objects.pop_front()
            && let Some(kind) = kinds.next()
        {
            asking.send(&mut bus, kind, &object)?;
            let until = Instant::now() + patience;
            let (expected, answered) = (BTreeSet::new(), BTreeMap::new());
            asking.underway.insert(kind, Underway { object, until, expected, answered });
        }
        let Some(until) = asking.underway.values().map(|one| one.until).min() else { break };
        let left = until.saturating_duration_since(Instant::now());
        match bus.receive_within(left)? {
            Some(Event::Regular(message)) => asking.answer(&message)?,
            Some(_) => {}
            None => asking.give_up(patience)?,
        }
    }
    bus.disconnect()?;
    Ok(asking.all)
}

/// An object that is not yet answered by all.
struct Underway {
    object: Object,
    until: Instant,
    expected: BTreeSet<GroupName>,
    answered: BTreeMap<GroupName, Answer>,
}

struct Asking<'a> {
    group: GroupName,
    /// By the type of the message.
    underway: BTreeMap<i16, Underway>,
    output: &'a mut dyn Write,
    errors: &'a mut dyn Write,
    all: bool,
}

impl Asking<'_> {
    fn send(&self, bus: &mut Connection, kind: i16, object: &Object) -> Result<(), Error> {
        let groups = std::slice::from_ref(&self.group);
        let body = &object.to_bytes();
        // Safe: whoever is cut off meanwhile gets it too, or is told later that it missed it.
        bus.send(&Outgoing { service: Service::Safe, self_discard: false, kind, groups, body })
    }

    fn answer(&mut self, message: &Regular) -> io::Result<()> {
        let kind = message.hint.kind();
        let Some(sender) = message.sender else { return Ok(()) };
        let Some(underway) = self.underway.get_mut(&kind) else { return Ok(()) };
        let Some(answer) = Answer::decode(&message.body) else { return Ok(()) };
        underway.expected.extend(answer.members.iter().copied());
        underway.answered.insert(sender, answer);
        if underway.expected.iter().all(|member| underway.answered.contains_key(member)) {
            self.finish(kind)?;
        }
        Ok(())
    }

    /// Whatever is late is finished as it is.
    fn give_up(&mut self, patience: Duration) -> io::Result<()> {
        let now = Instant::now();
        let late = self.underway.iter().filter(|(_, one)| one.until <= now);
        let late: Vec<i16> = late.map(|(kind, _)| *kind).collect();
        for kind in late {
            if let Some(Underway { object, expected, answered, .. }) = self.underway.get(&kind) {
                self.all = false;
                let after = patience.as_secs_f64();
                if answered.is_empty() {
                    let group = self.group;
                    writeln!(
                        self.errors,
                        "{object}: nobody in {group} answered within {after} s; does `backhand purged` run beside the caches?"
                    )?;
                }
                for member in expected.iter().filter(|member| !answered.contains_key(member)) {
                    writeln!(self.errors, "{object}: {member} did not answer within {after} s")?;
                }
            }
            self.finish(kind)?;
        }
        Ok(())
    }

    fn finish(&mut self, kind: i16) -> io::Result<()> {
        let Some(Underway { object, expected, answered, .. }) = self.underway.remove(&kind) else {
            return Ok(());
        };
        let mut done = answered.len() >= expected.len() && !answered.is_empty();
        for (member, answer) in &answered {
            if let Some(failure) = &answer.failure {
                (done, self.all) = (false, false);
                writeln!(self.errors, "{object}: {member} failed: {failure}")?;
            }
        }
        if done {
            let files: u64 =
                answered.values().fold(0, |sum, answer| sum.saturating_add(answer.removed));
            let members = answered.len();
            writeln!(self.output, "{object}: {files} files removed by {members} members")?;
        }
        Ok(())
    }
}
