//! The rows of the matrix.

use std::collections::HashMap;

use base::Instant;
use base::histogram::Counts;
use candidacy::hot::Standing;
use candidacy::{Condition, Machine, Slot, Snapshot};

use crate::view::{MachineRow, Pressure, Tone};

/// A row for each machine in the snapshot.
pub(super) fn rows(
    resources: &resources::Handle,
    snapshot: &Snapshot,
    mut turnaround: HashMap<Slot, Counts>,
    now: Instant,
) -> Vec<MachineRow> {
    let present = snapshot.present().iter();
    let rows = present.filter_map(|&slot| {
        let counts = turnaround.remove(&slot).unwrap_or_default();
        Some(row(resources, slot, snapshot.machine(slot)?, counts, now))
    });
    rows.collect()
}

fn row(
    resources: &resources::Handle,
    slot: Slot,
    m: &Machine,
    turnaround: Counts,
    now: Instant,
) -> MachineRow {
    let hot = &resources.matrix().hot;
    let this = slot == resources.this();
    let heard = hot.heard(slot);
    let mine = hot.mine(slot);
    let (condition, tone, usable) = condition(resources, slot, this, now);
    let age = |at: Instant| u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX);
    let slots = m.running > 0;
    let limit = if this {
        Some(resources.local().limit()).filter(|&n| n != u32::MAX)
    } else {
        Some(m.limit)
    };
    MachineRow {
        entry: slot.0,
        name: m.name.clone(),
        id: m.id.to_string(),
        boot: m.boot.to_string(),
        version: Some(m.program.clone()).filter(|version| !version.is_empty()),
        this,
        address: match &m.service.name {
            Some(name) => format!("{name}:{}", m.service.addr.port()),
            None => m.service.addr.to_string(),
        },
        peer: m.peer.map(|addr| addr.to_string()),
        plain: m.plain,
        condition,
        tone,
        usable,
        age_ms: if this { Some(age(m.announced)) } else { hot.announced_at(slot).map(age) },
        information_age_ms: if this { Some(0) } else { heard.map(|heard| age(heard.at)) },
        total_memory_bytes: m.total_memory,
        available_memory_bytes: m.available_memory,
        ready_servers: slots.then_some(m.ready),
        total_servers: slots.then_some(m.running),
        ms_per_request: turnaround.mean().map(|mean| mean.as_secs_f64() * 1e3),
        requests: turnaround.count(),
        arriba: Some(u64::from(m.arriba)).filter(|&speed| speed > 0),
        cpus: f64::from(m.cpus_milli) / 1e3,
        load: f64::from(m.load_milli) / 1e3,
        load_high_water: f64::from(m.load_high_water.max(1)),
        cpu_idle: f64::from(m.cpu_idle_permille) / 1e3,
        pressure: Pressure {
            cpu_percent: m.pressure.cpu.map(percent),
            memory_percent: m.pressure.memory.map(percent),
            io_percent: m.pressure.io.map(percent),
        },
        in_flight_mine: mine,
        in_flight_others: if this {
            hot.serving().saturating_sub(mine)
        } else {
            heard.map_or(0, |heard| heard.others.into())
        },
        in_flight_limit: limit.filter(|&limit| limit > 0),
        turnaround,
        ..MachineRow::default()
    }
}

/// The condition in words, how good it is, and whether a decision may choose the machine.
fn condition(
    resources: &resources::Handle,
    slot: Slot,
    this: bool,
    now: Instant,
) -> (String, Tone, bool) {
    let hot = &resources.matrix().hot;
    let standing = if this { hot.standing_here() } else { hot.standing(slot, now) };
    let tone = match standing {
        Standing::Usable => Tone::Good,
        Standing::Draining | Standing::OverLimit | Standing::Tried => Tone::Warn,
        Standing::Dead | Standing::Ejected | Standing::Unhealthy => Tone::Bad,
        Standing::Vacant => Tone::Quiet,
    };
    match standing {
        Standing::Usable if this => ("in service".into(), tone, true),
        Standing::Usable if hot.condition(slot) == Condition::Suspect => {
            ("suspect".into(), Tone::Warn, true)
        }
        Standing::Usable => ("alive".into(), tone, true),
        Standing::Ejected => {
            let left =
                hot.ejected_until(slot, now).map_or(0, |until| until.since(now).as_secs() + 1);
            (format!("ejected, back in {left} s"), tone, false)
        }
        other => (other.as_str().into(), tone, false),
    }
}

/// Of ten-thousandths.
fn percent(share: u16) -> f64 {
    f64::from(share) / 100.0
}
