//! The command line: what can be typed, and the help that explains it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Every machine of a web cluster serves, balances and watches: no balancer box, no single point of failure.
#[derive(Debug, Parser)]
#[command(name = "backhand", version, about, long_about = None, propagate_version = true)]
#[command(after_help = "\
Exit status: 0 done as asked; 1 something failed while running; 2 a mistake in the command line or the configuration.
Start with `backhand demo`: a cluster of three machines on this one, with nothing to configure.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run this machine's part of the cluster until told to stop
    ///
    /// SIGTERM or Ctrl-C drains: no new connection is accepted, requests in progress end, then the program does. A second one
    /// stops at once. SIGHUP reopens the access log.
    Run(RunArgs),
    /// Read a configuration, report every mistake in it, and print what it means
    Check(CheckArgs),
    /// Print a new random cluster key, for the file that `cluster.key_file` names
    Key,
    /// Show a cluster working: machines on this computer, a load, a failure, and what the client saw
    Demo(DemoArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) file: FileArg,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) file: FileArg,
}

#[derive(Debug, Args)]
pub(crate) struct FileArg {
    /// The configuration file [default: ./backhand.toml, else /etc/backhand/backhand.toml, else built-in defaults]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DemoArgs {
    /// How many machines the cluster has, 2 to 20
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=20))]
    pub(crate) machines: u8,
    /// End by itself after each kind of failure and return; exit status 0 only if no request was lost
    #[arg(long)]
    pub(crate) once: bool,
    /// The port on 127.0.0.1 where the cluster is reachable [default: 8080, or a free one if that is taken]
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Requests per second of the demonstration's own load, 1 to 2000
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=2000))]
    pub(crate) rate: u32,
    /// Use loopback addresses instead of network namespaces, even where those are allowed
    #[arg(long)]
    pub(crate) loopback: bool,
    /// Keep the machines' configuration files and logs instead of removing them at the end
    #[arg(long)]
    pub(crate) keep: bool,
}
