//! `spuser`: a session by hand or from a script.
//!
//! The commands, their prompts and what is printed are those of the original 5.0.1, to the byte. Its limits are not: a
//! line may have 102,400 bytes (there 129 for a command and 199 for a message, the rest being taken for commands), and
//! groups and views of any size are shown whole.
//!
//! Exit status: 0 after `q` or the end of the input; 1 if there is no session or it was lost, for which the original
//! has 0.

mod command;
mod desk;

use std::ffi::OsString;
use std::io::{self, BufRead, Write};

use spread_client::blocking::{Connection, SendHalf};
use spread_client::{Endpoint, Error, ErrorCode, GroupName, Options, PrivateName, Version};

use crate::show::Screen;
use crate::tls::{self, TlsFiles};
use crate::usage::{UsageError, Words};
use desk::{Desk, Word};

/// Bytes of a private name; the original's library cuts longer ones without a word.
pub(crate) const NAME_MAX: usize = 10;

/// What to connect as, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// The private name; empty lets the daemon make one up (`-u`, `-r`).
    pub user: String,
    /// The connection string (`-s`).
    pub spread: String,
    /// Whether a name or password for authentication was given (`-n`, `-p`), which no daemon of ours asks for.
    pub password: bool,
    /// The certificates, for a connection string with TLS.
    pub tls: TlsFiles,
}

impl Default for Arguments {
    fn default() -> Self {
        let (user, spread) = ("user".into(), "4803".into());
        Self { user, spread, password: false, tls: TlsFiles::default() }
    }
}

impl Arguments {
    /// Reads the words behind the program's name.
    ///
    /// # Errors
    /// The first word that is not understood.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, UsageError> {
        let mut arguments = Self::default();
        let mut words = Words::new(words);
        while let Some(flag) = words.next() {
            if arguments.tls.take(&flag, &mut words)? {
                continue;
            }
            match flag.as_bytes() {
                [b'-', b'u', ..] => arguments.user = words.value(&flag)?,
                [b'-', b'r', ..] => arguments.user.clear(),
                [b'-', b's', ..] => arguments.spread = words.value(&flag)?,
                [b'-', b'n' | b'p', ..] => {
                    words.value(&flag)?;
                    arguments.password = true;
                }
                _ => return Err(UsageError::Unknown(flag)),
            }
        }
        Ok(arguments)
    }
}

/// How the tool is used, called as `program`.
pub fn usage(program: &str) -> String {
    format!(
        "\
Usage: {program}
\t[-u <user name>]  : unique (in this machine) user name
\t[-s <address>]    : either port or port@machine
\t[-n <username>]    : username for authentication
\t[-p <password>]    : users password
\t[-r ]    : use random user name
{}",
        tls::USAGE
    )
}

/// Does what the lines of `input` say until they end, and returns the exit status. `terminal` tells whether a person looks
/// at `output`; then what others send is shown without what could steer a terminal.
///
/// # Errors
/// `output` cannot be written.
pub fn run(
    arguments: &Arguments,
    input: impl BufRead + Send + 'static,
    output: &mut dyn Write,
    terminal: bool,
) -> io::Result<u8> {
    let mut screen = Screen::new(output, terminal);
    let Version { major, minor, patch } = Version::SPOKEN;
    screen.say(&format!("Spread library version is {major}.{minor}.{patch}\n"))?;
    let options = Options::default();
    let connection = match connect(&arguments.spread, &arguments.user, options, &arguments.tls) {
        Ok(connection) => connection,
        Err(NoSession { code, why }) => {
            screen.say(&why)?;
            screen.error(code)?;
            return bye(&mut screen, 1);
        }
    };
    let own = *connection.group().group();
    screen.say(&format!("User: connected to {} with private group {own}\n", arguments.spread))?;
    let (sending, receiving) = connection.split();
    let desk = Desk::open(receiving, input);
    let mut user = User { screen, sending, desk, own, asynchronous: true, sent: 0, length: 0 };
    let status = user.work();
    user.desk.close();
    // The session may be over; then there is nobody to say good-bye to.
    let _ = user.sending.disconnect();
    status
}

/// Why there is no session.
pub(crate) struct NoSession {
    pub(crate) code: ErrorCode,
    /// A line about it, if it is with TLS: the code alone does not say what is wrong with certificates.
    pub(crate) why: String,
}

/// Connects as `name`, empty for any, and with these options besides.
pub(crate) fn connect(
    spread: &str,
    name: &str,
    options: Options,
    tls: &TlsFiles,
) -> Result<Connection, NoSession> {
    let coded = |code| NoSession { code, why: String::new() };
    let endpoint: Endpoint = spread.parse().map_err(|error: Error| coded(error.code()))?;
    let told = |error: Error| match endpoint {
        Endpoint::Tls { .. } => NoSession { code: error.code(), why: format!("{error}\n") },
        _ => coded(error.code()),
    };
    let name = &name.as_bytes()[..name.len().min(NAME_MAX)];
    let name = match name {
        [] => None,
        // Refused by the daemon, had it been asked.
        _ => Some(PrivateName::new(name).map_err(|_| coded(ErrorCode::RejectIllegalName))?),
    };
    let tls = tls.read(&endpoint).map_err(told)?;
    let options = Options { name, tls, ..options };
    Connection::connect(&endpoint, &options).map_err(told)
}

fn bye(screen: &mut Screen<'_>, status: u8) -> io::Result<u8> {
    screen.say("\nBye.\n")?;
    screen.flush()?;
    Ok(status)
}

/// A session with its user.
struct User<'a> {
    screen: Screen<'a>,
    sending: SendHalf,
    desk: std::sync::Arc<Desk>,
    own: GroupName,
    /// Whether messages are shown as they come (`e`, `d`).
    asynchronous: bool,
    /// Messages sent so far.
    sent: u64,
    /// Bytes of the last burst's messages, for who does not say another size.
    length: usize,
}

impl User<'_> {
    fn work(&mut self) -> io::Result<u8> {
        self.menu()?;
        self.prompt()?;
        loop {
            let ended = match self.desk.next(self.asynchronous) {
                Word::Line(line) => self.command(&line)?,
                Word::End => Some(self.bye(0)?),
                word => self.show(word)?,
            };
            if let Some(status) = ended {
                return Ok(status);
            }
        }
    }

    /// Shows what the session told, and the end of the program if it is over.
    fn show(&mut self, word: Word) -> io::Result<Option<u8>> {
        const RULE: &str = "\n============================\n";
        self.screen.say(RULE)?;
        match word {
            Word::Event(event) => {
                self.screen.event(&event, &self.own)?;
                self.prompt()?;
                Ok(None)
            }
            Word::Lost(error) => {
                self.screen.error(error.code())?;
                self.screen.say(RULE)?;
                self.bye(1).map(Some)
            }
            Word::Line(_) | Word::End => Ok(None),
        }
    }

    fn prompt(&mut self) -> io::Result<()> {
        self.screen.say("\nUser> ")?;
        self.screen.flush()
    }

    fn bye(&mut self, status: u8) -> io::Result<u8> {
        bye(&mut self.screen, status)
    }
}
