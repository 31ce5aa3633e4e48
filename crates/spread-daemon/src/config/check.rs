//! Judging `[bus]`: what depends on several keys, on other sections, and on this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::units::{Size, Span};
use base::{AddrBlocks, Problem};
use ring::DaemonName;
use seal::ClusterKey;
use toml::Spanned;

use super::fixed::Secrets;
use super::section::BusSection;
use super::values::{SegmentKey, SocketKey};
use super::{
    Around, Auth, BACKLOG, BACKLOG_TIME, Backlog, Clients, DEFAULT_GROUP, DaemonConfig, Data, Flow,
    LISTEN_MAX, Membership, PREVIOUS_KEYS_MAX, Protection, SEEDS_MAX, SESSIONS, SOCKET_MODE, Seed,
    SeedHost, SegmentTarget, Timing, UnixSocket, accounts, nearby,
};
use crate::conf::{self, FileError, Reach, SegmentAddress};

const NEEDS_KEY: &str =
    "set cluster.key_file or bus.key_file, or bus.insecure = true if anyone may be a daemon";

fn ms(ms: u64) -> Span {
    Span(Duration::from_millis(ms))
}

impl BusSection {
    /// Judges the section and fills in what it leaves open. Reads key files and the `spread.conf`; changes nothing.
    ///
    /// # Errors
    /// Every mistake found, each with its key, its value and a remedy.
    pub fn check(&self, around: &Around<'_>) -> Result<DaemonConfig, Vec<Problem>> {
        let mut found = Found::default();
        let mut config = match &self.spread_conf {
            Some(path) => found.of_list(self, path, around),
            None => Some(found.of_found(self, around)),
        };
        if let Some(config) = &mut config {
            found.common(self, config);
        }
        match config {
            Some(mut config) if found.problems.is_empty() => {
                config.assumed.append(&mut found.assumed);
                Ok(config)
            }
            _ => Err(found.problems),
        }
    }
}

/// What checking has found so far.
#[derive(Default)]
struct Found {
    problems: Vec<Problem>,
    assumed: Vec<String>,
}

impl Found {
    fn wrong<T>(
        &mut self,
        value: &Spanned<T>,
        key: &str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let problem = Problem::new(format!("bus.{key}"), message, remedy);
        self.problems.push(problem.at(value.span()));
    }

    /// The value if it is written and within the bounds, else the default. Outside of them is a mistake.
    fn within<T: PartialOrd + Copy, U: Copy>(
        &mut self,
        key: &str,
        value: &Option<Spanned<U>>,
        default: T,
        bounds: RangeInclusive<T>,
        read: impl Fn(U) -> T,
        show: impl Fn(T) -> String,
    ) -> T {
        let Some(written) = value else { return default };
        let value = read(*written.get_ref());
        if bounds.contains(&value) {
            return value;
        }
        let (min, max) = (show(*bounds.start()), show(*bounds.end()));
        let message = format!("{} is not between {min} and {max}", show(value));
        self.wrong(written, key, message, format!("write {min} to {max}"));
        default
    }

    fn span(
        &mut self,
        key: &str,
        value: &Option<Spanned<Span>>,
        default: Duration,
        bounds: RangeInclusive<Span>,
    ) -> Duration {
        self.within(key, value, Span(default), bounds, |span| span, |span| span.to_string()).0
    }

    fn number(&mut self, key: &str, value: &Option<Spanned<i64>>, default: i64, max: i64) -> usize {
        let number = self.within(key, value, default, 1..=max, |n| n, |n| n.to_string());
        usize::try_from(number).unwrap_or_default()
    }

    /// The daemon whose list is in another file.
    fn of_list(
        &mut self,
        section: &BusSection,
        path: &Spanned<PathBuf>,
        around: &Around<'_>,
    ) -> Option<DaemonConfig> {
        self.not_beside_a_list(section);
        let (key, previous) = self.keys(section, around);
        if !self.whole(path, "spread_conf") {
            return None;
        }
        let conf = match conf::read_only(path.get_ref()) {
            Ok(conf) => conf,
            Err(error) => {
                self.unreadable(path, error);
                return None;
            }
        };
        let named = section.name.as_ref().map(|name| name.get_ref().as_str());
        let me = match conf.whoami(named, around.here) {
            Ok(me) => me,
            Err(error) => {
                let said = error.to_string();
                let (message, remedy) = said.split_once("; ").unwrap_or((&said, ""));
                let remedy = remedy.replace("with -n", "with bus.name").replace("-n ", "bus.name ");
                match &section.name {
                    Some(name) => self.wrong(name, "name", message, remedy),
                    None => self.wrong(path, "spread_conf", message, remedy),
                }
                return None;
            }
        };
        let insecure = section.insecure.unwrap_or(around.insecure) || unusable(section, &key);
        let access = conf::access_file().map(|(_, list)| list).unwrap_or_default();
        match DaemonConfig::from_conf(&conf, me.index, Secrets { key, previous, insecure, access })
        {
            Ok(mut config) => {
                config.warnings.extend(me.warning);
                Some(config)
            }
            Err(conf_error) => {
                let message = format!("{} is on the network but there is no key", conf_error.0);
                self.wrong(path, "spread_conf", message, NEEDS_KEY);
                None
            }
        }
    }

    fn not_beside_a_list(&mut self, section: &BusSection) {
        let written = [
            ("listen", section.listen.is_some()),
            ("address", section.address.is_some()),
            ("port", section.port.written),
            ("segment", section.segment.is_some()),
            ("segment_interface", section.segment_interface.is_some()),
            ("seeds", !section.seeds.is_empty()),
        ];
        for (key, _) in written.into_iter().filter(|(_, written)| *written) {
            let message = "bus.spread_conf says this already";
            let remedy = "leave one of the two out";
            self.problems.push(Problem::new(format!("bus.{key}"), message, remedy));
        }
    }

    fn unreadable(&mut self, path: &Spanned<PathBuf>, error: FileError) {
        let FileError::Mistaken { path: file, mistakes, .. } = error else {
            let said = error.to_string();
            let (message, remedy) = said.split_once("; ").unwrap_or((&said, ""));
            return self.wrong(path, "spread_conf", message, remedy);
        };
        for mistake in mistakes {
            let said = mistake.to_string();
            let (message, remedy) = said.split_once("; ").unwrap_or((&said, ""));
            let message = format!("{}: {message}", file.display());
            self.wrong(path, "spread_conf", message, remedy);
        }
    }

    /// The daemon that finds the others.
    fn of_found(&mut self, section: &BusSection, around: &Around<'_>) -> DaemonConfig {
        let (key, previous) = self.keys(section, around);
        let protection = match key.clone() {
            Some(current) => Protection::Key { current, previous },
            None if section.insecure.unwrap_or(around.insecure) => Protection::Insecure,
            None if unusable(section, &key) => Protection::Insecure,
            None => Protection::Loopback,
        };
        let is_alone = matches!(protection, Protection::Loopback);
        if is_alone {
            self.assumed.push("no key: daemons are spoken to over loopback only".into());
        }
        DaemonConfig {
            name: self.name(section, around),
            membership: Membership::Found {
                segment: self.segment(section, is_alone),
                seeds: self.seeds(section, is_alone),
            },
            data: Data {
                addresses: self.address(section, is_alone).into_iter().collect(),
                port: section.port.get(),
                accept: around.accept.clone(),
            },
            clients: self.clients(section),
            protection,
            timing: Timing::default(),
            flow: Flow::default(),
            priority: section.priority,
            dangerous_monitor: false,
            privileges: None,
            assumed: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// What means the same in both cases.
    fn common(&mut self, section: &BusSection, config: &mut DaemonConfig) {
        config.priority = section.priority;
        self.socket(section, &mut config.clients);
        self.accept_clients(section, config);
        config.clients.sessions =
            self.number("sessions", &section.sessions, SESSIONS as i64, 100_000);
        let Backlog { bytes, messages, time } = &mut config.clients.backlog;
        let sizes = Size(256 * 1024)..=Size(4 << 30);
        *bytes = self
            .within("backlog", &section.backlog, Size(*bytes), sizes, |s| s, |s| s.to_string())
            .0;
        if section.backlog_messages.is_some() {
            let most = 1_000_000_000;
            *messages = Some(self.number("backlog_messages", &section.backlog_messages, 1, most));
        }
        *time = self.span("backlog_time", &section.backlog_time, *time, ms(1000)..=ms(86_400_000));
        self.timing(section, &mut config.timing);
    }

    fn timing(&mut self, section: &BusSection, timing: &mut Timing) {
        let longest = Span(Timing::CEILING_MAX);
        let heartbeats = ms(5)..=Span(Timing::HEARTBEAT_MAX);
        timing.heartbeat = self.span("heartbeat", &section.heartbeat, timing.heartbeat, heartbeats);
        timing.floor =
            self.span("timeout_floor", &section.timeout_floor, timing.floor, ms(20)..=ms(10_000));
        timing.ceiling = self.span(
            "timeout_ceiling",
            &section.timeout_ceiling,
            timing.ceiling,
            ms(20)..=longest,
        );
        let least = 3 * timing.heartbeat;
        let floor = Span(timing.floor);
        if let Some(written) = section.timeout_floor.as_ref().filter(|_| timing.floor < least) {
            let message = format!("{floor} is less than three times bus.heartbeat");
            self.wrong(written, "timeout_floor", message, format!("write {} or more", Span(least)));
        }
        if timing.ceiling >= timing.floor {
            return;
        }
        let ceiling = Span(timing.ceiling);
        match (&section.timeout_ceiling, &section.timeout_floor) {
            (Some(written), _) => {
                let message = format!("{ceiling} is less than bus.timeout_floor, {floor}");
                self.wrong(written, "timeout_ceiling", message, format!("write {floor} or more"));
            }
            (None, Some(written)) => {
                let message = format!("{floor} is more than bus.timeout_ceiling, {ceiling}");
                self.wrong(written, "timeout_floor", message, "write both");
            }
            // A list may have set the ceiling; the default floor gives way.
            (None, None) => timing.floor = timing.ceiling,
        }
    }

    fn name(&mut self, section: &BusSection, around: &Around<'_>) -> DaemonName {
        let Some(written) = &section.name else {
            let name = DaemonName::of_host(around.name);
            self.assumed.push(format!("no bus.name: this daemon is called {name}"));
            return name;
        };
        DaemonName::new(written.get_ref().as_bytes()).unwrap_or_else(|error| {
            let said = error.to_string();
            let (message, _) = said.split_once("; ").unwrap_or((&said, ""));
            let remedy =
                "write 1 to 19 characters from $ to ~, which leaves out space, !, \" and #";
            self.wrong(written, "name", message, remedy);
            DaemonName::of_host(around.name)
        })
    }

    /// The key, and earlier ones that are still believed.
    fn keys(
        &mut self,
        section: &BusSection,
        around: &Around<'_>,
    ) -> (Option<ClusterKey>, Vec<ClusterKey>) {
        let key = match &section.key_file {
            Some(path) => self.key("key_file", path, around),
            None => around.key.cloned(),
        };
        let list = &section.previous_keys;
        if let Some(too_many) = list.get(PREVIOUS_KEYS_MAX) {
            let message = format!("{} files are listed", list.len());
            let remedy = format!("list at most {PREVIOUS_KEYS_MAX}");
            self.wrong(too_many, "previous_keys", message, remedy);
        }
        if let Some(first) = list.first().filter(|_| key.is_none() && section.key_file.is_none()) {
            let message = "earlier keys are listed, and there is no key";
            let remedy = "set cluster.key_file or bus.key_file, or leave them out";
            self.wrong(first, "previous_keys", message, remedy);
        }
        let read = |(i, path): (usize, &Spanned<PathBuf>)| {
            self.key(&format!("previous_keys[{i}]"), path, around)
        };
        let previous = list.iter().take(PREVIOUS_KEYS_MAX).enumerate().filter_map(read).collect();
        (key, previous)
    }

    fn key(
        &mut self,
        key: &str,
        path: &Spanned<PathBuf>,
        around: &Around<'_>,
    ) -> Option<ClusterKey> {
        if !self.whole(path, key) {
            return None;
        }
        match (around.read_key)(path.get_ref()) {
            Ok(key) => Some(key),
            Err(fault) => {
                self.wrong(path, key, fault.message, fault.remedy);
                None
            }
        }
    }

    fn whole(&mut self, path: &Spanned<PathBuf>, key: &str) -> bool {
        let whole = Path::is_absolute(path.get_ref());
        if !whole {
            let message = format!("{:?} is relative", path.get_ref());
            self.wrong(path, key, message, "write the whole path, from /");
        }
        whole
    }

    fn address(&mut self, section: &BusSection, is_alone: bool) -> Option<IpAddr> {
        let Some(written) = &section.address else {
            return is_alone.then_some(Ipv4Addr::LOCALHOST.into());
        };
        let ip = written.get_ref().to_canonical();
        if ip.is_unspecified() || ip.is_multicast() {
            let message = format!("{ip} is not an address of one machine");
            let remedy = "name one of this machine's addresses, or leave the key out for all";
            self.wrong(written, "address", message, remedy);
        } else if is_alone && !ip.is_loopback() {
            let message = format!("{ip} is on the network but there is no key");
            self.wrong(written, "address", message, NEEDS_KEY);
        }
        Some(ip)
    }

    fn segment(&mut self, section: &BusSection, is_alone: bool) -> Option<SegmentTarget> {
        let ip = match section.segment.as_ref().map(Spanned::get_ref) {
            Some(SegmentKey::None) => None,
            Some(SegmentKey::At(ip)) => Some(*ip),
            None if is_alone => None,
            None => {
                self.assumed
                    .push(format!("no bus.segment: daemons find each other at {DEFAULT_GROUP}"));
                Some(DEFAULT_GROUP.into())
            }
        };
        if let (Some(ip), Some(written)) = (ip, &section.segment) {
            let own = section.address.as_ref().map(|own| own.get_ref().to_canonical());
            if is_alone && !ip.is_loopback() {
                let message = format!("{ip} is on the network but there is no key");
                self.wrong(written, "segment", message, NEEDS_KEY);
            } else if let Some(own) = own.filter(|own| own.is_ipv4() != ip.is_ipv4()) {
                let message = format!("{ip} cannot be reached from bus.address, {own}");
                self.wrong(written, "segment", message, "write both as IPv4 or both as IPv6");
            }
        }
        let reach = ip.map(|ip| SegmentAddress { ip, interface: None }.reach());
        if let Some(written) = &section.segment_interface
            && reach != Some(Reach::Multicast)
        {
            let message = "there is no multicast group for it";
            let remedy = "leave it out, or write a multicast address in bus.segment";
            self.wrong(written, "segment_interface", message, remedy);
        }
        let interface = section.segment_interface.as_ref().map(|written| written.get_ref().clone());
        ip.zip(reach).map(|(ip, reach)| {
            // That it is one of many was said by who wrote it.
            let reach = if reach == Reach::One { Reach::Broadcast } else { reach };
            SegmentTarget { to: SocketAddr::new(ip, section.port.get()), reach, interface }
        })
    }

    fn seeds(&mut self, section: &BusSection, is_alone: bool) -> Vec<Seed> {
        let port = section.port.get();
        if let Some(too_many) = section.seeds.get(SEEDS_MAX) {
            let message = format!("{} seeds are listed", section.seeds.len());
            self.wrong(too_many, "seeds", message, format!("list at most {SEEDS_MAX}"));
        }
        let mut seeds = Vec::new();
        for (i, written) in section.seeds.iter().enumerate().take(SEEDS_MAX) {
            let mut seed = written.get_ref().clone();
            let here = match &seed.host {
                SeedHost::Address(ip) => ip.to_canonical().is_loopback(),
                SeedHost::Name(name) => name == "localhost",
            };
            if is_alone && !here {
                let message = format!("{seed} is on the network but there is no key");
                self.wrong(written, &format!("seeds[{i}]"), message, NEEDS_KEY);
            }
            seed.port.get_or_insert(port);
            seeds.push(seed);
        }
        seeds
    }

    fn clients(&mut self, section: &BusSection) -> Clients {
        let port = section.port.get();
        let usual = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let listen = match &section.listen {
            None => usual.map(|ip| SocketAddr::new(ip, port)).to_vec(),
            Some(list) => self.listen(list),
        };
        let port = listen.first().map_or(port, SocketAddr::port);
        let socket = UnixSocket {
            path: format!("/tmp/{port}").into(),
            mode: SOCKET_MODE,
            user: None,
            group: None,
        };
        Clients {
            listen,
            listen_is_assumed: section.listen.is_none(),
            socket: Some(socket),
            accept: AddrBlocks(nearby()),
            auth: Auth::default(),
            sessions: SESSIONS,
            backlog: Backlog { bytes: BACKLOG, messages: None, time: BACKLOG_TIME },
        }
    }

    fn listen(&mut self, list: &[Spanned<SocketAddr>]) -> Vec<SocketAddr> {
        if let Some(too_many) = list.get(LISTEN_MAX) {
            let message = format!("{} addresses are listed", list.len());
            self.wrong(too_many, "listen", message, format!("list at most {LISTEN_MAX}"));
        }
        let mut listen: Vec<SocketAddr> = Vec::new();
        for (i, written) in list.iter().enumerate().take(LISTEN_MAX) {
            let address = *written.get_ref();
            let key = format!("listen[{i}]");
            if address.port() == 0 {
                let message = format!("port 0 of {address} is chosen anew at each start");
                self.wrong(written, &key, message, "write the port that clients know");
            } else if listen.contains(&address) {
                self.wrong(written, &key, format!("{address} stands twice"), "leave one out");
            } else if address.ip().is_multicast() {
                let message = format!("{address} is not an address of one machine");
                self.wrong(written, &key, message, "write one of this machine's addresses");
            }
            listen.push(address);
        }
        listen
    }

    fn accept_clients(&mut self, section: &BusSection, config: &mut DaemonConfig) {
        let Some(blocks) = &section.accept_clients else { return };
        if blocks.is_empty() {
            let message = "nobody is accepted";
            let remedy = "list the blocks of the clients, or write bus.listen = [] for the Unix socket alone";
            self.problems.push(Problem::new("bus.accept_clients", message, remedy));
        }
        config.clients.accept = AddrBlocks(blocks.clone());
    }

    fn socket(&mut self, section: &BusSection, clients: &mut Clients) {
        match section.socket.as_ref().map(Spanned::get_ref) {
            Some(SocketKey::None) => clients.socket = None,
            Some(SocketKey::At(path)) => {
                if let Some(socket) = &mut clients.socket {
                    socket.path.clone_from(path);
                }
            }
            None => {}
        }
        if let Some(written) = section
            .socket
            .as_ref()
            .filter(|_| clients.socket.is_none() && clients.listen.is_empty())
        {
            let message =
                "no client could connect: there is neither a socket nor an address in bus.listen";
            self.wrong(written, "socket", message, "write one of the two");
        }
        let Some(socket) = &mut clients.socket else { return };
        if let Some(mode) = section.socket_mode {
            socket.mode = mode.0;
        }
        let Some(written) = &section.socket_owner else { return };
        let owner = written.get_ref();
        let mut number = |name: &Option<String>, kind: &str, find: fn(&str) -> Option<u32>| {
            let name = name.as_ref()?;
            let number = find(name);
            if number.is_none() {
                let message = format!("there is no {kind} {name:?} on this machine");
                self.wrong(written, "socket_owner", message, "create it, or write its number");
            }
            number
        };
        socket.user = number(&owner.user, "user", accounts::user_id);
        socket.group = number(&owner.group, "group", accounts::group_id);
    }
}

/// Whether a key is named that cannot be used: that was told, and what follows from it need not be.
fn unusable(section: &BusSection, key: &Option<ClusterKey>) -> bool {
    section.key_file.is_some() && key.is_none()
}
