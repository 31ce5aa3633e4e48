//! Judging `[[addresses.health]]` and `[[addresses.hook]]`: what is looked at and what is run.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use base::units::Span;

use super::found::{Found, ms, secs};
use super::judge::LeftOut;
use super::program;
use super::section::{AddressesSection, HealthSection, HookSection};
use super::{Check, CheckKind, HOOKS_MAX, Hook, HookEvent, HookRun, HookSets, Set};

/// Longest text that is looked for in a body, in bytes.
const CONTAINS_MAX: usize = 1024;

impl Found {
    pub(super) fn health(&mut self, section: &AddressesSection) -> Vec<Check> {
        if self.too_many("health", section.health.len()) {
            return Vec::new();
        }
        let mut taken = HashSet::new();
        let mut checks = Vec::new();
        for (n, written) in section.health.iter().enumerate() {
            let key = format!("health[{n}]");
            let name_key = format!("{key}.name");
            let usual = format!("check{}", n + 1);
            let name = self.unique(&name_key, written.name.as_ref(), usual, &mut taken);
            let kind = self.kind(&key, written);
            let interval = format!("{key}.interval");
            let timeout = format!("{key}.timeout");
            let interval = self.span(&interval, written.interval, secs(1), ms(100)..=secs(3600));
            let timeout = self.span(&timeout, written.timeout, secs(1), ms(10)..=secs(300));
            let rise = self.number(&format!("{key}.rise"), written.rise, 2, 1..=100);
            let fall = self.number(&format!("{key}.fall"), written.fall, 3, 1..=100);
            let Some(kind) = kind else { continue };
            checks.push(Check { name, kind, interval, timeout, rise, fall });
        }
        checks
    }

    fn too_many(&mut self, key: &str, count: usize) -> bool {
        let many = count > HOOKS_MAX;
        if many {
            self.wrong(key, format!("{count} are more than {HOOKS_MAX}"), "leave some out");
        }
        many
    }

    fn kind(&mut self, key: &str, written: &HealthSection) -> Option<CheckKind> {
        let HealthSection { tcp, http, command, balancer, .. } = written;
        let kinds = [tcp.is_some(), http.is_some(), !command.is_empty(), *balancer];
        if kinds.iter().filter(|there| **there).count() != 1 {
            let message = "it is not said what is looked at, or more than one thing is";
            self.wrong(key, message, "write one of tcp, http, command and balancer = true");
            return None;
        }
        self.only_with(
            "http",
            http.is_some(),
            key,
            &[
                ("host", written.host.is_some()),
                ("status", written.status.is_some()),
                ("contains", written.contains.is_some()),
            ],
        );
        self.only_with("command", !command.is_empty(), key, &[("exit", written.exit.is_some())]);
        if let Some(text) = tcp {
            let address = text.parse().ok().filter(|address: &SocketAddr| address.port() != 0);
            if address.is_none() {
                let message = format!("{text:?} is no address with a port");
                let remedy = "write \"127.0.0.1:80\" or \"[::1]:80\"";
                self.wrong(&format!("{key}.tcp"), message, remedy);
            }
            return Some(CheckKind::Tcp { address: address? });
        }
        if let Some(url) = http {
            return self.http(key, url, written);
        }
        if let Some(program) = command.first() {
            self.command(&format!("{key}.command"), program, command);
            let exit = self.number(&format!("{key}.exit"), written.exit, 0, 0..=255);
            return Some(CheckKind::Command { argv: command.clone(), exit: exit as u8 });
        }
        Some(CheckKind::Balancer)
    }

    fn only_with(&mut self, kind: &str, there: bool, key: &str, keys: &[(&str, bool)]) {
        for (name, _) in keys.iter().filter(|(_, written)| *written && !there) {
            let message = format!("this has a meaning only with {kind}");
            self.wrong(&format!("{key}.{name}"), message, "leave it out");
        }
    }

    fn http(&mut self, key: &str, url: &str, written: &HealthSection) -> Option<CheckKind> {
        let Some((address, authority, path)) = url_parts(url) else {
            let message = format!("{url:?} is no URL of an address");
            let remedy =
                "write \"http://127.0.0.1:8080/health\"; the name of a site stands in host";
            self.wrong(&format!("{key}.http"), message, remedy);
            return None;
        };
        let host = written.host.clone().unwrap_or(authority);
        if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!("{host:?} is no name of a host");
            self.wrong(&format!("{key}.host"), message, "write one such as \"www.example.com\"");
        }
        let contains = written.contains.clone();
        let length = contains.as_ref().map_or(1, String::len);
        if !(1..=CONTAINS_MAX).contains(&length) {
            let message = format!("a text of {length} bytes cannot be looked for");
            let remedy = format!("write 1 to {CONTAINS_MAX} bytes, or leave it out");
            self.wrong(&format!("{key}.contains"), message, remedy);
        }
        let status = match written.status.as_deref() {
            None => vec![200..=399],
            Some([]) => {
                let message = "with no status nothing that is answered is good";
                let remedy = "write [\"200-399\"], or leave it out";
                self.wrong(&format!("{key}.status"), message, remedy);
                return None;
            }
            Some(some) => some.iter().map(|item| item.0.clone()).collect(),
        };
        Some(CheckKind::Http { address, path, host, status, contains })
    }

    fn command(&mut self, key: &str, program: &str, argv: &[String]) {
        if let Err((message, remedy)) = program::runnable(program) {
            self.wrong(key, message, remedy);
        }
        if let Some(bad) = argv.iter().skip(1).find(|argument| argument.contains('\0')) {
            self.wrong(key, format!("{bad:?} has a NUL in it"), "leave it out");
        }
    }

    /// Without the sets it is not judged which ones are meant.
    pub(super) fn hooks(
        &mut self,
        section: &AddressesSection,
        sets: (&[Set], &LeftOut),
        folder: &Path,
    ) -> Vec<Hook> {
        if self.too_many("hook", section.hook.len()) {
            return Vec::new();
        }
        let written = section.hook.iter().enumerate();
        written
            .filter_map(|(n, hook)| self.hook(&format!("hook[{n}]"), hook, sets, folder))
            .collect()
    }

    /// A machine that dies is waited for no longer than a lease, whatever its programs take to stop.
    pub(super) fn slow_to_stop(&mut self, hooks: &[Hook], sets: &[Set], lease: Duration) {
        let waited = vip::Settings { valid: lease, ..vip::Settings::default() }.lease();
        for set in sets.iter().filter(|set| set.quorum) {
            let of_it = |hook: &&Hook| match &hook.sets {
                HookSets::All => true,
                HookSets::Heads(heads) => heads.contains(&set.head()),
            };
            let down = hooks.iter().filter(|hook| hook.event == HookEvent::OnDown);
            let all: Duration = down.filter(of_it).map(|hook| hook.timeout).sum();
            if all >= waited {
                let name = set.name.clone().unwrap_or_else(|| set.head().to_string());
                self.warnings.push(format!(
                    "{name} is under quorum and its hooks for \"on down\" may take {}: of a machine that dies or is cut off others take it after {}, ended or not; give them less time, or make addresses.lease longer",
                    Span(all),
                    Span(waited)
                ));
            }
        }
    }

    fn hook(
        &mut self,
        key: &str,
        written: &HookSection,
        sets: (&[Set], &LeftOut),
        folder: &Path,
    ) -> Option<Hook> {
        let timeout = format!("{key}.timeout");
        let timeout = self.span(&timeout, written.timeout, secs(10), ms(100)..=secs(600));
        let event = self.event(key, written);
        let run = self.run(key, written, folder);
        let sets = self.of_sets(key, written, event, sets);
        Some(Hook { event: event?, run: run?, timeout, sets })
    }

    fn event(&mut self, key: &str, written: &HookSection) -> Option<HookEvent> {
        let remedy = "write \"on up\", \"on down\", \"post up\" or \"post down\"";
        let Some(text) = &written.event else {
            self.wrong(key, "it is not said when it is run", format!("{remedy} as event"));
            return None;
        };
        let event = HookEvent::ALL.into_iter().find(|event| event.as_str() == text);
        if event.is_none() {
            self.wrong(&format!("{key}.event"), format!("{text:?} is no event"), remedy);
        }
        event
    }

    fn run(&mut self, key: &str, written: &HookSection, folder: &Path) -> Option<HookRun> {
        match (written.command.first(), &written.module) {
            (Some(program), None) => {
                self.command(&format!("{key}.command"), program, &written.command);
                Some(HookRun::Command(written.command.clone()))
            }
            (None, Some(text)) => {
                let key = format!("{key}.module");
                let Some((file, symbol)) = program::function(text) else {
                    let message = format!("{text:?} names no function of a file");
                    self.wrong(&key, message, "write \"file:function\"");
                    return None;
                };
                match program::module(folder, file) {
                    Ok(file) => Some(HookRun::Module { file, symbol: symbol.to_owned() }),
                    Err(message) => {
                        let remedy = "put it there, or set addresses.module_directory";
                        self.wrong(&key, message, remedy);
                        None
                    }
                }
            }
            _ => {
                let message = "it is not said what is run, or two things are";
                self.wrong(key, message, "write one of command and module");
                None
            }
        }
    }

    fn of_sets(
        &mut self,
        key: &str,
        written: &HookSection,
        event: Option<HookEvent>,
        sets: (&[Set], &LeftOut),
    ) -> HookSets {
        if written.sets.is_empty() {
            return HookSets::All;
        }
        if matches!(event, Some(HookEvent::PostUp | HookEvent::PostDown)) {
            let message = "this event is not of single sets";
            self.wrong(
                &format!("{key}.sets"),
                message,
                "leave it out, or write \"on up\" or \"on down\"",
            );
        }
        let mut heads: Vec<IpAddr> = Vec::new();
        let (sets, left_out) = sets;
        for (n, text) in written.sets.iter().enumerate() {
            let head: Option<IpAddr> = text.parse().ok();
            let named = |set: &&Set| match head {
                Some(head) => set.head() == head,
                None => set.name.as_deref() == Some(text),
            };
            match sets.iter().find(named) {
                Some(set) if heads.contains(&set.head()) => {}
                Some(set) => heads.push(set.head()),
                None if head.is_some_and(|head| left_out.addresses.contains(&head))
                    || left_out.names.contains(text) => {}
                None => {
                    let message = format!("no set is called {text:?} or begins with this address");
                    let remedy = "write the name of a [[addresses.set]], or a set's first address";
                    self.wrong(&format!("{key}.sets[{n}]"), message, remedy);
                }
            }
        }
        HookSets::Heads(heads)
    }
}

/// Where to connect, what the URL calls that, and what to ask for.
fn url_parts(url: &str) -> Option<(SocketAddr, String, String)> {
    let rest = url.strip_prefix("http://")?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let local = authority.replacen("localhost", "127.0.0.1", 1);
    let bare = || {
        let inner = local.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let ip: IpAddr = match inner {
            Some(inner) => IpAddr::V6(inner.parse().ok()?),
            None => IpAddr::V4(local.parse().ok()?),
        };
        Some(SocketAddr::new(ip, 80))
    };
    let address = local.parse().ok().or_else(bare)?;
    let fits =
        address.port() != 0 && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    fits.then(|| (address, authority.to_owned(), path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_an_address_a_host_and_a_path() {
        for (url, address, host, path) in [
            ("http://127.0.0.1/health?a=b", "127.0.0.1:80", "127.0.0.1", "/health?a=b"),
            ("http://localhost:8080", "127.0.0.1:8080", "localhost:8080", "/"),
            ("http://[::1]/", "[::1]:80", "[::1]", "/"),
            ("http://[::1]:81/x", "[::1]:81", "[::1]:81", "/x"),
        ] {
            let expected = (address.parse().unwrap(), host.to_owned(), path.to_owned());
            assert_eq!(url_parts(url), Some(expected), "{url}");
        }
        for url in [
            "",
            "127.0.0.1",
            "https://127.0.0.1/",
            "http://web1/",
            "http://127.0.0.1:0/",
            "http:///x",
            "http://127.0.0.1/a b",
            "http://::1/",
        ] {
            assert_eq!(url_parts(url), None, "{url}");
        }
    }
}
