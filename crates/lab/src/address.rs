//! Who has which address.
//!
//! Machine `i` (from 0) is host `i + 1`, the client is host 254, all in one /24. In namespaces that is `10.77.0.0/24`
//! and `fd77::/64`: no two labs can meet. Each further site has the next network of both kinds. On loopback the two middle bytes come from the caller's process id and a
//! count, so that labs running at the same time keep out of each other's way.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// The most machines a lab can have; leaves room for clients in the /24.
pub(crate) const MAX_MACHINES: usize = 64;

/// The most sites a lab can have.
pub(crate) const MAX_SITES: usize = 8;

/// Host part of the client's address, which is also the machines' gateway.
const CLIENT_HOST: u8 = 254;

/// The lab's address plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    network: [u8; 3],
    /// The site of each machine, from 0; those left out are at the first.
    sites: Vec<u8>,
}

impl Plan {
    pub(crate) const PREFIX4: u8 = 24;
    pub(crate) const PREFIX6: u8 = 64;

    pub(crate) fn bridged(sites: &[u8]) -> Self {
        Self { network: [10, 77, 0], sites: sites.to_vec() }
    }

    pub(crate) fn loopback(pid: u32, count: u32) -> Self {
        let mixed = pid.wrapping_add(count.wrapping_mul(0x9e37)).wrapping_mul(0x9e37_79b1) >> 16;
        let [_, _, high, low] = mixed.to_be_bytes();
        Self { network: [127, 1 + high % 254, low], sites: Vec::new() }
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

    fn host(&self, site: usize, host: u8) -> Ipv4Addr {
        let [a, b, c] = self.network;
        Ipv4Addr::new(a, b, c.wrapping_add(site as u8), host)
    }

    fn host6(site: usize, host: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, site as u16, 0, 0, 0, host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_and_the_client_have_an_address_of_their_own() {
        let plan = Plan::bridged(&[]);
        let mut all: Vec<_> = (0..MAX_MACHINES).map(|i| plan.machine(i)).collect();
        all.push(plan.client(0));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), MAX_MACHINES + 1);
        assert_eq!(plan.machine(0), Ipv4Addr::new(10, 77, 0, 1));
    }

    #[test]
    fn each_site_has_a_network_of_its_own() {
        let plan = Plan::bridged(&[0, 0, 1]);
        assert_eq!((plan.sites(), plan.site(2), plan.site(9)), (2, 1, 0));
        assert_eq!(plan.machine(1), Ipv4Addr::new(10, 77, 0, 2));
        assert_eq!(plan.machine(2), Ipv4Addr::new(10, 77, 1, 3));
        assert_eq!(plan.client(1), Ipv4Addr::new(10, 77, 1, 254));
        assert_ne!(plan.client6(0).segments()[..4], plan.machine6(2).segments()[..4]);
    }

    #[test]
    fn loopback_labs_of_one_process_use_different_networks() {
        let first = Plan::loopback(4711, 0);
        let second = Plan::loopback(4711, 1);
        assert!(first.machine(0).is_loopback() && second.machine(0).is_loopback());
        assert_ne!(first.machine(0), second.machine(0));
    }
}
