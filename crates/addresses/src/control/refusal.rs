//! Why a machine would not take a set that an operator wants there, as far as all machines know it.

use super::explain::obstacle;
use super::table::{Can, CandidateRow, MachineRow, SetRow, Table};

/// Why a move of this set to this machine would come to nothing: it cannot have the set, or would give it back at once.
pub fn refusal(table: &Table, set: &SetRow, to: &MachineRow) -> Option<String> {
    // Candidates are in the order of the machines.
    let all = || set.candidates.iter().zip(&table.machines);
    let (one, _) = all().find(|(_, row)| row.member == to.member)?;
    let why = obstacle(table, one.why.as_deref(), Some(to));
    let (machine, called) = (table.called(to), set.called());
    if one.can == Can::No {
        return Some(format!("{machine} cannot have {called}: {why}"));
    }
    let (owner, _) = all().find(|(_, row)| set.is_at(row))?;
    (reluctance(one) > reluctance(owner))
        .then(|| format!("{machine} would give {called} back at once: {why}"))
}

/// How much a machine would rather not have it.
fn reluctance(one: &CandidateRow) -> u8 {
    match (one.can, one.why.as_deref()) {
        (Can::No, _) => 3,
        (_, Some("unhealthy")) => 2,
        (_, Some("drain")) => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_cannot_have_a_set_or_would_give_it_back_is_told_with_why() {
        let machine = |name: &str| {
            serde_json::json!({
                "machine": name, "member": format!("#v#{name}"), "shown": null, "mature": true, "healthy": true,
                "drained": false, "leaving": false, "silent": false, "weight": 100, "sets": 0, "here_ms": 0,
            })
        };
        let candidate = |name: &str, can: &str, why: Option<&str>| serde_json::json!({ "machine": name, "can": can, "preferred": false, "why": why });
        let mut table: Table = serde_json::from_value(serde_json::json!({
            "machine": "m1", "stage": "running", "connected": true, "bus": "#v#m1", "away": false, "majority": null,
            "healthy": true, "health": "", "guarded": true, "held": [], "decision": 7,
            "machines": [machine("m1"), machine("m2"), machine("m3"), machine("m4")],
            "sets": [{
                "name": "web", "head": "10.0.0.1", "addresses": [], "state": "held", "owner": "m1", "shown": null,
                "moving_to": null, "why": "lost", "since_ms": 0, "quorum": false, "pending_ms": null,
                "pinned": false, "blocked_by": null, "here": false, "unable": null, "listed": true,
                "candidates": [
                    candidate("m1", "good", None), candidate("m2", "no", Some("unlisted")),
                    candidate("m3", "reluctant", Some("drain")), candidate("m4", "reluctant", Some("full")),
                ],
            }],
        }))
        .unwrap();
        let told = |table: &Table, at: usize| refusal(table, &table.sets[0], &table.machines[at]);
        assert_eq!(told(&table, 1).as_deref(), Some("m2 cannot have web: it does not list it"));
        let back = "m3 would give web back at once: it is drained";
        assert_eq!(told(&table, 2).as_deref(), Some(back));
        assert_eq!((told(&table, 0), told(&table, 3)), (None, None));
        // Its holder is no better off.
        table.sets[0].candidates[0].can = Can::Reluctant;
        table.sets[0].candidates[0].why = Some("unhealthy".into());
        assert_eq!(told(&table, 2), None);
        table.sets[0].candidates[0].can = Can::No;
        assert_eq!(told(&table, 2), None);
    }
}
