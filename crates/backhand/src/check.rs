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
            println!("{}: in order", config.source);
            for sentence in config.assumed() {
                println!("  assumed: {sentence}");
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}
