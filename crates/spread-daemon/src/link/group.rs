//! What reaches all daemons of a segment at once: multicast groups and broadcast addresses.

use std::net::{IpAddr, Ipv4Addr};

use socket2::SockAddr;

use super::Link;
use super::interfaces::{self, InterfaceAddress};
use super::socket::Udp;
use crate::conf::Reach;
use crate::config::{DaemonConfig, Interface, Membership, SegmentTarget};
use crate::error::StartError;

/// Where something for all of a segment goes.
pub(super) struct Group {
    pub(super) to: SockAddr,
    pub(super) socket: usize,
    /// The interface to send through, with its IPv4 address, if it has to be chosen.
    pub(super) through: Option<(u32, Option<Ipv4Addr>)>,
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
        for target in targets.iter().cloned() {
            let joined = join(&mut self.sockets, self.own, &mut groups, target, &here);
            if let Err(error) = joined {
                self.sockets.truncate(before);
                return Err(error);
            }
        }
        (self.groups, self.targets) = (groups, targets);
        Ok(Some(before..self.sockets.len()))
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

/// Makes a target one that is heard and spoken to here.
pub(super) fn join(
    sockets: &mut Vec<Udp>,
    own: usize,
    groups: &mut Vec<Group>,
    target: SegmentTarget,
    here: &[InterfaceAddress],
) -> Result<(), StartError> {
    let to = target.to;
    let Some(sender) = sockets[..own].iter().position(|udp| udp.at.is_ipv4() == to.is_ipv4())
    else {
        return Ok(());
    };
    let wildcard =
        sockets[sender].at.ip().is_unspecified() && sockets[sender].at.port() == to.port();
    let known = sockets[own..].iter().position(|udp| udp.at == to).map(|at| own + at);
    let listener = match known {
        _ if wildcard => sender,
        Some(at) => at,
        None => {
            sockets.push(Udp::bind_group(to).map_err(|error| StartError::bus(to, error))?);
            sockets.len() - 1
        }
    };
    if target.reach != Reach::Multicast {
        groups.push(Group { to: to.into(), socket: sender, through: None });
        return Ok(());
    }
    let bound = sockets[sender].at.ip();
    let chosen = |address: &&InterfaceAddress| {
        address.ip.is_ipv4() == to.is_ipv4()
            && match &target.interface {
                Some(Interface::Name(name)) => address.name == *name,
                Some(Interface::Address(ip)) => address.ip == *ip,
                None if bound.is_unspecified() => address.multicast && !address.ip.is_loopback(),
                None => address.ip == bound,
            }
    };
    let mut seen = Vec::new();
    for address in here.iter().filter(chosen) {
        if seen.contains(&address.index) {
            continue;
        }
        seen.push(address.index);
        sockets[listener]
            .join(to.ip(), address.index)
            .map_err(|error| StartError::group(to, &address.name, error))?;
        let v4 = match address.ip {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        };
        groups.push(Group { to: to.into(), socket: sender, through: Some((address.index, v4)) });
    }
    Ok(())
}
