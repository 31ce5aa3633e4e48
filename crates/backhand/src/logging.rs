//! What the program says about itself: `tracing` events on standard error, for people or as JSON.

use std::io::IsTerminal;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// `[log]`: what the program says about itself on standard error. Requests are logged by `[access_log]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// How much is said: `error`, `warn`, `info`, `debug` or `trace`, for everything or by part, as in
    /// `info,resources=debug`. More is slower: `debug` names each machine that is heard, `trace` each request.
    ///
    /// Default `info`. The environment variable `BACKHAND_LOG` overrides it for one start.
    pub(crate) level: toml::Spanned<String>,
    /// `text` for people, `json` for programs: one object a line with the same fields.
    ///
    /// Default `text`.
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
        EnvFilter::try_new(self.level.get_ref()).map_err(|e| e.to_string())
    }
}

/// Installs the subscriber. Called once; a second call changes nothing.
pub(crate) fn start(log: &Log) {
    let filter = match std::env::var("BACKHAND_LOG") {
        Ok(text) => EnvFilter::try_new(&text).unwrap_or_else(|error| {
            eprintln!("backhand: BACKHAND_LOG={text:?} is ignored: {error}");
            log.filter().unwrap_or_default()
        }),
        Err(_) => log.filter().unwrap_or_default(),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = match log.format {
        Format::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
}
