//! A session with a bus, as the load needs it: the same for our daemon and for Corosync.

#[cfg(feature = "corosync")]
pub(crate) mod cpg;
pub(crate) mod spread;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::clock;

/// Which bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Bus {
    /// A Spread daemon at the usual Unix socket.
    Spread,
    /// Corosync's closed process groups.
    Cpg,
}

/// What a session was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A message, by the first byte of its body.
    Message(u8),
    /// A view of so many members.
    View(usize),
}

/// What a flood sends.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    /// Bytes of each body.
    pub(crate) size: usize,
    /// Safe instead of agreed.
    pub(crate) safe: bool,
    /// Nanoseconds of [`clock`] when it begins.
    pub(crate) begin: u64,
    /// When it ends.
    pub(crate) until: u64,
}

/// When messages are counted, in nanoseconds of [`clock`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Window {
    /// From when.
    pub(crate) from: u64,
    /// Until when.
    pub(crate) until: u64,
}

impl Window {
    pub(crate) fn contains(&self, at: u64) -> bool {
        (self.from..self.until).contains(&at)
    }
}

/// A session in one group.
pub(crate) trait Session {
    /// Sends one message to the group.
    fn send(&mut self, safe: bool, body: &[u8]) -> Result<()>;
    /// What comes next. Waits for as long as it takes.
    fn next(&mut self) -> Result<Event>;
    /// How many messages come within the window.
    fn count(&mut self, window: Window) -> Result<u64>;
    /// Sends as fast as the bus takes it. With a window it receives as well, and counts.
    fn flood(&mut self, load: Load, window: Option<Window>) -> Result<u64>;
}

/// A session, and of how many members it was told when it had joined.
pub(crate) struct Joined {
    pub(crate) session: Box<dyn Session>,
    /// 0 for a session that only sends.
    pub(crate) members: usize,
}

/// A session that is a member of `group`, or only sends to it where the bus has open groups.
///
/// Tried again and again for `patience` nanoseconds, since the daemon may still be starting.
pub(crate) fn join(bus: Bus, group: &str, member: bool, patience: u64) -> Result<Joined> {
    let deadline = clock::now() + patience;
    loop {
        match try_join(bus, group, member) {
            Err(_) if clock::now() < deadline => {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            other => return other,
        }
    }
}

fn try_join(bus: Bus, group: &str, member: bool) -> Result<Joined> {
    Ok(match bus {
        Bus::Spread => {
            let (session, members) = spread::Client::join(group, member)?;
            Joined { session: Box::new(session), members }
        }
        #[cfg(feature = "corosync")]
        Bus::Cpg => {
            let (session, members) = cpg::Client::join(group)?;
            Joined { session: Box::new(session), members }
        }
        #[cfg(not(feature = "corosync"))]
        Bus::Cpg => anyhow::bail!("built without Corosync: add --features corosync"),
    })
}
