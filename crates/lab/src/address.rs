//! Who has which address.
//!
//! Machine `i` (from 0) is host `i + 1`, the client is host 254, all in one /24. In namespaces that is `10.77.0.0/24`
//! and `fd77::/64`: no two labs can meet. Each further site has the next network of both kinds. A network beside the
//! first is `10.78.k.0/24` and `fd78:k::/64`, the one behind a router `10.79.r.0/24` and `fd79:r::/64`; hosts begin at 200. On
//! loopback the two middle bytes come from the caller's process id and a count, so that labs running at the same time keep out of each other's way.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::config::{HostConfig, Leg, NetworkConfig};
use crate::sockets::Place;

/// The most machines a lab can have; leaves room for clients in the /24.
pub(crate) const MAX_MACHINES: usize = 64;

/// The most sites a lab can have.
pub(crate) const MAX_SITES: usize = 8;

/// The most networks beside the first.
pub(crate) const MAX_NETWORKS: usize = 8;

/// The most hosts a lab can have.
pub(crate) const MAX_HOSTS: usize = 32;

/// Host part of the first host's address.
const FIRST_HOST: u8 = 200;

/// Host part of the client's address, which is also the machines' gateway.
const CLIENT_HOST: u8 = 254;

/// The lab's address plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    network: [u8; 3],
    /// The site of each machine, from 0; those left out are at the first.
    sites: Vec<u8>,
    /// The networks beside the first.
    pub(crate) networks: Vec<NetworkConfig>,
    pub(crate) hosts: Vec<HostConfig>,
}

/// An address of each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Both {
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Ipv6Addr,
}

impl Plan {
    pub(crate) const PREFIX4: u8 = 24;
    pub(crate) const PREFIX6: u8 = 64;

    pub(crate) fn bridged(sites: &[u8], networks: &[NetworkConfig], hosts: &[HostConfig]) -> Self {
        let (networks, hosts) = (networks.to_vec(), hosts.to_vec());
        Self { network: [10, 77, 0], sites: sites.to_vec(), networks, hosts }
    }

    pub(crate) fn loopback(pid: u32, count: u32) -> Self {
        let mixed = pid.wrapping_add(count.wrapping_mul(0x9e37)).wrapping_mul(0x9e37_79b1) >> 16;
        let [_, _, high, low] = mixed.to_be_bytes();
        let network = [127, 1 + high % 254, low];
        Self { network, sites: Vec::new(), networks: Vec::new(), hosts: Vec::new() }
    }

    /// How many sites there are, those included that have no machine.
    pub(crate) fn sites(&self) -> usize {
        self.sites.iter().max().map_or(1, |last| usize::from(*last) + 1)
    }

    /// The site of a machine.
    pub(crate) fn site(&self, index: usize) -> usize {
        self.sites.get(index).map_or(0, |site| usize::from(*site))
    }

    pub(crate) fn machine(&self, index: usize) -> Ipv4Addr {
        self.host(self.site(index), (index + 1) as u8)
    }

    pub(crate) fn machine6(&self, index: usize) -> Ipv6Addr {
        Self::host6(self.site(index), (index + 1) as u16)
    }

    /// The caller's address at a site, which is also the gateway of its machines.
    pub(crate) fn client(&self, site: usize) -> Ipv4Addr {
        self.host(site, CLIENT_HOST)
    }

    pub(crate) fn client6(&self, site: usize) -> Ipv6Addr {
        Self::host6(site, u16::from(CLIENT_HOST))
    }

    /// The addresses of a place on a network, counted from 0; `None` where it has no cable.
    ///
    /// The caller is at every network; of the sites of the first it is the one at the first.
    pub(crate) fn on(&self, place: Place, network: usize) -> Option<Both> {
        let further = network.checked_sub(1).map(|k| self.networks.get(k));
        let host = match (place, further) {
            (_, Some(None)) => return None,
            (Place::Machine(i), None) => {
                return Some(Both { v4: self.machine(i), v6: self.machine6(i) });
            }
            (Place::Machine(i), Some(Some(further))) if further.has(i) => (i + 1) as u8,
            (Place::Machine(_), _) => return None,
            (Place::Client, _) => CLIENT_HOST,
            (Place::Host(h), _) => {
                if self.hosts.get(h)?.leg != Leg::Network(network) {
                    return None;
                }
                FIRST_HOST + h as u8
            }
        };
        Some(if network == 0 {
            Both { v4: self.host(0, host), v6: Self::host6(0, host.into()) }
        } else {
            beside(78, network, host)
        })
    }

    /// The addresses of a host, wherever its cable ends.
    pub(crate) fn host_at(&self, host: usize) -> Option<Both> {
        match self.hosts.get(host)?.leg {
            Leg::Network(network) => self.on(Place::Host(host), network),
            Leg::Behind(router) => Some(beside(79, router + 1, FIRST_HOST + host as u8)),
        }
    }

    /// The router's own addresses towards those behind it.
    pub(crate) fn stub(router: usize) -> Both {
        beside(79, router + 1, CLIENT_HOST)
    }

    /// Whether others are behind a host.
    pub(crate) fn is_router(&self, host: usize) -> bool {
        self.hosts.iter().any(|other| other.leg == Leg::Behind(host))
    }

    fn host(&self, site: usize, host: u8) -> Ipv4Addr {
        let [a, b, c] = self.network;
        Ipv4Addr::new(a, b, c.wrapping_add(site as u8), host)
    }

    fn host6(site: usize, host: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, site as u16, 0, 0, 0, host)
    }
}

fn beside(kind: u8, number: usize, host: u8) -> Both {
    let kind6 = 0xfd00 | u16::from(kind / 10) << 4 | u16::from(kind % 10);
    Both {
        v4: Ipv4Addr::new(10, kind, number as u8, host),
        v6: Ipv6Addr::new(kind6, number as u16, 0, 0, 0, 0, 0, host.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_and_the_client_have_an_address_of_their_own() {
        let plan = Plan::bridged(&[], &[], &[]);
        let mut all: Vec<_> = (0..MAX_MACHINES).map(|i| plan.machine(i)).collect();
        all.push(plan.client(0));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), MAX_MACHINES + 1);
        assert_eq!(plan.machine(0), Ipv4Addr::new(10, 77, 0, 1));
    }

    #[test]
    fn each_site_has_a_network_of_its_own() {
        let plan = Plan::bridged(&[0, 0, 1], &[], &[]);
        assert_eq!((plan.sites(), plan.site(2), plan.site(9)), (2, 1, 0));
        assert_eq!(plan.machine(1), Ipv4Addr::new(10, 77, 0, 2));
        assert_eq!(plan.machine(2), Ipv4Addr::new(10, 77, 1, 3));
        assert_eq!(plan.client(1), Ipv4Addr::new(10, 77, 1, 254));
        assert_ne!(plan.client6(0).segments()[..4], plan.machine6(2).segments()[..4]);
    }

    #[test]
    fn each_network_and_each_stub_has_addresses_of_its_own() {
        let networks = [NetworkConfig::new("fxp1"), NetworkConfig::new("fxp2").only([1])];
        let hosts = [HostConfig::on(2), HostConfig::behind(0), HostConfig::on(0)];
        let plan = Plan::bridged(&[], &networks, &hosts);
        let v4 = |place, network| plan.on(place, network).map(|both| both.v4.to_string());
        assert_eq!(v4(Place::Machine(1), 0).as_deref(), Some("10.77.0.2"));
        assert_eq!(v4(Place::Machine(1), 2).as_deref(), Some("10.78.2.2"));
        assert_eq!((v4(Place::Machine(0), 2), v4(Place::Machine(0), 3)), (None, None));
        assert_eq!(v4(Place::Client, 1).as_deref(), Some("10.78.1.254"));
        assert_eq!(
            (v4(Place::Host(0), 2).as_deref(), v4(Place::Host(0), 0)),
            (Some("10.78.2.200"), None)
        );
        let behind = plan.host_at(1).unwrap();
        assert_eq!(
            (behind.v4.to_string(), behind.v6.to_string()),
            ("10.79.1.201".into(), "fd79:1::c9".into())
        );
        assert!(plan.is_router(0) && !plan.is_router(1) && !plan.is_router(2));
        assert_eq!(plan.host_at(2).unwrap().v6.to_string(), "fd77::ca");
        assert_eq!(Plan::stub(0).v4.to_string(), "10.79.1.254");
    }

    #[test]
    fn loopback_labs_of_one_process_use_different_networks() {
        let first = Plan::loopback(4711, 0);
        let second = Plan::loopback(4711, 1);
        assert!(first.machine(0).is_loopback() && second.machine(0).is_loopback());
        assert_ne!(first.machine(0), second.machine(0));
    }
}
