//! The monitor: what an operator asks of this daemon, and through it of the others.
//!
//! ```text
//! operator ── JSON lines, Unix socket of mode 0600 ──► daemon ── sealed letters ──► other daemons
//! ```
//!
//! Letters go outside of the ring, so that they work where no view stands and across an artificial partition. A request is
//! believed only from a boot that the ring has proven to live, an answer only from whom it was asked of. What changes anything
//! takes `dangerous_monitor` at the daemon that is to do it. The control packets of the original, which anybody can forge, are
//! not answered.
//!
//! - [`words`]: what is said on the socket. [`client`]: the other end of it. `control`: this end.
//! - [`detail`]: what a daemon tells of itself on the socket, and only there.
//! - [`letter`], [`report`]: what daemons say to each other. `question`: who is to answer yet. `partition`: who is deaf to whom.

pub mod client;
mod control;
pub mod detail;
pub mod letter;
mod partition;
mod question;
pub mod report;
pub mod words;

use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{Boot, Instant, Random};
use groups::Groups;
use ring::{DaemonName, Ring, Tag, To, Transmit};

use self::control::{Caller, Control};
use self::letter::{Body, Letter, MARK};
use self::partition::Partition;
use self::question::{Question, answer};
use crate::config::FixedMember;
use crate::poll::Poll;
use crate::session::Sessions;

pub use client::{AskError, ask};
pub use detail::Detail;
pub use report::Report;
pub use words::{Answer, Request, Whom};

/// Letters that wait until they are looked at; more are lost, as datagrams may be.
const LETTERS_MAX: usize = 256;
/// Requests of other daemons answered in a [`SPAN`].
const REQUESTS_MAX: u32 = 64;
const SPAN: Duration = Duration::from_millis(100);
/// The control socket beside a Unix socket of clients.
pub fn control_path(socket: &Path) -> PathBuf {
    let mut path = socket.as_os_str().to_owned();
    path.push(".control");
    path.into()
}

/// What the monitor looks at and changes.
pub(crate) struct Here<'a> {
    pub(crate) ring: &'a mut Ring,
    pub(crate) groups: &'a Groups,
    pub(crate) sessions: &'a Sessions,
    /// How long the daemon has been running.
    pub(crate) up: Duration,
    /// Segments that the configuration names.
    pub(crate) segments: usize,
    /// The daemons that the fixed list names, if there is one.
    pub(crate) listed: &'a [FixedMember],
}

/// All of it.
pub(crate) struct Monitor {
    me: DaemonName,
    dangerous: bool,
    control: Option<Control>,
    partition: Option<Partition>,
    requests: Vec<(Caller, Result<Request, String>)>,
    questions: Vec<Question>,
    /// Who waits to be told all of this daemon.
    lookers: Vec<Caller>,
    letters: Vec<(Boot, Letter)>,
    out: Vec<Transmit>,
    dice: Random,
    budget: (Instant, u32),
    ends: bool,
    /// The configuration can be read again.
    pub(crate) rereads: bool,
    /// It is to be.
    pub(crate) reread: bool,
}

impl Monitor {
    /// With a control socket beside that of the clients, if they have one and it can be opened.
    pub(crate) fn new(
        me: DaemonName,
        dangerous: bool,
        clients: Option<&Path>,
        poll: &Poll,
        seed: u64,
    ) -> Self {
        let open = |socket: &Path| {
            let path = control_path(socket);
            Control::open(path.clone(), poll)
                .inspect_err(|error| {
                    tracing::warn!(?path, %error, "there is no control socket, so monitors cannot ask this daemon");
                })
                .ok()
        };
        Self {
            me,
            dangerous,
            control: clients.and_then(open),
            partition: None,
            requests: Vec::new(),
            questions: Vec::new(),
            lookers: Vec::new(),
            letters: Vec::new(),
            out: Vec::new(),
            dice: Random::new(seed),
            budget: (Instant::ORIGIN, 0),
            ends: false,
            rereads: false,
            reread: false,
        }
    }

    /// The file of the control socket.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.control.as_ref().map(Control::path)
    }

    /// Whether an operator wants this daemon to end.
    pub(crate) fn ends(&self) -> bool {
        self.ends
    }

    /// A datagram came from `boot`. Whether it is for the ring.
    pub(crate) fn lets_through(&mut self, ring: &Ring, boot: &Boot, text: &[u8]) -> bool {
        if text.first() == Some(&MARK) {
            if self.letters.len() < LETTERS_MAX
                && let Some(letter) = Letter::decode(text)
            {
                self.letters.push((*boot, letter));
            }
            return false;
        }
        let Some(partition) = &mut self.partition else { return true };
        let name = partition.name(boot).or_else(|| {
            let name = ring.proven(boot)?.name;
            partition.meet(*boot, name);
            Some(name)
        });
        // A stranger may prove who it is; then it is known where it belongs.
        name.is_none_or(|name| !partition.separates(&name))
    }

    /// Somebody connects.
    pub(crate) fn accept(&mut self, now: Instant, poll: &Poll) {
        if let Some(control) = &mut self.control {
            control.accept(now, poll);
        }
    }

    /// Something is possible at a connection.
    pub(crate) fn notice(&mut self, at: usize) {
        let request = self.control.as_mut().and_then(|control| control.notice(at));
        self.requests.extend(request);
    }

    /// When [`turn`](Self::turn) is due without any word.
    pub(crate) fn next_timeout(&self, now: Instant) -> Option<Instant> {
        let questions = self.questions.iter().map(|question| question.next.min(question.until));
        let partition = self.partition.iter().map(|partition| partition.until);
        let sweep = self.control.iter().filter_map(|control| control.next_sweep(now));
        questions.chain(partition).chain(sweep).min()
    }

    /// Does what is to be done now.
    pub(crate) fn turn(&mut self, now: Instant, poll: &Poll, here: &mut Here<'_>) {
        for (from, letter) in std::mem::take(&mut self.letters) {
            self.read(now, here, from, letter);
        }
        for (caller, request) in std::mem::take(&mut self.requests) {
            match request {
                Ok(Request::Detail) => self.lookers.push(caller),
                Ok(request) => self.put(now, here, caller, &request),
                Err(why) => self.say(caller, &Answer::Mistake { why }),
            }
        }
        self.ask_again(now);
        if self.partition.as_ref().is_some_and(|partition| partition.until <= now) {
            tracing::warn!("the artificial partition was not said again and ends");
            self.partition = None;
        }
        if let Some(control) = &mut self.control {
            control.sweep(now, poll);
        }
    }

    /// Whether somebody waits to be told all of this daemon.
    pub(crate) fn is_looked_at(&self) -> bool {
        !self.lookers.is_empty()
    }

    /// Tells those who wait.
    pub(crate) fn show(&mut self, detail: &Detail) {
        for caller in std::mem::take(&mut self.lookers) {
            self.say(caller, &Answer::Detail(detail.clone().into()));
            self.say(caller, &Answer::End);
        }
    }

    /// What is to be sent. It has to live until that is done.
    pub(crate) fn take_out(&mut self) -> Vec<Transmit> {
        std::mem::take(&mut self.out)
    }

    fn send(&mut self, to: &Boot, text: Vec<u8>) {
        self.out.push(Transmit { to: To::Peer(Tag::from(to)), datagram: text.into() });
    }

    fn say(&mut self, caller: Caller, answer: &Answer) {
        if let Some(control) = &mut self.control {
            control.say(caller, answer);
        }
    }

    /// Takes a letter of another daemon.
    fn read(&mut self, now: Instant, here: &mut Here<'_>, from: Boot, letter: Letter) {
        if matches!(letter.body, Body::Report(_) | Body::Done | Body::Refused(_)) {
            return self.answered(&from, letter);
        }
        let met = || self.partition.as_ref()?.name(&from);
        let Some(name) = here.ring.proven(&from).map(|daemon| daemon.name).or_else(met) else {
            return;
        };
        if now.since(self.budget.0) >= SPAN {
            self.budget = (now, 0);
        }
        self.budget.1 += 1;
        if self.budget.1 > REQUESTS_MAX {
            return;
        }
        let body = self.perform(now, here, &letter.body, &format!("a monitor at {name}"));
        self.send(&from, Letter { question: letter.question, body }.encode());
    }

    /// A request of an operator of this machine.
    fn put(&mut self, now: Instant, here: &mut Here<'_>, caller: Caller, request: &Request) {
        let known = self.known(here.ring, now);
        let is_known =
            |name: &DaemonName| *name == self.me || known.iter().any(|(_, known)| known == name);
        let absent = here.listed.iter().map(|member| member.name);
        let absent: Vec<DaemonName> = absent.filter(|name| !is_known(name)).collect();
        let body = match self.body(request, &known, &absent) {
            Ok(body) => body,
            Err(why) => return self.say(caller, &Answer::Mistake { why }),
        };
        let (own, targets) = match request.whom() {
            Whom::This => (true, Vec::new()),
            Whom::All => {
                for name in absent {
                    let why = format!(
                        "is in the list of daemons, but {} does not hear it, so it is not asked",
                        self.me
                    );
                    self.say(caller, &Answer::Refused { daemon: name.to_string(), why });
                }
                (true, known)
            }
            Whom::Named(name) if name == self.me.as_str() => (true, Vec::new()),
            Whom::Named(name) => {
                let of_name = known.iter().filter(|(_, known)| known.as_str() == name);
                let targets: Vec<(Boot, DaemonName)> = of_name.copied().collect();
                if targets.is_empty() {
                    let why = match absent.iter().any(|absent| absent.as_str() == name) {
                        true => format!(
                            "daemon {name:?} is in the list, but {} does not hear it",
                            self.me
                        ),
                        false => format!("no daemon {name:?} is known at {}", self.me),
                    };
                    return self.say(caller, &Answer::Mistake { why });
                }
                (false, targets)
            }
        };
        let number = self.dice.next_u64();
        if own {
            let done = self.perform(now, here, &body, "a monitor of this machine");
            self.say(caller, &answer(self.me, done));
        }
        if targets.is_empty() {
            return self.say(caller, &Answer::End);
        }
        let text = Letter { question: number, body }.encode();
        self.questions.push(Question::new(now, number, caller, text, targets));
        if self.ends {
            // There will be no other turn: once has to do.
            self.ask_again(now);
        }
    }

    /// The others to whom something can be said: those who are heard or in the view, and those whom a partition hides.
    fn known(&self, ring: &Ring, now: Instant) -> Vec<(Boot, DaemonName)> {
        let peers = ring.status(now).peers;
        let near = peers.iter().filter(|peer| peer.heard || peer.member.is_some());
        let mut known: Vec<_> = near.map(|peer| (peer.daemon.boot, peer.daemon.name)).collect();
        let hidden = self.partition.iter().flat_map(Partition::met);
        for (boot, name) in hidden.map(|(boot, name)| (*boot, *name)) {
            // An earlier life of somebody who is heard is over.
            if !known.iter().any(|(_, known)| *known == name) {
                known.push((boot, name));
            }
        }
        known.sort_by_key(|(boot, name)| (*name, *boot));
        known
    }

    /// What a request is in a letter.
    fn body(
        &self,
        request: &Request,
        known: &[(Boot, DaemonName)],
        absent: &[DaemonName],
    ) -> Result<Body, String> {
        if request.is_dangerous() && !self.dangerous {
            return Err(forbidden(self.me));
        }
        Ok(match request {
            // Of a daemon elsewhere there is no more than its report.
            Request::Status { .. } | Request::Detail => Body::Status,
            Request::Heal => Body::Heal,
            Request::Reload { .. } => Body::Reload,
            Request::Terminate { .. } => Body::Terminate,
            Request::Flow { window, accelerated, .. } => {
                Body::Flow { window: *window, accelerated: *accelerated }
            }
            Request::Partition { components } => {
                let mut out = Vec::new();
                for (name, component) in components {
                    // Of the absent it can be said as well where they belong once they come.
                    let all = known.iter().map(|(_, name)| *name).chain([self.me]);
                    let all = all.chain(absent.iter().copied());
                    let Some(daemon) = all.into_iter().find(|known| known.as_str() == name) else {
                        return Err(format!("no daemon {name:?} is known at {}", self.me));
                    };
                    out.push((daemon.virtual_id(), *component));
                }
                Body::Partition(out)
            }
        })
    }

    /// Does what was asked, and says what to answer.
    fn perform(&mut self, now: Instant, here: &mut Here<'_>, body: &Body, who: &str) -> Body {
        if matches!(body, Body::Status) {
            return Body::Report(self.report(now, here).into());
        }
        if matches!(body, Body::Reload) {
            return self.perform_reload(who);
        }
        if !self.dangerous {
            return Body::Refused(forbidden(self.me));
        }
        match body {
            Body::Partition(components) => {
                let mut partition = Partition::new(now, &self.me, components.clone());
                for (boot, name) in self.known(here.ring, now) {
                    partition.meet(boot, name);
                }
                self.ends |= partition.ends_this();
                match self.partition.take() {
                    Some(earlier) => partition.inherit(earlier),
                    None => tracing::warn!(who, "an artificial partition begins"),
                }
                self.partition = Some(partition);
            }
            Body::Heal => {
                if self.partition.take().is_some() {
                    tracing::warn!(who, "the artificial partition ends");
                }
            }
            Body::Flow { window, accelerated } => {
                here.ring.set_flow(*window, *accelerated);
                tracing::warn!(who, ?window, ?accelerated, "the flow is changed");
            }
            Body::Terminate => {
                tracing::warn!(who, "this daemon is told to end");
                self.ends = true;
            }
            Body::Status | Body::Reload | Body::Report(_) | Body::Done | Body::Refused(_) => {}
        }
        Body::Done
    }

    /// What comes of it is in the log of the daemon: reading may take a while.
    fn perform_reload(&mut self, who: &str) -> Body {
        if !self.rereads {
            let why = "has no file to read again; start it again with what has changed";
            return Body::Refused(format!("{} {why}", self.me));
        }
        tracing::info!(who, "the configuration is to be read again");
        self.reread = true;
        Body::Done
    }

    fn report(&self, now: Instant, here: &Here<'_>) -> Report {
        let mut report = Report::new(&here.ring.status(now), here.groups, here.sessions);
        report.name = self.me.to_string();
        report.seconds = here.up.as_secs();
        report.segments = here.segments as u64;
        report.partitioned = self.partition.is_some();
        report
    }
}

fn forbidden(daemon: DaemonName) -> String {
    format!(
        "{daemon} lets monitors look and nothing else; allow it with dangerous_monitor = true in [bus], or DangerousMonitor = true in its spread.conf"
    )
}
