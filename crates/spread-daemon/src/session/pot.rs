//! Connections that come, and those that are no session yet: so many at a time, and a new one never waits for the old ones.
//!
//! Those of the Unix socket are counted apart from those by TCP. When there are too many, the oldest goes of the address
//! that has most: somebody who only opens connections takes places from himself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use base::Instant;
use bytes::Bytes;
use groups::Groups;
use spread_wire::server::Handshake;

use super::connection::{Connection, Stage};
use super::{FAREWELL, HANDSHAKE, Sessions};
use crate::listen::Arrival;
use crate::poll::{Poll, Token};

/// Most of them by TCP, and as many by the Unix socket.
const MOST: usize = 1024;

/// All of them of one kind of socket: the serial number and the slot of each, by where it comes from.
#[derive(Debug, Default)]
pub(super) struct Pot {
    by_address: BTreeMap<Option<IpAddr>, BTreeSet<(u64, usize)>>,
    count: usize,
}

/// Who counts as one. A machine has as many addresses of IPv6 as it likes, of one network mostly.
fn address(peer: Option<IpAddr>) -> Option<IpAddr> {
    peer.map(|peer| match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    })
}

impl Pot {
    pub(super) fn insert(&mut self, peer: Option<IpAddr>, serial: u64, at: usize) {
        self.count +=
            usize::from(self.by_address.entry(address(peer)).or_default().insert((serial, at)));
    }

    pub(super) fn remove(&mut self, peer: Option<IpAddr>, serial: u64, at: usize) {
        let address = address(peer);
        let Some(those) = self.by_address.get_mut(&address) else { return };
        self.count -= usize::from(those.remove(&(serial, at)));
        if those.is_empty() {
            self.by_address.remove(&address);
        }
    }

    /// Who has to go before another comes.
    fn surplus(&self) -> Option<usize> {
        if self.count < MOST {
            return None;
        }
        let all = self.by_address.values();
        let most =
            all.max_by_key(|those| (those.len(), std::cmp::Reverse(those.first().copied())))?;
        most.first().map(|&(_, at)| at)
    }
}

impl Sessions {
    /// A client has connected.
    pub(crate) fn accept(
        &mut self,
        now: Instant,
        poll: &Poll,
        groups: &mut Groups,
        arrival: Arrival,
    ) {
        self.counters.connections += 1;
        let Some(tls) = self.secure(&arrival) else {
            self.counters.refused += 1;
            return;
        };
        let Arrival { socket, peer, .. } = arrival;
        self.make_room(now, groups, peer);
        if self.by_id.len() < self.config.sessions {
            let handshake = Box::new(Handshake::new(self.policy));
            let stage = Stage::Shaking { handshake, session: None, until: now + HANDSHAKE };
            if self.keep(poll, Connection::new(socket, peer, stage).over(tls)).is_some() {
                self.shaking += 1;
            }
            return;
        }
        // As the original: one byte before anything is read (REJECT_QUOTA).
        self.counters.refused += 1;
        let stage = Stage::Closing { until: now + FAREWELL };
        let mut connection = Connection::new(socket, peer, stage).over(tls);
        connection.queue(Bytes::from_static(&[-3_i8 as u8]));
        if let Some(at) = self.keep(poll, connection) {
            self.touch(at);
        }
    }

    /// Gives a connection a place and watches it.
    fn keep(&mut self, poll: &Poll, mut connection: Connection) -> Option<usize> {
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        if let Err(error) = poll.add_edges(connection.socket(), Token::Session(at)) {
            tracing::warn!(%error, "a client cannot be watched and is turned away");
            self.free.push(at);
            return None;
        }
        self.serials += 1;
        let (peer, serial) = (connection.peer, self.serials);
        connection.serial = serial;
        self.slots[at] = Some(connection);
        self.pot(peer).insert(peer, serial, at);
        Some(at)
    }

    /// The pot for connections from there.
    pub(super) fn pot(&mut self, peer: Option<IpAddr>) -> &mut Pot {
        if peer.is_some() { &mut self.by_tcp } else { &mut self.by_unix }
    }

    /// Makes room for a connection from there.
    pub(super) fn make_room(&mut self, now: Instant, groups: &mut Groups, from: Option<IpAddr>) {
        let Some(at) = self.pot(from).surplus() else { return };
        let peer = self.slots[at].as_ref().and_then(|connection| connection.peer);
        self.counters.refused += 1;
        if let Some(before) = self.crowded.pass(now) {
            let at = peer.map_or("the Unix socket".into(), |peer| peer.to_string());
            tracing::warn!(
                from = at,
                before,
                "{MOST} connections wait that have not said who they are; the oldest of where most come from is closed: see who connects there and says nothing"
            );
        }
        self.lose(groups, at, "too many have not said who they are");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> Option<IpAddr> {
        Some([192, 0, 2, last].into())
    }

    #[test]
    fn the_oldest_goes_of_the_address_that_has_most() {
        let mut pot = Pot::default();
        for at in 0..MOST {
            assert_eq!(pot.surplus(), None);
            pot.insert(ip(if at % 4 == 0 { at as u8 } else { 1 }), at as u64, at);
        }
        assert_eq!(pot.surplus(), Some(1), "the first of the one who has three of four");
        pot.remove(ip(1), 1, 1);
        assert_eq!(pot.surplus(), None);
        pot.insert(ip(9), 5000, 1);
        assert_eq!(pot.surplus(), Some(2));
        for at in 0..MOST {
            let from = if at == 1 {
                9
            } else if at % 4 == 0 {
                at as u8
            } else {
                1
            };
            pot.remove(ip(from), if at == 1 { 5000 } else { at as u64 }, at);
        }
        assert!(pot.count == 0 && pot.by_address.is_empty());
    }

    #[test]
    fn addresses_of_one_network_of_version_6_count_as_one() {
        let mut pot = Pot::default();
        pot.insert(ip(7), 0, 0);
        for at in 1..MOST {
            pot.insert(format!("2001:db8::{at:x}").parse().ok(), at as u64, at);
        }
        assert_eq!(pot.surplus(), Some(1));
    }

    #[test]
    fn with_one_each_the_oldest_of_all_goes() {
        let mut pot = Pot::default();
        for at in 0..MOST {
            let ip = [10, 0, (at / 256) as u8, (at % 256) as u8];
            pot.insert(Some(ip.into()), (MOST - at) as u64, at);
        }
        assert_eq!(pot.surplus(), Some(MOST - 1));
    }
}
