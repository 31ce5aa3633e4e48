//! `backhand purged`: a member of the group beside each cache, which removes what it is told and answers.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use spread_client::blocking::Session;
use spread_client::{
    Backoff, Endpoint, Error, Event, GroupName, Happened, Membership, NameError, Names, Options,
    Outgoing, PrivateGroup, Regular, Service,
};

use super::confine::confine;
use super::folder::{Folder, FolderError, Removal};
use super::message::{Answer, MISSED, UNANSWERED};
use super::missed::{Missed, Told};
use super::object::Object;
use super::private_name;

/// Events that may wait while files are removed. More stay with the daemon.
const WAITING_MAX: usize = 1_000;
/// Destinations of one message; every daemon delivers to so many (43 with the original).
const DESTINATIONS_MAX: usize = 40;

/// What to purge, and who says so.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of the cache. It is cleared.
    pub folder: PathBuf,
    /// The daemon.
    pub spread: Endpoint,
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
    /// The log cannot be written.
    #[error("the log cannot be written: {0}")]
    Log(#[from] io::Error),
}

/// Purges until the program is ended. This thread, and what it starts, may do nothing else any more.
///
/// # Errors
/// See [`MemberError`]. A daemon that is not there is none: it is waited for.
pub fn run(settings: &Settings, log: &mut dyn Write) -> Result<Infallible, MemberError> {
    let folder = Folder::open(&settings.folder)?;
    let groups: Vec<GroupName> = settings
        .groups
        .iter()
        .map(|group| {
            let wrong = |source| MemberError::Group { group: group.clone(), source };
            GroupName::new(group.as_bytes()).map_err(wrong)
        })
        .collect::<Result<_, _>>()?;
    if groups.is_empty() {
        return Err(MemberError::NoGroup);
    }
    writeln!(log, "purged: {}", confine(&folder, &settings.spread))?;
    let name = private_name("purged");
    let options = Options::named(&name).unwrap_or_default();
    let mut session = Session::new(settings.spread.clone(), options, Backoff::default());
    for group in &groups {
        session.join(group)?;
    }
    let waiting = VecDeque::new();
    let mut member = Member { folder, session, groups, own: None, views: BTreeMap::new(), waiting };
    // What was purged while nobody was here is not known.
    let removal = member.clear();
    tell(log, "started", "clears the folder", &removal)?;
    loop {
        let happened = match member.waiting.pop_front() {
            Some(happened) => happened,
            None => member.session.receive()?,
        };
        member.take(happened, log)?;
        log.flush()?;
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
}

impl Member {
    fn take(&mut self, happened: Happened, log: &mut dyn Write) -> io::Result<()> {
        match happened {
            Happened::Connected { group, .. } => {
                self.own = Some(group);
                self.views.clear();
                writeln!(log, "purged: connected as {group}")
            }
            Happened::Lost { error, .. } => {
                self.own = None;
                self.views.clear();
                writeln!(
                    log,
                    "purged: {error}; the folder will be cleared when the session is back"
                )
            }
            Happened::Waiting { error, pause } => {
                writeln!(log, "purged: {error}; again in {pause:.1?}")
            }
            Happened::Event(Event::Membership(view)) => self.view(&view, log),
            Happened::Event(Event::Transitional(signal)) => {
                if let Some((_, missed)) = self.views.get_mut(&signal.group) {
                    missed.signal();
                }
                Ok(())
            }
            Happened::Event(Event::Regular(message)) => self.message(&message, log),
            Happened::Event(Event::Reject(reject)) => {
                writeln!(log, "purged: the daemon rejects {:?} of this session", reject.groups)
            }
            Happened::Event(Event::SelfLeave(_)) => Ok(()),
        }
    }

    fn view(&mut self, view: &Membership, log: &mut dyn Write) -> io::Result<()> {
        let Some(own) = self.own.map(GroupName::from) else { return Ok(()) };
        if !view.members.contains(&own) {
            return Ok(());
        }
        let members = view.members.clone();
        if let Some((before, missed)) = self.views.get_mut(&view.group) {
            *before = members;
            let told = missed.view(view);
            return told.iter().try_for_each(|told| self.tell_missed(told, log));
        }
        self.views.insert(view.group, (members, Missed::joined(own, view)));
        // What was purged before this view is not known; whatever comes after it will be.
        let removal = self.clear();
        let what =
            format!("joined {} ({} members), clears the folder", view.group, view.members.len());
        tell(log, "started", &what, &removal)
    }

    /// Tells members that are back what they missed.
    fn tell_missed(&mut self, told: &Told, log: &mut dyn Write) -> io::Result<()> {
        let names = &told.to;
        writeln!(log, "purged: tells {names:?}, who are back, what they missed")?;
        for groups in told.to.chunks(DESTINATIONS_MAX) {
            let message = Outgoing {
                service: Service::Safe,
                self_discard: false,
                kind: MISSED,
                groups,
                body: &told.paths,
            };
            self.send(&message, log)?;
        }
        Ok(())
    }

    fn message(&mut self, message: &Regular, log: &mut dyn Write) -> io::Result<()> {
        let Some(sender) = message.sender else { return Ok(()) };
        let own = self.own.map(GroupName::from);
        match message.hint.kind() {
            MISSED if own.is_some_and(|own| message.groups.contains(&own)) => {
                for path in message.body.split(|&byte| byte == 0).filter(|path| !path.is_empty()) {
                    self.purge(sender, path, log)?;
                }
                Ok(())
            }
            // To purge here alone would leave the others with what is wrong.
            kind if kind >= UNANSWERED && self.is_ours(message) => {
                let removal = self.purge(sender, &message.body, log)?;
                if kind == UNANSWERED {
                    return Ok(());
                }
                let here = message.groups.iter().filter_map(|group| self.views.get(&group));
                let failure = removal.failure.as_deref();
                let body = Answer::encode(removal.removed, failure, here.map(|(names, _)| names));
                let groups = &[sender];
                self.send(
                    &Outgoing {
                        service: Service::Fifo,
                        self_discard: false,
                        kind,
                        groups,
                        body: &body,
                    },
                    log,
                )
            }
            _ => Ok(()),
        }
    }

    fn is_ours(&self, message: &Regular) -> bool {
        self.groups.iter().any(|group| message.groups.contains(group))
    }

    /// Removes what `text` says.
    fn purge(
        &mut self,
        sender: GroupName,
        text: &[u8],
        log: &mut dyn Write,
    ) -> io::Result<Removal> {
        let object = match Object::parse(text) {
            Ok(object) => object,
            Err(error) => {
                let shown = text.escape_ascii().to_string();
                let shown: String = shown.chars().take(200).collect();
                writeln!(log, "purged: {sender} asks to purge \"{shown}\": {error}")?;
                return Ok(Removal { removed: 0, failure: Some(error.to_string()) });
            }
        };
        for (_, missed) in self.views.values_mut() {
            missed.purged(&object.to_bytes());
        }
        let Self { folder, session, waiting, .. } = self;
        let removal = folder.remove(&object, &mut || receive(session, waiting));
        tell(log, &sender.to_string(), &format!("purges {object}"), &removal)?;
        Ok(removal)
    }

    fn clear(&mut self) -> Removal {
        let Self { folder, session, waiting, .. } = self;
        folder.clear(&mut || receive(session, waiting))
    }

    fn send(&mut self, message: &Outgoing<'_>, log: &mut dyn Write) -> io::Result<()> {
        match self.session.send(message) {
            Ok(()) => Ok(()),
            Err(error) => writeln!(log, "purged: {:?} is not told: {error}", message.groups),
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

fn tell(log: &mut dyn Write, who: &str, what: &str, removal: &Removal) -> io::Result<()> {
    let files = removal.removed;
    match &removal.failure {
        None => writeln!(log, "purged: [{who}] {what}: {files} files"),
        Some(failure) => writeln!(log, "purged: [{who}] {what}: {files} files, but {failure}"),
    }
}
