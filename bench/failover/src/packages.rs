//! Programs that are measured: what ours can do, where the other one is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// Where keepalived is: where the caller says, or in `PATH`, or where Debian puts it.
pub(crate) fn keepalived(said: Option<&Path>) -> Result<PathBuf> {
    if let Some(said) = said {
        if said.is_file() {
            return Ok(said.canonicalize()?);
        }
        bail!("{} is not there; say with --keepalived where it is", said.display());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join("keepalived")).find(|file| file.is_file());
    let Some(found) = found else {
        bail!(
            "keepalived is not there: apt-get install keepalived, or say with --keepalived or KEEPALIVED where it is, or leave it out by --system backhand"
        )
    };
    Ok(found)
}

/// What a program says of its version, for the table.
pub(crate) fn version(program: &Path) -> String {
    let said = Command::new(program).arg("--version").output();
    let said = said.map(|out| [out.stdout, out.stderr].concat()).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    said.lines().next().unwrap_or("unknown version").trim().to_owned()
}

/// Whether this build of ours has a command.
pub(crate) fn has_command(binary: &Path, command: &str) -> bool {
    let mut asked = Command::new(binary);
    asked.args([command, "--help"]).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}
