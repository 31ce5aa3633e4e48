//! Judging `[bus]`: what depends on several keys, on other sections, and on this machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base::units::{Size, Span};
use base::{AddrBlocks, Problem};
use seal::ClusterKey;
use toml::Spanned;

use super::fixed::Secrets;
use super::found::Found;
use super::section::BusSection;
use super::values::SocketKey;
use super::{
    Around, Backlog, Clients, DaemonConfig, PREVIOUS_KEYS_MAX, SESSIONS, Timing, accounts,
};
use crate::conf::{self, AccessList, AuthMethod, FileError};

pub(super) const NEEDS_KEY: &str =
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

impl Found {
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
        let access = match conf.uses(AuthMethod::Ip).then(conf::access_file) {
            Some(Ok((_, list))) => list,
            // That nobody is let in is a warning of the list.
            None | Some(Err(FileError::Nowhere(_))) => AccessList::default(),
            Some(Err(error)) => {
                self.unreadable(path, error);
                AccessList::default()
            }
        };
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
            ("site", section.site.is_some()),
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

    /// What means the same in both cases.
    fn common(&mut self, section: &BusSection, config: &mut DaemonConfig) {
        config.priority = section.priority;
        config.dangerous_monitor |= section.dangerous_monitor;
        self.accept_clients(section, config);
        self.tls(section, &mut config.clients);
        self.socket(section, &mut config.clients);
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

    /// The key, and earlier ones that are still believed.
    pub(super) fn keys(
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

    pub(super) fn whole(&mut self, path: &Spanned<PathBuf>, key: &str) -> bool {
        let whole = Path::is_absolute(path.get_ref());
        if !whole {
            let message = format!("{:?} is relative", path.get_ref());
            self.wrong(path, key, message, "write the whole path, from /");
        }
        whole
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
            .filter(|_| section.tls_listen.is_empty())
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
pub(super) fn unusable(section: &BusSection, key: &Option<ClusterKey>) -> bool {
    section.key_file.is_some() && key.is_none()
}
