//! Programs that are measured beside ours: installed.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// Makes sure that a program is there: as root installs its Debian package, otherwise names it.
pub(crate) fn need(program: &str, package: &str) -> Result<()> {
    let found = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"]
        .iter()
        .any(|folder| Path::new(folder).join(program).is_file());
    if found {
        return Ok(());
    }
    eprintln!("installing {package}");
    let done = Command::new("apt-get")
        .args(["install", "-y", "--no-install-recommends", package])
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Where there is no systemd this starts no service.
        .env("RUNLEVEL", "1")
        .stdout(Stdio::null())
        .status()?;
    if !done.success() {
        bail!("please install it: apt-get update; apt-get install {package}");
    }
    Ok(())
}
