//! What is in a place: interfaces, addresses, neighbours. Asked and changed from inside it.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, CacheInfo};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, State};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState as Kernels,
};
use rtnetlink::packet_route::route::RouteType;
use rustix::fs::{MemfdFlags, memfd_create};
use serde::Serialize;

use super::netlink::{self, Link as Talk, index_of};
use crate::chore::{HeldAddress, Link, Mac, Neighbour, NeighbourState};

/// A life that does not end, as the kernel writes it.
const FOR_EVER: u32 = u32::MAX;

pub(super) fn neighbours() -> Result<OwnedFd, String> {
    listed(&netlink::run(async |talk| {
        let names = names(talk).await?;
        let all = all_neighbours(talk).await?;
        Ok(all.iter().filter_map(|message| neighbour(message, &names)).collect::<Vec<_>>())
    })?)
}

pub(super) fn flush_neighbours() -> Result<(), String> {
    netlink::run(async |talk| {
        for message in all_neighbours(talk).await? {
            if !is_somebody(&message) {
                continue;
            }
            match talk.handle.neighbours().del(message).execute().await {
                // The kernel may have dropped it meanwhile.
                Err(error) if !is(&error, rustix::io::Errno::NOENT) => {
                    return Err(format!("removing a neighbour: {error}"));
                }
                _ => {}
            }
        }
        Ok(())
    })
}

pub(super) fn addresses() -> Result<OwnedFd, String> {
    listed(&netlink::run(async |talk| {
        let names = names(talk).await?;
        let all = all_addresses(talk).await?;
        Ok(all.iter().filter_map(|message| held(message, &names)).collect::<Vec<_>>())
    })?)
}

pub(super) fn links() -> Result<OwnedFd, String> {
    let all = netlink::run(async |talk| all_links(talk).await)?;
    listed(&all.iter().map(link).collect::<Vec<_>>())
}

pub(super) fn add_address(
    interface: &str,
    address: IpAddr,
    prefix: u8,
    valid: Option<u32>,
) -> Result<(), String> {
    netlink::run(async |talk| {
        let request = talk.handle.address().add(index_of(interface)?, address, prefix);
        let mut request = request.replace();
        let mut life = CacheInfo::default();
        life.ifa_valid = valid.unwrap_or(FOR_EVER);
        life.ifa_preferred = life.ifa_valid;
        let attributes = &mut request.message_mut().attributes;
        attributes.push(AddressAttribute::CacheInfo(life));
        if address.is_ipv6() {
            attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        request.execute().await.map_err(|e| format!("address {address} on {interface}: {e}"))
    })
}

pub(super) fn delete_address(interface: &str, address: IpAddr) -> Result<(), String> {
    netlink::run(async |talk| {
        let index = index_of(interface)?;
        let all = all_addresses(talk).await?;
        let found = all
            .into_iter()
            .find(|message| message.header.index == index && own_address(message) == Some(address));
        let found = found.ok_or_else(|| format!("{interface} does not have {address}"))?;
        let request = talk.handle.address().del(found);
        request.execute().await.map_err(|e| format!("address {address} of {interface}: {e}"))
    })
}

pub(super) fn rename(from: &str, to: &str) -> Result<(), String> {
    netlink::run(async |talk| {
        let message = LinkUnspec::new_with_index(index_of(from)?).name(to).build();
        talk.set(message).await
    })
}

pub(super) fn set_up(interface: &str, up: bool) -> Result<(), String> {
    netlink::run(async |talk| talk.set_up(index_of(interface)?, up).await)
}

/// `name` is a path below the folder of sysctls; the file shows the network of whoever opens it.
pub(super) fn set_sysctl(name: &str, value: &str) -> Result<(), String> {
    std::fs::write(format!("/proc/sys/{name}"), value).map_err(|e| e.to_string())
}

async fn all_links(talk: &Talk) -> Result<Vec<LinkMessage>, String> {
    let mut answers = pin!(talk.handle.link().get().execute());
    let mut all = Vec::new();
    while let Some(answer) = answers.next().await {
        all.push(answer.map_err(|e| format!("listing interfaces: {e}"))?);
    }
    Ok(all)
}

async fn all_addresses(talk: &Talk) -> Result<Vec<AddressMessage>, String> {
    let mut answers = pin!(talk.handle.address().get().execute());
    let mut all = Vec::new();
    while let Some(answer) = answers.next().await {
        all.push(answer.map_err(|e| format!("listing addresses: {e}"))?);
    }
    Ok(all)
}

async fn all_neighbours(talk: &Talk) -> Result<Vec<NeighbourMessage>, String> {
    let mut answers = pin!(talk.handle.neighbours().get().execute());
    let mut all = Vec::new();
    while let Some(answer) = answers.next().await {
        all.push(answer.map_err(|e| format!("listing neighbours: {e}"))?);
    }
    Ok(all)
}

/// What each interface is called.
async fn names(talk: &Talk) -> Result<BTreeMap<u32, String>, String> {
    let all = all_links(talk).await?;
    Ok(all.iter().map(link).map(|link| (link.index, link.name)).collect())
}

fn link(message: &LinkMessage) -> Link {
    let name = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    });
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Address(bytes) => mac(bytes),
        _ => None,
    });
    let down = message.attributes.iter().any(|attribute| {
        matches!(attribute, LinkAttribute::OperState(State::Down | State::LowerLayerDown))
    });
    Link {
        index: message.header.index,
        name: name.unwrap_or_default(),
        mac,
        passing: !down && message.header.flags.contains(LinkFlags::Up),
    }
}

fn mac(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac)
}

/// IPv4 says the address itself as local, for the other attribute is the far end's where there is one.
fn own_address(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}

fn held(message: &AddressMessage, names: &BTreeMap<u32, String>) -> Option<HeldAddress> {
    let life = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::CacheInfo(life) => Some(*life),
        _ => None,
    });
    let flags = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Flags(flags) => Some(*flags),
        _ => None,
    });
    let left = |seconds: Option<u32>| {
        let seconds = seconds.filter(|seconds| *seconds != FOR_EVER)?;
        Some(Duration::from_secs(seconds.into()))
    };
    let unusable = AddressFlags::Tentative | AddressFlags::Dadfailed;
    Some(HeldAddress {
        interface: names.get(&message.header.index).cloned().unwrap_or_default(),
        address: own_address(message)?,
        prefix: message.header.prefix_len,
        valid: left(life.map(|life| life.ifa_valid)),
        preferred: left(life.map(|life| life.ifa_preferred)),
        tentative: flags.is_some_and(|flags| flags.intersects(unusable)),
    })
}

/// Whether a line of a table is about another host: not loopback, not a group.
fn is_somebody(message: &NeighbourMessage) -> bool {
    let address = neighbour_address(message);
    message.header.kind == RouteType::Unicast
        && address.is_some_and(|a| !a.is_multicast() && !a.is_loopback() && !a.is_unspecified())
}

fn neighbour_address(message: &NeighbourMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some((*address).into()),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
            Some((*address).into())
        }
        _ => None,
    })
}

fn neighbour(message: &NeighbourMessage, names: &BTreeMap<u32, String>) -> Option<Neighbour> {
    if !is_somebody(message) {
        return None;
    }
    Some(Neighbour {
        interface: names.get(&message.header.ifindex).cloned().unwrap_or_default(),
        address: neighbour_address(message)?,
        mac: message.attributes.iter().find_map(|attribute| match attribute {
            NeighbourAttribute::LinkLayerAddress(bytes) => mac(bytes),
            _ => None,
        }),
        state: match message.header.state {
            Kernels::Incomplete => NeighbourState::Incomplete,
            Kernels::Reachable => NeighbourState::Reachable,
            Kernels::Stale => NeighbourState::Stale,
            Kernels::Delay => NeighbourState::Delay,
            Kernels::Probe => NeighbourState::Probe,
            Kernels::Noarp | Kernels::Permanent => NeighbourState::Fixed,
            // An entry without a state has just been made and will be asked for or dropped.
            _ => NeighbourState::Failed,
        },
    })
}

fn is(error: &rtnetlink::Error, errno: rustix::io::Errno) -> bool {
    matches!(error, rtnetlink::Error::NetlinkError(e) if e.raw_code() == -errno.raw_os_error())
}

/// A list as a file in memory, read from its beginning.
fn listed<T: Serialize>(all: &[T]) -> Result<OwnedFd, String> {
    let file = memfd_create("listed", MemfdFlags::CLOEXEC).map_err(|e| format!("a list: {e}"))?;
    let mut file = std::fs::File::from(file);
    let write = |file: &mut std::fs::File| -> std::io::Result<()> {
        let mut buffered = BufWriter::new(&mut *file);
        serde_json::to_writer(&mut buffered, all)?;
        buffered.flush()?;
        drop(buffered);
        std::io::Seek::rewind(file)
    };
    write(&mut file).map_err(|e| format!("a list: {e}"))?;
    Ok(file.into())
}
