//! Building the network: first the switches, then machines and hosts with their cables, then the ways through routers.

use std::net::IpAddr;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::system::sethostname;
use rustix::thread::UnshareFlags;

use super::cable::Lay;
use super::home::Home;
use super::network::{FORWARDING, Network, Node, beside, route, stub, switch, write};
use super::{folders, netlink};
use crate::address::{Both, Plan};
use crate::config::Leg;
use crate::sockets::Place;
use crate::starter::unshare;
use crate::wire::Setup;

/// Whether this network namespace passes on what is not for it, by IPv6.
const FORWARDING6: &str = "/proc/sys/net/ipv6/conf/all/forwarding";

/// Whether interfaces that are yet to come look for others that have their addresses.
const DETECTION: &str = "/proc/sys/net/ipv6/conf/default/accept_dad";

/// A host's end of its cable, and that of a router's second one.
const HOST_INTERFACES: [&str; 2] = ["eth0", "eth1"];

/// Why the network was not built.
pub(super) enum BuildError {
    /// `/proc` cannot be mounted, and without it a process namespace would make processes misread themselves.
    NoProcessNamespace(String),
    Other(String),
}

impl From<String> for BuildError {
    fn from(why: String) -> Self {
        BuildError::Other(why)
    }
}

impl Network {
    pub(super) fn build(setup: &Setup) -> Result<Self, BuildError> {
        if !setup.network_namespaces {
            let machines = setup.names.iter().map(|_| Node::new(Home::nowhere())).collect();
            let here = Home::nowhere();
            return Ok(Self { here, machines, hosts: Vec::new(), ipv6: false, mtu: setup.mtu });
        }
        enter_own_namespaces(setup)?;
        let (machines, hosts) = (Vec::new(), Vec::new());
        let mut network =
            Self { here: Home::current()?, machines, hosts, ipv6: true, mtu: setup.mtu };
        netlink::run(async |link| link.up_by_name("lo").await)?;
        let plan = &setup.plan;
        for site in 0..plan.sites() {
            let addresses = Both { v4: plan.client(site), v6: plan.client6(site) };
            network.add_switch(&switch(site), Some(addresses), setup.mtu)?;
        }
        for index in 1..=plan.networks.len() {
            network.add_switch(&beside(index), plan.on(Place::Client, index), setup.mtu)?;
        }
        if plan.sites() > 1 {
            route(true)?;
        }
        for (index, name) in setup.names.iter().enumerate() {
            network.add_machine(index, name, setup)?;
        }
        for index in 0..plan.hosts.len() {
            network.add_host(index, setup)?;
        }
        for router in (0..plan.hosts.len()).filter(|host| plan.is_router(*host)) {
            network.tell_way_through(router, setup)?;
        }
        Ok(network)
    }

    fn add_switch(&mut self, name: &str, ours: Option<Both>, mtu: u32) -> Result<(), String> {
        self.ipv6 &= netlink::run(async |link| {
            link.add_switch(name, mtu).await?;
            match ours {
                Some(ours) => link.settle(name, ours).await,
                None => Ok(true),
            }
        })?;
        Ok(())
    }

    fn add_machine(&mut self, index: usize, name: &str, setup: &Setup) -> Result<(), String> {
        let place = Place::Machine(index);
        let home = self.new_home(name, || folders::make_private(&setup.private, &setup.shared))?;
        let mut node = Node::new(home);
        let names = std::iter::once(&setup.interface);
        let names = names.chain(setup.plan.networks.iter().map(|network| &network.interface));
        for (network, interface) in names.enumerate() {
            let Some(addresses) = setup.plan.on(place, network) else { continue };
            let (switch, port) = match network {
                0 => (switch(setup.plan.site(index)), format!("port{}", index + 1)),
                _ => (beside(network), format!("port{}.{network}", index + 1)),
            };
            let (network, interface, mtu) = (Some(network), interface.clone(), setup.mtu);
            let lay = Lay { network, port, switch, interface, addresses, mtu };
            self.ipv6 &= node.lay(lay, &self.here)?;
        }
        let gateway = setup.plan.client(setup.plan.site(index));
        node.home.inside(&self.here, || {
            netlink::run(async |link| link.add_route(None, gateway.into()).await)
        })?;
        self.machines.push(node);
        Ok(())
    }

    fn add_host(&mut self, index: usize, setup: &Setup) -> Result<(), String> {
        let plan = &setup.plan;
        let name = format!("h{}", index + 1);
        let (Some(host), Some(addresses)) = (plan.hosts.get(index), plan.host_at(index)) else {
            return Err(format!("there is no host {index}"));
        };
        let home = self.new_home(&name, || {
            // A router whose link-local address is still being looked for cannot ask for neighbours: for up to two
            // seconds it passes no IPv6 on. Nobody else has that address here. Without IPv6 there is no such file.
            drop(std::fs::write(DETECTION, "0"));
            Ok(())
        })?;
        let mut node = Node::new(home);
        let lay = |network, port, switch, interface: &str, addresses| {
            let (interface, mtu) = (interface.to_owned(), setup.mtu);
            Lay { network, port, switch, interface, addresses, mtu }
        };
        let port = format!("host{}", index + 1);
        let [first, second] = HOST_INTERFACES;
        let (network, its_switch, mut gateways) = match host.leg {
            Leg::Network(0) => (Some(0), switch(0), Vec::new()),
            Leg::Network(network) => (Some(network), beside(network), Vec::new()),
            Leg::Behind(router) => {
                let Both { v4, v6 } = Plan::stub(router);
                (None, stub(router), vec![IpAddr::V4(v4), IpAddr::V6(v6)])
            }
        };
        if let Leg::Behind(_) = host.leg
            && netlink::index_of(&its_switch).is_err()
        {
            self.add_switch(&its_switch, None, setup.mtu)?;
        }
        self.ipv6 &= node.lay(lay(network, port, its_switch, first, addresses), &self.here)?;
        if plan.is_router(index) {
            let (port, its_switch) = (format!("host{}.1", index + 1), stub(index));
            if netlink::index_of(&its_switch).is_err() {
                self.add_switch(&its_switch, None, setup.mtu)?;
            }
            let lay = lay(None, port, its_switch, second, Plan::stub(index));
            self.ipv6 &= node.lay(lay, &self.here)?;
            node.home.inside(&self.here, || {
                write(FORWARDING, "1")?;
                // Without IPv6 there is nothing to pass on.
                if self.ipv6 { write(FORWARDING6, "1") } else { Ok(()) }
            })?;
        }
        if !host.gateways.is_empty() {
            gateways = host.gateways.clone();
        }
        gateways.retain(|gateway| gateway.is_ipv4() || self.ipv6);
        node.home.inside(&self.here, || {
            netlink::run(async |link| {
                for gateway in gateways {
                    link.add_route(None, gateway).await?;
                }
                Ok(())
            })
        })?;
        self.hosts.push(node);
        Ok(())
    }

    /// Tells everybody on a router's network the way to those behind it.
    fn tell_way_through(&self, router: usize, setup: &Setup) -> Result<(), String> {
        let plan = &setup.plan;
        let Some(Leg::Network(network)) = plan.hosts.get(router).map(|host| host.leg) else {
            return Err(format!("there is no router {router}"));
        };
        let (Some(via), behind) = (plan.host_at(router), Plan::stub(router)) else {
            return Err(format!("there is no router {router}"));
        };
        let tell = || {
            netlink::run(async |link| {
                let to = Some((behind.v4.into(), Plan::PREFIX4));
                link.add_route(to, via.v4.into()).await?;
                if self.ipv6 {
                    let to = Some((behind.v6.into(), Plan::PREFIX6));
                    link.add_route(to, via.v6.into()).await?;
                }
                Ok(())
            })
        };
        tell()?;
        let nodes = self.machines.iter().enumerate().map(|(i, node)| (Place::Machine(i), node));
        let hosts = self.hosts.iter().enumerate().map(|(h, node)| (Place::Host(h), node));
        for (place, node) in nodes.chain(hosts) {
            if place != Place::Host(router) && plan.on(place, network).is_some() {
                node.home.inside(&self.here, tell)?;
            }
        }
        Ok(())
    }

    /// Namespaces under a host name of their own, furnished from inside.
    fn new_home(
        &self,
        name: &str,
        furnish: impl FnOnce() -> Result<(), String>,
    ) -> Result<Home, String> {
        unshare(UnshareFlags::NEWNET | UnshareFlags::NEWUTS | UnshareFlags::NEWNS)
            .map_err(|e| format!("namespaces for {name}: {e}"))?;
        sethostname(name.as_bytes()).map_err(|e| format!("host name {name}: {e}"))?;
        furnish()?;
        netlink::run(async |link| link.up_by_name("lo").await)?;
        let home = Home::current()?;
        self.come_back()?;
        Ok(home)
    }
}

/// The hub's own namespaces, with a `/proc` that fits its process namespace.
fn enter_own_namespaces(setup: &Setup) -> Result<(), BuildError> {
    unshare(UnshareFlags::NEWNET | UnshareFlags::NEWUTS | UnshareFlags::NEWNS)
        .map_err(|e| format!("network, host name and mount namespaces: {e}"))?;
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .map_err(|e| format!("making mounts private: {e}"))?;
    if setup.process_namespace {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("proc", "/proc", "proc", flags, None)
            .map_err(|e| BuildError::NoProcessNamespace(format!("mounting /proc: {e}")))?;
    }
    Ok(())
}
