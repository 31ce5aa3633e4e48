//! `spflooder`: as many messages as the bus takes. It prints no rate; who wants one takes the time from outside.
//!
//! As in the original up to 200 own messages are on their way; with `-n` up to 200 more than the slowest of the others
//! is known to have sent. There a sender that dies holds up all others for ever; here it is not waited for any more.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};

use spread_client::blocking::Connection;
use spread_client::{Event, GroupName, Names, Options, Outgoing, Regular, Service};

use crate::show::Screen;
use crate::tls::{self, TlsFiles};
use crate::usage::{UsageError, Words};
use crate::user::{NoSession, connect};

/// Bytes of the longest message (`MAX_MESSLEN` of the original).
pub const BYTES_MAX: usize = 100_000;
/// The most members to wait for (`FLOODER_MAX_GROUPS` of the original).
pub const MEMBERS_MAX: usize = 100;
/// Own messages on their way, or messages ahead of the slowest sender.
const AHEAD: u64 = 200;
/// What a message takes besides its body, at most.
const MESSAGE: usize = 1024;
/// Messages between two lines of progress.
const PROGRESS: u64 = 1_000;
/// Bytes of a sender's place among the members, at the beginning of its messages.
const PLACE: usize = 4;
/// The group.
const GROUP: &[u8] = b"flooder";

/// Whether to send, to receive, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Send, and receive what was sent.
    Both,
    /// Only receive (`-ro`).
    Read,
    /// Only send, not as a member (`-wo`).
    Write,
}

/// What to send, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// The private name (`-u`).
    pub user: String,
    /// The connection string (`-s`).
    pub spread: String,
    /// Messages to send, or to receive (`-m`).
    pub messages: u64,
    /// Bytes of each message, at most [`BYTES_MAX`] (`-b`).
    pub bytes: usize,
    /// Members to wait for, at most [`MEMBERS_MAX`]; 0 does without membership (`-n`).
    pub members: usize,
    /// Whether to send, receive or both (`-ro`, `-wo`).
    pub direction: Direction,
    /// The certificates, for a connection string with TLS.
    pub tls: TlsFiles,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            user: "flooder".into(),
            spread: "4803".into(),
            messages: 10_000,
            bytes: 1_000,
            members: 0,
            direction: Direction::Both,
            tls: TlsFiles::default(),
        }
    }
}

impl Arguments {
    /// Reads the words behind the program's name.
    ///
    /// # Errors
    /// The first word that is not understood.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, UsageError> {
        let mut line = Self::default();
        let mut words = Words::new(words);
        while let Some(flag) = words.next() {
            if line.tls.take(&flag, &mut words)? {
                continue;
            }
            match flag.as_bytes() {
                [b'-', b'r', b'o', ..] => line.direction = Direction::Read,
                [b'-', b'w', b'o', ..] => line.direction = Direction::Write,
                [b'-', b'u', ..] => line.user = words.value(&flag)?,
                [b'-', b's', ..] => line.spread = words.value(&flag)?,
                [b'-', b'm', ..] => line.messages = words.number(&flag, 0..=u64::MAX)?,
                [b'-', b'b', ..] => line.bytes = words.number(&flag, 1..=BYTES_MAX)?,
                [b'-', b'n', ..] => line.members = words.number(&flag, 0..=MEMBERS_MAX)?,
                _ => return Err(UsageError::Unknown(flag)),
            }
        }
        if line.members > 0 && line.direction == Direction::Write {
            // Who is no member hears of none, so the original waits for ever.
            let expected = "it without -wo, for only members hear of members".to_owned();
            let value = line.members.to_string();
            return Err(UsageError::Value { flag: "-n".into(), value, expected });
        }
        if line.members > 0 && line.bytes < PLACE {
            return Err(UsageError::Value {
                flag: "-b".into(),
                value: line.bytes.to_string(),
                expected: format!("at least {PLACE} together with -n, which needs them"),
            });
        }
        Ok(line)
    }
}

/// How the tool is used, called as `program`.
pub fn usage(program: &str) -> String {
    format!(
        "\
Usage: {program}
\t[-u <user name>]     : unique (in this machine) user name
\t[-m <num messages>]  : number of messages
\t[-n <num members>]   : number of group members to wait for (also turn on multi-sender FC)
\t[-b <num bytes>]     : number of bytes per message 1-100,000
\t[-s <spread name>]   : either port or port@machine
\t[-ro]   \t\t: read  only (no multicast)
\t[-wo]   \t\t: write only (no receive)
{}",
        tls::USAGE
    )
}

/// Sends and receives, and returns the exit status: 1 if there is no session or it was lost.
///
/// # Errors
/// `output` cannot be written.
pub fn run(arguments: &Arguments, output: &mut dyn Write) -> io::Result<u8> {
    let Arguments { messages, bytes, members, direction, .. } = *arguments;
    let mut screen = Screen::new(output, false);
    let with = if members > 0 { " with group membership" } else { "" };
    screen.say(&format!("flooder: connecting to {}{with}\n", arguments.spread))?;
    screen.flush()?;
    // As many messages of each member as one may be ahead can wait here while this one sends.
    let ahead = AHEAD as usize * (members + 1) * (bytes + MESSAGE);
    let unread_max = Options::default().unread_max.max(ahead);
    let options = Options { membership: members > 0, unread_max, ..Options::default() };
    let bus = match connect(&arguments.spread, &arguments.user, options, &arguments.tls) {
        Ok(bus) => bus,
        Err(NoSession { code, why }) => {
            screen.say(&why)?;
            screen.error(code)?;
            return Ok(1);
        }
    };
    screen.say(&match direction {
        Direction::Read => "flooder: Only receiving messages\n".to_owned(),
        Direction::Write => format!(
            "flooder: starting  multicast of {messages} messages, {bytes} bytes each (self discarding).\n"
        ),
        Direction::Both => {
            format!("flooder: starting  multicast of {messages} messages, {bytes} bytes each.\n")
        }
    })?;
    screen.flush()?;
    let own = *bus.group().group();
    let mut flood =
        Flood { screen, bus, own, members: Names::default(), senders: BTreeMap::new(), sent: 0 };
    match flood.work(arguments) {
        Ok(()) => {
            let done = format!(
                "flooder: completed multicast of {messages} messages, {bytes} bytes each.\n"
            );
            flood.screen.say(&done)?;
            flood.screen.flush()?;
            // Without disconnecting in order, as the original.
            Ok(0)
        }
        Err(Failure::Session(error)) => {
            flood.screen.error(error.code())?;
            Ok(1)
        }
        Err(Failure::Output(error)) => Err(error),
    }
}

enum Failure {
    Session(spread_client::Error),
    Output(io::Error),
}

impl From<spread_client::Error> for Failure {
    fn from(error: spread_client::Error) -> Self {
        Self::Session(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

struct Flood<'a> {
    screen: Screen<'a>,
    bus: Connection,
    own: GroupName,
    /// The members last told, with `-n`.
    members: Names,
    /// How many messages came from which member. Who has sent nothing yet is not waited for.
    senders: BTreeMap<GroupName, u64>,
    sent: u64,
}

impl Flood<'_> {
    fn work(&mut self, arguments: &Arguments) -> Result<(), Failure> {
        let group = GroupName::destination(GROUP).unwrap_or(self.own);
        let counted = arguments.members > 0;
        if arguments.direction != Direction::Write {
            self.bus.join(&group)?;
        }
        let mut body = vec![0; arguments.bytes];
        if counted {
            let place = self.wait_for(arguments.members)?;
            body[..PLACE].copy_from_slice(&place.to_ne_bytes());
        }
        let service = if counted { Service::Fifo } else { Service::Reliable };
        for number in 1..=arguments.messages {
            let mut bytes = body.len();
            if arguments.direction != Direction::Read {
                let groups = std::slice::from_ref(&group);
                let message =
                    Outgoing { service, self_discard: false, kind: 0, groups, body: &body };
                self.bus.send(&message)?;
                self.sent += 1;
            }
            match arguments.direction {
                Direction::Read => bytes = self.message()?.body.len(),
                Direction::Both if number > AHEAD => bytes = self.keep_up(counted)?,
                Direction::Both | Direction::Write => {}
            }
            if number % PROGRESS == 0 {
                let line = format!("flooder: completed {number:6} messages of {bytes} bytes\n");
                self.screen.say(&line)?;
                self.screen.flush()?;
            }
        }
        Ok(())
    }

    /// Receives until not too many messages are on their way; returns the bytes of the last one.
    fn keep_up(&mut self, counted: bool) -> Result<usize, Failure> {
        loop {
            let message = self.message()?;
            let enough = if counted {
                let slowest = self.senders.values().min().copied().unwrap_or(0);
                slowest + AHEAD >= self.sent
            } else {
                message.sender == Some(self.own)
            };
            if enough {
                return Ok(message.body.len());
            }
        }
    }

    /// Receives a message; who left is not waited for any more.
    fn message(&mut self) -> Result<Regular, Failure> {
        loop {
            match self.bus.receive()? {
                Event::Regular(message) => {
                    // Others may send to the group too, and then stop.
                    if let Some(sender) = message.sender.filter(|one| self.members.contains(one)) {
                        *self.senders.entry(sender).or_default() += 1;
                    }
                    return Ok(message);
                }
                Event::Membership(view) => {
                    self.senders.retain(|sender, _| view.members.contains(sender));
                    self.members = view.members;
                }
                Event::Transitional(_) | Event::SelfLeave(_) | Event::Reject(_) => {}
            }
        }
    }

    /// Waits until the group has so many members; returns the place of this one among them, -1 if it has none.
    fn wait_for(&mut self, members: usize) -> Result<i32, Failure> {
        loop {
            match self.bus.receive()? {
                Event::Membership(view) => {
                    self.screen.members(&view, &self.own)?;
                    self.screen.flush()?;
                    if view.members.len() >= members {
                        let place = view.position(&self.own).map_or(-1, |place| place as i32);
                        self.members = view.members;
                        return Ok(place);
                    }
                }
                Event::Regular(message) => {
                    let service = crate::show::service(&message);
                    self.screen
                        .say(&format!("received {service}message during wait for members, "))?;
                    self.screen.message(&message, "from ")?;
                }
                Event::Reject(reject) => self.screen.reject(&reject)?,
                event => self.screen.signal(&event)?,
            }
        }
    }
}
