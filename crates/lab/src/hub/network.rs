//! The switches, the cables, and the namespaces of machines and hosts.
//!
//! The hub's own network namespace holds the switch of each site and network (a Linux bridge: `switch`, `switch1`, ...,
//! `net1`, ..., `stub1`, ... behind routers) and one end of each cable (`port1`, `port2`, ...); the other end is an
//! interface of a machine or host. The caller's sockets are made in the hub's namespace, where each switch but those
//! behind routers has an address, or in another place. With several sites it is also the router between them.

use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};

use super::cable::{Cable, Lay};
use super::home::Home;
use super::netlink;
use crate::sockets::Place;
use crate::wire::Cut;

/// The switch's name in the hub's namespace.
const SWITCH: &str = "switch";

/// Whether this network namespace passes on what is not for it.
pub(super) const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// A machine or a host.
pub(super) struct Node {
    pub(super) home: Home,
    cables: Vec<Cable>,
    /// Cables that were removed, as they were laid.
    removed: Vec<Lay>,
}

impl Node {
    pub(super) fn new(home: Home) -> Self {
        Self { home, cables: Vec::new(), removed: Vec::new() }
    }
}

/// Everything that frames pass through.
pub(super) struct Network {
    pub(super) here: Home,
    pub(super) machines: Vec<Node>,
    pub(super) hosts: Vec<Node>,
    pub(super) ipv6: bool,
    pub(super) mtu: u32,
}

impl Network {
    pub(super) fn come_back(&self) -> Result<(), String> {
        self.here.enter().map_err(|e| format!("back to the switch: {e}"))
    }

    pub(super) fn has_ipv6(&self) -> bool {
        self.ipv6
    }

    fn node(&self, place: Place) -> Option<&Node> {
        match place {
            Place::Client => None,
            Place::Machine(index) => self.machines.get(index),
            Place::Host(index) => self.hosts.get(index),
        }
    }

    pub(super) fn home(&self, place: Place) -> Result<&Home, String> {
        if place == Place::Client {
            return Ok(&self.here);
        }
        self.node(place).map(|node| &node.home).ok_or_else(|| nobody(place))
    }

    /// Does something in the namespaces of a place, its files included.
    pub(super) fn in_all_of<T>(
        &self,
        place: Place,
        work: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        self.home(place)?.enter().map_err(|e| format!("moving between namespaces: {e}"))?;
        let done = work();
        self.come_back()?;
        done
    }

    /// Does something in the network of a place.
    pub(super) fn inside<T>(
        &self,
        place: Place,
        work: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        self.home(place)?.inside(&self.here, work)
    }

    /// Makes sockets in a place.
    pub(super) fn sockets(
        &self,
        place: Place,
        (domain, kind, protocol): (i32, i32, u32),
        count: usize,
    ) -> Result<Vec<OwnedFd>, String> {
        let family = AddressFamily::from_raw(domain as u16);
        let kind = SocketType::from_raw(kind as u32);
        let protocol = rustix::net::RawProtocol::new(protocol).map(Protocol::from_raw);
        let make = |_| socket_with(family, kind, SocketFlags::CLOEXEC, protocol);
        let make_all = || {
            let all: Result<Vec<_>, _> = (0..count).map(make).collect();
            all.map_err(|e| e.to_string())
        };
        if place == Place::Client { make_all() } else { self.inside(place, make_all) }
    }

    /// Does something with the cables of a place, with one or with all.
    fn with_cables(
        &mut self,
        place: Place,
        network: Option<usize>,
        mut work: impl FnMut(&mut Cable, &Home, &Home) -> Result<(), String>,
    ) -> Result<(), String> {
        let node = match place {
            Place::Client => None,
            Place::Machine(index) => self.machines.get_mut(index),
            Place::Host(index) => self.hosts.get_mut(index),
        };
        let Node { home, cables, .. } = node.ok_or_else(|| nobody(place))?;
        let mut meant = 0;
        for cable in cables.iter_mut() {
            if network.is_none() || cable.lay.network == network {
                meant += 1;
                work(cable, &self.here, home)?;
            }
        }
        match network {
            Some(network) if meant == 0 => Err(no_cable(network)),
            _ => Ok(()),
        }
    }

    pub(super) fn cut(
        &mut self,
        place: Place,
        network: Option<usize>,
        cut: Cut,
    ) -> Result<(), String> {
        self.with_cables(place, network, |cable, here, home| cable.cut(cut, here, home))
    }

    pub(super) fn heal(&mut self, place: Place, network: Option<usize>) -> Result<(), String> {
        self.with_cables(place, network, Cable::heal)
    }

    /// Moves each group of places to a switch of its own on a network, and all others to their first one.
    pub(super) fn part(&mut self, network: usize, groups: &[Vec<Place>]) -> Result<(), String> {
        for group in 0..groups.len() {
            let name = island(network, group);
            if netlink::index_of(&name).is_err() {
                netlink::run(async |link| link.add_switch(&name, self.mtu).await)?;
            }
        }
        let places = (0..self.machines.len()).map(Place::Machine);
        let places: Vec<_> = places.chain((0..self.hosts.len()).map(Place::Host)).collect();
        for place in places {
            let group = groups.iter().position(|group| group.contains(&place));
            let switch = group.map(|group| island(network, group));
            let here = self.here.duplicate()?;
            let Node { home, cables, .. } = self.node_mut(place)?;
            let mut cables = cables.iter_mut().filter(|c| c.lay.network == Some(network));
            match (cables.next(), &switch) {
                (Some(cable), _) => cable.plug(switch.as_deref(), &here, home)?,
                (None, Some(_)) => return Err(no_cable(network)),
                (None, None) => {}
            }
        }
        Ok(())
    }

    pub(super) fn remove_cable(&mut self, place: Place, network: usize) -> Result<(), String> {
        let node = self.node_mut(place)?;
        let at = node.cables.iter().position(|cable| cable.lay.network == Some(network));
        let cable = node.cables.remove(at.ok_or_else(|| no_cable(network))?);
        let lay = cable.lay.clone();
        node.removed.push(lay);
        cable.remove().map(drop)
    }

    pub(super) fn add_cable(&mut self, place: Place, network: usize) -> Result<(), String> {
        let here = self.here.duplicate()?;
        let node = self.node_mut(place)?;
        let at = node.removed.iter().position(|lay| lay.network == Some(network));
        let at = at.ok_or_else(|| format!("its cable to network {network} was not removed"))?;
        let lay = node.removed.remove(at);
        node.lay(lay, &here).map(drop)
    }

    fn node_mut(&mut self, place: Place) -> Result<&mut Node, String> {
        let node = match place {
            Place::Client => None,
            Place::Machine(index) => self.machines.get_mut(index),
            Place::Host(index) => self.hosts.get_mut(index),
        };
        node.ok_or_else(|| nobody(place))
    }
}

impl Node {
    /// Lays a cable to it. Says whether IPv6 took.
    pub(super) fn lay(&mut self, lay: Lay, here: &Home) -> Result<bool, String> {
        let (cable, ipv6) = Cable::lay(lay, here, &self.home)?;
        self.cables.push(cable);
        Ok(ipv6)
    }
}

/// The name of a site's switch.
pub(super) fn switch(site: usize) -> String {
    if site == 0 { SWITCH.to_owned() } else { format!("{SWITCH}{site}") }
}

/// The name of the switch of a network beside the first.
pub(super) fn beside(network: usize) -> String {
    format!("net{network}")
}

/// The name of the switch of a part of a network that is cut off.
fn island(network: usize, group: usize) -> String {
    format!("island{network}.{group}")
}

/// The name of the switch behind a router.
pub(super) fn stub(router: usize) -> String {
    format!("stub{}", router + 1)
}

pub(super) fn write(path: &str, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|e| format!("{path}: {e}"))
}

/// Passes on what goes from one site to another, or lets it vanish without a word.
pub(super) fn route(passes: bool) -> Result<(), String> {
    write(FORWARDING, if passes { "1" } else { "0" })
        .map_err(|why| format!("the router between sites: {why}"))
}

/// Packets and bytes that the router, or the caller, has sent into a site; what its own machines say to each other is not among them.
pub(super) fn crossed(site: usize) -> Result<(u64, u64), String> {
    let (path, name) = ("/proc/self/net/dev", switch(site));
    let text = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    // Behind the name eight numbers of what was received, then bytes and packets of what was sent.
    let numbers = text.lines().find_map(|line| line.trim().strip_prefix(&name)?.strip_prefix(':'));
    let numbers = numbers.ok_or_else(|| format!("there is no site {site}"))?;
    let mut sent = numbers.split_whitespace().skip(8).map_while(|word| word.parse().ok());
    match (sent.next(), sent.next()) {
        (Some(bytes), Some(packets)) => Ok((packets, bytes)),
        _ => Err(format!("{path} says of {name}: {numbers}")),
    }
}

fn nobody(place: Place) -> String {
    match place {
        Place::Machine(index) => format!("there is no machine {index}"),
        Place::Host(index) => format!("there is no host {index}"),
        Place::Client => "the caller's place has no cable of its own".to_owned(),
    }
}

fn no_cable(network: usize) -> String {
    format!("there is no cable to network {network}")
}
