//! What is asked of a lab, and what kind it became.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How many machines, and under which circumstances.
#[derive(Clone, Debug)]
pub struct LabConfig {
    /// How many machines stand on the bench.
    ///
    /// Each costs a network namespace and a cable, about 10 ms and 200 KB. Default 3, at most 64.
    pub machines: usize,
    /// Host names of the machines, in order; those left out are called `m1`, `m2`, ...
    ///
    /// At most 64 bytes each, letters, digits and hyphens.
    pub names: Vec<String>,
    /// The site of each machine, in order, 0 to 7; those left out are at site 0, which is the default for all.
    ///
    /// Each site has a switch and a network of its own. Between sites the bench is the router: of IPv4 only, and multicast stays
    /// where it is. Without effect on [`Kind::Loopback`].
    pub sites: Vec<u8>,
    /// Largest packet of every cable, in bytes. Default 1500, between 1280 and 65535.
    pub mtu: u32,
    /// Folders of which every machine has its own, empty at the start and gone with the lab, such as `/tmp` for Unix sockets.
    ///
    /// Absolute. Default none. Without effect on [`Kind::Loopback`].
    pub private: Vec<PathBuf>,
    /// Folders inside the private ones that machines share with the caller all the same. Absolute. Default none.
    pub shared: Vec<PathBuf>,
    /// What every machine calls its first interface. Default `eth0`; 1 to 15 letters, digits, `.`, `-` or `_`.
    pub interface: String,
    /// Networks beside the first, which has the index 0: the first of these has the index 1. Default none, at most 8.
    ///
    /// Only where there are cables; elsewhere a lab with any of these is not made.
    pub networks: Vec<NetworkConfig>,
    /// Clients and routers in namespaces of their own, [`crate::Place::Host`]. Default none, at most 32, only where there are cables.
    pub hosts: Vec<HostConfig>,
    /// Which kind of lab will do. Default [`Wish::Namespaces`].
    pub wish: Wish,
    /// Whether every machine gets a control group of its own. Default [`CgroupWish::IfPossible`].
    pub cgroups: CgroupWish,
}

impl Default for LabConfig {
    fn default() -> Self {
        Self {
            machines: 3,
            names: Vec::new(),
            sites: Vec::new(),
            mtu: 1500,
            private: Vec::new(),
            shared: Vec::new(),
            interface: "eth0".to_owned(),
            networks: Vec::new(),
            hosts: Vec::new(),
            wish: Wish::Namespaces,
            cgroups: CgroupWish::IfPossible,
        }
    }
}

/// A network beside the first: a switch of its own, and a further cable to machines.
///
/// Network `k` is `10.78.k.0/24` and `fd78:k::/64`; machine `i` (from 0) is host `i + 1` there, the caller is host 254.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkConfig {
    /// What the machines call their interface there, as [`LabConfig::interface`]; differs from their other ones.
    pub interface: String,
    /// Which machines have a cable to it; `None` is all.
    pub machines: Option<Vec<usize>>,
}

impl NetworkConfig {
    /// A network to which every machine has a cable, called like this.
    pub fn new(interface: impl Into<String>) -> Self {
        Self { interface: interface.into(), machines: None }
    }

    /// Only these machines have a cable to it.
    #[must_use]
    pub fn only(mut self, machines: impl IntoIterator<Item = usize>) -> Self {
        self.machines = Some(machines.into_iter().collect());
        self
    }

    pub(crate) fn has(&self, machine: usize) -> bool {
        self.machines.as_ref().is_none_or(|some| some.contains(&machine))
    }
}

/// Where the cable of a host ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leg {
    /// At this network, counted from 0, the first.
    Network(usize),
    /// Behind the host with this index, which is a router by that, on a network that only it and those behind it have.
    Behind(usize),
}

/// A client, or a router when others are behind it: a namespace with a neighbour table and nothing running.
///
/// Host `h` (from 0) is host `200 + h` of its network, and calls its interface `eth0`. A router calls the other one
/// `eth1`, passes on both families, and is host 254 of `10.79.(h + 1).0/24` and `fd79:(h + 1)::/64`. Everybody on the
/// router's network knows the way there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostConfig {
    /// Where it is.
    pub leg: Leg,
    /// Its default routes, one per family at most. Behind a router, the router is it unless told otherwise.
    pub gateways: Vec<IpAddr>,
}

impl HostConfig {
    /// A host on this network, counted from 0, without a default route.
    #[must_use]
    pub fn on(network: usize) -> Self {
        Self { leg: Leg::Network(network), gateways: Vec::new() }
    }

    /// A client behind the host with this index.
    #[must_use]
    pub fn behind(router: usize) -> Self {
        Self { leg: Leg::Behind(router), gateways: Vec::new() }
    }

    /// Adds a default route.
    #[must_use]
    pub fn gateway(mut self, gateway: impl Into<IpAddr>) -> Self {
        self.gateways.push(gateway.into());
        self
    }
}

/// Which kinds of lab the caller accepts, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Real namespaces: inside a user namespace where that is allowed, else as root directly.
    Namespaces,
    /// Only inside a user namespace, as an ordinary user would have it.
    UserNamespaces,
    /// Only as root, without a user namespace.
    RootNamespaces,
    /// Namespaces where possible, else [`Kind::Loopback`].
    Anything,
    /// Only [`Kind::Loopback`]: for seeing what happens where nothing else is allowed.
    Loopback,
}

/// Whether machines get control groups (processor quota, memory limit, own pressure figures).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupWish {
    /// No control groups are made.
    No,
    /// Made where the caller may; otherwise [`crate::Machine::throttle`] says why not.
    IfPossible,
    /// The lab does not start without them.
    Required,
}

/// What a lab is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Namespaces inside a user namespace; no privilege needed.
    UserNamespaces,
    /// Namespaces made directly by root.
    RootNamespaces,
    /// No namespaces: addresses of the loopback network tell the machines apart.
    ///
    /// Processes and sockets work as ever, cables do not exist: [`crate::Machine::cut`] is refused.
    Loopback,
}

impl Kind {
    /// Whether machines have cables that can be cut.
    #[must_use]
    pub fn has_cables(self) -> bool {
        self != Kind::Loopback
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::UserNamespaces => "network namespaces inside a user namespace",
            Kind::RootNamespaces => "network namespaces made by root",
            Kind::Loopback => "loopback addresses only",
        })
    }
}
