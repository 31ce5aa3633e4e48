//! The command lines of the historical programs. As with the original only the first letter of a flag counts (`-config x`).

use std::ffi::OsString;
use std::path::PathBuf;

use addresses::config::bad_daemon;
use spread_client::{Endpoint, PrivateName};

/// What `wackamole` was told.
#[derive(Debug, Default)]
pub(super) struct Daemon {
    /// The configuration.
    pub(super) file: Option<PathBuf>,
    /// Stay in the foreground.
    pub(super) foreground: bool,
    /// The daemon of the bus; it counts whatever the file says.
    pub(super) spread: Option<Endpoint>,
    /// The private name.
    pub(super) name: Option<PrivateName>,
    /// Where the process id is written.
    pub(super) pid_file: Option<PathBuf>,
    /// It was started by the one that was typed.
    pub(super) in_background: bool,
}

/// What `wackatrl` was told.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) file: Option<PathBuf>,
    pub(super) action: Action,
}

/// What `wackatrl` is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    List,
    Fail,
    Succeed,
}

/// What is written behind the command line of the one in the background. Nobody types it.
pub(super) const IN_BACKGROUND: &str = "-background";

/// Why a command line is not followed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Instead {
    /// It asks for the usage.
    Help,
    /// It asks for the version.
    Version,
    /// What is wrong.
    Mistake(String),
}

pub(super) fn daemon_usage(program: &str) -> String {
    format!(
        "Usage: {program} [-c file] [-d] [-s spread] [-u user] [-p file] [-v]
  -c file    the configuration; else /etc/wackamole.conf, else ./wackamole.conf
  -d         stay in the foreground, with the log on standard error
  -s spread  the daemon of the bus, PORT or PORT@HOST, whatever the file says
  -u user    the private name at that daemon; else wack and the process id
  -p file    where the process id is written; else /var/run/wackamole.pid, with -d nowhere
  -v         the version
Exit status: 0 done; 1 could not; 2 a mistake in the command line or the file.
"
    )
}

pub(super) fn control_usage(program: &str) -> String {
    format!(
        "Usage: {program} [-c file] [-l | -f | -s]
  -c file    the configuration that wackamole was started with; only its Control counts
  -l         list the addresses and who has them
  -f         fail: let everything go and stay away until told otherwise
  -s         succeed: come back
Exit status: 0 done; 1 could not; 2 a mistake in the command line or the file.
"
    )
}

pub(super) fn daemon(words: &[OsString]) -> Result<Daemon, Instead> {
    let mut line = Daemon::default();
    let mut words = Words(words.iter());
    while let Some((letter, flag)) = words.flag()? {
        match letter {
            _ if flag == IN_BACKGROUND => line.in_background = true,
            'c' => line.file = Some(words.path(&flag)?),
            'd' => line.foreground = true,
            'p' => line.pid_file = Some(words.path(&flag)?),
            's' => {
                let text = words.value(&flag)?;
                let text = text.to_string_lossy();
                let spread = text
                    .parse::<Endpoint>()
                    .map_err(|error| Instead::Mistake(format!("{flag}: {error}")))?;
                if let Some((message, remedy)) = bad_daemon(&spread) {
                    return Err(Instead::Mistake(format!("{flag}: {message}; {remedy}")));
                }
                line.spread = Some(spread);
            }
            'u' => {
                let text = words.value(&flag)?;
                let name = PrivateName::new(text.as_encoded_bytes());
                line.name =
                    Some(name.map_err(|error| Instead::Mistake(format!("{flag}: {error}")))?);
            }
            'v' => return Err(Instead::Version),
            _ => return Err(unknown(&flag)),
        }
    }
    Ok(line)
}

pub(super) fn control(words: &[OsString]) -> Result<Control, Instead> {
    let (mut file, mut action) = (None, None);
    let mut words = Words(words.iter());
    while let Some((letter, flag)) = words.flag()? {
        let chosen = match letter {
            'c' => {
                file = Some(words.path(&flag)?);
                continue;
            }
            'l' => Action::List,
            'f' => Action::Fail,
            's' => Action::Succeed,
            _ => return Err(unknown(&flag)),
        };
        if action.is_some_and(|other| other != chosen) {
            return Err(Instead::Mistake("only one of -l, -f and -s can be done".into()));
        }
        action = Some(chosen);
    }
    let Some(action) = action else {
        return Err(Instead::Mistake("write one of -l, -f and -s".into()));
    };
    Ok(Control { file, action })
}

fn unknown(flag: &str) -> Instead {
    Instead::Mistake(format!("{flag:?} is none of the flags"))
}

struct Words<'a>(std::slice::Iter<'a, OsString>);

impl Words<'_> {
    /// The next flag: its letter, and the word.
    fn flag(&mut self) -> Result<Option<(char, String)>, Instead> {
        let Some(word) = self.0.next() else { return Ok(None) };
        let word = word.to_string_lossy().into_owned();
        if word == "--help" {
            return Err(Instead::Help);
        }
        match word.strip_prefix('-').and_then(|rest| rest.chars().next()) {
            Some('h') => Err(Instead::Help),
            Some('-') | None => Err(unknown(&word)),
            Some(letter) => Ok(Some((letter, word))),
        }
    }

    fn value(&mut self, flag: &str) -> Result<OsString, Instead> {
        let missing =
            || Instead::Mistake(format!("nothing stands behind {flag}; write its value there"));
        self.0.next().cloned().ok_or_else(missing)
    }

    /// A path that stays the same when the working directory changes.
    fn path(&mut self, flag: &str) -> Result<PathBuf, Instead> {
        let path = self.value(flag)?;
        std::path::absolute(&path)
            .map_err(|error| Instead::Mistake(format!("{flag} {path:?}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn flags_are_told_by_their_first_letter() {
        let line = daemon(&words(&["-conf", "/a", "-debug", "-s", "3777", "-u", "me"])).unwrap();
        assert_eq!((line.file, line.foreground), (Some("/a".into()), true));
        assert_eq!(line.spread, Some("3777".parse().unwrap()));
        assert_eq!(daemon(&words(&["-v"])).unwrap_err(), Instead::Version);
        assert_eq!(control(&words(&["-c", "/a", "-list"])).unwrap().action, Action::List);
    }

    #[test]
    fn mistakes_are_named() {
        let told = |line: Result<(), Instead>| match line.unwrap_err() {
            Instead::Mistake(told) => told,
            other => panic!("{other:?}"),
        };
        let daemon = |line: &[&str]| told(daemon(&words(line)).map(drop));
        assert_eq!(daemon(&["-c"]), "nothing stands behind -c; write its value there");
        assert_eq!(daemon(&["-x"]), "\"-x\" is none of the flags");
        assert_eq!(daemon(&["here"]), "\"here\" is none of the flags");
        assert!(daemon(&["-s", "web1:1"]).starts_with("-s: "));
        assert!(daemon(&["-s", "4803@a b"]).starts_with("-s: \"a b\" is no name of a host; "));
        assert!(daemon(&["-u", "muchtoolongforthat"]).contains("at most 10"));
        let control = |line: &[&str]| told(control(&words(line)).map(drop));
        assert_eq!(control(&[]), "write one of -l, -f and -s");
        assert_eq!(control(&["-l", "-f"]), "only one of -l, -f and -s can be done");
    }
}
