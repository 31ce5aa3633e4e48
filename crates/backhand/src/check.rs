//! `backhand check`: every mistake of a configuration, or what it means.

use std::process::ExitCode;

use anyhow::Result;

use crate::MISTAKE;
use crate::cli::FileArg;
use crate::config::Config;

/// Reads the configuration and prints what it means. Starts nothing and listens nowhere.
pub(crate) fn check(file: &FileArg) -> Result<ExitCode> {
    match Config::load(file.config.as_deref()) {
        Err(mistakes) => {
            eprint!("{mistakes}");
            Ok(ExitCode::from(MISTAKE))
        }
        Ok(config) => {
            let mut text = format!("{}: in order\n", config.source);
            for sentence in config.assumed() {
                text += &format!("  assumed: {sentence}\n");
            }
            crate::output::print(&text)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
