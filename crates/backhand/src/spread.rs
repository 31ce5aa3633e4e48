//! `backhand bus daemon`, and the program under its historical name `spread`: the bus alone, from a `spread.conf`.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use spread_daemon::command_line::{self, CommandLine};
use spread_daemon::conf::{self, EventPriority, LocalAddress};
use spread_daemon::config::{DEFAULT_KEY_FILE, DaemonConfig, Secrets};
use spread_daemon::{Daemon, Reread, link, privileges};
use tracing::{info, warn};

use crate::MISTAKE;
use crate::signals::{self, Ask};

/// The words for the daemon, if this program is called `spread` or told `bus daemon`. Its flags are those of the original,
/// which nothing else here reads.
pub(crate) fn words() -> Option<Vec<OsString>> {
    let mut words = std::env::args_os();
    let program = words.next()?;
    if Path::new(&program).file_name()? == "spread" {
        return Some(words.collect());
    }
    let (first, second) = (words.next()?, words.next()?);
    (first == "bus" && second == "daemon").then(|| words.collect())
}

/// Runs until SIGTERM or SIGINT. `words` are those behind the program's name.
pub(crate) fn run(words: impl IntoIterator<Item = OsString>) -> Result<ExitCode> {
    let line = match command_line::parse(words) {
        Ok(line) => line,
        Err(error) if error.asks_for_help() => {
            // That nobody reads it is nobody's mistake.
            let _ = std::io::stdout().write_all(command_line::USAGE.as_bytes());
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => {
            crate::logging::say(&format!("spread: {error}\n{}", command_line::USAGE));
            return Ok(ExitCode::from(MISTAKE));
        }
    };
    let Configured { config, missing, log } = match configure(&line) {
        Ok(configured) => configured,
        Err(error) => {
            crate::logging::say(&format!("spread: {error:#}\n"));
            return Ok(ExitCode::from(MISTAKE));
        }
    };
    let file = match log.file.as_deref().map(open).transpose() {
        Ok(file) => file,
        Err(error) => {
            crate::logging::say(&format!("spread: {error:#}\n"));
            return Ok(ExitCode::from(MISTAKE));
        }
    };
    // As the original, to standard output where no file is named.
    let file = file.or_else(|| std::io::stdout().as_fd().try_clone_to_owned().ok().map(Into::into));
    crate::logging::start_in(&crate::logging::Log::of_level(log.level), file)?;
    if let Some(missing) = &missing {
        warn!(?missing, "the configuration that was named is not there; another was taken");
    }
    for sentence in &config.assumed {
        info!("assumed: {sentence}");
    }
    balancer::sockets::raise_fd_limit();
    let privileges = config.privileges.clone();
    let mut daemon = match Daemon::open(config) {
        Ok(daemon) => daemon,
        Err(error) => {
            crate::logging::say(&format!("spread: {error}\n"));
            return Ok(ExitCode::FAILURE);
        }
    };
    if line.activity_log
        && let Err(error) = daemon.log_activity()
    {
        warn!(%error, "the activity log of -l y cannot be written");
    }
    daemon.take_priority();
    if let Some(privileges) = privileges {
        let sockets = daemon.socket_file().into_iter().chain(daemon.control_file());
        match privileges::drop_to(&privileges, sockets) {
            Ok(said) => info!("{said}"),
            Err(said) => warn!("{said}"),
        }
        daemon.confirm_priority();
    }
    let (stopper, reloader) = (daemon.stopper(), daemon.reloader());
    let read: Reread = Arc::new(move || {
        let again = configure(&line).map_err(|error| format!("{error:#}"))?;
        match again.missing.filter(|_| missing.is_none()) {
            Some(gone) => Err(format!("{gone:?} is not there any more")),
            None => Ok(again.config),
        }
    });
    daemon.reread_by(read.clone());
    signals::each(move |ask| match ask {
        Ask::End => stopper.stop(),
        Ask::Reopen => reloader.reread(&read),
        Ask::Upgrade => {}
    })?;
    daemon.run().context("the daemon cannot go on")?;
    info!("Spread daemon exiting normally!");
    Ok(ExitCode::SUCCESS)
}

/// What a command line and its files come to.
struct Configured {
    config: DaemonConfig,
    /// The file that was named and is not there.
    missing: Option<PathBuf>,
    log: LogTo,
}

/// Where the file wants the log, and how much of it.
struct LogTo {
    file: Option<PathBuf>,
    level: &'static str,
}

impl LogTo {
    fn new(options: &conf::Options) -> Self {
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy();
        let named = options.event_log_file.as_ref();
        let file = named.map(|name| name.replace("%h", &host).replace("%H", &host).into());
        let level = match options.event_priority {
            EventPriority::Debug => "debug",
            EventPriority::Info => "info",
            EventPriority::Warning => "warn",
            EventPriority::Error | EventPriority::Critical | EventPriority::Fatal => "error",
        };
        Self { file, level }
    }
}

fn open(path: &Path) -> Result<std::fs::File> {
    std::fs::OpenOptions::new().create(true).append(true).open(path).with_context(|| {
        format!("EventLogFile {path:?} cannot be written; name a file that this user may append to")
    })
}

fn configure(line: &CommandLine) -> Result<Configured> {
    let found = conf::read(line.file.as_deref())?;
    let here: Vec<LocalAddress> = link::interfaces::addresses()
        .context("the addresses of this machine cannot be read")?
        .into_iter()
        .map(|address| LocalAddress { interface: address.name, ip: address.ip })
        .collect();
    let me = found.conf.whoami(line.name.as_deref(), &here)?;
    let secrets = Secrets {
        key: key(line.key_file.as_deref())?,
        previous: previous(line.key_file.as_deref())?,
        insecure: line.insecure,
        access: access(&found.conf)?,
    };
    let mut config = DaemonConfig::from_conf(&found.conf, me.index, secrets)?;
    config.warnings.extend(me.warning);
    let log = LogTo::new(&found.conf.options);
    Ok(Configured { config, missing: found.missing, log })
}

/// What the file of the key has beside it under the name FILE.previous is still believed: the other key while keys change.
fn previous(named: Option<&Path>) -> Result<Vec<seal::ClusterKey>> {
    let mut path = named.unwrap_or(Path::new(DEFAULT_KEY_FILE)).as_os_str().to_owned();
    path.push(".previous");
    let path = Path::new(&path);
    if path.exists() { Ok(key(Some(path))?.into_iter().collect()) } else { Ok(Vec::new()) }
}

/// The key of the file that was named, else of the usual one if it is there.
fn key(named: Option<&Path>) -> Result<Option<seal::ClusterKey>> {
    let path = named.unwrap_or(Path::new(DEFAULT_KEY_FILE));
    match crypto::key_file::read_key(path) {
        Ok(key) => Ok(Some(key)),
        Err(crypto::key_file::KeyFileError::Io { error, .. })
            if named.is_none() && error.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        Err(error) => bail!("{error}; {}", error.remedy()),
    }
}

fn access(conf: &conf::SpreadConf) -> Result<conf::AccessList> {
    if !conf.uses(conf::AuthMethod::Ip) {
        return Ok(conf::AccessList::default());
    }
    match conf::access_file() {
        Ok((_, list)) => Ok(list),
        Err(conf::FileError::Nowhere(_)) => Ok(conf::AccessList::default()),
        Err(error) => Err(error.into()),
    }
}
