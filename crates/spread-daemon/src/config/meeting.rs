//! Judging how daemons without a list find each other, and where clients meet them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use base::AddrBlocks;
use ring::DaemonName;
use toml::Spanned;

use super::check::{NEEDS_KEY, unusable};
use super::found::Found;
use super::section::BusSection;
use super::values::SegmentKey;
use super::{
    Around, Auth, BACKLOG, BACKLOG_TIME, Backlog, Clients, DEFAULT_GROUP, DaemonConfig, Data, Flow,
    LISTEN_MAX, Membership, Protection, SEEDS_MAX, SESSIONS, SOCKET_MODE, Seed, SeedHost,
    SegmentTarget, Timing, UnixSocket, nearby,
};
use crate::conf::{Reach, SegmentAddress};

impl Found {
    /// The daemon that finds the others.
    pub(super) fn of_found(&mut self, section: &BusSection, around: &Around<'_>) -> DaemonConfig {
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
            site: section.site.as_ref().map_or(0, |site| site.get_ref().number()),
            data: Data {
                addresses: self.address(section, is_alone).into_iter().collect(),
                port: section.port.get(),
                accept: around.accept.clone(),
            },
            clients: self.clients(section),
            protection,
            timing: if section.site.is_some() { Timing::WIDE_AREA } else { Timing::default() },
            flow: Flow::default(),
            priority: section.priority,
            dangerous_monitor: false,
            privileges: None,
            assumed: Vec::new(),
            warnings: Vec::new(),
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
            Some(list) => self.listen("listen", list),
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
            tls: None,
        }
    }

    /// The addresses that the key `name` lists.
    pub(super) fn listen(&mut self, name: &str, list: &[Spanned<SocketAddr>]) -> Vec<SocketAddr> {
        if let Some(too_many) = list.get(LISTEN_MAX) {
            let message = format!("{} addresses are listed", list.len());
            self.wrong(too_many, name, message, format!("list at most {LISTEN_MAX}"));
        }
        let mut listen: Vec<SocketAddr> = Vec::new();
        for (i, written) in list.iter().enumerate().take(LISTEN_MAX) {
            let address = *written.get_ref();
            let key = format!("{name}[{i}]");
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
}
