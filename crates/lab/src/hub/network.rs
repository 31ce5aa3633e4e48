//! The switch, the cables and the machines' namespaces.
//!
//! The hub's own network namespace holds the switch of each site (a Linux bridge: `switch`, `switch1`, ...) and one end of each cable (`port1`,
//! `port2`, ...); the other end is `eth0` of a machine. The caller's sockets are made in the hub's namespace, where the
//! switch has an address, or in a machine's. With several sites it is also the router between them.
//!
//! The hub steps into a machine's namespace for one action and back. It has one thread, so nobody sees it away.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use rtnetlink::packet_route::link::InfoBridgePort;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::system::sethostname;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::{folders, netlink};
use crate::address::Plan;
use crate::sockets::Place;
use crate::starter::unshare;
use crate::wire::{Cut, Setup};

/// The switch's name in the hub's namespace.
const SWITCH: &str = "switch";

/// Whether this network namespace passes on what is not for it.
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// A machine's end of its cable.
const INTERFACE: &str = "eth0";

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

/// Namespaces one can move into. On loopback there are none, and entering does nothing.
#[derive(Debug)]
pub(super) struct Home {
    spaces: Vec<(LinkNameSpaceType, File)>,
}

impl Home {
    fn current() -> Result<Self, String> {
        let open = |name: &str, kind| {
            let path = format!("/proc/self/ns/{name}");
            File::open(&path).map(|file| (kind, file)).map_err(|e| format!("{path}: {e}"))
        };
        Ok(Self {
            spaces: vec![
                open("net", LinkNameSpaceType::Network)?,
                open("uts", LinkNameSpaceType::HostNameAndNISDomainName)?,
                // Last: it changes what paths mean.
                open("mnt", LinkNameSpaceType::Mount)?,
            ],
        })
    }

    pub(super) fn duplicate(&self) -> Result<Self, String> {
        let copy = |(kind, file): &(LinkNameSpaceType, File)| Ok((*kind, file.try_clone()?));
        let spaces: std::io::Result<_> = self.spaces.iter().map(copy).collect();
        spaces.map(|spaces| Self { spaces }).map_err(|e| e.to_string())
    }

    /// Moves the calling process into all of them, and into the root of the file system; only system calls.
    pub(super) fn enter(&self) -> std::io::Result<()> {
        for (kind, file) in &self.spaces {
            move_into_link_name_space(file.as_fd(), Some(*kind))?;
        }
        Ok(())
    }

    /// All processes that are in this network now; `None` where there is none to be in.
    pub(super) fn inhabitants(&self) -> Option<Vec<i32>> {
        let (_, network) = self.spaces.first()?;
        let ours = network.metadata().ok()?.ino();
        let all = std::fs::read_dir("/proc").ok()?;
        let numbers = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let lives_here = |number: &i32| {
            // Those that have ended meanwhile, or belong to others, do not answer.
            std::fs::metadata(format!("/proc/{number}/ns/net")).is_ok_and(|m| m.ino() == ours)
        };
        Some(numbers.filter(lives_here).collect())
    }

    /// Moves the calling process into the network only.
    fn enter_network(&self) -> std::io::Result<()> {
        if let Some((kind, file)) = self.spaces.first() {
            move_into_link_name_space(file.as_fd(), Some(*kind))?;
        }
        Ok(())
    }
}

struct Cable {
    home: Home,
    /// Index of the switch's end; 0 on loopback.
    port: u32,
    pulled: bool,
    mute: bool,
    /// All other cuts that are in force.
    others: Vec<Cut>,
}

/// Everything that frames pass through.
pub(super) struct Network {
    here: Home,
    cables: Vec<Cable>,
    ipv6: bool,
}

impl Network {
    pub(super) fn build(setup: &Setup) -> Result<Self, BuildError> {
        if !setup.network_namespaces {
            let none = || Home { spaces: Vec::new() };
            let cable =
                |_| Cable { home: none(), port: 0, pulled: false, mute: false, others: Vec::new() };
            let cables = setup.names.iter().map(cable).collect();
            return Ok(Self { here: none(), cables, ipv6: false });
        }
        enter_own_namespaces(setup)?;
        let mut network = Self { here: Home::current()?, cables: Vec::new(), ipv6: false };
        netlink::run(async |link| {
            link.up_by_name("lo").await?;
            for site in 0..setup.plan.sites() {
                link.add_switch(&switch(site), setup.mtu).await?;
            }
            Ok(())
        })?;
        let plan = &setup.plan;
        network.ipv6 = true;
        for site in 0..plan.sites() {
            let (v4, v6) = (plan.client(site).into(), plan.client6(site).into());
            network.ipv6 &= addresses(&switch(site), v4, v6, None)?;
        }
        if plan.sites() > 1 {
            route(true)?;
        }
        for (index, name) in setup.names.iter().enumerate() {
            network.add_machine(index, name, setup)?;
        }
        Ok(network)
    }

    fn add_machine(&mut self, index: usize, name: &str, setup: &Setup) -> Result<(), String> {
        unshare(UnshareFlags::NEWNET | UnshareFlags::NEWUTS | UnshareFlags::NEWNS)
            .map_err(|e| format!("namespaces for {name}: {e}"))?;
        sethostname(name.as_bytes()).map_err(|e| format!("host name {name}: {e}"))?;
        folders::make_private(&setup.private, &setup.shared)?;
        let home = Home::current()?;
        self.come_back()?;
        let port_name = format!("port{}", index + 1);
        let network = home.spaces[0].1.as_raw_fd();
        netlink::run(async |link| {
            link.add_cable(&port_name, INTERFACE, network, setup.mtu).await?;
            link.plug_in(&port_name, &switch(setup.plan.site(index))).await
        })?;
        let port = netlink::index_of(&port_name)?;
        let plan = &setup.plan;
        home.enter_network().map_err(|e| e.to_string())?;
        let inside = netlink::run(async |link| link.up_by_name("lo").await).and_then(|()| {
            let gateway = Some(plan.client(plan.site(index)));
            addresses(INTERFACE, plan.machine(index).into(), plan.machine6(index).into(), gateway)
        });
        self.come_back()?;
        self.ipv6 &= inside?;
        let cable = Cable { home, port, pulled: false, mute: false, others: Vec::new() };
        self.wait_for(&cable)?;
        self.cables.push(cable);
        Ok(())
    }

    /// Waits until frames pass through both ends of a cable.
    fn wait_for(&self, cable: &Cable) -> Result<(), String> {
        netlink::run(async |link| link.wait_until_passing(cable.port).await)?;
        cable.home.enter_network().map_err(|e| e.to_string())?;
        let inside =
            netlink::run(async |link| link.wait_until_passing(netlink::index_of(INTERFACE)?).await);
        self.come_back()?;
        inside
    }

    fn come_back(&self) -> Result<(), String> {
        self.here.enter().map_err(|e| format!("back to the switch: {e}"))
    }

    pub(super) fn has_ipv6(&self) -> bool {
        self.ipv6
    }

    pub(super) fn home(&self, place: Place) -> Result<&Home, String> {
        match place {
            Place::Client => Ok(&self.here),
            Place::Machine(index) => {
                self.cables.get(index).map(|cable| &cable.home).ok_or_else(|| no_machine(index))
            }
        }
    }

    /// Makes a socket in a place.
    pub(super) fn socket(&self, place: Place, domain: i32, kind: i32) -> Result<OwnedFd, String> {
        let family = AddressFamily::from_raw(domain as u16);
        let kind = SocketType::from_raw(kind as u32);
        let make = || socket_with(family, kind, SocketFlags::CLOEXEC, None);
        let away = |e: std::io::Error| format!("moving between namespaces: {e}");
        let made = match place {
            Place::Client => make(),
            Place::Machine(_) => {
                self.home(place)?.enter_network().map_err(away)?;
                let made = make();
                self.here.enter_network().map_err(away)?;
                made
            }
        };
        made.map_err(|e| e.to_string())
    }

    pub(super) fn cut(&mut self, machine: usize, cut: Cut) -> Result<(), String> {
        let cable = self.cables.get_mut(machine).ok_or_else(|| no_machine(machine))?;
        let port = cable.port;
        match cut {
            Cut::Carrier => {
                netlink::run(async |link| link.set_up(port, false).await)?;
                cable.pulled = true;
            }
            Cut::PortMute => {
                // A port that is down has no state to change, and nothing left to silence.
                if !cable.pulled {
                    netlink::run(async |link| link.set_forwarding(port, false).await)?;
                    cable.mute = true;
                }
            }
            other => {
                self.set_other(machine, other, true)?;
                let others = &mut self.cables[machine].others;
                if !others.contains(&other) {
                    others.push(other);
                }
            }
        }
        Ok(())
    }

    /// Makes or mends a cut that leaves the port as it is.
    fn set_other(&self, machine: usize, cut: Cut, made: bool) -> Result<(), String> {
        let cable = &self.cables[machine];
        let port = cable.port;
        match cut {
            Cut::Deaf => netlink::run(async |link| link.set_swallowing(port, made).await),
            Cut::Dumb => {
                cable.home.enter_network().map_err(|e| e.to_string())?;
                let set = netlink::run(async |link| {
                    link.set_swallowing(netlink::index_of(INTERFACE)?, made).await
                });
                self.come_back()?;
                set
            }
            Cut::Multicast => {
                let flood = InfoBridgePort::MulticastFlood(!made);
                netlink::run(async |link| link.set_port(port, flood).await)
            }
            Cut::Apart => {
                let apart = InfoBridgePort::Isolated(made);
                netlink::run(async |link| link.set_port(port, apart).await)
            }
            Cut::Carrier | Cut::PortMute => Ok(()),
        }
    }

    pub(super) fn heal(&mut self, machine: usize) -> Result<(), String> {
        let cable = self.cables.get_mut(machine).ok_or_else(|| no_machine(machine))?;
        let port = cable.port;
        if std::mem::take(&mut cable.pulled) {
            // A port that comes up forwards at once: the switch speaks no spanning tree.
            netlink::run(async |link| link.set_up(port, true).await)?;
            cable.mute = false;
        }
        if std::mem::take(&mut cable.mute) {
            netlink::run(async |link| link.set_forwarding(port, true).await)?;
        }
        for cut in std::mem::take(&mut self.cables[machine].others) {
            self.set_other(machine, cut, false)?;
        }
        self.wait_for(&self.cables[machine])
    }
}

/// The name of a site's switch.
fn switch(site: usize) -> String {
    if site == 0 { SWITCH.to_owned() } else { format!("{SWITCH}{site}") }
}

/// Passes on what goes from one site to another, or lets it vanish without a word.
pub(super) fn route(passes: bool) -> Result<(), String> {
    let text = if passes { "1" } else { "0" };
    std::fs::write(FORWARDING, text)
        .map_err(|e| format!("the router between sites: {FORWARDING}: {e}"))
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

fn no_machine(index: usize) -> String {
    format!("there is no machine {index}")
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

/// Gives an interface of the current namespace its addresses and brings it up. Says whether IPv6 took.
fn addresses(
    interface: &str,
    v4: IpAddr,
    v6: IpAddr,
    gateway: Option<std::net::Ipv4Addr>,
) -> Result<bool, String> {
    netlink::run(async |link| {
        link.add_address(interface, v4, Plan::PREFIX4).await?;
        link.up_by_name(interface).await?;
        if let Some(gateway) = gateway {
            link.add_default_route(gateway).await?;
        }
        Ok(())
    })?;
    Ok(netlink::run(async |link| link.add_address(interface, v6, Plan::PREFIX6).await).is_ok())
}
