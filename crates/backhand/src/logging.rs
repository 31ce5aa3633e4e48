//! What the program says about itself: `tracing` events on standard error, for people or as JSON.

use std::io::IsTerminal;

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
    /// `console`, `backhand`.
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
    /// The filter, or what is wrong with `level`.
    pub(crate) fn filter(&self) -> Result<EnvFilter, String> {
        filter(self.level.get_ref())
    }
}

/// A filter from its text. A single word has to be a level: what reads it would take a misspelt one for a part of the
/// program, of which everything is said, and of all others nothing.
fn filter(text: &str) -> Result<EnvFilter, String> {
    let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
    let words: Vec<&str> = text.split(',').map(str::trim).collect();
    let mut plain = words.iter().filter(|word| !word.contains(['=', '[', ']', '{', '}']));
    match plain.find(|word| !is_level(word)) {
        Some(word) => Err(format!("{word:?} is no level")),
        None => EnvFilter::try_new(words.join(",")).map_err(|e| e.to_string()),
    }
}

/// Installs the subscriber. Called once; a second call changes nothing.
pub(crate) fn start(log: &Log) {
    let chosen = match std::env::var("BACKHAND_LOG") {
        Ok(text) => filter(&text).unwrap_or_else(|error| {
            eprintln!("backhand: BACKHAND_LOG={text:?} is ignored: {error}");
            log.filter().unwrap_or_default()
        }),
        Err(_) => log.filter().unwrap_or_default(),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(chosen).with_writer(std::io::stderr);
    let _ = match log.format {
        Format::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_refused_and_not_taken_for_a_part_of_the_program() {
        for good in ["info", "WARN", "off", "info,resources=debug", "warn, balancer=info"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["inof", "warning", "", "info,", "resources", "resources=much", "="] {
            assert!(filter(bad).is_err(), "{bad:?}");
        }
    }
}
