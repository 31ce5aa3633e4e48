//! The announcement: everything a machine says of itself each second.
//!
//! The bytes are described in `docs/announcement-packet.md`, for programs in other languages too.
//! A version byte and tagged fields let old and new read each other: unknown fields are stepped over, a
//! newer version is read as far as its `compatible` byte allows.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use candidacy::snapshot::Pressure;
use candidacy::{Report, RouteFigures};

use crate::contact::Contact;

/// The version written here.
pub const VERSION: u8 = 1;
/// The most routes in an announcement.
pub const ROUTES_MAX: usize = 8;
/// The longest machine name announced, in bytes; longer ones are cut.
pub const NAME_MAX: usize = 64;
/// The longest program version announced, in bytes; longer ones are cut.
pub const PROGRAM_MAX: usize = 24;
/// The shortest interval that a machine's word is taken for.
pub const INTERVAL_MIN: Duration = Duration::from_millis(50);
/// The longest interval that a machine's word is taken for.
pub const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// The longest announcement before sealing.
pub const TEXT_MAX: usize = seal::MAX_DATAGRAM - seal::OVERHEAD;

/// What a machine announces. A figure that is not known is zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The number of this announcement within its boot, from 1. Sent to several targets it keeps its number.
    pub sequence: u64,
    /// The present state, in the form that also travels in answers and response headers.
    pub report: Report,
    /// Milliseconds until the next announcement is to be expected; see [`interval`](Self::interval).
    pub interval_millis: u32,
    /// The host name, for people. Any text without control characters.
    pub name: String,
    /// The version of the program that announces, for people: without control characters. Empty if it does not say.
    pub program: String,
    /// Where clients find the machine.
    pub contact: Contact,
    /// Where peers find it, if not where this packet comes from.
    pub address: Option<IpAddr>,
    /// TCP port of the peer listener; 0 = none.
    pub peer_port: u16,
    /// UDP port that answers probes; without one (0) a machine is never admitted, as it cannot prove it lives.
    pub exchange_port: u16,
    /// CPUs it may use, in thousandths (a quota makes fractions).
    pub cpus_milli: u32,
    /// Measured speed of one CPU.
    pub arriba: u32,
    /// Memory it may use, in bytes.
    pub total_memory: u64,
    /// Memory available now, in bytes.
    pub available_memory: u64,
    /// Load average in thousandths.
    pub load_milli: u32,
    /// The power of two at or above the highest load of late.
    pub load_high_water: u32,
    /// Idle CPU in thousandths.
    pub cpu_idle_permille: u16,
    /// `some avg10` of the kernel's pressure stall information, as far as it has one.
    pub pressure: Pressure,
    /// Service slots in all.
    pub running_slots: u32,
    /// Service slots free now.
    pub ready_slots: u32,
    /// Requests in its local service, which the report can only say up to 65,535.
    pub in_flight: u32,
    /// Requests it relays for others at this moment, counted apart.
    pub relaying: u32,
    /// The most requests its local service takes; 0 = no limit.
    pub limit: u32,
    /// How long requests from its peers took of late.
    pub turnaround: Turnaround,
    /// It has no peer listener: an announce-only agent in front of a plain web server.
    pub plain: bool,
    /// Its busiest routes, at most [`ROUTES_MAX`].
    pub routes: Vec<RouteFigures>,
}

/// Time from a peer's request to the end of its response, over the last interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turnaround {
    /// Requests counted.
    pub count: u32,
    /// Mean in microseconds.
    pub mean_micros: u32,
    /// 99th percentile in microseconds.
    pub p99_micros: u32,
}

/// Why the text of a genuine packet is no announcement. A peer misbehaves; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It ends within a field.
    #[error("the announcement ends within a field")]
    Cut,
    /// A newer version that this program cannot read in part either.
    #[error(
        "the announcement needs a reader of version {needed}, this is version {VERSION}; upgrade this machine"
    )]
    TooNew {
        /// The lowest version that can read it.
        needed: u8,
    },
    /// A field whose value cannot be meant.
    #[error("field {tag} of the announcement holds no value of its kind")]
    Field {
        /// The field's tag.
        tag: u8,
    },
    /// A field that may stand only once stands twice.
    #[error("field {tag} of the announcement stands twice")]
    Repeated {
        /// The field's tag.
        tag: u8,
    },
    /// A field without which the rest means nothing.
    #[error("the announcement lacks field {tag}")]
    Missing {
        /// The field's tag.
        tag: u8,
    },
}

/// An announcement as it was read, and by what it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The announcement, as far as this version understands it.
    pub announcement: Announcement,
    /// The version that wrote it; above [`VERSION`] some of it was not understood.
    pub version: u8,
}

impl Announcement {
    /// An announcement of a machine of which only this is known.
    pub fn new(name: impl Into<String>, contact: Contact) -> Self {
        Self {
            sequence: 0,
            report: Report::default(),
            interval_millis: 1000,
            name: name.into(),
            program: String::new(),
            contact,
            address: None,
            peer_port: 0,
            exchange_port: 0,
            cpus_milli: 0,
            arriba: 0,
            total_memory: 0,
            available_memory: 0,
            load_milli: 0,
            load_high_water: 0,
            cpu_idle_permille: 0,
            pressure: Pressure::default(),
            running_slots: 0,
            ready_slots: 0,
            in_flight: 0,
            relaying: 0,
            limit: 0,
            turnaround: Turnaround::default(),
            plain: false,
            routes: Vec::new(),
        }
    }

    /// When the next announcement is to be expected, within reason: a second if it does not say, else at
    /// least [`INTERVAL_MIN`], at most [`INTERVAL_MAX`].
    pub fn interval(&self) -> Duration {
        match self.interval_millis {
            0 => Duration::from_secs(1),
            millis => Duration::from_millis(millis.into()).clamp(INTERVAL_MIN, INTERVAL_MAX),
        }
    }

    /// Writes the text to be sealed into `out`, replacing what was there; at most [`TEXT_MAX`] bytes.
    ///
    /// A name beyond [`NAME_MAX`] bytes is cut, a program version beyond [`PROGRAM_MAX`], and routes beyond [`ROUTES_MAX`] are left out.
    pub fn encode(&self, out: &mut Vec<u8>) {
        crate::codec::encode(self, out);
        debug_assert!(out.len() <= TEXT_MAX);
    }

    /// Reads the text of a sealed packet.
    ///
    /// # Errors
    /// [`Malformed`], with the field that is wrong.
    pub fn decode(text: &[u8]) -> Result<Decoded, Malformed> {
        crate::codec::decode(text)
    }
}
