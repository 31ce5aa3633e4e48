//! The program `backhand`: command line, one configuration, supervision, the demonstration.

mod addresses;
mod check;
mod cli;
mod config;
mod demo;
mod key;
mod logging;
mod output;
mod run;
mod signals;
mod spread;
mod tools;
mod upgrade;
mod vip;
mod wackamole;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

/// A mistake in the command line or the configuration, as distinct from something that failed while running.
pub(crate) const MISTAKE: u8 = 2;

fn main() -> ExitCode {
    // The demonstration's helpers are this same binary started again: nothing may come before this.
    lab::init();
    // As are the guardian of the addresses and what runs their modules.
    ::addresses::guardian::init();
    ::addresses::hooks::init();
    if let Some(words) = spread::words() {
        return finish(spread::run(words));
    }
    if let Some(status) = tools::historical() {
        return status;
    }
    if let Some(status) = wackamole::historical() {
        return finish(status);
    }
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args.file),
        Command::Check(args) => check::check(&args.file),
        Command::Key => key::print(),
        Command::Demo(args) => demo::run(&args),
        Command::Bus(command) => tools::run(command),
        Command::Vip(args) => vip::run(&args),
        Command::Wackamole(args) => wackamole::daemon("backhand wackamole", &args.words),
        Command::Wackatrl(args) => wackamole::control("backhand wackatrl", &args.words),
        Command::Purge(args) => tools::purge(args),
        Command::Purged(args) => tools::purged(args),
    };
    finish(result)
}

fn finish(result: anyhow::Result<ExitCode>) -> ExitCode {
    logging::finish();
    result.unwrap_or_else(|error| {
        logging::say(&format!("backhand: {error:#}\n"));
        ExitCode::FAILURE
    })
}
