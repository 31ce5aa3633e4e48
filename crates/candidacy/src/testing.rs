//! Small fleets for this crate's tests.

use alloc::format;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddr};

use base::{Instant, MachineId};

use crate::hot::{Hot, Slot};
use crate::report::Report;
use crate::snapshot::{Machine, Snapshot};

/// A machine named `web{n}` with two CPUs of average speed.
pub(crate) fn machine(n: u16) -> Machine {
    let addr = SocketAddr::from((Ipv4Addr::new(10, 0, (n >> 8) as u8, n as u8), 80));
    let mut id = [0; 16];
    id[..2].copy_from_slice(&n.to_be_bytes());
    let mut machine = Machine::new(MachineId(id), format!("web{n}"), addr);
    (machine.cpus_milli, machine.arriba) = (2000, 1000);
    machine.exchange = Some(SocketAddr::new(addr.ip(), 4446));
    (machine.total_memory, machine.available_memory) = (8 << 30, 6 << 30);
    machine
}

/// `n` equal machines, all alive and just heard of (by no announcement) with nothing in flight; row 0 is this machine.
pub(crate) fn fleet(n: u16, now: Instant) -> (Hot, Snapshot) {
    let machines: Vec<_> = (0..n).map(|i| Some(machine(i))).collect();
    let hot = Hot::new(n.into());
    for slot in (0..n).map(Slot) {
        hot.admit(slot, 1, Instant::from_nanos(now.as_nanos() - 1_000_000));
        hear(&hot, slot, 0, now);
    }
    (hot, Snapshot::new(1, Slot(0), machines))
}

/// Lets a machine say that it holds so many requests.
pub(crate) fn hear(hot: &Hot, slot: Slot, in_flight: u16, now: Instant) {
    let sequence = hot.heard(slot).map_or(1, |heard| heard.report.sequence.wrapping_add(1));
    let report = Report { sequence, in_flight, ..Report::default() };
    assert!(hot.hear(slot, hot.epoch(slot), report, now));
}
