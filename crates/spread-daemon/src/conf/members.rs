//! Segments and daemons judged: addresses, names, ids, interfaces, and the limits.

use std::net::IpAddr;

use ring::DaemonName;
use ring::name::NAME_MAX;

use super::address::{self, DEFAULT_PORT, Family, Reach, SegmentAddress};
use super::lexer::Token;
use super::mistake::{Mistake, What};
use super::parser;
use super::settings;
use super::{
    ADDRESSES_MAX, DAEMONS_MAX, Daemon, INTERFACES_MAX, Interface, Resolve, SEGMENTS_MAX, Segment,
    Warning,
};

/// What judging has found so far.
pub(super) struct Members<'r> {
    pub(super) segments: Vec<Segment>,
    pub(super) daemons: Vec<Daemon>,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) warnings: Vec<Warning>,
    /// Daemons looked at, good and bad: a name may have to be looked up for each.
    seen: usize,
    /// The version all addresses must have, once it is known.
    family: Option<Family>,
    resolve: &'r mut Resolve<'r>,
}

impl<'r> Members<'r> {
    pub(super) fn new(family: Option<Family>, resolve: &'r mut Resolve<'r>) -> Self {
        let (segments, daemons) = (Vec::new(), Vec::new());
        let (mistakes, warnings) = (Vec::new(), Vec::new());
        Self { segments, daemons, mistakes, warnings, seen: 0, family, resolve }
    }

    fn wrong(&mut self, token: &Token<'_>, what: What) {
        self.mistakes.push(Mistake::new(token, what));
    }

    fn warn(&mut self, token: &Token<'_>, text: impl Into<String>) {
        self.warnings.push(Warning { line: token.place.line, text: text.into() });
    }

    /// Judges one segment after the other. What is beyond a limit is told once and not looked at.
    pub(super) fn judge(&mut self, segments: &[parser::Segment<'_>]) {
        for (i, segment) in segments.iter().enumerate() {
            if i == SEGMENTS_MAX {
                return self.wrong(&segment.head, What::Segments);
            }
            let (addresses, port) = self.addresses(segment);
            let line = segment.head.place.line;
            self.segments.push(Segment { addresses, port, line });
            for daemon in &segment.daemons {
                if self.seen == DAEMONS_MAX {
                    return self.wrong(&daemon.name, What::Daemons);
                }
                self.seen += 1;
                if let Some(daemon) = self.daemon(daemon, i, port) {
                    self.daemons.push(daemon);
                }
            }
        }
    }

    fn addresses(&mut self, segment: &parser::Segment<'_>) -> (Vec<SegmentAddress>, u16) {
        let mut addresses = Vec::new();
        let mut port = DEFAULT_PORT;
        for (i, token) in segment.addresses.iter().enumerate() {
            if i == ADDRESSES_MAX {
                self.wrong(token, What::Addresses);
                break;
            }
            match address::segment(token.text) {
                Err(what) => self.wrong(token, what),
                Ok((_, Some(_))) if i > 0 => self.wrong(token, What::PortHere),
                Ok((address, _)) if address.ip.is_unspecified() => {
                    self.wrong(token, What::Unspecified);
                }
                Ok((address, written)) => {
                    port = written.unwrap_or(port);
                    self.reach(token, &address, segment.daemons.len());
                    addresses.push(address);
                }
            }
        }
        (addresses, port)
    }

    /// Says what will not be as somebody may think.
    fn reach(&mut self, token: &Token<'_>, address: &SegmentAddress, daemons: usize) {
        if address.ip.is_loopback() {
            let text = format!("segment {address} is on loopback: no other machine is reached");
            self.warn(token, text);
        } else if address.reach() == Reach::One && (daemons > 1 || address.ip.is_ipv6()) {
            let text = format!(
                "segment {address} is neither a multicast address nor one that ends in 255: its daemons are spoken to one by one"
            );
            self.warn(token, text);
        }
    }

    fn daemon(
        &mut self,
        written: &parser::Daemon<'_>,
        segment: usize,
        port: u16,
    ) -> Option<Daemon> {
        let name = self.name(&written.name);
        let ip = self.ip(written);
        let id = written.id.map(|token| (token, settings::number(token.text, 1)));
        let id = match id {
            Some((token, Err(what))) => {
                self.wrong(&token, what);
                None
            }
            Some((_, Ok(id))) => Some(id),
            None => name.map(|name| name.virtual_id()),
        };
        let interfaces = self.interfaces(written, ip);
        let daemon = Daemon {
            name: name?,
            ip: ip?,
            segment,
            id: id?,
            id_is_written: written.id.is_some(),
            interfaces,
            line: written.name.place.line,
        };
        self.is_the_only(&daemon, written, port).then_some(daemon)
    }

    /// Whether no daemon before has its name, address or id.
    fn is_the_only(&mut self, daemon: &Daemon, written: &parser::Daemon<'_>, port: u16) -> bool {
        let before = self.mistakes.len();
        let find = |same: &dyn Fn(&Daemon) -> bool| {
            self.daemons.iter().find(|other| same(other)).map(|other| other.line)
        };
        let name = find(&|other| other.name == daemon.name);
        let address = find(&|other| {
            other.ip == daemon.ip && self.segments.get(other.segment).map(|s| s.port) == Some(port)
        });
        let id = find(&|other| other.id == daemon.id);
        if let Some(line) = name {
            self.wrong(&written.name, What::NameTwice(line));
        } else if let Some(line) = id {
            let token = written.id.unwrap_or(written.name);
            self.wrong(&token, What::IdTwice { line, id: daemon.id });
        }
        if let Some(line) = address {
            let token = written.address.unwrap_or(written.name);
            self.wrong(&token, What::AddressTwice(line));
        }
        self.mistakes.len() == before
    }

    fn name(&mut self, token: &Token<'_>) -> Option<DaemonName> {
        let bytes = token.text.as_bytes();
        let kept = &bytes[..bytes.len().min(NAME_MAX)];
        match DaemonName::new(kept) {
            Ok(name) => {
                if kept.len() < bytes.len() {
                    let length = bytes.len();
                    let text = format!(
                        "the name of the daemon has {length} bytes and is cut to {NAME_MAX}: {name}"
                    );
                    self.warn(token, text);
                }
                Some(name)
            }
            Err(error) => {
                self.wrong(token, What::Name(error));
                None
            }
        }
    }

    fn ip(&mut self, written: &parser::Daemon<'_>) -> Option<IpAddr> {
        let token = written.address.unwrap_or(written.name);
        let found = match written.address {
            Some(token) => address::machine(token.text),
            None => (self.resolve)(token.text, self.family).map_err(What::Unresolved),
        };
        match found.and_then(|ip| self.is_possible(ip).map(|()| ip)) {
            Ok(ip) => Some(ip),
            Err(what) => {
                self.wrong(&token, what);
                None
            }
        }
    }

    /// Whether a daemon can have this address. That of the first daemon says what version the others have.
    fn is_possible(&mut self, ip: IpAddr) -> Result<(), What> {
        if ip.is_unspecified() {
            return Err(What::Unspecified);
        }
        if ip.is_multicast() {
            return Err(What::Multicast);
        }
        let family = *self.family.get_or_insert(Family::of(ip));
        if Family::of(ip) == family { Ok(()) } else { Err(What::Family(family)) }
    }

    fn interfaces(&mut self, written: &parser::Daemon<'_>, own: Option<IpAddr>) -> Vec<Interface> {
        let Some(list) = &written.interfaces else { return Vec::new() };
        if let Some(first_too_many) = list.get(INTERFACES_MAX) {
            self.wrong(&first_too_many.address, What::Interfaces);
            return Vec::new();
        }
        let mut interfaces = Vec::new();
        for interface in list {
            let token = interface.address;
            let ip = address::machine(token.text).and_then(|ip| match self.family {
                Some(family) if Family::of(ip) != family => Err(What::Family(family)),
                _ if ip.is_multicast() => Err(What::Multicast),
                _ => Ok(ip),
            });
            let parser::Interface { monitor, clients, data, .. } = *interface;
            match ip {
                Ok(ip) => interfaces.push(Interface { ip, monitor, clients, data }),
                Err(what) => self.wrong(&token, what),
            }
        }
        let covers = |own: &IpAddr| {
            let data = interfaces.iter().filter(|interface| interface.data);
            data.map(|interface| interface.ip).any(|ip| ip == *own || ip.is_unspecified())
        };
        let all = interfaces.len() == list.len();
        if let Some(own) = own.filter(|own| all && !list.is_empty() && !covers(own)) {
            self.wrong(&written.name, What::NoData(own));
        }
        interfaces
    }
}
