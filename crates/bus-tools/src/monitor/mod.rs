//! `spmonitor`: the status of daemons, reading their files again, and with their permission partitions, flow control and their end.
//!
//! It asks a daemon of this machine through its control socket, and that one asks the others; the original sent datagrams that
//! anybody could forge. So it runs where a daemon runs, as root or as the daemon's own user. Menu, prompts and reports are those
//! of the original; with a command behind the flags it does that one thing and ends, with exit status 1 if a daemon was silent
//! or refused, or is in the list of daemons and was not heard.

mod command;
mod desk;
mod menu;

use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use spread_daemon::conf;
use spread_daemon::monitor::control_path;

use crate::usage::{UsageError, Words};

pub use command::Command;

/// The Unix socket of a daemon of which nothing is said.
pub(crate) const SOCKET: &str = "/tmp/4803";
/// How often the menu asks for the status of daemons, if nothing else is said (`-t`).
const INTERVAL: Duration = Duration::from_secs(10);

/// What to do, and whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// The Unix socket for clients of the daemon to ask, beside which its control socket is (`-s`).
    pub socket: Option<PathBuf>,
    /// The `spread.conf` whose port names that socket (`-c`).
    pub conf: Option<PathBuf>,
    /// The daemon of that file to ask (`-n`).
    pub name: Option<String>,
    /// How often the menu asks for the status (`-t`).
    pub interval: Duration,
    /// Whether a port for replies was given (`-p`), which is not needed.
    pub port: bool,
    /// What to do; without one there is the menu.
    pub command: Option<Command>,
}

impl Default for Arguments {
    fn default() -> Self {
        let (socket, conf, name, command) = (None, None, None, None);
        Self { socket, conf, name, interval: INTERVAL, port: false, command }
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
        while let Some(word) = words.next() {
            match word.as_bytes() {
                [b'-', b'p', ..] => {
                    words.number(&word, 0..=65_535_u32)?;
                    arguments.port = true;
                }
                [b'-', b'n', ..] => arguments.name = Some(words.value(&word)?),
                [b'-', b't', ..] => {
                    arguments.interval = Duration::from_secs(words.number(&word, 1..=86_400_u64)?);
                }
                [b'-', b'c', ..] => arguments.conf = Some(words.value(&word)?.into()),
                [b'-', b's', ..] => arguments.socket = Some(socket(&words.value(&word)?)),
                [b'-', ..] => return Err(UsageError::Unknown(word)),
                _ => {
                    arguments.command = Some(Command::parse(&word, &mut words)?);
                    break;
                }
            }
        }
        Ok(arguments)
    }

    /// The control socket of the daemon that is meant.
    ///
    /// # Errors
    /// The `spread.conf` cannot be read or has no such daemon.
    pub(crate) fn control(&self) -> io::Result<PathBuf> {
        if let Some(socket) = &self.socket {
            return Ok(control_path(socket));
        }
        let Some(path) = &self.conf else { return Ok(control_path(Path::new(SOCKET))) };
        let conf = conf::read_only(path).map_err(io::Error::other)?;
        let daemon = match &self.name {
            Some(name) => conf.daemons.iter().find(|daemon| daemon.name.as_str() == name),
            None => conf.daemons.first(),
        };
        let Some(daemon) = daemon else {
            let name = self.name.as_deref().unwrap_or_default();
            let text =
                format!("there is no daemon {name:?} in {path:?}; name one of those there with -n");
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        };
        let socket = format!("/tmp/{}", conf.port_of(daemon));
        Ok(control_path(Path::new(&socket)))
    }
}

/// A port is the socket of that port, as everywhere else.
pub(crate) fn socket(said: &str) -> PathBuf {
    if said.parse::<u16>().is_ok() { format!("/tmp/{said}").into() } else { said.into() }
}

/// How the tool is used, called as `program`.
pub fn usage(program: &str) -> String {
    format!(
        "\
Usage: {program} [flags] [command]
\t[-s <socket>]     : Unix socket of the daemon to ask, or its port; {SOCKET} if nothing is said
\t[-c <file>]       : take the port from this spread.conf
\t[-n <proc name>]  : take the port of this daemon in it
\t[-t <seconds>]    : how often the menu asks for the status
\t[-p <port>]       : does nothing, replies need no port
Commands; without one there is a menu:
\tstatus [--json] [NAME|all]
\tpartition NAME=COMPONENT ... [for SECONDS]
\theal
\tflow [NAME|all] [window PACKETS] [accelerated PACKETS]
\treload [NAME|all]
\tterminate NAME|all
"
    )
}

/// Does the command, or what the lines of `input` say until they end, and returns the exit status.
///
/// # Errors
/// The output cannot be written, or the `spread.conf` cannot be read.
pub fn run(
    arguments: &Arguments,
    input: impl BufRead + Send + 'static,
    output: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<u8> {
    let control = arguments.control()?;
    let desk = desk::Desk::new(control);
    match &arguments.command {
        Some(command) => command::run(command, &desk, output, errors),
        None => menu::run(desk, arguments.interval, input, output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, UsageError> {
        Arguments::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn flags_are_those_of_the_original_and_a_socket() {
        let line = parse(&["-p", "6543", "-n", "m1", "-t", "3", "-c", "spread.conf"]).unwrap();
        assert_eq!(
            (line.name.as_deref(), line.interval.as_secs(), line.port),
            (Some("m1"), 3, true)
        );
        assert_eq!(line.conf, Some("spread.conf".into()));
        assert_eq!(parse(&["-s", "4804"]).unwrap().socket, Some("/tmp/4804".into()));
        assert_eq!(parse(&["-s", "/run/bus"]).unwrap().socket, Some("/run/bus".into()));
        assert_eq!(parse(&[]).unwrap().control().unwrap(), Path::new("/tmp/4803.control"));
        assert!(parse(&["-x"]).is_err() && parse(&["-t", "0"]).is_err());
    }
}
