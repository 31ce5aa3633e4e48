//! Telling the hosts of a notify entry of one address, one after the other.
//!
//! A walk remembers only where it stands: the hosts of a block are counted through, those of the cache are looked up one by one while
//! the cache changes. A thousand addresses with a /16 to be told need no list of 65 million.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use super::{Address, Host, Notify};
use crate::neighbours::{Neighbours, Network};

/// Where the walk through one entry stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    hosts: Hosts,
    ping: bool,
    /// Time between two hosts.
    pub(crate) pause: Duration,
    /// Whether it is walked again with each refresh: only single hosts, or refreshing would cost a block of frames each time.
    pub(crate) is_refreshed: bool,
}

#[derive(Clone, Copy, Debug)]
enum Hosts {
    /// Every address of a range; the next one.
    Every { range: Network, next: Option<IpAddr> },
    /// Those of a range that are known; the last one told.
    Known { range: Network, last: Option<IpAddr> },
}

impl Walk {
    /// The walk that an entry means for an address whose network has `net` bits; `None` if it names nobody there.
    pub(crate) fn new(notify: &Notify, address: Address, net: u8) -> Option<Self> {
        let network = Network::of(address.ip, net);
        match *notify {
            Notify::Hosts { interface, block, throttle, ping } => {
                if interface.is_some_and(|interface| interface != address.interface) {
                    return None;
                }
                let range = if is_universal(&block) && address.ip.is_ipv4() {
                    block
                } else {
                    network.common(&block)?
                };
                let pause = Duration::from_secs(1).checked_div(throttle).unwrap_or(Duration::ZERO);
                // A directed advertisement goes to an Ethernet address, and there is no broadcast in IPv6 for hosts that have none.
                let hosts = match address.ip {
                    IpAddr::V4(_) => Hosts::Every { range, next: Some(range.first()) },
                    IpAddr::V6(_) => Hosts::Known { range, last: None },
                };
                Some(Self { hosts, ping, pause, is_refreshed: range.is_one() })
            }
            Notify::Neighbours { ping } => Some(Self {
                hosts: Hosts::Known { range: network, last: None },
                ping,
                pause: Duration::ZERO,
                is_refreshed: false,
            }),
        }
    }

    /// The next host to be told, and the walk from there on. The address itself is left out.
    pub(crate) fn step(mut self, own: IpAddr, known: &Neighbours) -> Option<(Host, Self)> {
        loop {
            let (ip, mac) = match &mut self.hosts {
                Hosts::Every { range, next } => {
                    let ip = (*next)?;
                    *next = range.next(ip);
                    (ip, known.mac(ip))
                }
                Hosts::Known { range, last } => {
                    let (ip, mac) = known.next_within(*range, *last)?;
                    *last = Some(ip);
                    (ip, Some(mac))
                }
            };
            // Comes round at most once.
            if ip != own {
                return Some((Host { ip, mac, ping: self.ping && mac.is_some() }, self));
            }
        }
    }
}

/// The two addresses that mean everybody, named one by one.
fn is_universal(block: &Network) -> bool {
    block.is_one()
        && [Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST].contains(&match block.first() {
            IpAddr::V4(v4) => v4,
            IpAddr::V6(_) => return false,
        })
}
