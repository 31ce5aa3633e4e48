//! What is compared, and how each daemon is started.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Result;
use lab::Spawn;

use crate::session::Bus;

/// A key that nobody else has reason to use, in hexadecimal.
const KEY: &str = "9d3c1b0a8f7e6d5c4b3a29181706f5e4d3c2b1a09f8e7d6c5b4a392817060504";
/// The multicast group and port of the daemons.
const SEGMENT: &str = "239.192.48.9:4803";

/// One of the things that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// Ours, all datagrams between daemons sealed.
    Sealed,
    /// Ours with `AcceleratedRing = false`, sealed as well: the token leaves after the last packet of a visit.
    Regular,
    /// Ours with `--insecure`.
    Insecure,
    /// Corosync over knet with AES-256 and HMAC-SHA-256.
    CorosyncSealed,
    /// Corosync over knet without cipher and hash, which is its default.
    Corosync,
}

impl System {
    /// All of them, ours first.
    pub(crate) const ALL: [Self; 5] =
        [Self::Sealed, Self::Regular, Self::Insecure, Self::CorosyncSealed, Self::Corosync];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sealed => "backhand",
            Self::Regular => "backhand, regular ring",
            Self::Insecure => "backhand --insecure",
            Self::CorosyncSealed => "corosync aes256/sha256",
            Self::Corosync => "corosync, no crypto",
        }
    }

    pub(crate) fn bus(self) -> Bus {
        match self {
            Self::Sealed | Self::Regular | Self::Insecure => Bus::Spread,
            Self::CorosyncSealed | Self::Corosync => Bus::Cpg,
        }
    }

    pub(crate) fn is_ours(self) -> bool {
        self.bus() == Bus::Spread
    }

    /// The one of the others that protects as much as this one of ours.
    pub(crate) fn rival(self) -> Option<Self> {
        match self {
            Self::Sealed => Some(Self::CorosyncSealed),
            Self::Insecure => Some(Self::Corosync),
            Self::Regular | Self::CorosyncSealed | Self::Corosync => None,
        }
    }

    /// Whether it protects what daemons say to each other.
    pub(crate) fn is_sealed(self) -> bool {
        matches!(self, Self::Sealed | Self::Regular | Self::CorosyncSealed)
    }

    /// Writes what its daemons read. `machines` are their addresses, in order.
    pub(crate) fn configure(self, folder: &Path, machines: &[IpAddr]) -> Result<()> {
        match self.bus() {
            Bus::Spread => {
                let lines: String = (1..)
                    .zip(machines)
                    .map(|(number, address)| format!("  m{number} {address}\n"))
                    .collect();
                let way = if self == Self::Regular { "AcceleratedRing = false\n" } else { "" };
                let file = format!("{way}Spread_Segment {SEGMENT} {{\n{lines}}}\n");
                fs::write(folder.join("spread.conf"), file)?;
                secret(&folder.join("key"), KEY.as_bytes())
            }
            Bus::Cpg => {
                // Each daemon has a file of its own only for the folder of its state and its log.
                fs::write(folder.join("corosync.conf"), self.corosync_conf(folder, machines))?;
                secret(&folder.join("authkey"), &[0x5a; 256])
            }
        }
    }

    /// What the manual's example has, and nothing tuned: the timeouts are Corosync's defaults.
    fn corosync_conf(self, folder: &Path, machines: &[IpAddr]) -> String {
        let (cipher, hash) = if self.is_sealed() { ("aes256", "sha256") } else { ("none", "none") };
        let nodes: String = (1..)
            .zip(machines)
            .map(|(number, address)| {
                format!("  node {{\n    ring0_addr: {address}\n    name: m{number}\n    nodeid: {number}\n  }}\n")
            })
            .collect();
        format!(
            "totem {{\n  version: 2\n  cluster_name: bench\n  transport: knet\n  crypto_cipher: {cipher}\n  crypto_hash: {hash}\n  \
             keyfile: {0}/authkey\n}}\nnodelist {{\n{nodes}}}\nlogging {{\n  to_stderr: yes\n  to_syslog: no\n  to_logfile: no\n}}\n",
            folder.display()
        )
    }

    /// The daemon of machine `number`, counted from 1.
    pub(crate) fn daemon(self, binary: &Path, folder: &Path, number: usize) -> Vec<String> {
        let at = |name: &str| folder.join(name).display().to_string();
        match self.bus() {
            Bus::Spread => {
                let name = format!("m{number}");
                let mut words = vec![binary.display().to_string()];
                words.extend(["bus", "daemon", "-c"].map(String::from));
                words.extend([at("spread.conf"), "-n".into(), name]);
                if self.is_sealed() {
                    words.extend(["--key-file".into(), at("key")]);
                } else {
                    words.push("--insecure".into());
                }
                words
            }
            Bus::Cpg => {
                vec!["corosync".into(), "-f".into(), "-c".into(), at("corosync.conf")]
            }
        }
    }
}

/// A command line as something to start, on one processor if `core` says so.
pub(crate) fn spawn(words: &[String], core: Option<usize>) -> Spawn {
    match core {
        None => Spawn::new(&words[0]).args(&words[1..]),
        Some(core) => Spawn::new("taskset").args(["-c", &core.to_string()]).args(words),
    }
}

fn secret(file: &Path, content: &[u8]) -> Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    Ok(file.write_all(content)?)
}
