//! What reaches all daemons of a segment at once: multicast groups and broadcast addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use base::Stay;
use socket2::SockAddr;

use super::Link;
use super::interfaces::{self, InterfaceAddress};
use super::socket::Udp;
use super::watch::Watch;
use crate::conf::Reach;
use crate::config::{DaemonConfig, Interface, Membership, SegmentTarget};
use crate::error::StartError;

/// Where something for all of a segment goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) to: SockAddr,
    pub(super) socket: usize,
    /// The interface to send through, with the IPv4 address to send from unless the kernel is to choose one, if it has to be chosen.
    pub(super) through: Option<(u32, Option<Ipv4Addr>)>,
}

impl Group {
    fn on(address: &InterfaceAddress, to: SocketAddr, socket: usize) -> Self {
        let v4 = match address.ip {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        };
        Self { to: to.into(), socket, through: Some((address.index, v4)) }
    }

    fn interface(&self) -> Option<u32> {
        self.through.map(|(interface, _)| interface)
    }
}

impl Link {
    /// Speaks to the groups that the configuration names now, if they are others than before. Those of before are heard on, because
    /// not everybody knows of the new ones yet. Whether that was so, and the places of sockets that were opened.
    ///
    /// # Errors
    /// A group cannot be joined; everything is as before then.
    pub(crate) fn regroup(
        &mut self,
        config: &DaemonConfig,
    ) -> Result<Option<std::ops::Range<usize>>, StartError> {
        let targets = targets(config);
        if targets == self.targets {
            return Ok(None);
        }
        let here = interfaces::addresses().unwrap_or_default();
        let (before, mut groups) = (self.sockets.len(), Vec::new());
        for target in &targets {
            let joined = join(&mut self.sockets, self.own, &mut groups, target, &here);
            if let Err(error) = joined {
                self.sockets.truncate(before);
                return Err(error);
            }
        }
        if self.watch.is_none() && watched(&targets) {
            self.watch = Some(Watch::start(here));
        }
        (self.groups, self.targets) = (groups, targets);
        Ok(Some(before..self.sockets.len()))
    }

    /// Goes with the interfaces and addresses of this machine, if they are others than before. Asks the system nothing while they are
    /// the same.
    pub(super) fn follow(&mut self) {
        if let Some(here) = self.watch.as_ref().and_then(Watch::news) {
            self.go_with(&here);
        }
    }

    /// Speaks to the groups, and hears them, where the interfaces and addresses are now.
    fn go_with(&mut self, here: &[InterfaceAddress]) {
        let mut groups = Vec::with_capacity(self.groups.len());
        for target in &self.targets {
            let to = SockAddr::from(target.to);
            let before: Vec<&Group> = self.groups.iter().filter(|group| group.to == to).collect();
            let places = places(&self.sockets, self.own, target.to);
            let now = match places {
                Some((sender, Some(_))) => chosen(target, self.sockets[sender].at.ip(), here),
                _ => Vec::new(),
            };
            let (Some((sender, Some(listener))), false) = (places, now.is_empty()) else {
                // What has gone may come back.
                groups.extend(before.into_iter().cloned());
                continue;
            };
            for address in &now {
                let group = Group::on(address, target.to, sender);
                if !before.contains(&&group) {
                    let joined = self.sockets[listener].join(target.to.ip(), address.index);
                    if let Err(error) = joined {
                        tracing::warn!("{}", StartError::group(target.to, &address.name, error));
                    }
                    tracing::info!(
                        group = %target.to, interface = %address.name, address = %address.ip,
                        "the interfaces or addresses of this machine have changed: the segment is heard and spoken to there now"
                    );
                }
                groups.push(group);
            }
            for interface in before.iter().filter_map(|group| group.interface()) {
                if now.iter().all(|address| address.index != interface) {
                    self.sockets[listener].leave(target.to.ip(), interface);
                    tracing::info!(
                        group = %target.to, interface,
                        "the segment is heard and spoken to through an interface no more: it has no address for that any more"
                    );
                }
            }
        }
        if groups != self.groups {
            self.groups = groups;
            self.told_through = false;
        }
    }

    /// An address from which was spoken through an interface has gone: the kernel chooses another until one is found.
    pub(super) fn forget_source(&mut self, interface: u32, source: Ipv4Addr) {
        let gone = Some((interface, Some(source)));
        let groups = self.groups.iter_mut().filter(|group| group.through == gone);
        let mut forgotten = false;
        for group in groups {
            group.through = Some((interface, None));
            forgotten = true;
        }
        if forgotten {
            tracing::info!(interface, %source, "an address that multicast was sent from is gone from here; it is sent from another");
        }
    }
}

/// Where the configuration wants to be heard by all.
pub(super) fn targets(config: &DaemonConfig) -> Vec<SegmentTarget> {
    match &config.membership {
        Membership::Found { segment, .. } => segment.iter().cloned().collect(),
        Membership::Fixed(list) => {
            let segment = list.members.get(list.me).map_or(0, |member| member.segment);
            list.segments.get(segment).cloned().unwrap_or_default()
        }
    }
}

/// Whether any of them depends on the interfaces and addresses of this machine.
pub(super) fn watched(targets: &[SegmentTarget]) -> bool {
    targets.iter().any(|target| target.reach == Reach::Multicast)
}

/// From which socket this is spoken to, and by which it is heard if that is open already; none if this machine does not speak so.
fn places(sockets: &[Udp], own: usize, to: SocketAddr) -> Option<(usize, Option<usize>)> {
    let sender = sockets[..own].iter().position(|udp| udp.at.is_ipv4() == to.is_ipv4())?;
    let at = sockets[sender].at;
    if at.ip().is_unspecified() && at.port() == to.port() {
        return Some((sender, Some(sender)));
    }
    let known = sockets[own..].iter().position(|udp| udp.at == to);
    Some((sender, known.map(|known| own + known)))
}

/// The interfaces on which a group is heard and spoken to, each with the address to speak from there: one of the machine's own, if there
/// is any. The others learn from it where this daemon is, and one of the cluster is somewhere else a moment later.
fn chosen<'a>(
    target: &SegmentTarget,
    bound: IpAddr,
    here: &'a [InterfaceAddress],
) -> Vec<&'a InterfaceAddress> {
    if target.reach != Reach::Multicast {
        return Vec::new();
    }
    let fits = |address: &&InterfaceAddress| {
        address.ip.is_ipv4() == target.to.is_ipv4()
            && match &target.interface {
                Some(Interface::Name(name)) => address.name == *name,
                Some(Interface::Address(ip)) => address.ip == *ip,
                None if bound.is_unspecified() => address.multicast && !address.ip.is_loopback(),
                None => address.ip == bound,
            }
    };
    let mut best: Vec<&InterfaceAddress> = Vec::new();
    for address in here.iter().filter(fits) {
        match best.iter().position(|known| known.index == address.index) {
            Some(at) if address.stay < best[at].stay => best[at] = address,
            Some(_) => {}
            None => best.push(address),
        }
    }
    // An interface that has only addresses of the cluster has none when those are elsewhere.
    if best.iter().any(|address| address.stay != Stay::Shared) {
        best.retain(|address| address.stay != Stay::Shared);
    }
    best
}

/// Makes a target one that is heard and spoken to here.
pub(super) fn join(
    sockets: &mut Vec<Udp>,
    own: usize,
    groups: &mut Vec<Group>,
    target: &SegmentTarget,
    here: &[InterfaceAddress],
) -> Result<(), StartError> {
    let to = target.to;
    let Some((sender, listener)) = places(sockets, own, to) else { return Ok(()) };
    let listener = match listener {
        Some(at) => at,
        None => {
            sockets.push(Udp::bind_group(to).map_err(|error| StartError::bus(to, error))?);
            sockets.len() - 1
        }
    };
    if target.reach != Reach::Multicast {
        groups.push(Group { to: to.into(), socket: sender, through: None });
    }
    for address in chosen(target, sockets[sender].at.ip(), here) {
        sockets[listener]
            .join(to.ip(), address.index)
            .map_err(|error| StartError::group(to, &address.name, error))?;
        groups.push(Group::on(address, to, sender));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use base::{AddrBlocks, Boot};
    use bytes::Bytes;
    use ring::{Daemon, DaemonName, To, Transmit};

    use super::*;
    use crate::config::{Around, BusSection};

    fn address(index: u32, ip: &str, stay: Stay) -> InterfaceAddress {
        let (name, ip) = (format!("eth{index}"), ip.parse().unwrap());
        InterfaceAddress { name, index, ip, multicast: true, stay }
    }

    fn target(interface: Option<Interface>) -> SegmentTarget {
        let to = "239.192.48.3:4803".parse().unwrap();
        SegmentTarget { to, reach: Reach::Multicast, interface }
    }

    /// Interface and address of each that is chosen from these.
    fn through(
        interface: Option<Interface>,
        bound: &str,
        here: &[InterfaceAddress],
    ) -> Vec<(u32, String)> {
        let chosen = chosen(&target(interface), bound.parse().unwrap(), here);
        chosen.into_iter().map(|address| (address.index, address.ip.to_string())).collect()
    }

    #[test]
    fn multicast_is_sent_from_an_address_that_stays() {
        let lo = InterfaceAddress { multicast: false, ..address(1, "127.0.0.1", Stay::Own) };
        let left = address(2, "10.0.0.101", Stay::Shared);
        let unmarked = address(2, "10.0.0.102", Stay::Passing);
        let (own, second) = (address(2, "10.0.0.1", Stay::Own), address(2, "10.0.0.2", Stay::Own));
        let six = address(2, "fd00::1", Stay::Own);
        let here = [lo, left.clone(), unmarked, own, second, six];
        let all = "0.0.0.0";
        assert_eq!(through(None, all, &here), [(2, "10.0.0.1".to_owned())]);
        // Without it, the one that may be its own; and without any, what is there.
        assert_eq!(through(None, all, &here[..3]), [(2, "10.0.0.102".to_owned())]);
        assert_eq!(through(None, all, &here[..2]), [(2, "10.0.0.101".to_owned())]);
        // An interface that is there for addresses of the cluster only is none of the segment's.
        let other = address(3, "10.0.3.101", Stay::Shared);
        let two = [here[3].clone(), other];
        assert_eq!(through(None, all, &two), [(2, "10.0.0.1".to_owned())]);
        let name = Interface::Name("eth3".into());
        assert_eq!(through(Some(name), all, &two), [(3, "10.0.3.101".to_owned())]);
        // Who names an address means it.
        let named = Interface::Address(left.ip);
        assert_eq!(through(Some(named), all, &here), [(2, "10.0.0.101".to_owned())]);
        assert_eq!(through(None, "10.0.0.2", &here), [(2, "10.0.0.2".to_owned())]);
        assert!(through(None, "10.0.0.3", &here).is_empty());
    }

    /// A link whose segment is on loopback.
    fn link() -> Link {
        let free = UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        let text = format!(
            "port = {free}\ninsecure = true\nsegment = \"239.255.48.3\"\nsegment_interface = \"127.0.0.1\"\n"
        );
        let section: BusSection = toml::from_str(&text).unwrap();
        let around = Around {
            name: "ann",
            here: &[],
            key: None,
            insecure: true,
            accept: &AddrBlocks(vec!["127.0.0.0/8".parse().unwrap()]),
            read_key: &|_| unreachable!("no key is named"),
        };
        let me = Daemon { name: DaemonName::of_host("ann"), boot: Boot([1; 16]) };
        Link::open(&section.check(&around).unwrap(), &me).unwrap()
    }

    /// Says something to the segment; what was sent so far, and what was not.
    fn say(link: &mut Link, word: &'static [u8]) -> (u64, u64) {
        link.queue(&Transmit { to: To::Group, datagram: Bytes::from_static(word) });
        link.flush();
        (link.counters.sent, link.counters.unsent)
    }

    #[test]
    fn multicast_goes_on_from_another_address_when_the_one_it_was_sent_from_is_gone() {
        let mut link = link();
        let first = Some((1, Some(Ipv4Addr::LOCALHOST)));
        assert_eq!(link.groups[0].through, first);
        assert_eq!(say(&mut link, b"one"), (1, 0));
        // An address that no machine has.
        link.groups[0].through = Some((1, Some(Ipv4Addr::new(192, 0, 2, 1))));
        assert_eq!(say(&mut link, b"two"), (2, 0));
        assert_eq!(link.groups[0].through, Some((1, None)));
        // An interface that no machine has.
        link.groups[0].through = Some((i32::MAX as u32, None));
        assert_eq!(say(&mut link, b"three"), (2, 1));
        assert!(link.told_through);
        // What is there is found.
        link.go_with(&interfaces::addresses().unwrap());
        assert_eq!((link.groups[0].through, link.told_through), (first, false));
        assert_eq!(say(&mut link, b"four"), (3, 1));
        // Nothing to change to: it may come back.
        link.go_with(&[]);
        assert_eq!(link.groups[0].through, first);
        assert!(link.cuts);
    }
}
