//! One file for everything: each crate owns its sections, this composes them.
//!
//! Everything that is wrong is told at once: mistakes of form (an unknown key, a value of the wrong kind) and, in what is left of
//! the file without them, mistakes of meaning, as far as they do not merely follow from the former. Only what is no TOML at all
//! ends the judging before it begins.

pub(crate) mod addresses;
mod bus;
mod follows;
mod place;

use std::fmt;
use std::path::{Path, PathBuf};

use balancer::BindError;
use base::{Place, Problem};
use serde::Deserialize;

use crate::logging::Log;

/// Where a configuration is looked for when the command line names none.
const PLACES: [&str; 2] = ["backhand.toml", "/etc/backhand/backhand.toml"];

/// The file as it is written. What each key means stands with its section's type.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    cluster: resources::config::Cluster,
    announce: resources::config::Announce,
    measure: resources::config::Measure,
    http: balancer::config::HttpSection,
    peers: balancer::config::PeersSection,
    local: balancer::config::LocalSection,
    route: Vec<balancer::config::RouteSection>,
    access_log: balancer::config::AccessLogSection,
    status: console::Status,
    bus: Option<spread_daemon::config::BusSection>,
    addresses: Option<::addresses::config::AddressesSection>,
    log: Log,
}

/// The checked configuration of the whole program.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) resources: resources::config::Config,
    pub(crate) balancer: balancer::Config,
    pub(crate) console: console::Config,
    /// The bus daemon, if there is to be one.
    pub(crate) bus: Option<spread_daemon::config::DaemonConfig>,
    /// The addresses to hold, if there are any.
    pub(crate) addresses: Option<::addresses::config::Config>,
    pub(crate) log: Log,
    /// Where it came from, or that it is the built-in one.
    pub(crate) source: String,
    /// The file's text.
    text: String,
}

/// Why there is no configuration: every mistake, ready to be read.
#[derive(Debug)]
pub(crate) struct Mistakes(String);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Config {
    /// Reads the file named, or the first of the usual places that exists, or nothing.
    pub(crate) fn load(named: Option<&Path>) -> Result<Self, Mistakes> {
        let path = named
            .map(PathBuf::from)
            .or_else(|| PLACES.iter().map(PathBuf::from).find(|p| p.exists()));
        let Some(path) = path else {
            return Self::read("built-in defaults", "").map(|mut config| {
                let places = PLACES.join(" nor ");
                config
                    .resources
                    .assumed
                    .insert(0, format!("no configuration file: neither {places} exists"));
                config
            });
        };
        let name = path.display().to_string();
        let bytes = std::fs::read(&path).map_err(|error| {
            Mistakes(format!("error: {name}: {error}\n  help: name a file that can be read with --config, or leave it out for the defaults\n"))
        })?;
        Self::read(&name, &utf8(&name, bytes)?)
    }

    /// Reads the text of a file called `name`.
    fn read(name: &str, text: &str) -> Result<Self, Mistakes> {
        let mistakes = |problems: &[Problem]| {
            Mistakes(problems.iter().map(|p| place::render(name, text, p)).collect())
        };
        let (left, misread) = balancer::config::read_on::<File>(text);
        let Some(file) = left else { return Err(mistakes(&misread)) };
        let mut problems = Vec::new();
        let resources = keep(
            resources::config::Config::check(&file.cluster, &file.announce, &file.measure),
            &mut problems,
        );
        let File { http, peers, local, route, access_log, .. } = file;
        let sections = balancer::config::Sections { http, peers, local, route, access_log };
        let balancer = keep(balancer::Config::check(&sections), &mut problems);
        // Without valid sections the blocks are not known; then the mistakes are told and the default does not matter.
        let accept = resources.as_ref().map(|r| r.accept.clone()).unwrap_or_default();
        let console = keep(console::Config::check(&file.status, &accept), &mut problems);
        let bus = bus::check(file.bus.as_ref(), &file.cluster, resources.as_ref(), &mut problems);
        let addresses = addresses::check(
            file.addresses.as_ref(),
            &file.cluster,
            file.bus.is_some(),
            &mut problems,
        );
        if let Err(message) = file.log.filter() {
            let remedy =
                "write error, warn, info, debug, trace or off, or parts as in info,resources=debug";
            problems.push(Problem::new("log.level", message, remedy).at(file.log.level.span()));
        }
        match (resources, balancer, console) {
            (Some(resources), Some(balancer), Some(console))
                if problems.is_empty() && misread.is_empty() =>
            {
                let (log, source, text) = (file.log, name.into(), text.into());
                Ok(Self { resources, balancer, console, bus, addresses, log, source, text })
            }
            _ => Err(mistakes(&follows::together(text, misread, problems))),
        }
    }
}

impl Config {
    /// An address to listen on that cannot be had, as a mistake of the file.
    pub(crate) fn mistaken_address(&self, error: &BindError) -> Mistakes {
        let key = match error {
            BindError::NotHere { address, section: "http", .. } => {
                let at = self.balancer.http.listen.iter().position(|listed| listed == address);
                format!("http.listen[{}]", at.unwrap_or_default())
            }
            // Where peers are heard follows from where this machine announces itself, unless it is said.
            BindError::NotHere { address, .. } if self.resources.address == Some(address.ip()) => {
                let message = format!("{} is not an address of this machine", address.ip());
                let remedy = "correct it, or leave it out for all of them";
                let problem = Problem::new("announce.address", message, remedy);
                return Mistakes(place::render(&self.source, &self.text, &problem));
            }
            _ => "peers.listen".into(),
        };
        let said = error.to_string();
        let (message, remedy) = said.rsplit_once("; ").unwrap_or((&said, ""));
        Mistakes(place::render(&self.source, &self.text, &Problem::new(key, message, remedy)))
    }

    /// What the file leaves open and is therefore assumed, one sentence each.
    pub(crate) fn assumed(&self) -> impl Iterator<Item = &str> {
        let bus = self.bus.iter().flat_map(|bus| &bus.assumed);
        let addresses = self.addresses.iter().flat_map(|addresses| &addresses.assumed);
        self.resources
            .assumed
            .iter()
            .chain(&self.balancer.assumed)
            .chain(bus)
            .chain(addresses)
            .map(String::as_str)
    }

    /// What is strange but allowed, one sentence each.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = &str> {
        self.addresses.iter().flat_map(|addresses| &addresses.warnings).map(String::as_str)
    }
}

/// The text of a file called `name`.
fn utf8(name: &str, bytes: Vec<u8>) -> Result<String, Mistakes> {
    String::from_utf8(bytes).map_err(|error| {
        let end = error.utf8_error().valid_up_to();
        let (before, rest) = error.as_bytes().split_at(end);
        let Place { line, column } = Place::of(&String::from_utf8_lossy(before), end);
        let byte = rest.first().copied().unwrap_or_default();
        Mistakes(format!("error: {name}:{line}:{column}: byte 0x{byte:02x} is no UTF-8, in which TOML is written\n  help: save the file as UTF-8\n"))
    })
}

fn keep<T>(result: Result<T, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<T> {
    result.map_err(|found| problems.extend(found)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_another_encoding_is_told_where_that_shows() {
        assert_eq!(utf8("b.toml", b"[http]".to_vec()).unwrap(), "[http]");
        let mistakes = utf8("b.toml", b"[http]\n# caf\xe9\n".to_vec()).unwrap_err().to_string();
        assert_eq!(
            mistakes,
            "error: b.toml:2:6: byte 0xe9 is no UTF-8, in which TOML is written\n  help: save the file as UTF-8\n"
        );
    }

    #[test]
    fn of_a_line_that_nobody_could_read_only_a_part_is_shown() {
        let list: Vec<String> =
            (0..5000).map(|n| format!("\"10.1.{}.{}\"", n / 250, n % 250 + 1)).collect();
        let text = format!("[bus]\n[addresses]\nlist = [{}]\n", list.join(","));
        let mistakes = Config::read("b.toml", &text).unwrap_err().to_string();
        assert!(mistakes.contains("more than 4096 addresses"), "{mistakes}");
        assert!(mistakes.len() < 1000, "{} bytes", mistakes.len());
    }
}
