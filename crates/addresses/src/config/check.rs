//! Judging `[addresses]`: what depends on several keys, on other sections, and on this machine.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::Problem;
use base::units::Span;
use spread_client::Endpoint;
use spread_client::endpoint::SOCKET_FOLDER;
use spread_wire::{GroupName, PrivateName};

use super::found::{Found, ms, secs};
use super::judge::{self, LeftOut, Written};
use super::section::AddressesSection;
use super::values::{AddressItem, AddressText, HostsText, NotifyItem, is_interface};
use super::{
    Balance, Block, CAPACITY_MAX, Config, DEFAULT_GROUP, FRAMES_PER_SECOND, GUARDIAN_PORT,
    Guardian, NOTIFY_MAX, Notify, PerRound, Quorum, Set, WEIGHT,
};

/// Most machines that decide.
const MEMBERS_MAX: usize = 128;
/// Longest path of a Unix socket, in bytes: `sun_path` without its NUL.
const SOCKET_PATH_MAX: usize = 107;
/// Longest name of a set or check.
const NAME_MAX: usize = 64;

/// An address, whether it may be a source, and its key.
type Placed = (AddressText, bool, String);

/// What has to be known besides the section itself: other sections, and this machine.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// `cluster.name` or the host's name.
    pub machine: &'a str,
    /// Whether this program runs a daemon of the bus.
    pub bus: bool,
}

impl AddressesSection {
    /// Judges the section and fills in what it leaves open. Looks whether programs and modules are there; changes nothing.
    ///
    /// # Errors
    /// Every mistake found, each with its key, its value and a remedy.
    pub fn check(&self, around: &Around<'_>) -> Result<Config, Vec<Problem>> {
        let mut found = Found::default();
        let mut config = found.config(self, around);
        if !found.problems.is_empty() {
            return Err(found.problems);
        }
        config.warnings = found.warnings;
        Ok(config)
    }
}

impl Found {
    fn config(&mut self, section: &AddressesSection, around: &Around<'_>) -> Config {
        let group = self.group(section);
        let daemon = self.daemon(section, around);
        let private_name = section.private_name.as_ref().and_then(|name| {
            let read = PrivateName::new(name.as_bytes());
            read.map_err(|error| self.said("private_name", error, "leave it out")).ok()
        });
        let (sets, left_out) = self.sets(section);
        let prefer = self.prefer(section, &sets, &left_out);
        let notify = self.notify(section, &sets);
        let neighbours = notify.iter().any(|who| matches!(who, Notify::Neighbours { .. }));
        let shared = section.share_neighbours_every.or(neighbours.then_some(secs(60)));
        let every = secs(1)..=secs(86_400);
        let share_neighbours_every =
            shared.map(|span| self.span("share_neighbours_every", Some(span), secs(60), every));
        let lease = self.lease(section);
        let hour = Duration::from_secs(3600);
        let balance = Balance {
            interval: self.span(
                "balance.interval",
                section.balance.interval,
                secs(4),
                ms(100)..=Span(hour),
            ),
            per_round: section.balance.per_round.unwrap_or(PerRound::All),
        };
        let module_dir = self.module_directory(section);
        let config = Config {
            machine: around.machine.to_owned(),
            group,
            daemon,
            private_name,
            retry_interval: self.span(
                "retry_interval",
                section.retry_interval,
                secs(5),
                ms(100)..=Span(hour),
            ),
            mature: self.span("mature", section.mature, secs(5), secs(0)..=Span(hour)),
            lease,
            balance,
            prefer,
            prefer_after: self.span(
                "prefer_after",
                section.prefer_after,
                secs(30),
                secs(0)..=secs(86_400),
            ),
            weight: self.number("weight", section.weight, WEIGHT, 1..=1000),
            capacity: self.number("capacity", section.capacity, 0, 0..=CAPACITY_MAX),
            share_neighbours_every,
            notify,
            pass_on: section.pass_on.unwrap_or(true),
            grace: self.span("grace", section.grace, ms(200), ms(20)..=secs(5)),
            announce_every: self.span(
                "announce_every",
                section.announce_every,
                secs(30),
                secs(1)..=Span(hour),
            ),
            frames_per_second: self.number(
                "frames_per_second",
                section.frames_per_second,
                FRAMES_PER_SECOND,
                100..=1_000_000,
            ),
            quorum: self.quorum(section, &sets, around),
            when_all_unhealthy: section.when_all_unhealthy,
            health: self.health(section),
            hooks: self.hooks(section, (&sets, &left_out), &module_dir),
            sets,
            module_dir,
            control: self.control(section),
            socket: self.socket(section),
            guardian: self.guardian(section, lease),
            stop_within: self.span(
                "stop_within",
                section.stop_within,
                secs(5),
                secs(0)..=secs(300),
            ),
            historical: false,
            assumed: Vec::new(),
            warnings: Vec::new(),
        };
        self.slow_to_stop(&config.hooks, &config.sets, lease);
        config
    }

    fn group(&mut self, section: &AddressesSection) -> GroupName {
        let usual = super::default_group();
        let Some(name) = &section.group else { return usual };
        let remedy = format!("write another, or leave it out for {DEFAULT_GROUP:?}");
        let read = GroupName::new(name.as_bytes());
        read.map_err(|error| self.said("group", error, &remedy)).unwrap_or(usual)
    }

    fn daemon(&mut self, section: &AddressesSection, around: &Around<'_>) -> Option<Endpoint> {
        let Some(text) = &section.daemon else {
            if !around.bus {
                let message = "the machines meet on the bus, and there is no section [bus]";
                let remedy = "write [bus], or addresses.daemon = \"4803\" for a daemon that runs beside this program";
                self.problems.push(Problem::new("addresses", message, remedy));
            }
            return None;
        };
        match text.parse() {
            // An empty text is the usual port of the original; in a file it is more likely forgotten.
            Ok(_) if text.is_empty() => {
                self.wrong("daemon", "this text is empty", "write \"4803\", or leave it out");
                None
            }
            Ok(endpoint) => {
                if let Some((message, remedy)) = bad_daemon(&endpoint) {
                    self.wrong("daemon", message, remedy);
                }
                Some(endpoint)
            }
            Err(error) => {
                self.said("daemon", error, "");
                None
            }
        }
    }

    fn lease(&mut self, section: &AddressesSection) -> Duration {
        let lease = self.span("lease", section.lease, secs(3), secs(1)..=secs(60));
        if lease.subsec_nanos() != 0 {
            let message = format!("{} is no whole number of seconds", Span(lease));
            let whole = lease.as_secs() + 1;
            self.wrong("lease", message, format!("write {whole}s: the kernel counts seconds"));
        }
        lease
    }

    fn sets(&mut self, section: &AddressesSection) -> (Vec<Set>, LeftOut) {
        let mut unread = Vec::new();
        let mut written = Vec::new();
        for (n, item) in section.list.iter().enumerate() {
            let place = format!("list[{n}]");
            let addresses = match (item.many, &*item.addresses) {
                (false, [one]) => self.address(place.clone(), one).into_iter().collect(),
                (_, many) => self.addresses(&place, many),
            };
            if addresses.is_empty() && !item.addresses.is_empty() {
                continue;
            }
            written.push(Written { name: None, addresses, kernel: true, quorum: false, place });
        }
        let mut names = HashSet::new();
        for (n, set) in section.set.iter().enumerate() {
            let key = format!("set[{n}].name");
            if let Some(name) = &set.name
                && self.is_name(&key, name)
            {
                if name.parse::<IpAddr>().is_ok() {
                    let remedy = "write a word, or leave it out";
                    self.wrong(&key, format!("{name} is an address"), remedy);
                } else if !names.insert(name.as_str()) {
                    let message = format!("another set is called {name:?}");
                    self.wrong(&key, message, "write another name");
                }
            }
            let place = format!("set[{n}]");
            let addresses = self.addresses(&format!("{place}.addresses"), &set.addresses);
            if addresses.is_empty() && !set.addresses.is_empty() {
                unread.extend(set.name.clone());
                continue;
            }
            let (name, kernel) = (set.name.clone(), set.kernel.unwrap_or(true));
            written.push(Written { name, addresses, kernel, quorum: set.quorum, place });
        }
        if section.list.is_empty() && section.set.is_empty() {
            let remedy =
                "write list = [\"10.0.0.10\"], with the addresses that shall never go away";
            self.problems.push(Problem::new("addresses", "there is no address", remedy));
        }
        let (sets, mut left_out) =
            judge::sets(written, &mut |place, message, remedy| self.wrong(place, message, remedy));
        left_out.names.extend(unread);
        (sets, left_out)
    }

    fn addresses(&mut self, key: &str, items: &[AddressItem]) -> Vec<Placed> {
        let items = items.iter().enumerate();
        items.filter_map(|(m, item)| self.address(format!("{key}[{m}]"), item)).collect()
    }

    fn address(&mut self, place: String, item: &AddressItem) -> Option<Placed> {
        if item.text.is_none() {
            self.wrong(&place, "this table has no address", "write address = \"10.0.0.10\"");
        }
        Some((item.text.clone()?, item.source, place))
    }

    fn is_name(&mut self, key: &str, name: &str) -> bool {
        let fits = (1..=NAME_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            let remedy =
                format!("write 1 to {NAME_MAX} printable ASCII characters without a space");
            self.wrong(key, format!("{name:?} is no name"), remedy);
        }
        fits
    }

    fn prefer(
        &mut self,
        section: &AddressesSection,
        sets: &[Set],
        left_out: &LeftOut,
    ) -> Vec<IpAddr> {
        let wanted = section.prefer.iter().enumerate();
        let wanted = wanted.map(|(n, item)| (item.0, format!("prefer[{n}]"))).collect();
        judge::prefer(wanted, sets, left_out, &mut |place, message, remedy| {
            self.wrong(place, message, remedy)
        })
    }

    fn notify(&mut self, section: &AddressesSection, sets: &[Set]) -> Vec<Notify> {
        if section.notify.len() > NOTIFY_MAX {
            let message = format!("{} entries are more than {NOTIFY_MAX}", section.notify.len());
            self.wrong("notify", message, "write blocks of hosts, or \"neighbours\"");
            return Vec::new();
        }
        let entries = section.notify.iter().enumerate();
        entries.filter_map(|(n, item)| self.notified(&format!("notify[{n}]"), item, sets)).collect()
    }

    fn notified(&mut self, key: &str, item: &NotifyItem, sets: &[Set]) -> Option<Notify> {
        let throttle = item.throttle.map(|throttle| {
            self.number(&format!("{key}.throttle"), Some(throttle), 1, 1..=1_000_000)
        });
        let text = match &item.hosts {
            None => {
                let remedy = "write hosts = \"10.0.0.0/24\" or hosts = \"neighbours\"";
                self.wrong(key, "this table names no hosts", remedy);
                return None;
            }
            Some(HostsText::Neighbours) if throttle.is_some() => {
                let message = "neighbours have no throttle of their own";
                self.wrong(key, message, "leave it out; frames_per_second holds for everything");
                return None;
            }
            Some(HostsText::Neighbours) => return Some(Notify::Neighbours { ping: item.ping }),
            Some(HostsText::Hosts(text)) => text,
        };
        let AddressText { interface, ip, prefix, net } = text;
        if net.is_some() {
            let message = "a block of hosts has no network of its own";
            self.wrong(key, message, "leave out the n and what is behind it");
        }
        let block = match prefix {
            None => Block::one(*ip),
            Some(length) => Block::around(*ip, *length)?,
        };
        if prefix.is_some() && block.first() != *ip {
            let message = format!("{ip} has bits set beyond its /{}", block.length());
            self.wrong(key, message, format!("did you mean {block}?"));
        }
        if let Some((message, remedy)) = judge::too_many_hosts(block, sets) {
            self.wrong(key, message, remedy);
        } else if !judge::is_near(block, sets) {
            self.warnings.push(format!(
                "addresses.{key}: {block} is in the network of no address, so nobody there is told"
            ));
        }
        Some(Notify::Hosts { interface: interface.clone(), block, throttle, ping: item.ping })
    }

    fn quorum(
        &mut self,
        section: &AddressesSection,
        sets: &[Set],
        around: &Around<'_>,
    ) -> Option<Quorum> {
        let wanted = sets.iter().position(|set| set.quorum);
        let Some(written) = &section.quorum else {
            if wanted.is_some() {
                let nth = section.set.iter().position(|set| set.quorum).unwrap_or_default();
                let remedy =
                    "write [addresses.quorum] with members = { web1 = 1, web2 = 1, web3 = 1 }";
                let message = "it is not said which machines decide";
                self.wrong(&format!("set[{nth}].quorum"), message, remedy);
            }
            return None;
        };
        let key = "quorum.members";
        if written.members.is_empty() {
            let message = "no machine is named, so there is no majority";
            self.wrong("quorum", message, "write members = { web1 = 1, web2 = 1, web3 = 1 }");
            return None;
        }
        if written.members.len() > MEMBERS_MAX {
            let message = format!("{} machines are more than {MEMBERS_MAX}", written.members.len());
            self.wrong(key, message, "name fewer: not every machine needs to decide");
        }
        if written.members.contains_key("") {
            self.wrong(key, "a machine has no name", "write that of cluster.name on that machine");
        }
        let mut members = Vec::new();
        for (name, weight) in &written.members {
            if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
                let remedy = "write that of cluster.name on that machine";
                self.wrong(key, format!("no machine is called {name:?}"), remedy);
            }
            let weight = self.number(&format!("{key}.{name}"), Some(*weight), 0, 0..=1000);
            members.push((name.clone(), weight));
        }
        let quorum = Quorum { members };
        let voters: Vec<u32> = quorum.members.iter().map(|(_, w)| *w).filter(|w| *w > 0).collect();
        if voters.is_empty() {
            self.wrong(key, "no majority is possible: nobody counts", "give some more than 0");
        }
        if wanted.is_none() && section.set.iter().all(|set| !set.quorum) {
            let message = "no set is held only with a majority";
            self.wrong(
                "quorum",
                message,
                "write quorum = true in a [[addresses.set]], or leave it out",
            );
        }
        let machine = around.machine;
        if !quorum.members.iter().any(|(name, _)| name == machine) {
            self.warnings.push(format!(
                "addresses.quorum.members does not name this machine, {machine:?}: it holds sets with quorum only while it is together with a majority of the others"
            ));
        }
        let all: u32 = voters.iter().sum();
        let survives = |weight: u32| all - weight >= quorum.majority();
        if voters.len() > 1 && !voters.iter().any(|weight| survives(*weight)) {
            self.warnings.push("addresses.quorum.members: when any one of the machines is away there is no majority, and nobody holds the sets with quorum; a third machine that counts would change that".into());
        }
        Some(quorum)
    }

    fn module_directory(&mut self, section: &AddressesSection) -> PathBuf {
        let here = || PathBuf::from(".");
        let Some(folder) = &section.module_directory else { return here() };
        if folder.is_absolute() {
            return folder.clone();
        }
        let message = format!("{} is no whole path", folder.display());
        self.wrong("module_directory", message, "write it from the root");
        here()
    }

    fn control(&mut self, section: &AddressesSection) -> Option<PathBuf> {
        let path = section.control.clone()?;
        if let Some((message, remedy)) = bad_socket(&path) {
            self.wrong("control", message, remedy);
        }
        Some(path)
    }

    fn socket(&mut self, section: &AddressesSection) -> Option<PathBuf> {
        let path = section.socket.clone().unwrap_or_else(|| super::DEFAULT_SOCKET.into());
        if path.as_os_str().is_empty() {
            return None;
        }
        if let Some((message, remedy)) = bad_socket(&path) {
            self.wrong("socket", message, remedy);
        } else if section.control.as_ref() == Some(&path) {
            let message = "this is addresses.control too";
            self.wrong("socket", message, "write another path; both understand the same");
        }
        Some(path)
    }

    fn guardian(&mut self, section: &AddressesSection, lease: Duration) -> Guardian {
        let key = "guardian.suspicion";
        let written = section.guardian.suspicion;
        let suspicion = self.span(key, written, ms(500), ms(50)..=secs(10));
        if suspicion >= lease {
            let message =
                format!("{} is not less than addresses.lease, {}", Span(suspicion), Span(lease));
            let remedy = "make it less: after the lease the kernel has taken the addresses away";
            self.wrong(key, message, remedy);
        }
        let usual = u32::from(GUARDIAN_PORT);
        let port = self.number("guardian.port", section.guardian.port, usual, 1..=65_535);
        let port = u16::try_from(port).unwrap_or(GUARDIAN_PORT);
        Guardian { enabled: section.guardian.enabled.unwrap_or(true), suspicion, port }
    }

    /// A name that is written, or the usual one; told if it cannot be one or is taken.
    pub(super) fn unique(
        &mut self,
        key: &str,
        written: Option<&String>,
        usual: String,
        taken: &mut HashSet<String>,
    ) -> String {
        let name = written.cloned().unwrap_or(usual);
        if self.is_name(key, &name) && !taken.insert(name.clone()) {
            self.wrong(key, format!("another is called {name:?}"), "write another name");
        }
        name
    }
}

/// Why no daemon of the bus can be there.
pub fn bad_daemon(endpoint: &Endpoint) -> Option<(String, String)> {
    let (host, port) = match endpoint {
        Endpoint::Unix(path) if *path == Path::new(SOCKET_FOLDER).join("0") => (None, 0),
        Endpoint::Unix(path) => return bad_socket(path),
        Endpoint::Tcp { host, port } | Endpoint::Tls { host, port } => (Some(host), *port),
    };
    if port == 0 {
        return Some((
            "there is no port 0".into(),
            "write that of the daemon, such as 4803".into(),
        ));
    }
    host.filter(|host| !is_host(host)).map(|host| {
        let remedy = "write a name or an address, and nothing behind it: 4803@web1, 4803@::1";
        (format!("{host:?} is no name of a host"), remedy.into())
    })
}

/// Whether a host can be called so: by its name, or by its address, of version 6 also with its interface.
fn is_host(host: &str) -> bool {
    match host.split_once('%') {
        Some((ip, zone)) => ip.parse::<Ipv6Addr>().is_ok() && is_interface(zone),
        None => {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            host.parse::<IpAddr>().is_ok() || host.bytes().all(fits)
        }
    }
}

/// Why nothing can listen at this path.
pub(crate) fn bad_socket(path: &Path) -> Option<(String, String)> {
    let bytes = path.as_os_str().len();
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Some(("a path has no NUL".into(), "take it out".into()));
    }
    if !path.is_absolute() {
        let message = format!("{:?} is no whole path of a Unix socket", path.display().to_string());
        return Some((message, "write it from the root: /run/wack.it".into()));
    }
    (bytes > SOCKET_PATH_MAX).then(|| {
        let message = format!("a path of {bytes} bytes is too long for a Unix socket");
        (message, format!("write one of at most {SOCKET_PATH_MAX}"))
    })
}
