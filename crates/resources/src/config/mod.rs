//! The configuration of this crate: three sections of the file, checked into one value.
//!
//! [`Cluster`], [`Announce`] and [`Measure`] are what the file says; [`Config::check`] turns them, and
//! the defaults of this host, into a [`Config`] that can be used without asking again, or into a list
//! of everything that is wrong.

mod advertised;
mod sections;
mod target;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{AddrBlocks, Problem};
use seal::ClusterKey;

pub use advertised::{Advertised, AdvertisedError, NAME_MAX, is_host_name};
pub use crypto::key_file::{KeyFileError, read_key};
pub use sections::{
    Announce, Cluster, Interval, IntervalError, Measure, Name, NameError, Port, Scope,
};
pub use target::{Interface, Target, TargetError};

/// The multicast group used when nothing else is said.
pub const DEFAULT_GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 44, 45);
/// Most targets of announcements.
pub const TARGETS_MAX: usize = 64;
const PRIVATE: [&str; 8] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1",
    "fc00::/7",
    "fe80::/10",
];

/// The checked configuration of measuring and announcing.
#[derive(Clone, Debug)]
pub struct Config {
    /// What people call this machine.
    pub name: String,
    /// How packets are protected.
    pub protection: Protection,
    /// Where packets and peer connections may come from.
    pub accept: AddrBlocks,
    /// Where identity and measured speed are kept.
    pub state_dir: PathBuf,
    /// Time between announcements, before jitter.
    pub interval: Duration,
    /// Where announcements go; empty only if this machine is [alone](Protection::Alone).
    pub targets: Vec<Target>,
    /// The contact announced, if not the address that packets come from.
    pub advertised: Option<Advertised>,
    /// The address listened and sent on, if not every one.
    pub address: Option<IpAddr>,
    /// UDP port of announcements.
    pub port: u16,
    /// Port of the exchange: UDP probes and questions, TCP peers.
    pub exchange_port: u16,
    /// Whose figures are announced.
    pub scope: Scope,
    /// The path of the control group that is measured, if not this program's own.
    pub cgroup: Option<PathBuf>,
    /// What was not said in the file and is therefore assumed, one sentence each, for the log.
    pub assumed: Vec<String>,
}

/// How packets between machines are protected.
#[derive(Clone, Debug)]
pub enum Protection {
    /// By the cluster key.
    Key(ClusterKey),
    /// Nothing to protect: without a key and without targets nothing is sent and nobody is believed, not even on
    /// this machine, where any user could claim to be one of the cluster.
    Alone,
    /// Not at all, and only loopback addresses are spoken to and believed, because targets there are listed.
    Loopback,
    /// Not at all, on the network, because the file says so.
    Insecure,
}

impl Protection {
    /// Whether there is no cluster, so that no socket towards other machines is opened.
    pub fn is_alone(&self) -> bool {
        matches!(self, Self::Alone)
    }

    /// Whether no address beyond loopback may be spoken to.
    pub fn is_loopback(&self) -> bool {
        matches!(self, Self::Alone | Self::Loopback)
    }

    /// The key that packets are sealed with: without one of the cluster's own, the published key.
    pub fn key(&self) -> ClusterKey {
        match self {
            Self::Key(key) => key.clone(),
            Self::Alone | Self::Loopback | Self::Insecure => ClusterKey::published(),
        }
    }
}

impl Config {
    /// Whether packets and peer connections from `ip` may be believed, the key apart.
    pub fn accepts(&self, ip: IpAddr) -> bool {
        let allowed = match self.protection {
            Protection::Alone => false,
            Protection::Loopback => ip.to_canonical().is_loopback(),
            Protection::Key(_) | Protection::Insecure => true,
        };
        allowed && self.accept.contains(ip)
    }

    /// Judges the three sections together and fills in what they leave open. Reads the key file and
    /// the host's name; changes nothing.
    ///
    /// # Errors
    /// Every mistake found, each with its key, its value and a remedy.
    pub fn check(
        cluster: &Cluster,
        announce: &Announce,
        measure: &Measure,
    ) -> Result<Self, Vec<Problem>> {
        let mut found = Found::default();
        let protection = found.protection(cluster, announce);
        let targets = found.targets(announce, &protection);
        found.loopback_address(announce, &protection);
        found.ports(announce);
        let name = found.name(cluster);
        let accept = found.accept(cluster, &protection);
        let state_dir = found.state_dir(cluster);
        let cgroup = found.cgroup(measure);
        if !found.problems.is_empty() {
            return Err(found.problems);
        }
        Ok(Self {
            name,
            protection,
            accept,
            state_dir,
            interval: announce.interval.get(),
            targets,
            advertised: announce.advertised.clone(),
            address: announce.address.as_ref().map(|address| *address.get_ref()),
            port: announce.port.get(),
            exchange_port: announce.exchange_port.get(),
            scope: measure.scope,
            cgroup,
            assumed: found.assumed,
        })
    }
}

/// What checking has found so far.
#[derive(Default)]
struct Found {
    problems: Vec<Problem>,
    assumed: Vec<String>,
}

impl Found {
    fn protection(&mut self, cluster: &Cluster, announce: &Announce) -> Protection {
        let Some(file) = &cluster.key_file else {
            return match &announce.targets {
                _ if cluster.insecure => Protection::Insecure,
                Some(_) => Protection::Loopback,
                None => Protection::Alone,
            };
        };
        if file.get_ref().is_relative() {
            let message = format!("{:?} is relative", file.get_ref());
            let problem = Problem::new("cluster.key_file", message, "write the whole path, from /");
            self.problems.push(problem.at(file.span()));
            return Protection::Insecure;
        }
        match read_key(file.get_ref()) {
            Ok(key) => Protection::Key(key),
            Err(error) => {
                let remedy = error.remedy();
                let problem = Problem::new("cluster.key_file", error.to_string(), remedy);
                self.problems.push(problem.at(file.span()));
                Protection::Insecure
            }
        }
    }

    fn cgroup(&mut self, measure: &Measure) -> Option<PathBuf> {
        let given = measure.cgroup.as_ref()?;
        let path = PathBuf::from(given.get_ref());
        let mut tell = |message: String, remedy: &str| {
            let problem = Problem::new("measure.cgroup", message, remedy);
            self.problems.push(problem.at(given.span()));
        };
        if measure.scope == Scope::Machine {
            tell(
                "a control group is named, and scope = \"machine\" measures none".into(),
                "leave one of the two out",
            );
        } else if !crate::measure::is_group(&crate::measure::Root::default(), &path) {
            tell(
                format!("{:?} is no control group on this machine", given.get_ref()),
                "write the path that stands last in a line of /proc/PID/cgroup, for a process PID of the group",
            );
        }
        Some(path)
    }

    fn targets(&mut self, announce: &Announce, protection: &Protection) -> Vec<Target> {
        let Some(list) = &announce.targets else {
            return self.default_targets(announce, protection);
        };
        if list.is_empty() || list.len() > TARGETS_MAX {
            let message = format!("{} targets are listed", list.len());
            let remedy = format!("list 1 to {TARGETS_MAX}, or leave the key out for the default");
            self.problems.push(Problem::new("announce.targets", message, remedy));
        }
        for (i, target) in list.iter().enumerate() {
            if protection.is_loopback() && !target.get_ref().is_loopback() {
                let message =
                    format!("{} is on the network but there is no cluster key", target.get_ref());
                let remedy = "set cluster.key_file, or cluster.insecure = true if anyone may join";
                let problem = Problem::new(format!("announce.targets[{i}]"), message, remedy);
                self.problems.push(problem.at(target.span()));
            }
        }
        list.iter().map(|target| target.get_ref().clone()).collect()
    }

    fn default_targets(&mut self, announce: &Announce, protection: &Protection) -> Vec<Target> {
        if protection.is_alone() {
            let alone = "no cluster.key_file: this machine stays alone, nothing is announced and nobody is believed";
            self.assumed.push(alone.into());
            return Vec::new();
        }
        let to = SocketAddr::new(IpAddr::V4(DEFAULT_GROUP), announce.port.get());
        self.assumed
            .push(format!("no announce.targets: announcing to {to} on every multicast interface"));
        vec![Target { to, ttl: 1, interface: None }]
    }

    fn loopback_address(&mut self, announce: &Announce, protection: &Protection) {
        let Some(address) = &announce.address else { return };
        let ip = address.get_ref().to_canonical();
        let key = "announce.address";
        if ip.is_unspecified() || ip.is_multicast() {
            let message = format!("{ip} is not an address of one machine");
            let remedy = "name one of this machine's addresses, or leave the key out for all";
            self.problems.push(Problem::new(key, message, remedy).at(address.span()));
        } else if protection.is_loopback() && !ip.is_loopback() {
            let message = format!("{ip} is on the network but there is no cluster key");
            let remedy = "set cluster.key_file, or cluster.insecure = true if anyone may join";
            self.problems.push(Problem::new(key, message, remedy).at(address.span()));
        }
    }

    fn ports(&mut self, announce: &Announce) {
        let port = announce.port.get();
        if port == announce.exchange_port.get() {
            let message = format!("{port} is also announce.port");
            self.problems.push(Problem::new(
                "announce.exchange_port",
                message,
                "choose another port",
            ));
        }
    }

    fn name(&mut self, cluster: &Cluster) -> String {
        if let Some(name) = &cluster.name {
            return name.to_string();
        }
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let name = if is_host_name(&host) { host } else { "unnamed".into() };
        self.assumed.push(format!("no cluster.name: this machine is called {name}"));
        name
    }

    fn accept(&mut self, cluster: &Cluster, protection: &Protection) -> AddrBlocks {
        if let Some(blocks) = &cluster.accept {
            if blocks.is_empty() {
                let remedy = "list the blocks of the cluster's machines, or leave the key out";
                self.problems.push(Problem::new("cluster.accept", "nobody is accepted", remedy));
            }
            return AddrBlocks(blocks.clone());
        }
        if !protection.is_loopback() {
            self.assumed.push(format!("no cluster.accept: accepting {}", PRIVATE.join(", ")));
        }
        let AddrBlocks(mut blocks) = usual_accept();
        if protection.is_loopback() {
            let loopback = PRIVATE.iter().filter(|text| text.starts_with("127") || **text == "::1");
            blocks = loopback.filter_map(|text| text.parse().ok()).collect();
        }
        AddrBlocks(blocks)
    }

    fn state_dir(&mut self, cluster: &Cluster) -> PathBuf {
        if let Some(dir) = &cluster.state_dir {
            if !dir.get_ref().is_absolute() {
                let message = format!("{:?} is relative", dir.get_ref());
                let problem = Problem::new(
                    "cluster.state_dir",
                    message,
                    "write it from the root: /var/lib/backhand",
                );
                self.problems.push(problem.at(dir.span()));
            }
            return dir.get_ref().clone();
        }
        let var =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let dir = default_state_dir(var, rustix::process::geteuid().is_root());
        self.assumed.push(format!("no cluster.state_dir: state is kept in {}", dir.display()));
        dir
    }
}

/// From where packets are believed when the file does not say and there is a key: loopback, link-local and private
/// addresses.
pub fn usual_accept() -> AddrBlocks {
    AddrBlocks(PRIVATE.iter().filter_map(|text| text.parse().ok()).collect())
}

/// Where state is kept when the file does not say: systemd's word first, then the usual places.
fn default_state_dir(var: impl Fn(&str) -> Option<PathBuf>, root: bool) -> PathBuf {
    // systemd separates several directories by colons; the first is ours.
    if let Some(dirs) = var("STATE_DIRECTORY") {
        let bytes = dirs.as_os_str().as_bytes();
        let first = bytes.split(|&b| b == b':').next().unwrap_or(bytes);
        return OsStr::from_bytes(first).into();
    }
    if root {
        return Path::new("/var/lib/backhand").into();
    }
    let home = || var("HOME").map(|home| home.join(".local/state"));
    match var("XDG_STATE_HOME").or_else(home) {
        Some(dir) => dir.join("backhand"),
        None => Path::new("/var/tmp/backhand").into(),
    }
}
