//! Which interface an address belongs on, and whether it can be reached there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::config;
use crate::kernel::{Held, Link};

/// Where an address goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Onto this interface, which passes frames.
    On(u32),
    /// It has a place, but not now; the sentence says why.
    NotNow(String),
}

/// The interfaces as they are.
#[derive(Debug, Default)]
pub(super) struct Places {
    links: BTreeMap<u32, Link>,
}

impl Places {
    /// Takes a whole list. Returns the interfaces whose carrier has come back since the last one.
    pub(super) fn know(&mut self, links: Vec<Link>) -> BTreeSet<u32> {
        let passed = |index: &u32| self.links.get(index).is_some_and(Link::passes);
        let known = !self.links.is_empty();
        let back = links.iter().filter(|link| known && link.passes() && !passed(&link.index));
        let back: BTreeSet<u32> = back.map(|link| link.index).collect();
        self.links = links.into_iter().map(|link| (link.index, link)).collect();
        back
    }

    pub(super) fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The hardware addresses by which the others know this machine.
    pub(super) fn macs(&self) -> Vec<[u8; 6]> {
        self.links().filter_map(|link| link.mac).collect()
    }

    pub(super) fn link(&self, index: u32) -> Option<&Link> {
        self.links.get(&index)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.is_called(name))
    }

    /// Where an address belongs. `managed` are the addresses that this program itself puts on interfaces: they say nothing of networks.
    pub(super) fn of(&self, address: &config::Address, managed: &BTreeSet<IpAddr>) -> Place {
        let link = match &address.interface {
            Some(name) => match self.named(name) {
                Some(link) => link,
                None => {
                    let there = self.names();
                    return Place::NotNow(format!(
                        "there is no interface {name} (there are {there})"
                    ));
                }
            },
            None => match self.around(address.ip, managed) {
                Some(link) => link,
                None => {
                    return Place::NotNow(format!(
                        "{} is in the network of no interface; name one, as in \"eth0:{}\"",
                        address.ip, address.ip
                    ));
                }
            },
        };
        if !link.up {
            return Place::NotNow(format!("interface {} is down", link.name));
        }
        if !link.carrier {
            return Place::NotNow(format!("interface {} has no carrier", link.name));
        }
        Place::On(link.index)
    }

    /// The interface with the narrowest network that has the address.
    fn around(&self, ip: IpAddr, managed: &BTreeSet<IpAddr>) -> Option<&Link> {
        let networks = self.links.values().filter(|link| !link.loopback).flat_map(|link| {
            let own = link.addresses.iter().filter(|held| !managed.contains(&held.address.ip));
            own.map(move |held| (held.address.ip, held.address.prefix, link))
        });
        let has = |(of, prefix, _): &(IpAddr, u8, &Link)| shares(*of, ip, *prefix);
        networks.filter(has).max_by_key(|(_, prefix, _)| *prefix).map(|(.., link)| link)
    }

    /// Those of these addresses that an interface has although this program has not put them there, each with the interface's name: addresses
    /// of this machine itself. The loopback interface is no neighbour's, and may have any.
    pub(super) fn own<'a>(
        &'a self,
        listed: &'a BTreeSet<IpAddr>,
    ) -> impl Iterator<Item = (IpAddr, &'a str)> {
        let links = self.links().filter(|link| !link.loopback);
        let all = links.flat_map(|link| link.addresses.iter().map(move |held| (held, link)));
        let own =
            all.filter(move |(held, _)| held.is_anothers() && listed.contains(&held.address.ip));
        own.map(|(held, link)| (held.address.ip, link.name.as_str()))
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.links.values().map(|link| link.name.as_str()).collect();
        names.join(", ")
    }

    /// The address by which this machine is known to people: its first one that is not managed, on an interface that managed
    /// addresses are on if possible. What bears our mark is of another program's list, and goes. So may go what the kernel gives up
    /// after a while: it is taken if there is nothing else, as where addresses are leased (DHCP), and before others if it has a network;
    /// kernels that keep no mark have the other program's among them.
    pub(super) fn shown(&self, managed: &BTreeSet<IpAddr>, sets: &[config::Set]) -> Option<IpAddr> {
        let heads = sets.iter().filter_map(|set| set.addresses.first());
        let near = heads.filter_map(|address| match self.of(address, managed) {
            Place::On(index) => self.link(index),
            Place::NotNow(_) => None,
        });
        let all = self.links.values().filter(|link| !link.loopback);
        let own = near.chain(all).flat_map(|link| &link.addresses);
        let own = own.filter(|held| {
            let ip = held.address.ip;
            !held.is_ours() && !managed.contains(&ip) && !is_link_local(ip)
        });
        let goes = |held: &Held| held.valid.map(|_| held.address.is_single());
        // The first of version 4 if there is one: historical tools know no other.
        let first = own.min_by_key(|held| (held.address.ip.is_ipv6(), goes(held)));
        first.map(|held| held.address.ip)
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

fn shares(one: IpAddr, other: IpAddr, prefix: u8) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    };
    let ((a, length), (b, same)) = (bits(one), bits(other));
    // An address by itself has no network.
    length == same && prefix > 0 && prefix < length && (a ^ b) >> (128 - u32::from(prefix)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Address, PROTOCOL};

    fn held(ip: &str, prefix: u8, interface: u32) -> Held {
        Held {
            address: Address { ip: ip.parse().unwrap(), prefix, interface },
            duplicate: false,
            tentative: false,
            secondary: false,
            deprecated: false,
            valid: None,
            protocol: None,
        }
    }

    fn link(index: u32, name: &str, addresses: &[(&str, u8)]) -> Link {
        Link {
            index,
            name: name.into(),
            altnames: vec![format!("uplink{index}")],
            mac: Some([2, 0, 0, 0, 0, index as u8]),
            mtu: 1500,
            up: true,
            carrier: true,
            loopback: name == "lo",
            addresses: addresses.iter().map(|(ip, prefix)| held(ip, *prefix, index)).collect(),
        }
    }

    fn address(interface: Option<&str>, ip: &str) -> config::Address {
        let ip: IpAddr = ip.parse().unwrap();
        config::Address {
            interface: interface.map(Into::into),
            ip,
            prefix: 32,
            net: 24,
            source: false,
        }
    }

    fn places() -> Places {
        let mut places = Places::default();
        places.know(vec![
            link(1, "lo", &[("127.0.0.1", 8)]),
            link(2, "eth0", &[("10.0.0.1", 16), ("fd00::1", 64)]),
            link(3, "eth1", &[("10.0.5.1", 24)]),
        ]);
        places
    }

    #[test]
    fn an_address_goes_where_it_is_said_or_where_its_network_is() {
        let (places, none) = (places(), BTreeSet::new());
        assert_eq!(places.of(&address(Some("eth1"), "192.0.2.1"), &none), Place::On(3));
        assert_eq!(places.of(&address(Some("uplink3"), "192.0.2.1"), &none), Place::On(3));
        assert_eq!(places.of(&address(None, "10.0.9.9"), &none), Place::On(2));
        assert_eq!(places.of(&address(None, "10.0.5.9"), &none), Place::On(3));
        assert_eq!(places.of(&address(None, "fd00::9"), &none), Place::On(2));
    }

    #[test]
    fn what_has_no_place_says_why() {
        let (mut places, none) = (places(), BTreeSet::new());
        let why = |places: &Places, address| match places.of(&address, &none) {
            Place::NotNow(why) => why,
            Place::On(index) => panic!("on {index}"),
        };
        assert_eq!(
            why(&places, address(Some("eth9"), "10.0.0.9")),
            "there is no interface eth9 (there are lo, eth0, eth1)"
        );
        assert!(
            why(&places, address(None, "192.0.2.9"))
                .starts_with("192.0.2.9 is in the network of no interface")
        );
        let mut dark = link(2, "eth0", &[("10.0.0.1", 16)]);
        dark.carrier = false;
        assert_eq!(places.know(vec![dark]), BTreeSet::new());
        assert_eq!(why(&places, address(None, "10.0.0.9")), "interface eth0 has no carrier");
        assert_eq!(places.know(vec![link(2, "eth0", &[("10.0.0.1", 16)])]), [2].into());
    }

    #[test]
    fn managed_addresses_make_no_network_and_are_not_shown() {
        let mut places = Places::default();
        places.know(vec![link(2, "eth0", &[("10.0.0.9", 24), ("10.0.0.1", 24)])]);
        let managed: BTreeSet<IpAddr> = ["10.0.0.9".parse().unwrap()].into();
        assert_eq!(places.shown(&managed, &[]), Some("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn what_is_listed_and_this_machine_has_for_itself_is_its_own() {
        let mut places = places();
        let mut lo = link(1, "lo", &[("10.0.0.4", 32)]);
        lo.loopback = true;
        let mut eth0 = link(2, "eth0", &[("10.0.0.1", 24), ("10.0.0.2", 32), ("10.0.0.3", 32)]);
        (eth0.addresses[1].valid, eth0.addresses[1].protocol) = (Some(3), Some(PROTOCOL));
        // As of a kernel that keeps no mark.
        eth0.addresses[2].valid = Some(3);
        let mut eth1 = link(3, "eth1", &[("10.0.0.5", 24), ("10.0.0.6", 24)]);
        eth1.addresses[0].valid = Some(3_600);
        places.know(vec![lo, eth0, eth1]);
        let listed: BTreeSet<IpAddr> =
            (1..=5_u8).map(|last| IpAddr::from([10, 0, 0, last])).collect();
        let own: Vec<(IpAddr, &str)> = places.own(&listed).collect();
        let ip = |last: u8| IpAddr::from([10, 0, 0, last]);
        assert_eq!(own, [(ip(1), "eth0"), (ip(5), "eth1")]);
    }

    #[test]
    fn what_another_program_manages_is_not_shown_and_what_is_leased_only_if_there_is_nothing_else()
    {
        let of =
            |addresses: &[(&str, u8, Option<u32>, Option<u8>)]| {
                let mut eth0 = link(2, "eth0", &[]);
                let one = |(ip, prefix, valid, protocol): &(&str, u8, Option<u32>, Option<u8>)| {
                    Held { valid: *valid, protocol: *protocol, ..held(ip, *prefix, 2) }
                };
                eth0.addresses = addresses.iter().map(one).collect();
                let mut places = Places::default();
                places.know(vec![eth0]);
                places.shown(&BTreeSet::new(), &[]).map(|ip| ip.to_string())
            };
        let shown = |ip: &str| Some(ip.to_owned());
        let (marked, old) =
            (("10.0.0.23", 32, Some(3), Some(PROTOCOL)), ("10.0.0.26", 32, Some(3), None));
        let (own, leased) = (("10.0.0.1", 24, None, None), ("10.0.0.7", 24, Some(600), None));
        assert_eq!(of(&[marked, own]), shown("10.0.0.1"));
        assert_eq!(of(&[old, leased, own]), shown("10.0.0.1"));
        assert_eq!(of(&[marked, old, leased]), shown("10.0.0.7"));
        assert_eq!(of(&[old]), shown("10.0.0.26"));
        assert_eq!(of(&[marked]), None);
        let six = ("fd00::1", 64, None, None);
        assert_eq!(of(&[six, leased]), shown("10.0.0.7"));
    }
}
