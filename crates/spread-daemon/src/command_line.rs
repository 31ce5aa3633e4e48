//! The command line of the historical daemon: `-n NAME`, `-c FILE`, `-l y|n`, and two words of our own.
//!
//! The original looked at the first two characters of a flag only, so `-conf FILE` works like `-c FILE`, and took
//! the value from the next word. Anything else printed the usage and ended the program. Our own `--key-file FILE` and
//! `--insecure` are written in full.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use ring::name::NAME_MAX;

/// Longest name of a configuration file, in bytes.
pub const FILE_MAX: usize = 511;

/// How the daemon is used, as the original says it, and our own.
pub const USAGE: &str = "\
Usage: spread
\t[-l y/n]          : print log
\t[-n <proc name>]  : force computer name
\t[-c <file name>]  : specify configuration file
\t[--key-file <file name>] : the key that all daemons share; <file name>.previous
\t                           is believed as well while keys change (SIGHUP)
\t[--insecure]      : speak on the network without a key
";

/// What the command line says. Of a flag that stands twice the last counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// The configuration file (`-c`).
    pub file: Option<PathBuf>,
    /// This daemon's name in the file (`-n`).
    pub name: Option<String>,
    /// Whether to keep a log of memberships and sessions in a file named after the daemon (`-l y`).
    pub activity_log: bool,
    /// The file of the key (`--key-file`).
    pub key_file: Option<PathBuf>,
    /// Whether to speak on the network without a key (`--insecure`).
    pub insecure: bool,
}

/// Why the command line is not understood. The usage belongs below it, and the program ends with a failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// No flag.
    #[error("{0:?} is none of the flags; write one of those below")]
    Unknown(OsString),
    /// Nothing behind a flag.
    #[error("nothing stands behind {0:?}; write its value there")]
    Missing(OsString),
    /// Neither `y` nor `n`.
    #[error("{0:?} behind -l is neither y nor n; write one of them")]
    Log(OsString),
    /// A name that no daemon can have.
    #[error(
        "{0:?} behind -n is no name of a daemon; write 1 to {NAME_MAX} characters, as in the configuration"
    )]
    Name(OsString),
    /// A file name that is too long or empty.
    #[error("the file name behind {flag:?} has {length} bytes; write 1 to {FILE_MAX}")]
    File {
        /// The flag.
        flag: OsString,
        /// How long it is.
        length: usize,
    },
}

impl UsageError {
    /// Whether the word is one that asks for the usage, which is no mistake.
    pub fn asks_for_help(&self) -> bool {
        matches!(self, Self::Unknown(word) if word == "-h" || word == "--help")
    }
}

/// Reads the words behind the program's name.
///
/// # Errors
/// The first word that is not understood.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<CommandLine, UsageError> {
    let mut line = CommandLine::default();
    let mut words = words.into_iter();
    while let Some(flag) = words.next() {
        let mut value = || words.next().ok_or_else(|| UsageError::Missing(flag.clone()));
        match flag.as_bytes() {
            b"--insecure" => line.insecure = true,
            b"--key-file" => line.key_file = Some(file(&flag, value()?)?),
            [b'-', b'c', ..] => line.file = Some(file(&flag, value()?)?),
            [b'-', b'n', ..] => line.name = Some(name(value()?)?),
            [b'-', b'l', ..] => line.activity_log = yes(value()?)?,
            _ => return Err(UsageError::Unknown(flag)),
        }
    }
    Ok(line)
}

fn file(flag: &OsStr, value: OsString) -> Result<PathBuf, UsageError> {
    let length = value.len();
    if (1..=FILE_MAX).contains(&length) {
        Ok(value.into())
    } else {
        Err(UsageError::File { flag: flag.into(), length })
    }
}

/// A longer name is cut, as names in the file are; whether there is such a daemon is for the file to say.
fn name(value: OsString) -> Result<String, UsageError> {
    let kept = &value.as_bytes()[..value.len().min(NAME_MAX)];
    let name = ring::DaemonName::new(kept).map_err(|_| UsageError::Name(value.clone()))?;
    Ok(name.to_string())
}

fn yes(value: OsString) -> Result<bool, UsageError> {
    match value.as_bytes() {
        b"y" => Ok(true),
        b"n" => Ok(false),
        _ => Err(UsageError::Log(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<CommandLine, UsageError> {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn an_empty_line_leaves_everything_to_the_file() {
        assert_eq!(read(&[]), Ok(CommandLine::default()));
    }

    #[test]
    fn each_flag_takes_the_next_word() {
        let line = read(&["-n", "www-0-1", "-c", "/etc/spread.conf", "-l", "y"]).unwrap();
        assert_eq!(line.name.as_deref(), Some("www-0-1"));
        assert_eq!(line.file, Some("/etc/spread.conf".into()));
        assert!(line.activity_log);
        let ours = read(&["--key-file", "key", "--insecure"]).unwrap();
        assert!(ours.insecure && ours.key_file == Some("key".into()));
    }

    #[test]
    fn only_the_first_two_characters_of_a_flag_count_and_the_last_of_two() {
        let line =
            read(&["-cfoo", "bar", "-name", "a", "-n", "b", "-log", "y", "-l", "n"]).unwrap();
        assert_eq!((line.file, line.name.as_deref()), (Some("bar".into()), Some("b")));
        assert!(!line.activity_log);
    }

    #[test]
    fn a_value_may_look_like_a_flag() {
        assert_eq!(read(&["-c", "-n"]).unwrap().file, Some("-n".into()));
    }

    #[test]
    fn a_long_name_is_cut_as_in_the_file() {
        let line = read(&["-n", "a-very-long-machine-name"]).unwrap();
        assert_eq!(line.name.as_deref(), Some("a-very-long-machine"));
    }

    #[test]
    fn anything_else_is_told_apart() {
        for (words, told) in [
            (&["start"][..], "\"start\" is none of the flags"),
            (&["-h"], "is none of the flags"),
            (&["-"], "is none of the flags"),
            (&["--conf"], "is none of the flags"),
            (&["-n", "a", "-c"], "nothing stands behind \"-c\""),
            (&["-l", "yes"], "\"yes\" behind -l is neither y nor n"),
            (&["-n", "a b"], "is no name of a daemon"),
            (&["-n", ""], "is no name of a daemon"),
            (&["-c", ""], "has 0 bytes; write 1 to 511"),
        ] {
            let error = read(words).unwrap_err().to_string();
            assert!(error.contains(told), "{words:?}: {error}");
        }
        assert!(
            read(&["-c", &"x".repeat(512)]).is_err() && read(&["-c", &"x".repeat(511)]).is_ok()
        );
    }

    #[test]
    fn asking_for_help_is_no_mistake() {
        assert!(read(&["-h"]).unwrap_err().asks_for_help());
        assert!(read(&["-n", "a", "--help"]).unwrap_err().asks_for_help());
        assert!(!read(&["-x"]).unwrap_err().asks_for_help());
        assert_eq!(read(&["-n", "-h"]).unwrap().name.as_deref(), Some("-h"));
    }

    #[test]
    fn the_usage_begins_with_the_lines_of_the_original() {
        let lines: Vec<String> = USAGE
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines[..4],
            [
                "Usage: spread",
                "[-l y/n] : print log",
                "[-n <proc name>] : force computer name",
                "[-c <file name>] : specify configuration file"
            ]
        );
    }
}
