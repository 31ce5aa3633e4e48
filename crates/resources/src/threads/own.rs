//! What this machine says of itself, from its facts, its figures and its counters.

use std::time::Duration;

use announce::Contact;
use announce::packet::{Announcement, ROUTES_MAX, Turnaround};
use candidacy::snapshot::Pressure;

use crate::config::Advertised;
use crate::handle::Shared;
use crate::measure::{Facts, Figures, Stall};
use crate::served::ServedFigures;

/// The announcement of this moment. `arriba` is 0 while it is being measured.
pub(super) fn announcement(
    shared: &Shared,
    facts: &Facts,
    figures: &Figures,
    arriba: u32,
    sequence: u64,
) -> Announcement {
    let config = &shared.config;
    let local = &shared.local;
    let served = shared.served.load().figures();
    let ms = u32::try_from(config.interval.as_millis()).unwrap_or(u32::MAX);
    Announcement {
        sequence,
        report: shared.matrix.hot.report_here(0),
        interval_millis: ms,
        peer_port: peer_port(shared),
        exchange_port: config.exchange_port,
        cpus_milli: facts.cpus_milli,
        arriba,
        total_memory: facts.total_memory,
        available_memory: figures.available_memory,
        load_milli: figures.load_milli,
        load_high_water: figures.load_high_water,
        cpu_idle_permille: figures.cpu_idle_permille,
        pressure: Pressure {
            cpu: some(figures.pressure.cpu),
            memory: some(figures.pressure.memory),
            io: some(figures.pressure.io),
        },
        running_slots: served.running,
        ready_slots: served.ready,
        in_flight: local.in_flight(),
        relaying: local.relaying(),
        // No limit is written as 0.
        limit: if local.limit() == u32::MAX { 0 } else { local.limit() },
        turnaround: turnaround(&served),
        plain: !shared.setup.peer_listener,
        routes: served.routes.iter().take(ROUTES_MAX).copied().collect(),
        program: env!("CARGO_PKG_VERSION").into(),
        ..Announcement::new(config.name.clone(), contact(shared))
    }
}

/// Where peers connect; 0 if nowhere.
fn peer_port(shared: &Shared) -> u16 {
    match shared.setup.peer_port {
        _ if !shared.setup.peer_listener => 0,
        0 => shared.config.exchange_port,
        port => port,
    }
}

/// The contact announced: as whom the file says, else this machine's own HTTP port.
pub(super) fn contact(shared: &Shared) -> Contact {
    match &shared.config.advertised {
        None => Contact::here(shared.setup.http_port),
        Some(Advertised::Address(address)) => Contact::Address(*address),
        Some(Advertised::Name { name, port }) => Contact::Name { name: name.clone(), port: *port },
    }
}

fn some(stall: Option<Stall>) -> Option<u16> {
    stall.map(|stall| stall.some)
}

fn turnaround(served: &ServedFigures) -> Turnaround {
    let micros = |d: Duration| u32::try_from(d.as_micros()).unwrap_or(u32::MAX);
    Turnaround {
        count: served.count,
        mean_micros: micros(served.mean),
        p99_micros: micros(served.p99),
    }
}
