//! The Debian packages that the tests use.
//!
//! As root, missing ones are installed; otherwise they are named, and the tests that need them are ignored with that
//! reason.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::tools;

/// A program, and the package that brings it.
const NEEDED: &[(&str, &str)] = &[
    // Rivals and oracles: differential tests, benchmarks.
    ("nginx", "nginx"),
    ("haproxy", "haproxy"),
    ("apache2", "apache2"),
    // The status page is looked at.
    ("chromium", "chromium"),
    ("curl", "curl"),
    // TLS of another make speaks with the bus.
    ("openssl", "openssl"),
    // The lab's own tests look at it from inside.
    ("ip", "iproute2"),
    ("python3", "python3"),
    ("setsid", "util-linux"),
    // One machine's wall clock jumps; another's disk hangs.
    ("faketime", "faketime"),
    ("mkfs.ext4", "e2fsprogs"),
    // Modules of hooks are compiled; the example of hooks elects the primary of a database.
    ("cc", "gcc"),
    ("pg_ctlcluster", "postgresql"),
];

/// Where system programs are, which a user's `PATH` may leave out.
const SYSTEM: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Installs what is missing when that is possible. Returns the packages still missing.
pub(crate) fn ensure() -> Result<Vec<&'static str>> {
    let absent = missing();
    if absent.is_empty() {
        return Ok(absent);
    }
    if !is_root() || !exists("apt-get") {
        println!("test: missing packages: {}", absent.join(" "));
        println!("test: as root: apt-get install {}", absent.join(" "));
        return Ok(absent);
    }
    println!("test: installing {}", absent.join(" "));
    let apt = || {
        let mut apt = Command::new("apt-get");
        // Where there is no systemd, as in containers, run level 1 starts no service: nginx and Apache would fight
        // over port 80.
        apt.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
        apt
    };
    tools::show_and_run(apt().args(["update", "--quiet"]))?;
    let mut install = apt();
    install.args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(&absent);
    tools::show_and_run(&mut install)?;
    Ok(missing())
}

fn missing() -> Vec<&'static str> {
    NEEDED.iter().filter(|(program, _)| !exists(program)).map(|(_, package)| *package).collect()
}

fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(SYSTEM.iter().map(PathBuf::from));
    let mut folders = folders;
    folders.any(|folder| folder.join(program).is_file())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|me| me.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_where_they_are_and_only_there() {
        assert!(exists("sh"));
        assert!(!exists("no-such-program-anywhere"));
    }
}
