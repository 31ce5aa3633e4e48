//! One thing done, for scripts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use spread_daemon::monitor::{Answer, Request, Whom};

use super::desk::{Desk, status};
use crate::status::report;
use crate::usage::{UsageError, Words};

/// How long before its end a partition is said again.
pub(super) const REFRESH: Duration = Duration::from_secs(25);
/// The longest partition, in seconds.
const PARTITION_MAX: u64 = 7 * 86_400;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ask.
    Status {
        /// Whether to print JSON, an object to a line.
        json: bool,
        /// Whom.
        of: Whom,
    },
    /// Divide.
    Partition {
        /// The component of each daemon.
        components: BTreeMap<String, i16>,
        /// How long; if nothing is said, until the daemons end it, which is after a minute.
        lasts: Option<Duration>,
    },
    /// Unite.
    Heal,
    /// Change how much is sent.
    Flow {
        /// Where.
        of: Whom,
        /// The window.
        window: Option<u16>,
        /// The accelerated window.
        accelerated: Option<u16>,
    },
    /// Let daemons read their configuration again.
    Reload(Whom),
    /// End daemons.
    Terminate(Whom),
}

fn whom(word: &str) -> Whom {
    if word == "all" { Whom::All } else { Whom::Named(word.into()) }
}

impl Command {
    /// Reads a command that begins with `word`.
    pub(super) fn parse<I: Iterator<Item = OsString>>(
        word: &str,
        words: &mut Words<I>,
    ) -> Result<Self, UsageError> {
        Ok(match word {
            "status" => {
                let (mut json, mut of) = (false, Whom::This);
                while let Some(word) = words.next() {
                    match word.as_str() {
                        "--json" => json = true,
                        _ if word.starts_with('-') => return Err(UsageError::Unknown(word)),
                        _ => of = whom(&word),
                    }
                }
                Self::Status { json, of }
            }
            "partition" => Self::partition(words)?,
            "heal" => match words.next() {
                None => Self::Heal,
                Some(word) => return Err(UsageError::Unknown(word)),
            },
            "flow" => {
                let (mut of, mut window, mut accelerated) = (Whom::All, None, None);
                while let Some(word) = words.next() {
                    match word.as_str() {
                        "window" => window = Some(words.number(&word, 1..=512)?),
                        "accelerated" => accelerated = Some(words.number(&word, 0..=512)?),
                        _ => of = whom(&word),
                    }
                }
                if window.is_none() && accelerated.is_none() {
                    return Err(UsageError::Missing("flow".into()));
                }
                Self::Flow { of, window, accelerated }
            }
            "reload" => {
                let of = words.next().map_or(Whom::This, |word| whom(&word));
                match words.next() {
                    None => Self::Reload(of),
                    Some(word) => return Err(UsageError::Unknown(word)),
                }
            }
            "terminate" => Self::Terminate(whom(&words.value(word)?)),
            _ => return Err(UsageError::Unknown(word.into())),
        })
    }

    fn partition<I: Iterator<Item = OsString>>(words: &mut Words<I>) -> Result<Self, UsageError> {
        let (mut components, mut lasts) = (BTreeMap::new(), None);
        while let Some(word) = words.next() {
            if word == "for" {
                lasts = Some(Duration::from_secs(words.number(&word, 1..=PARTITION_MAX)?));
                continue;
            }
            let pair = word.rsplit_once('=');
            let pair = pair.and_then(|(name, number)| Some((name, number.parse::<i16>().ok()?)));
            let Some((name, component)) = pair.filter(|(_, component)| *component >= 0) else {
                let expected = "NAME=COMPONENT, a number from 0 to 32767".into();
                let flag = "partition".into();
                return Err(UsageError::Value { flag, value: word, expected });
            };
            components.insert(name.into(), component);
        }
        if components.is_empty() {
            return Err(UsageError::Missing("partition".into()));
        }
        Ok(Self::Partition { components, lasts })
    }

    fn request(&self) -> Request {
        match self.clone() {
            Self::Status { of, .. } => Request::Status { of },
            Self::Partition { components, .. } => Request::Partition { components },
            Self::Heal => Request::Heal,
            Self::Flow { of, window, accelerated } => Request::Flow { of, window, accelerated },
            Self::Reload(of) => Request::Reload { of },
            Self::Terminate(of) => Request::Terminate { of },
        }
    }
}

/// Does it. The exit status is 0, or 1 if a daemon was silent or refused.
pub(super) fn run(
    command: &Command,
    desk: &Desk,
    output: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<u8> {
    let end = match command {
        Command::Partition { lasts: Some(lasts), .. } => Some(Instant::now() + *lasts),
        _ => None,
    };
    let json = matches!(command, Command::Status { json: true, .. });
    let mut good = once(&command.request(), desk, json, output, errors)?;
    while let Some(left) = end.map(|end| end.saturating_duration_since(Instant::now())) {
        if left.is_zero() {
            good &= once(&Request::Heal, desk, false, output, errors)?;
            break;
        }
        std::thread::sleep(left.min(REFRESH));
        if left > REFRESH {
            good &= once(&command.request(), desk, false, &mut io::sink(), errors)?;
        }
    }
    output.flush()?;
    Ok(u8::from(!good))
}

fn once(
    request: &Request,
    desk: &Desk,
    json: bool,
    output: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<bool> {
    let mut good = true;
    for answer in desk.ask(request)? {
        match answer {
            Answer::Report(report) if json => {
                // Texts and numbers can always be written.
                let line = serde_json::to_string(&report).unwrap_or_default();
                writeln!(output, "{line}")?;
            }
            Answer::Report(of) => output.write_all(report(&status(&of).after(None)).as_bytes())?,
            Answer::Done { daemon } => writeln!(output, "{daemon}: done")?,
            Answer::Refused { daemon, why } => {
                good = false;
                writeln!(errors, "{daemon}: {why}")?;
            }
            Answer::Silent { daemon } => {
                good = false;
                writeln!(errors, "{daemon}: no answer")?;
            }
            Answer::Mistake { why } => {
                good = false;
                writeln!(errors, "{why}")?;
            }
            Answer::Detail(_) | Answer::End => {}
        }
    }
    output.flush()?;
    Ok(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Command, UsageError> {
        let words: Vec<OsString> = text.split(' ').map(OsString::from).collect();
        let mut words = Words::new(words);
        let first = words.next().unwrap();
        Command::parse(&first, &mut words)
    }

    #[test]
    fn commands_are_read_whole_or_not_at_all() {
        let all = Whom::All;
        assert_eq!(parse("status").unwrap(), Command::Status { json: false, of: Whom::This });
        assert_eq!(parse("status --json all").unwrap(), Command::Status { json: true, of: all });
        let lasts = Some(Duration::from_secs(90));
        let components = [("a".to_owned(), 0), ("b=c".to_owned(), 1)].into();
        let partition = Command::Partition { components, lasts };
        assert_eq!(parse("partition a=0 b=c=1 for 90").unwrap(), partition);
        let flow =
            Command::Flow { of: Whom::Named("m".into()), window: Some(9), accelerated: None };
        assert_eq!(parse("flow m window 9").unwrap(), flow);
        assert_eq!(parse("terminate m").unwrap(), Command::Terminate(Whom::Named("m".into())));
        assert_eq!(parse("reload").unwrap(), Command::Reload(Whom::This));
        assert_eq!(parse("reload all").unwrap(), Command::Reload(Whom::All));
        for wrong in [
            "partition",
            "reload a b",
            "partition a",
            "partition a=-1",
            "terminate",
            "flow",
            "flow window 0",
            "heal x",
            "x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
