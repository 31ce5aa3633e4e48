//! What holds for sets of addresses in both notations: no address twice, none that cannot move, no set too large for the core, no
//! preference for nothing.
//!
//! `P` is where something is written: a key of `backhand.toml`, or a word of a `wackamole.conf`.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vip::ADDRESSES_PER_SET_MAX;

use super::block::{Block, bits};
use super::values::AddressText;
use super::{ADDRESSES_MAX, Address, HOSTS_MAX, Set};

/// What is wrong, and what to do.
pub(crate) type Fault = (String, String);

/// Takes each mistake with its place, message and remedy.
pub(crate) type Tell<'a, P> = dyn FnMut(&P, String, String) + 'a;

/// A set as it is written.
pub(crate) struct Written<P> {
    pub(crate) name: Option<String>,
    pub(crate) addresses: Vec<(AddressText, bool, P)>,
    pub(crate) kernel: bool,
    pub(crate) quorum: bool,
    pub(crate) place: P,
}

/// What is written of sets and was left out, since something is wrong with it: what names it is no mistake of its own.
#[derive(Default)]
pub(crate) struct LeftOut {
    pub(crate) addresses: HashSet<IpAddr>,
    pub(crate) names: HashSet<String>,
}

/// Judges all sets. Sets without an address that can be used are left out, which is always told.
pub(crate) fn sets<P>(written: Vec<Written<P>>, tell: &mut Tell<'_, P>) -> (Vec<Set>, LeftOut) {
    let mut left_out = LeftOut::default();
    let mut homes: HashMap<IpAddr, usize> = HashMap::new();
    let mut count = 0;
    let mut sets = Vec::new();
    for (n, set) in written.into_iter().enumerate() {
        if set.addresses.is_empty() {
            let message = "this set has no address";
            tell(&set.place, message.into(), "write at least one, or leave the set out".into());
            left_out.names.extend(set.name);
            continue;
        }
        let mut addresses = Vec::new();
        for (text, source, place) in set.addresses {
            count += 1;
            if count == ADDRESSES_MAX + 1 {
                let message = format!("there are more than {ADDRESSES_MAX} addresses");
                tell(&place, message, "leave some out, or let another group hold them".into());
            }
            if let Some((message, remedy)) = fault(&text) {
                tell(&place, message, remedy);
                left_out.addresses.insert(text.ip);
                continue;
            }
            let home = homes.insert(text.ip, n);
            if let Some(home) = home {
                let ip = text.ip;
                let message = match home == n {
                    true => format!("{ip} stands twice in this set"),
                    false => format!("{ip} stands in another set as well"),
                };
                tell(&place, message, "leave one of the two out".into());
                continue;
            }
            addresses.push(address(text, source));
        }
        // The core knows no larger one: it would be held by nobody.
        let fits = addresses.len() <= ADDRESSES_PER_SET_MAX;
        if !fits {
            let message = format!(
                "this set has {} addresses, and at most {ADDRESSES_PER_SET_MAX} can move as one",
                addresses.len()
            );
            tell(&set.place, message, "leave some out, or make two sets of it".into());
        }
        if !addresses.is_empty() && fits && count <= ADDRESSES_MAX {
            sets.push(Set { name: set.name, addresses, kernel: set.kernel, quorum: set.quorum });
        } else {
            left_out.addresses.extend(addresses.iter().map(|address| address.ip));
            left_out.names.extend(set.name);
        }
    }
    (sets, left_out)
}

/// What is not written is the whole address for the interface, and for the network around it what is usual.
fn address(text: AddressText, source: bool) -> Address {
    let AddressText { interface, ip, prefix, net } = text;
    let full = bits(ip);
    let prefix = prefix.unwrap_or(full);
    let usual = match ip {
        _ if prefix < full => prefix,
        IpAddr::V4(_) => 24,
        IpAddr::V6(_) => 64,
    };
    Address { interface, ip, prefix, net: net.unwrap_or(usual), source }
}

/// Why an address cannot be one that machines take from each other.
pub(crate) fn fault(text: &AddressText) -> Option<Fault> {
    let AddressText { interface, ip, prefix, net } = text;
    let full = bits(*ip);
    if *prefix == Some(0) {
        let message = format!("/0 would make every address of the world a neighbour of {ip}");
        return Some((message, format!("write /{full}, or the length of its network")));
    }
    let of_no_host = match ip {
        IpAddr::V4(ip) => not_of_a_host(*ip),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => {
                return Some((format!("this is the IPv4 address {ip}"), format!("write {ip}")));
            }
            None => not_of_a_host_v6(*ip),
        },
    };
    if let Some(reason) = of_no_host {
        let remedy = "write an address that clients of a network can reach";
        return Some((format!("{ip} {reason}"), remedy.into()));
    }
    if matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()) && interface.is_none() {
        let message = format!("{ip} means another host on each network");
        return Some((message, format!("write its interface before it: eth0:[{ip}]")));
    }
    // Of a network that nobody has written it is not known where it ends.
    let length = prefix.unwrap_or(full).min(net.unwrap_or(full));
    let network = Block::around(*ip, length).filter(|_| length + 1 < full)?;
    let remedy = format!("write an address between {} and {}", network.first(), network.last());
    match ip {
        IpAddr::V4(_) if network.first() == *ip => {
            Some((format!("{ip} is the network {network} itself"), remedy))
        }
        IpAddr::V4(_) if network.last() == *ip => {
            Some((format!("{ip} is the broadcast address of {network}"), remedy))
        }
        IpAddr::V6(_) if network.first() == *ip => {
            Some((format!("{ip} means every router of {network}"), remedy))
        }
        _ => None,
    }
}

fn not_of_a_host(ip: Ipv4Addr) -> Option<&'static str> {
    match ip.octets() {
        [0, ..] => Some("is no host's address"),
        [127, ..] => Some("is a loopback address: each machine has it for itself"),
        [224..=239, ..] => Some("is a multicast address: a group has it, not a machine"),
        [255, 255, 255, 255] => Some("means everybody"),
        [240..=255, ..] => Some("is of a range that no machine may use"),
        _ => None,
    }
}

fn not_of_a_host_v6(ip: Ipv6Addr) -> Option<&'static str> {
    match ip {
        ip if ip.is_unspecified() => Some("is no host's address"),
        ip if ip.is_loopback() => Some("is a loopback address: each machine has it for itself"),
        ip if ip.is_multicast() => Some("is a multicast address: a group has it, not a machine"),
        _ => None,
    }
}

/// Judges which heads are wanted; each counts once, where it stands first.
pub(crate) fn prefer<P>(
    wanted: Vec<(IpAddr, P)>,
    sets: &[Set],
    left_out: &LeftOut,
    tell: &mut Tell<'_, P>,
) -> Vec<IpAddr> {
    let heads: HashSet<IpAddr> = sets.iter().map(Set::head).collect();
    let mut prefer: Vec<IpAddr> = Vec::new();
    let mut taken = HashSet::new();
    for (ip, place) in wanted {
        if heads.contains(&ip) {
            if taken.insert(ip) {
                prefer.push(ip);
            }
        } else if !left_out.addresses.contains(&ip) {
            let (message, remedy) = no_head(ip, sets);
            tell(&place, message, remedy);
        }
    }
    prefer
}

fn no_head(ip: IpAddr, sets: &[Set]) -> Fault {
    let home = sets.iter().find(|set| set.addresses.iter().any(|address| address.ip == ip));
    match home {
        Some(set) => {
            let message = format!("{ip} is not the first address of its set");
            (message, format!("write {}, the first: a set moves as one", set.head()))
        }
        None => {
            (format!("{ip} is none of the addresses"), "write the first address of a set".into())
        }
    }
}

/// Why so many hosts cannot be told one by one.
pub(crate) fn too_many_hosts(block: Block, sets: &[Set]) -> Option<Fault> {
    let most = HOSTS_MAX.ilog2() as u8;
    let addresses = sets.iter().flat_map(|set| &set.addresses);
    let common = addresses
        .filter_map(|address| Block::around(address.ip, address.net)?.common(&block))
        .min_by_key(Block::length)?;
    let longest = bits(common.first()) - most;
    (common.length() < longest).then(|| {
        let message = format!("{common} has more than {HOSTS_MAX} hosts");
        let way = format!("write a block of /{longest} or more, or the neighbours that are known");
        (message, way)
    })
}

/// Whether any host of a block is in the network of an address, and so may be told. Without any address that is not judged.
pub(crate) fn is_near(block: Block, sets: &[Set]) -> bool {
    let near = |one: &Address| {
        Block::around(one.ip, one.net).is_some_and(|network| network.common(&block).is_some())
    };
    let mut all = sets.iter().flat_map(|set| &set.addresses).peekable();
    all.peek().is_none() || all.any(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<String> {
        fault(&text.parse().unwrap()).map(|(message, remedy)| format!("{message}; {remedy}"))
    }

    #[test]
    fn addresses_that_cannot_move_are_refused_with_a_reason() {
        let reach = "write an address that clients of a network can reach";
        for (text, message) in [
            ("0.0.0.0/32", format!("0.0.0.0 is no host's address; {reach}")),
            ("127.0.0.1", format!("127.0.0.1 is a loopback address: each machine has it for itself; {reach}")),
            ("239.1.1.1", format!("239.1.1.1 is a multicast address: a group has it, not a machine; {reach}")),
            ("255.255.255.255", format!("255.255.255.255 means everybody; {reach}")),
            ("250.0.0.1", format!("250.0.0.1 is of a range that no machine may use; {reach}")),
            ("::1", format!("::1 is a loopback address: each machine has it for itself; {reach}")),
            ("ff02::1", format!("ff02::1 is a multicast address: a group has it, not a machine; {reach}")),
            ("::ffff:10.0.0.1", "this is the IPv4 address 10.0.0.1; write 10.0.0.1".into()),
            ("fe80::1", "fe80::1 means another host on each network; write its interface before it: eth0:[fe80::1]".into()),
            ("10.0.0.0/24", "10.0.0.0 is the network 10.0.0.0/24 itself; write an address between 10.0.0.0 and 10.0.0.255".into()),
            ("10.0.0.255/32n24", "10.0.0.255 is the broadcast address of 10.0.0.0/24; write an address between 10.0.0.0 and 10.0.0.255".into()),
            ("fd00::/64", "fd00:: means every router of fd00::/64; write an address between fd00:: and fd00::ffff:ffff:ffff:ffff".into()),
            ("10.0.0.1/0", "/0 would make every address of the world a neighbour of 10.0.0.1; write /32, or the length of its network".into()),
        ] {
            assert_eq!(told(text), Some(message), "{text}");
        }
        for text in [
            "10.0.0.1/8",
            "10.0.1.0/23",
            "10.0.1.0",
            "10.0.0.0/31",
            "eth0:[fe80::1]/64",
            // One interface has its network, as a rule.
            "169.254.1.1",
            "fd00::/127",
        ] {
            assert_eq!(told(text), None, "{text}");
        }
    }
}
