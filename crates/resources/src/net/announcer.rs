//! The sockets announcements go out of and come in by, and their groups on every interface.
//!
//! One port per family hears unicast and broadcast, and, when it is bound to every address, the groups
//! too. Bound to one address it cannot hear what is not sent to that address, so groups and broadcasts
//! then get sockets of their own, shared with other programs of this host.
//!
//! Interfaces come and go. The kernel forgets a membership with its interface, so whenever it tells of
//! a change (and every half minute, in case it did not) all groups are joined again where they belong.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base::{Instant, Seldom, Stay};
use tracing::{info, warn};

use super::links::{self, Changes, Link, LinkAddress};
use super::pair::{Pair, Where};
use super::socket::Udp;
use crate::config::{Config, Interface, Target};
use crate::error::StartError;

/// Time after which interfaces are looked at though nothing was said.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Where announcements go and come from.
#[derive(Debug)]
pub(crate) struct Announcer {
    main: Pair,
    /// Sockets for groups and broadcasts, when `main` has one address only.
    shared: Vec<Udp>,
    targets: Vec<Destination>,
    links: Vec<Link>,
    changes: Option<Changes>,
    looked: Instant,
    joined: BTreeSet<(IpAddr, u32)>,
    scanning: Seldom,
}

#[derive(Debug)]
struct Destination {
    target: Target,
    /// Interfaces a group is spoken to on.
    indexes: Vec<u32>,
    sending: Seldom,
    joining: Seldom,
    missing: Seldom,
}

impl Announcer {
    /// Binds the ports and joins the groups.
    pub(crate) fn open(config: &Config, now: Instant) -> Result<Self, StartError> {
        let main = Pair::bind(place(config), config.port).map_err(|(address, error)| {
            StartError::bind("announcements", "announce.port", address, error)
        })?;
        let mut announcer = Self {
            main,
            shared: Vec::new(),
            targets: config.targets.iter().map(Destination::new).collect(),
            links: Vec::new(),
            // Without word of changes the regular look remains.
            changes: Changes::subscribe().ok(),
            looked: Instant::ORIGIN,
            joined: BTreeSet::new(),
            scanning: Seldom::default(),
        };
        announcer.look(now);
        announcer.open_shared(config)?;
        announcer.join(now);
        Ok(announcer)
    }

    /// Every descriptor with announcements.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = &Udp> {
        self.main.each().chain(&self.shared)
    }

    /// The descriptor with word of interfaces.
    pub(crate) fn changes(&self) -> Option<&Changes> {
        self.changes.as_ref()
    }

    /// An address of this machine for its own row: the one configured, else the first that others could
    /// use and that stays on this machine, else loopback.
    pub(crate) fn own_address(&self) -> SocketAddr {
        let bound = self.main.each().find_map(|udp| udp.local().ok());
        let bound = bound.unwrap_or(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 0));
        if !bound.ip().is_unspecified() {
            return bound;
        }
        let ip = best(&self.links).unwrap_or(IpAddr::from([127, 0, 0, 1]));
        SocketAddr::new(ip, bound.port())
    }

    /// Looks at the interfaces if the kernel told of a change or it is time. Cheap otherwise.
    pub(crate) fn refresh(&mut self, now: Instant) {
        let told = self.changes.as_ref().is_some_and(Changes::happened);
        if told || now.since(self.looked) >= LOOK_AGAIN {
            self.look(now);
            self.join(now);
        }
    }

    fn look(&mut self, now: Instant) {
        self.looked = now;
        match links::scan() {
            Ok(links) => self.links = links,
            Err(error) => {
                if let Some(held) = self.scanning.pass(now) {
                    warn!(%error, held, "cannot list the network interfaces; groups stay where they are");
                }
            }
        }
        for destination in &mut self.targets {
            destination.find(&self.links, now);
        }
    }

    fn open_shared(&mut self, config: &Config) -> Result<(), StartError> {
        let Some(own) = config.address else { return Ok(()) };
        let broadcast = |ip: IpAddr| ip.is_ipv4() && !ip.is_loopback() && ip != own;
        let mut wanted: Vec<SocketAddr> = Vec::new();
        for ip in config.targets.iter().map(|target| target.to.ip()) {
            let address = SocketAddr::new(ip, config.port);
            if ip.is_ipv4() == own.is_ipv4()
                && (ip.is_multicast() || broadcast(ip))
                && !wanted.contains(&address)
            {
                wanted.push(address);
            }
        }
        for address in wanted {
            match Udp::bind(address, true) {
                Ok(udp) => self.shared.push(udp),
                // A unicast target looks like a broadcast address until the kernel refuses to bind to it.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {}
                Err(error) => {
                    return Err(StartError::bind("announcements", "announce.port", address, error));
                }
            }
        }
        Ok(())
    }

    fn join(&mut self, now: Instant) {
        let sockets: Vec<&Udp> = self.main.each().chain(&self.shared).collect();
        let hears = |udp: &&&Udp, group: IpAddr| {
            udp.local().is_ok_and(|local| {
                let local = local.ip();
                local.is_ipv4() == group.is_ipv4() && (local.is_unspecified() || local == group)
            })
        };
        let mut wanted = BTreeSet::new();
        for destination in self.targets.iter_mut().filter(|d| d.target.is_multicast()) {
            let group = destination.target.to.ip();
            let Some(udp) = sockets.iter().find(|udp| hears(udp, group)) else { continue };
            for &index in &destination.indexes {
                wanted.insert((group, index));
                match udp.join(group, index) {
                    Ok(()) => {
                        if self.joined.insert((group, index)) {
                            info!(%group, interface = name(&self.links, index), "hearing announcements");
                        }
                    }
                    Err(error) => {
                        if let Some(held) = destination.joining.pass(now) {
                            let interface = name(&self.links, index);
                            warn!(%group, interface, %error, held, "cannot hear announcements there");
                        }
                    }
                }
            }
        }
        // A membership on an interface that is gone counts against the kernel's limit of 20 per socket.
        for (group, index) in self.joined.extract_if(.., |key| !wanted.contains(key)) {
            if let Some(udp) = sockets.iter().find(|udp| hears(udp, group)) {
                udp.leave(group, index);
            }
        }
    }

    /// Sends one announcement everywhere; how many packets went out and how many did not. `seal` makes each packet
    /// anew: one that comes by two ways is then a second hearing and no replay.
    pub(crate) fn send(&mut self, now: Instant, mut seal: impl FnMut() -> Vec<u8>) -> (u64, u64) {
        let (mut sent, mut failed) = (0, 0);
        for destination in &mut self.targets {
            for result in destination.send(&self.main, &mut seal) {
                match result {
                    Ok(()) => sent += 1,
                    Err(error) => {
                        failed += 1;
                        if let Some(held) = destination.sending.pass(now) {
                            warn!(target = %destination.target, %error, held, "announcements do not go out; trying on");
                        }
                    }
                }
            }
        }
        (sent, failed)
    }
}

impl Destination {
    fn new(target: &Target) -> Self {
        Self {
            target: target.clone(),
            indexes: Vec::new(),
            sending: Seldom::default(),
            joining: Seldom::default(),
            missing: Seldom::default(),
        }
    }

    /// Finds the interfaces to use among those there are.
    fn find(&mut self, links: &[Link], now: Instant) {
        let ipv4 = self.target.to.is_ipv4();
        let fits = |link: &&Link| match &self.target.interface {
            None => link.multicast && link.speaks(ipv4),
            Some(Interface::Name(name)) => link.name == *name,
            Some(Interface::Address(ip)) => link.addresses.iter().any(|address| address.ip == *ip),
        };
        self.indexes =
            links.iter().filter(|link| link.up).filter(fits).map(|link| link.index).collect();
        let needs = self.target.is_multicast() || self.target.interface.is_some();
        if needs
            && self.indexes.is_empty()
            && let Some(held) = self.missing.pass(now)
        {
            match &self.target.interface {
                Some(interface) => warn!(
                    target = %self.target.to, %interface, held,
                    "no such interface is up; announcing there again when it comes back"
                ),
                None => warn!(
                    target = %self.target.to, held,
                    "no interface with multicast is up; announcing there when one comes"
                ),
            }
        }
    }

    fn send(&self, main: &Pair, seal: &mut impl FnMut() -> Vec<u8>) -> Vec<io::Result<()>> {
        let Some(udp) = main.for_address(self.target.to) else {
            return vec![Err(io::Error::from(io::ErrorKind::AddrNotAvailable))];
        };
        if self.target.is_multicast() {
            let each = self.indexes.iter();
            return each
                .map(|&index| udp.send_multicast(&seal(), self.target.to, self.target.ttl, index))
                .collect();
        }
        let mut to = self.target.to;
        if let (SocketAddr::V6(to), Some(&index)) = (&mut to, self.indexes.first())
            && self.target.interface.is_some()
        {
            to.set_scope_id(index);
        }
        vec![udp.send(&seal(), to)]
    }
}

/// The addresses to bind to under a configuration.
pub(crate) fn place(config: &Config) -> Where {
    match config.address {
        _ if config.protection.is_alone() => Where::Nowhere,
        Some(ip) => Where::One(ip),
        None if config.protection.is_loopback() => Where::Loopback,
        None => Where::All,
    }
}

/// The address by which this machine is best known: whoever follows one of the cluster is soon at another machine.
fn best(links: &[Link]) -> Option<IpAddr> {
    let up = links.iter().filter(|link| link.up).flat_map(|link| &link.addresses);
    let usable = up.filter(|address| !address.ip.is_loopback());
    let first = usable.min_by_key(|LinkAddress { ip, stay }| {
        let link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        (link_local, *stay == Stay::Shared, ip.is_ipv6(), *stay)
    });
    first.map(|address| address.ip)
}

fn name(links: &[Link], index: u32) -> &str {
    links.iter().find(|link| link.index == index).map_or("?", |link| &link.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An interface with these addresses.
    fn link(index: u32, up: bool, addresses: &[(&str, Stay)]) -> Link {
        let address =
            |(ip, stay): &(&str, Stay)| LinkAddress { ip: ip.parse().unwrap(), stay: *stay };
        let addresses = addresses.iter().map(address).collect();
        Link { index, name: format!("eth{index}"), up, multicast: true, addresses }
    }

    #[test]
    fn a_machine_is_known_by_an_address_that_stays() {
        let known = |links: &[Link]| best(links).map(|ip| ip.to_string()).unwrap_or_default();
        let lo = link(1, true, &[("127.0.0.1", Stay::Own), ("::1", Stay::Own)]);
        let (shared, passing) = (("10.0.0.9", Stay::Shared), ("10.0.0.8", Stay::Passing));
        let down = link(2, false, &[("10.0.1.1", Stay::Own)]);
        let eth =
            link(3, true, &[shared, passing, ("10.0.0.7", Stay::Leased), ("10.0.0.1", Stay::Own)]);
        assert_eq!(known(&[lo.clone(), down.clone(), eth]), "10.0.0.1");
        let leased = link(3, true, &[shared, passing, ("10.0.0.7", Stay::Leased)]);
        assert_eq!(known(&[lo.clone(), down.clone(), leased]), "10.0.0.7");
        // What is there at all is better than none.
        let six = link(3, true, &[("fe80::1", Stay::Own), shared]);
        assert_eq!(known(std::slice::from_ref(&six)), "10.0.0.9");
        let other = link(4, true, &[("fd00::1", Stay::Own)]);
        assert_eq!(known(&[six, other]), "fd00::1");
        assert_eq!(known(&[lo, down]), "");
    }

    #[test]
    fn of_several_addresses_that_stay_it_is_the_first_of_version_4() {
        let all = [("fd00::1", Stay::Own), ("10.0.0.2", Stay::Own), ("10.0.0.1", Stay::Own)];
        assert_eq!(best(&[link(1, true, &all)]), Some(IpAddr::from([10, 0, 0, 2])));
    }
}
