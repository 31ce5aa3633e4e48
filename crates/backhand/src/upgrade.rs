//! Becoming a newer version of oneself without the cluster missing an address: SIGUSR2.
//!
//! What is held here goes to other machines first, each address to its new owner before it leaves here; clients are served to
//! the end; then the process executes the binary that is at its path now, with the same arguments, process id and supervisor. A
//! machine that nobody can take anything from keeps its addresses meanwhile and hands them over to the next image, with the sockets
//! that it listens on: who connects meanwhile waits until that serves, and is not refused.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use balancer::sockets::Inherited;

use crate::cli::FileArg;

/// How the next image hears of addresses that are left for it.
const LEGACY: &str = "BACKHAND_LEGACY";
/// How the next image hears of listening sockets that are left for it.
const LISTENERS: &str = "BACKHAND_LISTENERS";
/// How soon this machine means to be back; the others spare themselves an even share until then.
pub(crate) const BACK_WITHIN: Duration = Duration::from_secs(60);
/// What the next image may take to begin, added to the time for draining.
pub(crate) const BEGINNING: Duration = Duration::from_secs(30);

/// What the image before has left, if there was one.
pub(crate) fn legacy() -> Option<String> {
    std::env::var(LEGACY).ok()
}

/// The listening sockets that the image before has left, if it left any. To be called once.
pub(crate) fn listeners() -> Inherited {
    std::env::var(LISTENERS).map(|words| Inherited::from_words(&words)).unwrap_or_default()
}

/// What is left for the next image, as words for its environment.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) legacy: Option<String>,
    pub(crate) listeners: Option<String>,
}

/// The binary to become, after it was found to take the configuration.
pub(crate) fn prepare(file: &FileArg) -> Result<PathBuf> {
    let path = binary()?;
    let mut check = Command::new(&path);
    check.arg("check").env_remove(LEGACY).env_remove(LISTENERS);
    if let Some(config) = &file.config {
        check.arg("--config").arg(config);
    }
    let output = check.output().with_context(|| format!("{} cannot be run", path.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} does not take the configuration: {}", path.display(), said.trim());
    }
    Ok(path)
}

/// Becomes it. Returns only when that cannot be done.
pub(crate) fn become_it(path: &PathBuf, left: &Left) -> anyhow::Error {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut next = Command::new(path);
    next.args(arguments);
    for (name, words) in [(LEGACY, &left.legacy), (LISTENERS, &left.listeners)] {
        match words {
            Some(words) => next.env(name, words),
            None => next.env_remove(name),
        };
    }
    let error = next.exec();
    anyhow::Error::new(error).context(format!("{} cannot be executed", path.display()))
}

/// Where this program's binary is, also when another has been put in its place.
fn binary() -> Result<PathBuf> {
    let path = std::env::current_exe().context("the path of this program's binary")?;
    let replaced = path.to_str().and_then(|path| path.strip_suffix(" (deleted)"));
    Ok(replaced.map(PathBuf::from).unwrap_or(path))
}
