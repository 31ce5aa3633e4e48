//! The slow half of the matrix: what the last announcements said, as one immutable value.
//!
//! The driver builds a new snapshot when announcements have come in (in batches) and swaps it in;
//! readers keep the one they hold. What a decision needs of it is computed once, at building.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use base::{Boot, Instant, MachineId};

use crate::cost::Figures;
use crate::hot::{MAX_MACHINES, Slot};

/// Where a machine says it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The address and port of its web service.
    pub addr: SocketAddr,
    /// The name it announces itself as, if it was told to (`name:port` in the configuration).
    pub name: Option<String>,
}

/// What a machine says of one of its routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteFigures {
    /// [`crate::Route::key`]: the same on all machines that name the route alike.
    pub key: u32,
    /// Typical service time there, in microseconds; 0 = unknown.
    pub service_micros: u32,
    /// Requests of the route now in its local service.
    pub in_flight: u16,
}

/// Share of time in which something waited for a resource (pressure stall information), in
/// ten-thousandths over the last ten seconds; `None` = not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Waiting for a CPU. In a control group of version 1, which has no such figure, the share of the quota's periods in
    /// which the quota ran out.
    pub cpu: Option<u16>,
    /// Waiting for memory.
    pub memory: Option<u16>,
    /// Waiting for input or output.
    pub io: Option<u16>,
}

/// A machine's slow figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Who.
    pub id: MachineId,
    /// Which of its lives.
    pub boot: Boot,
    /// This process's number for the admission of that boot.
    pub epoch: u32,
    /// Its host name. For people, `byHostname` and redirects.
    pub name: String,
    /// The version of the program it runs; empty if it does not say.
    pub program: String,
    /// Where it serves the web.
    pub service: Contact,
    /// Its peer listener; none on announce-only machines.
    pub peer: Option<SocketAddr>,
    /// Where it answers probes and questions.
    pub exchange: Option<SocketAddr>,
    /// An announce-only machine: served as a plain web server, no marks, no reports.
    pub plain: bool,
    /// CPUs it may use, in thousandths (a quota counts).
    pub cpus_milli: u32,
    /// Its measured speed of one CPU; 0 = unknown.
    pub arriba: u32,
    /// Memory in bytes (a limit counts).
    pub total_memory: u64,
    /// Memory available, in bytes.
    pub available_memory: u64,
    /// One-minute load, in thousandths.
    pub load_milli: u32,
    /// The smallest power of two above any load seen; 0 counts as 1.
    pub load_high_water: u32,
    /// Idle share of its CPUs, in thousandths.
    pub cpu_idle_permille: u16,
    /// What waits there.
    pub pressure: Pressure,
    /// Requests its local service may hold; 0 = no limit.
    pub limit: u32,
    /// Running service slots (busy and ready).
    pub running: u32,
    /// Ready service slots.
    pub ready: u32,
    /// Figures by route, at most 8.
    pub routes: Vec<RouteFigures>,
    /// Average turnaround of the requests that *this* process sent there, and their count.
    pub turnaround: Option<(Duration, u64)>,
    /// When the figures arrived.
    pub announced: Instant,
}

impl Machine {
    /// A machine with nothing known but who and where: the start of a test or a new row.
    pub fn new(id: MachineId, name: impl Into<String>, service: SocketAddr) -> Self {
        Self {
            id,
            boot: Boot([0; 16]),
            epoch: 1,
            name: name.into(),
            program: String::new(),
            service: Contact { addr: service, name: None },
            peer: None,
            exchange: None,
            plain: false,
            cpus_milli: 1000,
            arriba: 0,
            total_memory: 0,
            available_memory: 0,
            load_milli: 0,
            load_high_water: 1,
            cpu_idle_permille: 1000,
            pressure: Pressure::default(),
            limit: 0,
            running: 0,
            ready: 0,
            routes: Vec::new(),
            turnaround: None,
            announced: Instant::ORIGIN,
        }
    }
}

/// All machines' slow figures at one moment. See the module's text.
#[derive(Clone, Debug)]
pub struct Snapshot {
    version: u64,
    this: Slot,
    machines: Vec<Option<Machine>>,
    present: Vec<Slot>,
    figures: Vec<Figures>,
    fastest: f32,
}

impl Snapshot {
    /// A snapshot of `machines`, by row; rows beyond [`MAX_MACHINES`] are dropped.
    ///
    /// `version` must differ from that of every other snapshot of this process: what readers derive
    /// from names is kept per version. `this` is this machine's own row.
    pub fn new(version: u64, this: Slot, mut machines: Vec<Option<Machine>>) -> Self {
        machines.truncate(MAX_MACHINES);
        let held = (0..machines.len()).filter(|&i| machines[i].is_some());
        let present: Vec<Slot> = held.map(|i| Slot(i as u16)).collect();
        let figures = Figures::of(&machines);
        let price = |slot: &Slot| figures[slot.index()].growth(0.0);
        let fastest = present.iter().map(price).fold(f32::INFINITY, f32::min);
        Self { version, this, machines, present, figures, fastest }
    }

    /// Which snapshot this is.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// This machine's own row. It may be absent from the snapshot in the first instants.
    pub fn this(&self) -> Slot {
        self.this
    }

    /// The machine of a row.
    pub fn machine(&self, slot: Slot) -> Option<&Machine> {
        self.machines.get(slot.index())?.as_ref()
    }

    /// All rows, vacant ones as `None`.
    pub fn machines(&self) -> &[Option<Machine>] {
        &self.machines
    }

    /// The rows that hold a machine, in order.
    pub fn present(&self) -> &[Slot] {
        &self.present
    }

    /// The row of a machine, by its identity. Walks all rows: not for each request.
    pub fn find(&self, id: MachineId) -> Option<Slot> {
        self.present.iter().copied().find(|&slot| self.machine(slot).is_some_and(|m| m.id == id))
    }

    /// The least that a request can cost anywhere.
    pub(crate) fn fastest(&self) -> f32 {
        self.fastest
    }

    pub(crate) fn figures(&self, slot: Slot) -> Figures {
        self.figures.get(slot.index()).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use core::net::Ipv4Addr;

    #[test]
    fn a_snapshot_finds_its_machines() {
        let machine = |n: u8| {
            let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
            Some(Machine::new(MachineId([n; 16]), alloc::format!("web{n}"), addr))
        };
        let snapshot = Snapshot::new(1, Slot(0), vec![machine(1), None, machine(3)]);
        assert_eq!(snapshot.present(), [Slot(0), Slot(2)]);
        assert_eq!(snapshot.find(MachineId([3; 16])), Some(Slot(2)));
        assert_eq!(snapshot.find(MachineId([9; 16])), None);
        assert!(snapshot.machine(Slot(1)).is_none() && snapshot.machine(Slot(900)).is_none());
    }
}
