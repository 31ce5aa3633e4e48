//! How long a message takes: back to its sender, and to another machine and back.

use std::fmt;

use anyhow::Result;

use crate::cluster::{self, Cluster};
use crate::role::{Pinged, Role};

/// Bytes of a ping.
const SIZE: usize = 100;
/// Between paced pings, in microseconds: long enough that everything has gone to sleep.
const PACE_MICROS: u64 = 10_000;

/// Which processors are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pinned {
    /// All daemons and clients on one.
    Same,
    /// The daemons take turns on two; each client is on the one that its daemon is not on.
    Different,
    /// As the kernel likes.
    Free,
}

impl Pinned {
    pub(crate) const ALL: [Self; 3] = [Self::Same, Self::Different, Self::Free];

    /// Where daemon `i` stays.
    pub(crate) fn daemon(self, i: usize) -> Option<usize> {
        match self {
            Self::Same => Some(0),
            Self::Different => Some(i % 2),
            Self::Free => None,
        }
    }

    fn client(self, i: usize) -> Option<usize> {
        match self {
            Self::Different => Some(1 - i % 2),
            other => other.daemon(i),
        }
    }
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "same core",
            Self::Different => "different cores",
            Self::Free => "not pinned",
        })
    }
}

/// What is sent, and when the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) safe: bool,
    pub(crate) paced: bool,
    /// To another machine and back, as two messages.
    pub(crate) echo: bool,
}

impl Case {
    pub(crate) fn all(machines: usize) -> Vec<Self> {
        let case = |safe, paced, echo| Self { safe, paced, echo };
        let mut all = vec![case(false, false, false), case(false, true, false)];
        all.push(case(true, false, false));
        if machines > 1 {
            all.push(case(false, false, true));
        }
        all
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = if self.safe { "safe" } else { "agreed" };
        let way = if self.echo { "to another machine and back" } else { "own message" };
        let pace = if self.paced { "paced" } else { "back to back" };
        write!(f, "{service}, {way}, {pace}")
    }
}

/// Pings `count` times, or a twentieth of it when paced.
pub(crate) fn run(
    cluster: &mut Cluster,
    case: Case,
    pinned: Pinned,
    count: usize,
) -> Result<Pinged> {
    let group = cluster.group();
    let Case { safe, paced, echo } = case;
    let echoing = if echo {
        let role = Role::Echo { size: SIZE, safe };
        let at = cluster.machines() - 1;
        Some(cluster.role(at, &group, pinned.client(at), role)?)
    } else {
        None
    };
    let pause_micros = if paced { PACE_MICROS } else { 0 };
    let count = if paced { (count / 20).max(20) } else { count };
    let role = Role::Ping { size: SIZE, safe, count, pause_micros, echo };
    let pinging = cluster.role(0, &group, pinned.client(0), role)?;
    let pinged = cluster::answer(&pinging);
    if let Some(echoing) = echoing {
        echoing.kill9()?;
    }
    pinged
}
