//! The sets that are here, are coming, or are going.

use std::collections::BTreeMap;
use std::net::IpAddr;

use base::Instant;
use vip::{Reason, SetKey};

use super::worker::Terms;
use crate::{config, kernel};

/// One address and where it goes.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) address: kernel::Address,
    pub(super) net: u8,
    pub(super) terms: Terms,
}

impl Placed {
    pub(super) fn said(&self) -> vip::announce::Address {
        vip::announce::Address { interface: self.address.interface, ip: self.address.ip }
    }
}

/// How far a set is.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Strangers are asked for so many of its addresses.
    Asking(usize),
    /// The kernel has still to take so many; the first that it refused says why.
    Adding { left: usize, refused: Option<String> },
    /// All are there.
    Up,
    /// It goes once those who are being served had a moment to finish. Packets are passed on to the machine that has it now; or not, and
    /// then what it has of version 6 is set aside.
    Lingering { until: Instant, passes: bool },
    /// The kernel has still to take off so many.
    Removing(usize),
    /// Not all could be added. The others hear it when the kernel has taken off so many again.
    Failing(usize),
}

impl State {
    /// Whether it is on its way off.
    pub(super) fn goes(&self) -> bool {
        matches!(self, Self::Lingering { .. } | Self::Removing(_) | Self::Failing(_))
    }
}

/// A set here.
#[derive(Clone, Debug)]
pub(super) struct Holding {
    pub(super) set: config::Set,
    pub(super) placed: Vec<Placed>,
    pub(super) state: State,
    pub(super) reason: Reason,
    /// A holder that was lost may answer until then.
    pub(super) contested: Option<Instant>,
    /// When it was asked for.
    pub(super) since: Instant,
    /// How often somebody else has taken an address off of late.
    pub(super) put_back: u32,
}

impl Holding {
    /// Until when it lingers, if it does.
    pub(super) fn lingers_until(&self) -> Option<Instant> {
        match self.state {
            State::Lingering { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Whether some of its addresses are set aside while it lingers.
    pub(super) fn is_aside(&self) -> bool {
        matches!(self.state, State::Lingering { passes: false, .. })
            && self.placed.iter().any(|placed| placed.address.ip.is_ipv6())
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    pub(super) sets: BTreeMap<SetKey, Holding>,
}

impl Holdings {
    /// The sets that an address is in.
    pub(super) fn with(&self, address: &kernel::Address) -> Vec<SetKey> {
        let has =
            |holding: &Holding| holding.placed.iter().any(|placed| placed.address == *address);
        self.sets.iter().filter(|(_, holding)| has(holding)).map(|(key, _)| *key).collect()
    }

    /// Whether another set that stays has the address too.
    pub(super) fn stays(&self, address: &kernel::Address, but: SetKey) -> bool {
        self.sets.iter().any(|(key, holding)| {
            *key != but
                && matches!(holding.state, State::Adding { .. } | State::Up)
                && holding.placed.iter().any(|placed| placed.address == *address)
        })
    }

    pub(super) fn by_ip(&self, ip: IpAddr) -> Option<(SetKey, &Holding)> {
        let has = |holding: &Holding| holding.set.addresses.iter().any(|one| one.ip == ip);
        self.sets.iter().find(|(_, holding)| has(holding)).map(|(key, holding)| (*key, holding))
    }

    /// When the next lingering set is to go.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.sets.values().filter_map(Holding::lingers_until).min()
    }
}
