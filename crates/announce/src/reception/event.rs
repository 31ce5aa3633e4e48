//! What a reception tells its driver.

use alloc::boxed::Box;
use core::net::SocketAddr;
use core::time::Duration;

use base::{Boot, MachineId};
use candidacy::{Report, Slot};
use seal::Speaker;

use crate::packet::Announcement;

/// Where a machine is, as seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// Where its announcements come from.
    pub from: SocketAddr,
    /// Its peer listener, if it has one.
    pub peer: Option<SocketAddr>,
    /// Where it answers probes.
    pub exchange: SocketAddr,
}

impl Whereabouts {
    /// Where `announcement`, which came from `from`, says its machine is; `None` if it answers no
    /// probes.
    pub fn of(announcement: &Announcement, from: SocketAddr) -> Option<Self> {
        let place = |port: u16| {
            // The address it came from keeps its IPv6 scope; a stated one has none.
            let mut place = from;
            if let Some(ip) = announcement.address {
                place = SocketAddr::new(ip, 0);
            }
            place.set_port(port);
            (port != 0).then_some(place)
        };
        let peer = if announcement.plain { None } else { place(announcement.peer_port) };
        Some(Self { from, peer, exchange: place(announcement.exchange_port)? })
    }

    /// The announcement with *where this packet came from* made plain in its contact.
    pub(super) fn resolve(&self, mut announcement: Announcement) -> Announcement {
        announcement.contact = announcement.contact.seen_from(self.from);
        announcement
    }
}

/// Something happened that the driver must act on or tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A boot has proven to be alive and has a row now. Words of the row's earlier epochs count no more.
    Admitted {
        /// Its row.
        slot: Slot,
        /// The number of this admission; grows by each.
        epoch: u32,
        /// Who.
        speaker: Speaker,
        /// The boot that had the row before: the machine has started anew.
        replaces: Option<Boot>,
        /// The newest report.
        report: Report,
        /// What it announced, its contact made plain.
        announcement: Box<Announcement>,
        /// Where it is.
        whereabouts: Whereabouts,
    },
    /// An admitted machine has announced.
    Heard {
        /// Its row.
        slot: Slot,
        /// The number of its admission.
        epoch: u32,
        /// What it announced, its contact made plain.
        announcement: Box<Announcement>,
        /// Where it is.
        whereabouts: Whereabouts,
    },
    /// An admitted machine has answered a probe.
    Answered {
        /// Its row.
        slot: Slot,
        /// The number of its admission.
        epoch: u32,
        /// Its newest report.
        report: Report,
        /// Time from probe to answer.
        round_trip: Duration,
    },
    /// Another live program has this machine's identity. It was refused; it will say the same of us.
    ///
    /// Repeated at most every [`super::COOLDOWN`] while it lasts.
    TwinOfUs {
        /// Its boot.
        boot: Boot,
        /// Where its announcements come from.
        from: SocketAddr,
    },
    /// Two live boots of one machine elsewhere. The one admitted first stays.
    ///
    /// Repeated at most every [`super::COOLDOWN`] while it lasts.
    TwoBoots {
        /// Whose identity it is.
        machine: MachineId,
        /// The row of the one admitted.
        slot: Slot,
        /// The boot that stays, and where it announces.
        admitted: (Boot, SocketAddr),
        /// The boot that was refused, and where it announces.
        refused: (Boot, SocketAddr),
    },
    /// A machine writes a newer packet version: upgrade this one. Repeated now and then.
    NewerVersion {
        /// Who.
        speaker: Speaker,
        /// Where from.
        from: SocketAddr,
        /// The version it writes, or the lowest that can read it.
        version: u8,
        /// Whether it could be read as far as this version understands.
        understood: bool,
    },
    /// There is no row left for a machine. Repeated at most every [`super::COOLDOWN`].
    Full {
        /// Who was refused.
        speaker: Speaker,
        /// Where its announcements come from.
        from: SocketAddr,
    },
}
