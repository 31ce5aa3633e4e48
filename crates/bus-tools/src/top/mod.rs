//! `backhand bus top`: a daemon and those it knows, looked at each second.
//!
//! It asks a daemon of this machine through its control socket, as `spmonitor` does: all that this one knows of itself, and
//! through it the reports of the others. On a terminal it is a full screen; elsewhere one sample as text, or JSON.
//!
//! - `sample`: what is asked, and what came about between two samples. `picture`: both as lines. `line`, `figures`: their parts.
//! - `screen`: samples, keys and signals together. `keys`, `signals`, `terminal`: each of these.

mod figures;
mod keys;
mod line;
mod picture;
mod sample;
mod screen;
mod signals;
mod terminal;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use self::picture::Sort;
use self::sample::{Between, Sample};
use crate::monitor;
use crate::usage::{UsageError, Words};

/// How often it looks if nothing else is said.
const INTERVAL: Duration = Duration::from_secs(1);

/// What to show, and of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Which daemon to ask: `-s`, `-c` and `-n` are those of `spmonitor`.
    pub daemon: monitor::Arguments,
    /// How often to look (`-t`, `--interval`).
    pub interval: Duration,
    /// One sample as text, or as JSON (`--once`).
    pub once: bool,
    /// One JSON object for each sample (`--json`).
    pub json: bool,
}

impl Default for Arguments {
    fn default() -> Self {
        let daemon = monitor::Arguments::default();
        Self { daemon, interval: INTERVAL, once: false, json: false }
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
            match word.as_str() {
                "-s" => arguments.daemon.socket = Some(monitor::socket(&words.value(&word)?)),
                "-c" => arguments.daemon.conf = Some(words.value(&word)?.into()),
                "-n" => arguments.daemon.name = Some(words.value(&word)?),
                "-t" | "--interval" => {
                    // Less than a tenth of a second says nothing, and asks all daemons that often.
                    let seconds = words.number(&word, 0.1..=86_400.0_f64)?;
                    arguments.interval = Duration::from_secs_f64(seconds);
                }
                "--once" => arguments.once = true,
                "--json" => arguments.json = true,
                _ => return Err(UsageError::Unknown(word)),
            }
        }
        Ok(arguments)
    }
}

/// How the tool is used, called as `program`.
pub fn usage(program: &str) -> String {
    format!(
        "\
Usage: {program} [flags]
\t[-s <socket>]    : Unix socket of the daemon to ask, or its port; {} if nothing is said
\t[-c <file>]      : take the port from this spread.conf
\t[-n <proc name>] : take the port of this daemon in it
\t[-t <seconds>]   : how often to look, 0.1 or more; 1 if nothing is said (also --interval)
\t[--once]         : look for one interval, print it as text, and end; so it is as well without a terminal
\t[--json]         : print each sample as one line of JSON, with counters instead of rates; with --once one sample
Keys: q ends, space holds, s orders the daemons, arrows scroll, h helps.
",
        monitor::SOCKET
    )
}

/// What stands at both ends of the tool.
pub(crate) struct Ends<'a> {
    pub(crate) output: &'a mut dyn Write,
    pub(crate) errors: &'a mut dyn Write,
    /// Whether the output is a terminal.
    pub(crate) terminal: bool,
}

/// Shows what is asked for and returns the exit status: 0, or 1 if there was nothing to show.
///
/// # Errors
/// The daemon does not answer (where one answer is all), or the output cannot be written.
pub(crate) fn run(
    arguments: &Arguments,
    input: impl BufRead + Send + 'static,
    ends: Ends<'_>,
) -> io::Result<u8> {
    let control = arguments.daemon.control()?;
    let Ends { output, errors, terminal } = ends;
    if arguments.json {
        return json(arguments, &control, output, errors);
    }
    if arguments.once || !(terminal && can_draw()) {
        return once(&control, arguments.interval, output);
    }
    let colors = std::env::var_os("NO_COLOR").is_none_or(|said| said.is_empty());
    screen::run(control, arguments.interval, input, colors)?;
    Ok(0)
}

/// Whether keys come from a terminal that can more than write one line below the other.
fn can_draw() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|name| name.is_empty() || name == "dumb");
    !dumb && rustix::termios::isatty(rustix::stdio::stdin())
}

fn once(control: &Path, interval: Duration, output: &mut dyn Write) -> io::Result<u8> {
    let before = Sample::take(control)?;
    std::thread::sleep(interval);
    let now = Sample::take(control)?;
    writeln!(output, "{}", picture::title(Some(&now)))?;
    for line in picture::body(Between::new(&now, Some(&before)), Sort::View, usize::MAX) {
        writeln!(output, "{}", line.text(usize::MAX, false))?;
    }
    output.flush()?;
    Ok(0)
}

fn json(
    arguments: &Arguments,
    control: &Path,
    output: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<u8> {
    let mut trouble = None;
    loop {
        let begun = Instant::now();
        match Sample::take(control) {
            Ok(sample) => {
                // Texts and numbers can always be written.
                let line = serde_json::to_string(&sample).unwrap_or_default();
                writeln!(output, "{line}")?;
                output.flush()?;
                trouble = None;
            }
            Err(error) if arguments.once => return Err(error),
            Err(error) => {
                // Once for each kind: it is tried until it answers.
                let said = Some(error.to_string());
                if trouble != said {
                    writeln!(errors, "{error}")?;
                }
                trouble = said;
            }
        }
        if arguments.once {
            return Ok(0);
        }
        std::thread::sleep(arguments.interval.saturating_sub(begun.elapsed()));
    }
}
