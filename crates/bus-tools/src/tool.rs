//! The tools by their historical names, one without, and what each does with its command line.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, ErrorKind, Write};
use std::path::Path;

use crate::{datagram, flood, monitor, top, user};

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// `spuser`, and `sptuser`, which has fewer commands.
    User,
    /// `spflooder`.
    Flood,
    /// `spmonitor`.
    Monitor,
    /// `backhand bus top`, which has no historical name.
    Top,
    /// `spsend`.
    Send,
    /// `sprecv`.
    Receive,
}

/// What a tool reads and writes.
pub struct Handles<'a, I> {
    /// What the user says.
    pub input: I,
    /// What the tool says.
    pub output: &'a mut dyn Write,
    /// What is wrong.
    pub errors: &'a mut dyn Write,
    /// Whether `output` is looked at through a terminal.
    pub terminal: bool,
}

impl Tool {
    /// The tool that a program of this name is.
    pub fn named(program: &OsStr) -> Option<Self> {
        Some(match Path::new(program).file_name()?.to_str()? {
            "spuser" | "sptuser" => Self::User,
            "spflooder" => Self::Flood,
            "spmonitor" => Self::Monitor,
            "spsend" => Self::Send,
            "sprecv" => Self::Receive,
            _ => return None,
        })
    }

    /// Reads the command line behind `program` and does what it says. Returns the exit status: 0, or 1 if something
    /// failed, or `mistake` for a command line that is not understood, below which the usage is printed.
    pub fn run(
        self,
        program: &str,
        words: impl IntoIterator<Item = OsString>,
        mistake: u8,
        handles: Handles<'_, impl BufRead + Send + 'static>,
    ) -> u8 {
        let Handles { input, output, errors, terminal } = handles;
        // Told apart from other failures, since only here the usage helps.
        macro_rules! line {
            ($parse:expr, $usage:expr) => {
                match $parse {
                    Ok(line) => line,
                    Err(error) => {
                        let asked = error.asks_for_help();
                        if !asked {
                            let _ = writeln!(errors, "{program}: {error}");
                        }
                        let _ = output.write_all($usage.as_bytes());
                        let _ = output.flush();
                        return if asked { 0 } else { mistake };
                    }
                }
            };
        }
        let done = match self {
            Self::User => {
                let line = line!(user::Arguments::parse(words), user::usage(program));
                if line.password {
                    let _ = writeln!(
                        errors,
                        "{program}: -n and -p do nothing: sessions are not authenticated by passwords"
                    );
                }
                user::run(&line, input, output, terminal)
            }
            Self::Flood => {
                let line = line!(flood::Arguments::parse(words), flood::usage(program));
                flood::run(&line, output)
            }
            Self::Monitor => {
                let line = line!(monitor::Arguments::parse(words), monitor::usage(program));
                monitor::run(&line, input, output, errors)
            }
            Self::Top => {
                let line = line!(top::Arguments::parse(words), top::usage(program));
                top::run(&line, input, top::Ends { output, errors, terminal })
            }
            Self::Send => {
                use datagram::send;
                send::run(&line!(send::Arguments::parse(words), send::usage()), output)
            }
            Self::Receive => {
                use datagram::receive;
                let line = line!(receive::Arguments::parse(words), receive::usage(program));
                receive::run(&line, output)
            }
        };
        done.unwrap_or_else(|error| failure(program, &error, errors))
    }
}

/// That nobody reads any more (`spuser | head`) is no failure worth a word.
fn failure(program: &str, error: &io::Error, errors: &mut dyn Write) -> u8 {
    if error.kind() != ErrorKind::BrokenPipe {
        let _ = writeln!(errors, "{program}: {error}");
    }
    1
}
