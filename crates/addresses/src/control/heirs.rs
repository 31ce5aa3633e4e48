//! Who gets a set when the machine that has it goes: what the core would decide, as far as the table shows what it decides by.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::table::{Can, CandidateRow, MachineRow, SetRow, Table};

/// Who gets a set, by its place among the machines; nobody if no other machine can have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heir {
    /// If everything goes that is where it is, one set after the other, as listed: each counts for the share of the next.
    pub(super) together: Option<usize>,
    /// If nothing else goes.
    pub(super) alone: Option<usize>,
}

/// Who gets each set of the table.
pub(super) fn heirs(table: &Table) -> Vec<Heir> {
    let now: Vec<u32> = table.machines.iter().map(|one| one.sets).collect();
    // How many sets each has once those before are given away, by the machine that goes; what nobody has is given away, too.
    let mut then: BTreeMap<Option<usize>, Vec<u32>> = BTreeMap::new();
    let one = |set: &SetRow| {
        let owner = table.owner_at(set);
        let alone = best(table, set, owner, &now);
        // What is on its way elsewhere does not go with its old holder, and what nobody may have is not given away.
        let stays = set.moving_to.is_some() && !set.has_come() || set.blocked_by.is_some();
        if stays {
            return Heir { together: alone, alone };
        }
        let counts = then.entry(owner).or_insert_with(|| now.clone());
        let together = best(table, set, owner, counts);
        if let Some(count) = together.and_then(|at| counts.get_mut(at)) {
            *count += 1;
        }
        Heir { together, alone }
    };
    table.sets.iter().map(one).collect()
}

/// The best that can have it, of equals the one with the smallest share, of those the first.
fn best(table: &Table, set: &SetRow, owner: Option<usize>, counts: &[u32]) -> Option<usize> {
    let rows = set.candidates.iter().zip(&table.machines).zip(counts).enumerate();
    let able = rows.filter(|(at, ((one, _), _))| one.can != Can::No && Some(*at) != owner);
    let ranked = able.map(|(at, ((one, row), has))| {
        (badly(one, row, *has), !one.preferred, has.saturating_add(1), row.weight, at)
    });
    ranked
        .min_by(|a, b| {
            (a.0, a.1)
                .cmp(&(b.0, b.1))
                .then_with(|| share((a.2, a.3), (b.2, b.3)))
                .then(a.4.cmp(&b.4))
        })
        .map(|(.., at)| at)
}

/// How badly a machine is suited, 0 for not at all, if it has so many sets.
fn badly(one: &CandidateRow, row: &MachineRow, has: u32) -> u8 {
    let full = row.capacity != 0 && has >= u32::from(row.capacity);
    let worse = match one.why.as_deref() {
        Some("unhealthy") => 4 + 2 * u8::from(row.drained),
        Some("drain") => 2,
        _ => 0,
    };
    worse + u8::from(full)
}

/// Compares what two machines have, each by its weight.
fn share(a: (u32, u16), b: (u32, u16)) -> Ordering {
    (u64::from(a.0) * u64::from(b.1)).cmp(&(u64::from(b.0) * u64::from(a.1)))
}
