//! `backhand bus daemon`, and the program under its historical name `spread`: the bus alone, from a `spread.conf`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use spread_daemon::command_line::{self, CommandLine};
use spread_daemon::conf::{self, LocalAddress};
use spread_daemon::config::{DEFAULT_KEY_FILE, DaemonConfig, Secrets};
use spread_daemon::{Daemon, link};
use tracing::{info, warn};

use crate::MISTAKE;
use crate::signals;

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
        Err(error) => {
            crate::logging::say(&format!("spread: {error}\n{}", command_line::USAGE));
            return Ok(ExitCode::from(MISTAKE));
        }
    };
    let (config, missing) = match configure(&line) {
        Ok(configured) => configured,
        Err(error) => {
            crate::logging::say(&format!("spread: {error:#}\n"));
            return Ok(ExitCode::from(MISTAKE));
        }
    };
    crate::logging::start(&crate::logging::Log::default())?;
    if let Some(missing) = missing {
        warn!(?missing, "the configuration that was named is not there; another was taken");
    }
    for sentence in &config.assumed {
        info!("assumed: {sentence}");
    }
    balancer::sockets::raise_fd_limit();
    let daemon = match Daemon::open(config) {
        Ok(daemon) => daemon,
        Err(error) => {
            crate::logging::say(&format!("spread: {error}\n"));
            return Ok(ExitCode::FAILURE);
        }
    };
    let stopper = daemon.stopper();
    signals::on_end(move || stopper.stop())?;
    daemon.run().context("the daemon cannot go on")?;
    info!("Spread daemon exiting normally!");
    Ok(ExitCode::SUCCESS)
}

fn configure(line: &CommandLine) -> Result<(DaemonConfig, Option<PathBuf>)> {
    let found = conf::read(line.file.as_deref())?;
    let here: Vec<LocalAddress> = link::interfaces::addresses()
        .context("the addresses of this machine cannot be read")?
        .into_iter()
        .map(|address| LocalAddress { interface: address.name, ip: address.ip })
        .collect();
    let me = found.conf.whoami(line.name.as_deref(), &here)?;
    let secrets = Secrets {
        key: key(line.key_file.as_deref())?,
        previous: Vec::new(),
        insecure: line.insecure,
        access: access(&found.conf)?,
    };
    let mut config = DaemonConfig::from_conf(&found.conf, me.index, secrets)?;
    config.warnings.extend(me.warning);
    Ok((config, found.missing))
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
