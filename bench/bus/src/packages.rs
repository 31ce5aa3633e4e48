//! Programs that are measured: ours built, the others installed.

use std::path::{Path, PathBuf};
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

/// Builds the release binary and says where it is.
pub(crate) fn build_backhand() -> Result<PathBuf> {
    let done =
        Command::new("cargo").args(["build", "--release", "--package", "backhand"]).status()?;
    if !done.success() {
        bail!("the release build failed");
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    Ok(target.join("release/backhand"))
}
