//! `backhand purged`: a member of the group beside each cache, which removes what it is told and answers.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use spread_client::blocking::Session;
use spread_client::{
    Backoff, Endpoint, Error, Event, GroupName, Happened, Membership, NameError, Names, Options,
    Outgoing, PrivateGroup, Regular, Service, Tls,
};

use super::confine::{Confinement, confine};
use super::folder::{Folder, FolderError, Removal};
use super::message::{Answer, MISSED, UNANSWERED};
use super::missed::{Missed, Told};
use super::object::Object;
use super::private_name;
use crate::tls::TlsFiles;

/// Events that may wait while files are removed. More stay with the daemon.
const WAITING_MAX: usize = 1_000;
/// Destinations of one message; every daemon delivers to so many (43 with the original).
const DESTINATIONS_MAX: usize = 40;

/// What to purge, and who says so.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of the cache. It is cleared.
    pub folder: PathBuf,
    /// Takes it for a cache though it holds things and is not marked as one.
    pub adopt: bool,
    /// The daemon.
    pub spread: Endpoint,
    /// The certificates, if that is with TLS.
    pub tls: TlsFiles,
    /// The groups whose purges are done here.
    pub groups: Vec<String>,
}

/// Why a member did not begin, or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// There is no folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A group that nobody can join.
    #[error("\"{group}\" is no group: {source}")]
    Group {
        /// The group.
        group: String,
        /// Why not.
        source: NameError,
    },
    /// No group at all.
    #[error("without a group nothing is ever purged; name one")]
    NoGroup,
    /// The daemon refuses this client for good.
    #[error(transparent)]
    Refused(#[from] Error),
}

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whether something is not as it should be.
    pub warning: bool,
    /// What happened.
    pub text: String,
}

/// Takes the lines for the log. It must not wait for who reads them: what is not purged meanwhile is served.
pub type Log<'a> = dyn FnMut(Line) + 'a;

/// A member that has not begun.
#[derive(Debug)]
pub struct Ready {
    folder: Folder,
    spread: Endpoint,
    tls: Option<Tls>,
    groups: Vec<GroupName>,
    confinement: Confinement,
}

impl Ready {
    /// Opens the folder, and takes away from this thread and what it starts every right that is not needed any more.
    ///
    /// # Errors
    /// See [`MemberError`].
    pub fn new(settings: &Settings) -> Result<Self, MemberError> {
        let mut groups = Vec::new();
        for group in &settings.groups {
            let wrong = |source| MemberError::Group { group: group.clone(), source };
            groups.push(GroupName::new(group.as_bytes()).map_err(wrong)?);
        }
        if groups.is_empty() {
            return Err(MemberError::NoGroup);
        }
        let folder = Folder::open(&settings.folder, settings.adopt)?;
        let spread = settings.spread.clone();
        // Before the files are out of reach.
        let tls = settings.tls.read(&spread)?;
        let confinement = confine(&folder, &spread);
        Ok(Self { folder, spread, tls, groups, confinement })
    }

    /// Purges until the program is ended.
    ///
    /// # Errors
    /// The daemon refuses this client for good. One that is not there is waited for.
    pub fn run(self, log: &mut Log<'_>) -> Error {
        let Self { folder, spread, tls, groups, confinement } = self;
        log(Line { warning: !confinement.whole, text: confinement.text });
        let options =
            Options { tls, ..Options::named(&private_name("purged")).unwrap_or_default() };
        let mut session = Session::new(spread, options, Backoff::default());
        for group in &groups {
            if let Err(error) = session.join(group) {
                return error;
            }
        }
        let (views, waiting) = (BTreeMap::new(), VecDeque::new());
        let mut member =
            Member { folder, session, groups, own: None, views, waiting, absent: String::new() };
        loop {
            let happened = match member.waiting.pop_front() {
                Some(happened) => happened,
                None => match member.session.receive() {
                    Ok(happened) => happened,
                    Err(error) => return error,
                },
            };
            member.take(happened, log);
        }
    }
}

struct Member {
    folder: Folder,
    session: Session,
    groups: Vec<GroupName>,
    own: Option<PrivateGroup>,
    /// The groups this session has joined, with their members and what these may have missed.
    views: BTreeMap<GroupName, (Names, Missed)>,
    /// What happened while files were removed.
    waiting: VecDeque<Happened>,
    /// Why there is no session, as it was told last.
    absent: String,
}

impl Member {
    fn take(&mut self, happened: Happened, log: &mut Log<'_>) {
        match happened {
            Happened::Connected { group, .. } => {
                self.own = Some(group);
                self.views.clear();
                self.absent.clear();
                say(log, format!("connected as {group}"));
            }
            Happened::Lost { error, .. } => {
                self.own = None;
                self.views.clear();
                let then = "the folder will be cleared when the session is back";
                warn(log, format!("{error}; {then}"));
            }
            Happened::Waiting { error, .. } => {
                // Told once, however often it is tried.
                let absent = error.to_string();
                if absent != self.absent {
                    warn(log, format!("{absent}; it is tried again and again"));
                    self.absent = absent;
                }
            }
            Happened::Event(Event::Membership(view)) => self.view(&view, log),
            Happened::Event(Event::Transitional(signal)) => {
                if let Some((_, missed)) = self.views.get_mut(&signal.group) {
                    missed.signal();
                }
            }
            Happened::Event(Event::Regular(message)) => self.message(&message, log),
            Happened::Event(Event::Reject(reject)) => {
                warn(log, format!("the daemon rejects {:?} of this session", reject.groups));
            }
            Happened::Event(Event::SelfLeave(_)) => {}
        }
    }

    fn view(&mut self, view: &Membership, log: &mut Log<'_>) {
        let Some(own) = self.own.map(GroupName::from) else { return };
        if !view.members.contains(&own) {
            return;
        }
        let members = view.members.clone();
        if let Some((before, missed)) = self.views.get_mut(&view.group) {
            *before = members;
            missed.view(view).iter().for_each(|told| self.tell_missed(told, log));
            return;
        }
        self.views.insert(view.group, (members, Missed::joined(own, view)));
        // What was purged before this view is not known; whatever comes after it will be.
        let removal = self.clear();
        let count = view.members.len();
        tell(log, &format!("joined {} ({count} members), clears the folder", view.group), &removal);
    }

    /// Tells members that are back what they missed.
    fn tell_missed(&mut self, told: &Told, log: &mut Log<'_>) {
        say(log, format!("{:?} are back, and are told what they may have missed", told.to));
        for groups in told.to.chunks(DESTINATIONS_MAX) {
            self.send(MISSED, Service::Safe, groups, &told.paths, log);
        }
    }

    fn message(&mut self, message: &Regular, log: &mut Log<'_>) {
        let Some(sender) = message.sender else { return };
        let own = self.own.map(GroupName::from);
        match message.hint.kind() {
            MISSED if own.is_some_and(|own| message.groups.contains(&own)) => {
                for path in message.body.split(|&byte| byte == 0).filter(|path| !path.is_empty()) {
                    self.purge(sender, path, log);
                }
            }
            // To purge here alone would leave the others with what is wrong.
            kind if kind >= UNANSWERED && self.is_ours(message) => {
                let removal = self.purge(sender, &message.body, log);
                if kind == UNANSWERED {
                    return;
                }
                let here = message.groups.iter().filter_map(|group| self.views.get(&group));
                let failure = removal.failure.as_deref();
                let body = Answer::encode(removal.removed, failure, here.map(|(names, _)| names));
                self.send(kind, Service::Fifo, &[sender], &body, log);
            }
            _ => {}
        }
    }

    fn is_ours(&self, message: &Regular) -> bool {
        self.groups.iter().any(|group| message.groups.contains(group))
    }

    /// Removes what `text` says.
    fn purge(&mut self, sender: GroupName, text: &[u8], log: &mut Log<'_>) -> Removal {
        let object = match Object::parse(text) {
            Ok(object) => object,
            Err(error) => {
                let shown: String = text.escape_ascii().to_string().chars().take(200).collect();
                warn(log, format!("[{sender}] asks to purge \"{shown}\": {error}"));
                return Removal { removed: 0, failure: Some(error.to_string()) };
            }
        };
        for (_, missed) in self.views.values_mut() {
            missed.purged(&object.to_bytes());
        }
        let Self { folder, session, waiting, .. } = self;
        let removal = folder.remove(&object, &mut || receive(session, waiting));
        tell(log, &format!("[{sender}] purges {object}"), &removal);
        removal
    }

    fn clear(&mut self) -> Removal {
        let Self { folder, session, waiting, .. } = self;
        folder.clear(&mut || receive(session, waiting))
    }

    fn send(
        &mut self,
        kind: i16,
        service: Service,
        groups: &[GroupName],
        body: &[u8],
        log: &mut Log<'_>,
    ) {
        let message = Outgoing { service, self_discard: false, kind, groups, body };
        if let Err(error) = self.session.send(&message) {
            warn(log, format!("{groups:?} are not told: {error}"));
        }
    }
}

/// Receives what is there, so that the daemon has no reason to end a session that is busy removing.
fn receive(session: &mut Session, waiting: &mut VecDeque<Happened>) {
    // There is a session to be kept only if there is one.
    if session.group().is_none() {
        return;
    }
    while waiting.len() < WAITING_MAX {
        match session.receive_within(Duration::ZERO) {
            Ok(Some(happened)) => {
                let lost = matches!(happened, Happened::Lost { .. });
                waiting.push_back(happened);
                if lost {
                    return;
                }
            }
            // Refused for good: told when it is asked again.
            Ok(None) | Err(_) => return,
        }
    }
}

fn say(log: &mut Log<'_>, text: String) {
    log(Line { warning: false, text });
}

fn warn(log: &mut Log<'_>, text: String) {
    log(Line { warning: true, text });
}

fn tell(log: &mut Log<'_>, what: &str, removal: &Removal) {
    let files = removal.removed;
    match &removal.failure {
        None => say(log, format!("{what}: {files} files")),
        Some(failure) => warn(log, format!("{what}: {files} files, but {failure}")),
    }
}
