//! Who is there: one daemon's life, and a view of all of them.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use base::Boot;

use crate::name::DaemonName;

/// One life of a daemon. Two lives of one name are two daemons, of which at most one is in a view.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Daemon {
    /// Its name, unique in a cluster.
    pub name: DaemonName,
    /// The life: drawn at every start.
    pub boot: Boot,
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.name, f)
    }
}

impl fmt::Debug for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:02x}{:02x}", self.name, self.boot.0[0], self.boot.0[1])
    }
}

/// What clients see as the ids of daemons: written ones (`VirtualID` of a `spread.conf`), else the hash of the name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VirtualIds(Arc<[(DaemonName, u32)]>);

impl VirtualIds {
    /// With these written ids; each name at most once.
    pub fn written(ids: impl IntoIterator<Item = (DaemonName, u32)>) -> Self {
        Self(ids.into_iter().collect())
    }

    /// The id of a daemon.
    pub fn of(&self, name: &DaemonName) -> u32 {
        let written = self.0.iter().find(|(written, _)| written == name);
        written.map_or_else(|| name.virtual_id(), |(_, id)| *id)
    }
}

/// Names one installed view for ever: no two views have the same, wherever and whenever they were installed.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingId {
    /// Greater than that of every view any member was in before.
    pub counter: u64,
    /// The beginning of the boot of the daemon that proposed the view.
    pub founder: u64,
}

impl fmt::Display for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:016x}", self.counter, self.founder)
    }
}

impl fmt::Debug for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:04x}", self.counter, self.founder >> 48)
    }
}

/// An installed view: who is there, in the order every member sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its identity inside the cluster.
    pub id: RingId,
    /// The members in member order: by name, or as the fixed list has them. Never empty; [`View::leader`] is the first.
    pub members: Arc<[Daemon]>,
    /// For each member, the view it was in before. Members with equal entries came together.
    pub previous: Arc<[RingId]>,
    /// What clients see as the time of the view: seconds since 1970, but always greater than that of every view a
    /// member was in before.
    pub time: u32,
}

impl View {
    /// The first member.
    pub fn leader(&self) -> &Daemon {
        &self.members[0]
    }

    /// What clients see as the id of the view where no other ids are written: the leader's virtual id and the time.
    pub fn client_id(&self) -> (u32, u32) {
        (self.leader().name.virtual_id(), self.time)
    }

    /// The place of `daemon` among the members.
    pub fn position(&self, daemon: &Daemon) -> Option<usize> {
        self.members.iter().position(|member| member == daemon)
    }

    /// The members that came here from the same view as the member at `position`.
    pub fn together_with(&self, position: usize) -> Vec<Daemon> {
        let from = self.previous.get(position);
        let pairs = self.members.iter().zip(self.previous.iter());
        pairs.filter(|(_, previous)| Some(*previous) == from).map(|(member, _)| *member).collect()
    }
}
