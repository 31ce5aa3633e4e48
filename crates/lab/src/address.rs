//! Who has which address.
//!
//! Machine `i` (from 0) is host `i + 1`, the client is host 254, all in one /24. In namespaces that is `10.77.0.0/24`
//! and `fd77::/64`: no two labs can meet. On loopback the two middle bytes come from the caller's process id and a
//! count, so that labs running at the same time keep out of each other's way.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// The most machines a lab can have; leaves room for clients in the /24.
pub(crate) const MAX_MACHINES: usize = 64;

/// Host part of the client's address, which is also the machines' gateway.
const CLIENT_HOST: u8 = 254;

/// The lab's address plan.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    network: [u8; 3],
}

impl Plan {
    pub(crate) const PREFIX4: u8 = 24;
    pub(crate) const PREFIX6: u8 = 64;

    pub(crate) fn bridged() -> Self {
        Self { network: [10, 77, 0] }
    }

    pub(crate) fn loopback(pid: u32, count: u32) -> Self {
        let mixed = pid.wrapping_add(count.wrapping_mul(0x9e37)).wrapping_mul(0x9e37_79b1) >> 16;
        let [_, _, high, low] = mixed.to_be_bytes();
        Self { network: [127, 1 + high % 254, low] }
    }

    pub(crate) fn machine(self, index: usize) -> Ipv4Addr {
        self.host((index + 1) as u8)
    }

    pub(crate) fn machine6(self, index: usize) -> Ipv6Addr {
        Self::host6((index + 1) as u16)
    }

    pub(crate) fn client(self) -> Ipv4Addr {
        self.host(CLIENT_HOST)
    }

    pub(crate) fn client6(self) -> Ipv6Addr {
        Self::host6(u16::from(CLIENT_HOST))
    }

    fn host(self, host: u8) -> Ipv4Addr {
        let [a, b, c] = self.network;
        Ipv4Addr::new(a, b, c, host)
    }

    fn host6(host: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_and_the_client_have_an_address_of_their_own() {
        let plan = Plan::bridged();
        let mut all: Vec<_> = (0..MAX_MACHINES).map(|i| plan.machine(i)).collect();
        all.push(plan.client());
        all.sort();
        all.dedup();
        assert_eq!(all.len(), MAX_MACHINES + 1);
        assert_eq!(plan.machine(0), Ipv4Addr::new(10, 77, 0, 1));
    }

    #[test]
    fn loopback_labs_of_one_process_use_different_networks() {
        let first = Plan::loopback(4711, 0);
        let second = Plan::loopback(4711, 1);
        assert!(first.machine(0).is_loopback() && second.machine(0).is_loopback());
        assert_ne!(first.machine(0), second.machine(0));
    }
}
