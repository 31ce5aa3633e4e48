//! The command line: what can be typed, and the help that explains it.

use std::ffi::OsString;
use std::path::PathBuf;

use bus_tools::purge::{self, Endpoint};
use bus_tools::tls::TlsFiles;
use clap::{Args, Parser, Subcommand};

/// Every machine of a web cluster serves, balances and watches: no balancer box, no single point of failure.
#[derive(Debug, Parser)]
#[command(name = "backhand", version, long_about = None, propagate_version = true)]
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
    /// stops at once. SIGHUP reopens the access log, and takes keys and limits of `[bus]` and the section `[addresses]` again.
    /// SIGUSR2 upgrades: addresses go to the others, clients are served to the end, and the program that is there now takes over.
    Run(RunArgs),
    /// Read a configuration, report every mistake in it, and print what it means
    Check(CheckArgs),
    /// Print a new random cluster key, for the file that `cluster.key_file` names
    Key,
    /// Show a cluster working: machines on this computer, a load, a failure, and what the client saw
    Demo(DemoArgs),
    /// The daemon of the bus and its tools, each with the flags of its historical namesake
    ///
    /// A link to this program with a historical name (spread, spuser, spmonitor, spflooder, spsend, sprecv) is that program. So are wackamole and wackatrl.
    #[command(subcommand)]
    Bus(BusCommand),
    /// See which machine has which address and why, and steer it
    ///
    /// Asks the service of this machine, which `backhand run` with `[addresses]` or `wackamole` is. Exit status 0 done, 1 could not,
    /// 2 a mistake in the command line.
    Vip(VipArgs),
    /// Hold the addresses of a wackamole.conf, attached to the daemon of the bus that it names (wackamole)
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Wackamole(ToolArgs),
    /// Ask and steer a wackamole of this machine (wackatrl)
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Wackatrl(ToolArgs),
    /// Remove objects from the caches of all machines, and wait until each has answered
    ///
    /// Exit status 0 only if every member of the group has removed everything; who did not is named.
    Purge(PurgeArgs),
    /// Remove from the cache of this machine whatever `backhand purge` names anywhere
    ///
    /// EVERYTHING in the folder is removed once it has joined, and when it may have missed something; a folder that holds things and is
    /// not marked as a cache (CACHEDIR.TAG) is refused. It is confined to the folder by the kernel; the log says how.
    Purged(PurgedArgs),
}

/// What the bus has. The flags behind are those of the historical programs, which are no ordinary ones.
#[derive(Debug, Subcommand)]
pub(crate) enum BusCommand {
    /// Run the daemon from a spread.conf (spread)
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Daemon(ToolArgs),
    /// Join, leave, send and watch, by hand or from a script (spuser)
    #[command(disable_help_flag = true, disable_version_flag = true)]
    User(ToolArgs),
    /// Ask daemons how they are; if they allow it divide them, change their flow, end them (spmonitor)
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Monitor(ToolArgs),
    /// Watch a daemon and those it knows: members, token, queues, rates, clients that do not read
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Top(ToolArgs),
    /// Send as many messages as the bus takes (spflooder)
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Flood(ToolArgs),
    /// Send numbered datagrams to `recv`, without the bus (spsend)
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Send(ToolArgs),
    /// Count which datagrams of `send` do not come (sprecv)
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Recv(ToolArgs),
}

#[derive(Debug, Args)]
pub(crate) struct VipArgs {
    #[command(flatten)]
    pub(crate) at: VipSocket,
    /// Print JSON: one object, or one a line; what could not be done is one on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: VipCommand,
}

// Which service is asked. What a doc comment said here would replace what the command says.
#[derive(Debug, Args)]
pub(crate) struct VipSocket {
    /// The control socket of the service, for wackamole the path of its Control [default: addresses.socket of the configuration, else /run/backhand/addresses.sock]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) socket: Option<PathBuf>,
    /// The configuration that names the socket [default: ./backhand.toml, else /etc/backhand/backhand.toml]
    #[arg(short, long, value_name = "FILE", global = true, conflicts_with = "socket")]
    pub(crate) config: Option<PathBuf>,
}

/// What can be asked of the addresses. SET is a name or an address; MACHINE a name, as `list` shows them, or its private group on the bus.
#[derive(Debug, Subcommand)]
pub(crate) enum VipCommand {
    /// Show every set of addresses: where it is, since when, and why
    List,
    /// Say why an address is where it is, what every machine is for it, and what would move it
    Explain {
        /// A name or an address, also as `list` shows it; all if left out
        set: Option<String>,
    },
    /// Let a machine hold nothing any more, for maintenance: its addresses go to others, each before it leaves here
    ///
    /// It lasts until `undrain`, through restarts; only where there is no state directory that can be written (as with wackamole),
    /// until the machine's program is started again. Without another machine that can have them, addresses stay where they are.
    Drain {
        /// A machine's name, or its private group where several have that name; this one if left out
        machine: Option<String>,
        #[command(flatten)]
        wait: VipWait,
    },
    /// Let a machine take part again
    Undrain {
        /// A machine's name, or its private group where several have that name; this one if left out
        machine: Option<String>,
        #[command(flatten)]
        wait: VipWait,
    },
    /// Move a set of addresses to a machine, where balance leaves it
    Move {
        /// A name or an address
        set: String,
        /// A machine's name, or its private group where several have that name
        machine: String,
        #[command(flatten)]
        wait: VipWait,
    },
    /// Print decisions as they happen, with their numbers
    ///
    /// Numbers go on when the service is started again, with a gap. Any other gap says that some were forgotten before they could be
    /// told.
    Watch {
        /// Begin with what is remembered of decisions after this number; 0 for all [default: only what happens from now on]
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct VipWait {
    /// Give the order, and do not wait until it is carried out
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Seconds to wait until it is carried out, 1 to 86400
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ToolArgs {
    /// See the usage that any wrong flag prints
    #[arg(value_name = "FLAGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<OsString>,
}

// Certificates, for a daemon that is reached by TLS. What a doc comment said here would replace what the command says.
#[derive(Debug, Args)]
pub(crate) struct TlsArgs {
    /// Who signs the certificates of daemons, for tls:PORT@HOST [default: that of BACKHAND_TLS_CA]
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// The certificate to show the daemon [default: that of BACKHAND_TLS_CERTIFICATE]
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// Its key [default: that of BACKHAND_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
}

impl From<TlsArgs> for TlsFiles {
    fn from(args: TlsArgs) -> Self {
        Self { ca: args.tls_ca, certificate: args.tls_certificate, key: args.tls_key }
    }
}

#[derive(Debug, Args)]
pub(crate) struct PurgeArgs {
    /// The bus daemon: PORT for its Unix socket, PORT@HOST, or tls:PORT@HOST
    #[arg(short, long, default_value = "4803")]
    pub(crate) daemon: Endpoint,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    /// The group of the caches
    #[arg(short, long, default_value = purge::GROUP)]
    pub(crate) group: String,
    /// Seconds to wait for the answers about each object, 1 to 86400
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
    /// Send, and do not wait for answers
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Paths beneath the caches' folders, or URLs; a directory with all in it; with * at the end all that begins so
    #[arg(required = true, value_name = "OBJECT")]
    pub(crate) objects: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct PurgedArgs {
    /// The folder of the cache, which has the paths of the URLs; EVERYTHING in it is removed
    #[arg(short = 'c', long, value_name = "FOLDER")]
    pub(crate) dir: PathBuf,
    /// Take the folder for a cache though it holds things and is not marked as one (CACHEDIR.TAG); needed once
    #[arg(long)]
    pub(crate) adopt: bool,
    /// The bus daemon: PORT for its Unix socket, PORT@HOST, or tls:PORT@HOST
    #[arg(short, long, default_value = "4803")]
    pub(crate) daemon: Endpoint,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    /// The groups whose purges are done here
    #[arg(short, long, default_value = purge::GROUP)]
    pub(crate) group: Vec<String>,
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
