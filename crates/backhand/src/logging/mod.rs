//! What the program says about itself: `tracing` events on standard error, for people or as JSON.

mod writer;

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// What the program says about itself on standard error. Requests are logged by `[access_log]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// How much is said: `"error"`, `"warn"`, `"info"`, `"debug"`, `"trace"`, or `"off"`.
    ///
    /// For everything, or by part of the program: `"info,resources=debug"` says more of how the machines know each
    /// other, `"warn,balancer=info"` less of all but serving. The parts are those a line names: `resources`, `balancer`,
    /// `spread_daemon` (the bus), `addresses`, `backhand`, and `lab` of the demonstration.
    ///
    /// Default "info". The environment variable `BACKHAND_LOG`, written alike, overrides it for one start.
    pub(crate) level: toml::Spanned<String>,

    /// `"text"` for people, `"json"` for programs: one object a line with the same fields.
    ///
    /// Default "text".
    pub(crate) format: Format,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: toml::Spanned::new(0..0, "info".into()), format: Format::Text }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    Text,
    Json,
}

impl Log {
    /// Lines for people, of this level and above.
    pub(crate) fn of_level(level: &str) -> Self {
        Self { level: toml::Spanned::new(0..0, level.into()), format: Format::Text }
    }

    /// The filter, or what is wrong with `level`.
    pub(crate) fn filter(&self) -> Result<EnvFilter, String> {
        filter(self.level.get_ref())
    }
}

/// The parts of the program that say something.
const PARTS: [&str; 6] = ["resources", "balancer", "spread_daemon", "addresses", "lab", "backhand"];

/// A part, or a module of one.
fn is_part(name: &str) -> bool {
    name.split("::").next().is_some_and(|top| PARTS.contains(&top))
}

/// A filter from its text. A single word has to be a level: what reads it would take a misspelt one for a part of the
/// program, of which everything is said, and of all others nothing.
fn filter(text: &str) -> Result<EnvFilter, String> {
    let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
    let words: Vec<&str> = text.split(',').map(str::trim).collect();
    let parts = words.iter().filter_map(|word| Some(word.split_once(['=', '['])?.0));
    if let Some(part) = parts.filter(|part| !part.is_empty()).find(|part| !is_part(part)) {
        return Err(format!("{part:?} is no part of the program ({})", PARTS.join(", ")));
    }
    let mut plain = words.iter().filter(|word| !word.contains(['=', '[', ']', '{', '}']));
    match plain.find(|word| !is_level(word)) {
        Some(word) => Err(format!("{word:?} is no level")),
        None => EnvFilter::try_new(words.join(",")).map_err(|e| e.to_string()),
    }
}

/// How long the last lines may take to be written.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The queue of the lines of this process.
static LINES: OnceLock<writer::Queue> = OnceLock::new();

/// Installs the subscriber. Called once; a second call changes nothing.
pub(crate) fn start(log: &Log) -> anyhow::Result<()> {
    start_in(log, None)
}

/// The same, with the lines written to a file instead of standard error.
pub(crate) fn start_in(log: &Log, file: Option<std::fs::File>) -> anyhow::Result<()> {
    match file {
        Some(file) => start_to(log, file),
        None => start_on(log, io::stderr(), io::stderr().is_terminal()),
    }
}

/// The same, with the lines written to something else, one with each call.
pub(crate) fn start_to(log: &Log, target: impl Write + Send + 'static) -> anyhow::Result<()> {
    start_on(log, target, false)
}

fn start_on(log: &Log, target: impl Write + Send + 'static, colours: bool) -> anyhow::Result<()> {
    let chosen = match std::env::var("BACKHAND_LOG") {
        Ok(text) => filter(&text).unwrap_or_else(|error| {
            say(&format!("backhand: BACKHAND_LOG={text:?} is ignored: {error}\n"));
            log.filter().unwrap_or_default()
        }),
        Err(_) => log.filter().unwrap_or_default(),
    };
    let lines = writer::Queue::start(target);
    let lines = lines.context("no thread for the log")?;
    let lines = LINES.get_or_init(|| lines).clone();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(chosen)
        // Told on standard error with a macro that panics where that fails.
        .log_internal_errors(false)
        .with_writer(lines);
    let _ = match log.format {
        Format::Text => builder.with_ansi(colours).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    std::panic::set_hook(Box::new(panicked));
    Ok(())
}

/// A panic is a defect of this program, told like everything else. Of a worker it ends one connection. Any other
/// thread is one that the machine cannot do without: rather than limp on without measuring, announcing or checking, the
/// program ends, so that the others take over and a supervisor starts it again.
fn panicked(panic: &std::panic::PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed");
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    let what = panic.payload_as_str().unwrap_or("no message");
    tracing::error!(thread = name, at, "this is a defect: {what}");
    finish();
    if !name.starts_with("worker ") {
        std::process::exit(PANICKED);
    }
}

/// The exit status after a panic: the language's own.
const PANICKED: i32 = 101;

/// Waits a little until what was said is written. For the end of the program.
pub(crate) fn finish() {
    if let Some(lines) = LINES.get() {
        lines.flush(LAST_LINES);
    }
}

/// Writes to standard error what is said outside of the log. Where nobody reads there is nobody to tell.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_refused_and_not_taken_for_a_part_of_the_program() {
        for good in [
            "info",
            "WARN",
            "off",
            "info,resources=debug",
            "warn, balancer=info",
            "info,resources::service=warn",
        ] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in [
            "inof",
            "warning",
            "",
            "info,",
            "resources",
            "resources=much",
            "=",
            "info,nope=debug",
            "nope[x]=info",
        ] {
            assert!(filter(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_crate_that_logs_is_a_part() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let dependencies = |of: &str| {
            let text = std::fs::read_to_string(folder.join(of).join("Cargo.toml")).unwrap();
            let file: toml::Table = text.parse().unwrap();
            let section = file.get("dependencies").and_then(toml::Value::as_table);
            section.map(|all| all.keys().cloned().collect::<Vec<_>>()).unwrap_or_default()
        };
        let ours = dependencies("backhand").into_iter().filter(|name| folder.join(name).is_dir());
        let speaks = |name: &String| dependencies(name).iter().any(|one| one == "tracing");
        let mut parts: Vec<String> =
            ours.filter(speaks).map(|name| name.replace('-', "_")).collect();
        parts.push("backhand".into());
        parts.sort();
        let mut listed = PARTS.to_vec();
        listed.sort_unstable();
        assert_eq!(parts, listed);
    }

    #[test]
    fn the_addresses_are_filtered_by_their_part() {
        let said = |level: &str| {
            let lines = Lines::default();
            let subscriber = tracing_subscriber::fmt()
                .with_env_filter(filter(level).unwrap())
                .with_writer(lines.clone())
                .finish();
            tracing::subscriber::with_default(subscriber, || {
                tracing::debug!(target: "addresses::service::tell", "of addresses");
                tracing::debug!(target: "balancer", "of the balancer");
            });
            let lines = lines.0.lock().unwrap();
            ["of addresses", "of the balancer"]
                .map(|words| String::from_utf8_lossy(&lines).contains(words))
        };
        assert_eq!(said("info,addresses=debug"), [true, false]);
        assert_eq!(said("debug,addresses=warn"), [false, true]);
    }

    /// Lines that are kept.
    #[derive(Clone, Default)]
    struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl tracing_subscriber::fmt::MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }
}
