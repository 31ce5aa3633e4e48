//! `backhand check`: every mistake of a configuration, or what it means.

use std::process::ExitCode;

use anyhow::Result;
use balancer::Sockets;

use crate::MISTAKE;
use crate::cli::FileArg;
use crate::config::Config;

/// What is said, behind its name, of a configuration that is in order. A program that is to become another version looks for it, so every
/// version has to say just this.
pub(crate) const IN_ORDER: &str = ": in order";

/// Reads the configuration and prints what it means. Starts nothing and listens nowhere.
pub(crate) fn check(file: &FileArg) -> Result<ExitCode> {
    match Config::load(file.config.as_deref()) {
        Err(mistakes) => {
            crate::logging::say(&mistakes.to_string());
            Ok(ExitCode::from(MISTAKE))
        }
        Ok(config) => {
            if let Err(error) = Sockets::check(&config.balancer, &config.resources) {
                crate::logging::say(&config.mistaken_address(&error).to_string());
                return Ok(ExitCode::from(MISTAKE));
            }
            let mut text = format!("{}{IN_ORDER}\n", config.source);
            for sentence in config.assumed() {
                text += &format!("  assumed: {sentence}\n");
            }
            for sentence in config.warnings() {
                text += &format!("  warning: {sentence}\n");
            }
            // Whoever checks may be another user than the one that it is for.
            let in_kernel =
                |config: &addresses::config::Config| config.sets.iter().any(|set| set.kernel);
            if config.addresses.as_ref().is_some_and(in_kernel)
                && let Some(missing) = addresses::kernel::capabilities::missing()
            {
                text +=
                    &format!("  warning: started by this user it would end at once: {missing}\n");
            }
            crate::output::print(&text)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
