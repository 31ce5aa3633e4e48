//! `spread.conf`: the configuration file of the original daemon, in full.
//!
//! [`SpreadConf::parse`] turns a text into one immutable value or tells every mistake with line, column and remedy.
//! Options that this program accepts without doing anything for them are named by [`SpreadConf::meaningless`], so
//! that the log can say each once. [`SpreadConf::whoami`] finds which of the daemons this one is.
//!
//! Sources: the grammar and the tables of `spread-conf-and-tools.md`, section 2. Where the original would misread
//! or crash, this says so instead.

mod access;
mod address;
mod find;
mod flags;
mod hash;
mod lexer;
mod meaningless;
mod members;
mod mistake;
mod options;
mod parser;
mod settings;
#[cfg(test)]
mod tests;
mod whoami;

use std::net::IpAddr;

use base::Place;
use ring::DaemonName;

pub use access::{AccessList, AccessMistake};
pub use address::{DEFAULT_PORT, Family, Reach, SegmentAddress};
pub use find::{FileError, Found, access_file, read, read_only, resolve};
pub use flags::DebugFlags;
pub use meaningless::Meaningless;
pub use mistake::{MISTAKES_MAX, Mistake, What};
pub use options::{
    AuthMethod, DEFAULT_PATTERN, EventPriority, Options, PortReuse, TimeStamp, Timeouts,
};
pub use whoami::{LocalAddress, Me, NotMe};

/// Most segments.
pub const SEGMENTS_MAX: usize = 20;
/// Most addresses of one segment.
pub const ADDRESSES_MAX: usize = 5;
/// Most daemons, in all segments together.
pub const DAEMONS_MAX: usize = 128;
/// Most interfaces of one daemon.
pub const INTERFACES_MAX: usize = 10;
/// Longest pattern of `EventTimeStamp`, in characters.
pub const TIME_STAMP_MAX: usize = 39;
/// Largest file, in bytes: it is written by people.
pub const TEXT_MAX: usize = 1 << 20;
/// Packets all daemons together send in one rotation, if the file does not say.
pub const WINDOW: u32 = 160;
/// Packets one daemon sends in one visit of the token, if the file does not say.
pub const PERSONAL_WINDOW: u32 = 20;
/// Packets sent after the token moved on, if the file does not say.
pub const ACCELERATED_WINDOW: u32 = 15;

/// Finds the address of a daemon that the file names without one, of this version if one is given. The error says why
/// there is none.
pub type Resolve<'a> = dyn FnMut(&str, Option<Family>) -> Result<IpAddr, String> + 'a;

/// A whole file, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpreadConf {
    /// The segments, in the order of the file; at least one.
    pub segments: Vec<Segment>,
    /// The daemons of all segments, in the order of the file, which is that of members and of the ring; at least one.
    pub daemons: Vec<Daemon>,
    /// The options.
    pub options: Options,
    /// The names of the options that stand in the file, each once, in the order of the file, and its line.
    pub written: Vec<(String, usize)>,
    /// What is strange but allowed, for the log.
    pub warnings: Vec<Warning>,
}

/// Machines that hear each other's broadcasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where what is for all of them is sent: 1 to 5, each of which gets everything.
    pub addresses: Vec<SegmentAddress>,
    /// The port of all its daemons: TCP for clients, UDP for daemons.
    pub port: u16,
    /// Where it begins in the file.
    pub line: usize,
}

/// One daemon of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Its name, at most 19 bytes of what is written, unique.
    pub name: DaemonName,
    /// The address at which the others reach it; unique together with the port.
    pub ip: IpAddr,
    /// The place of its segment in [`SpreadConf::segments`].
    pub segment: usize,
    /// Its virtual id, unique: as written, else the hash of its name.
    pub id: u32,
    /// Whether the file says the id.
    pub id_is_written: bool,
    /// What it listens on, at most 10; empty means everything on every interface.
    pub interfaces: Vec<Interface>,
    /// Where it stands in the file.
    pub line: usize,
}

/// An address that a daemon listens on, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The address; unspecified means every one.
    pub ip: IpAddr,
    /// Monitors (`M`).
    pub monitor: bool,
    /// Clients, by TCP (`C`).
    pub clients: bool,
    /// Other daemons (`D`).
    pub data: bool,
}

/// Something strange that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where in the file, from 1.
    pub line: usize,
    /// One sentence without a full stop.
    pub text: String,
}

impl SpreadConf {
    /// Reads and judges the text of a file. Daemons without an address are looked up with `resolve`, nothing else is
    /// asked of anybody. Never panics, whatever the text.
    ///
    /// # Errors
    /// Every mistake that can be told apart, in the order of the file, at least one and at most
    /// [`MISTAKES_MAX`] and a last one that says how many there are besides.
    pub fn parse(text: &str, resolve: &mut Resolve<'_>) -> Result<Self, Vec<Mistake>> {
        if text.len() > TEXT_MAX {
            return Err(vec![Mistake::at(Place::default(), "", What::Size(text.len()))]);
        }
        let (tokens, mut mistakes) = lexer::tokens(text);
        let end = tokens.last().map(|token| token.place).unwrap_or_default();
        let tree = parser::parse(tokens);
        mistakes.extend(tree.mistakes);
        let formed = mistakes.is_empty();
        let mut warnings = Vec::new();
        let options = settings::judge(&tree.options, &mut mistakes, &mut warnings);
        let mut members = members::Members::new(options.active_ip_version, resolve);
        members.judge(&tree.segments);
        mistakes.append(&mut members.mistakes);
        warnings.append(&mut members.warnings);
        // What is missing may stand where the text is not even in form.
        if formed && tree.segments.is_empty() {
            mistakes.push(Mistake::at(end, "", What::NoSegment));
        } else if formed && tree.segments.iter().all(|segment| segment.daemons.is_empty()) {
            mistakes.push(Mistake::at(end, "", What::NoDaemon));
        }
        if !mistakes.is_empty() {
            return Err(mistake::in_order(mistakes));
        }
        let mut written: Vec<(String, usize)> = Vec::new();
        for name in tree.options.iter().map(|setting| setting.name) {
            if !written.iter().any(|(known, _)| known == name.text) {
                written.push((name.text.into(), name.place.line));
            }
        }
        warnings.sort_by_key(|warning| warning.line);
        let (segments, daemons) = (members.segments, members.daemons);
        Ok(Self { segments, daemons, options, written, warnings })
    }

    /// The port of a daemon.
    pub fn port_of(&self, daemon: &Daemon) -> u16 {
        self.segments.get(daemon.segment).map_or(DEFAULT_PORT, |segment| segment.port)
    }

    /// Whether the timeouts for far networks count: as written, else if there is more than one segment.
    pub fn is_wide_area(&self) -> bool {
        self.options.wide_area_network.unwrap_or(self.segments.len() > 1)
    }

    /// Whether clients may or must prove themselves with `method`. For [`AuthMethod::Ip`] [`access_file`] is needed.
    pub fn uses(&self, method: AuthMethod) -> bool {
        let Options { allowed_auth_methods, required_auth_methods, .. } = &self.options;
        allowed_auth_methods.contains(&method) || required_auth_methods.contains(&method)
    }

    /// The version of the internet protocol that the daemons speak.
    pub fn family(&self) -> Family {
        let first = self.daemons.first().map_or(Family::V4, |daemon| Family::of(daemon.ip));
        self.options.active_ip_version.unwrap_or(first)
    }
}
