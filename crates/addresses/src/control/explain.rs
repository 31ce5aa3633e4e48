//! Why a set is where it is, what every machine is for it, and what would move it, as sentences.

use std::time::Duration;

use super::table::{Can, CandidateRow, MachineRow, SetRow, SetState, Table};
use super::words::Explained;

/// Explains a set of the table.
pub(super) fn explain(table: &Table, set: &SetRow) -> Explained {
    Explained {
        set: set.clone(),
        why: why(table, set),
        machines: set.candidates.iter().map(|one| machine(table, set, one)).collect(),
        moves: moves(table, set),
    }
}

fn why(table: &Table, set: &SetRow) -> Vec<String> {
    let mut said = Vec::new();
    let (called, since) = (with_addresses(set), lasting(set.since_ms));
    let to = set.moving_to.as_deref();
    // Under quorum a wait may be for nobody in particular, and only a majority waits.
    let unsure = set.state == SetState::Waiting && set.quorum && set.why != "lost";
    let apart = set.quorum && table.majority != Some(true);
    match (set.state, &set.owner) {
        (SetState::Moving, Some(owner)) if to == Some(owner) => said.push(format!(
            "{called} has just come to {owner}, because {}; the machine that had it lets go.",
            because(&set.why, owner)
        )),
        (SetState::Moving, owner) => said.push(format!(
            "{called} goes from {} to {}, because {}. That began {since} ago.",
            owner.as_deref().unwrap_or("several machines"),
            to.unwrap_or("?"),
            because(&set.why, to.unwrap_or("?"))
        )),
        (_, Some(owner)) => said.push(format!(
            "{called} has been at {owner} for {since}, because {}.",
            because(&set.why, owner)
        )),
        (SetState::Blocked, None) => {
            let by = set.blocked_by.map_or_else(|| "another set".to_owned(), |by| by.to_string());
            said.push(format!(
                "{called} is nowhere: machines list its addresses differently, and the form with {by} has precedence. Make the lists of all machines alike."
            ));
        }
        (SetState::Waiting, None) if apart => {
            said.push(format!("{called} is nowhere: {}.", nowhere(table, set)));
        }
        (SetState::Waiting, None) if unsure => said.push(format!(
            "{called} is nowhere: a machine that is not here, or that says nothing, may still have it."
        )),
        (SetState::Waiting, None) => said.push(format!(
            "{called} is nowhere: the machine that had it was lost and may still answer for it."
        )),
        (_, None) if !table.connected => {
            said.push(format!(
                "{called} is not held by this machine: the bus is away ({}).",
                table.bus
            ));
        }
        (_, None) => said.push(format!("{called} is nowhere: {}.", nowhere(table, set))),
    }
    match set.pending_ms.map(lasting) {
        Some(left) if unsure && !apart => {
            said.push(format!("The longest lease that it may have runs for another {left}."));
        }
        Some(left) if !unsure => {
            said.push(format!("The lease of a lost holder runs for another {left}."));
        }
        _ => {}
    }
    if let Some(owner) = over(table, set) {
        said.push(format!(
            "{owner} has more sets than it takes (addresses.capacity), because no other machine that can have them has room; what is too much goes as soon as one has."
        ));
    }
    if set.pinned {
        said.push("An operator moved it there, so balance and preference leave it there.".into());
    }
    if set.quorum {
        said.push("It may be held only together with a majority of addresses.quorum.".into());
    }
    if !set.listed {
        said.push(format!("{} does not list it.", table.machine));
    }
    if let Some(unable) = &set.unable {
        said.push(format!("On {}: {unable}.", table.machine));
    }
    said
}

/// The machine that has it and more sets than it takes.
fn over<'a>(table: &Table, set: &'a SetRow) -> Option<&'a str> {
    let owner = set.owner.as_deref()?;
    let row = table.machine(owner)?;
    (row.capacity != 0 && row.sets > u32::from(row.capacity)).then_some(owner)
}

fn with_addresses(set: &SetRow) -> String {
    let mut called = set.called();
    let own = set.head.to_string();
    let rest = set.addresses.iter().map(|one| one.address.to_string());
    let rest: Vec<String> = rest.filter(|one| set.name.is_some() || *one != own).collect();
    if !rest.is_empty() {
        called += &format!(" ({})", rest.join(", "));
    }
    called
}

/// Why it is at, or goes to, this machine.
fn because(word: &str, machine: &str) -> String {
    match word {
        "unowned" => format!("nobody had it and {machine} had the smallest share"),
        "lost" => format!("the machine that had it was lost and {machine} had the smallest share"),
        "conflict" => {
            format!("several machines had it when they met, and {machine} is the one that keeps it")
        }
        "balance" => "the share of the machines was uneven".into(),
        "preference" => format!("{machine} prefers it"),
        "drain" => "the machine that had it is drained".into(),
        "leaving" => "the machine that had it was stopped in order".into(),
        "unhealthy" => "the checks of the machine that had it fail".into(),
        "unable" => "the machine that had it could not hold it any more".into(),
        "unlisted" => "the machine that had it does not list it any more".into(),
        "operator" => "an operator moved it".into(),
        "held" => format!("{machine} had it when the machines met last"),
        other => format!("of this: {other}"),
    }
}

fn nowhere(table: &Table, set: &SetRow) -> &'static str {
    if table.stage == "gathering" {
        "the machines are just being heard"
    } else if table.machines.iter().all(|one| !one.mature) {
        "no machine has been there for long enough to take part (addresses.mature)"
    } else if set.quorum && table.majority != Some(true) {
        "there is no majority"
    } else {
        "no machine can have it"
    }
}

fn machine(table: &Table, set: &SetRow, one: &CandidateRow) -> String {
    let name = &one.machine;
    let has = set.owner.as_ref() == Some(name);
    let row = table.machine(name);
    let share = row.map_or_else(String::new, |row| {
        let most = match row.capacity {
            0 => String::new(),
            most => format!(", capacity {most}"),
        };
        format!("it has {} of {} sets, weight {}{most}", row.sets, table.sets.len(), row.weight)
    });
    match (one.can, &one.why) {
        (Can::Good, _) if has && one.preferred => {
            format!("{name} has it and prefers it ({share}).")
        }
        (Can::Good, _) if has => format!("{name} has it ({share})."),
        (Can::Good, _) if one.preferred => format!("{name} can have it and prefers it ({share})."),
        (Can::Good, _) => format!("{name} can have it ({share})."),
        (Can::Reluctant, why) => format!(
            "{name} {} only if nobody better can: {} ({share}).",
            if has { "keeps it" } else { "would have it" },
            obstacle(why.as_deref(), row)
        ),
        (Can::No, why) => format!(
            "{name} cannot have it: {}{}.",
            obstacle(why.as_deref(), row),
            if has { "; it still has it until another does" } else { "" }
        ),
    }
}

/// Why a machine is no good one.
pub(super) fn obstacle(word: Option<&str>, row: Option<&MachineRow>) -> String {
    match word.unwrap_or_default() {
        "lost" if row.is_some_and(|row| row.silent) => "it is in the group and says nothing".into(),
        "lost" => "it has not said anything yet".into(),
        "unlisted" => "it does not list it".into(),
        "unable" => {
            "its interface is missing, down or without a carrier, or did not take it".into()
        }
        "leaving" => "it is being stopped".into(),
        "immature" => "it does not take part yet".into(),
        "unhealthy" => "its checks fail".into(),
        "no-quorum" => "there is no majority".into(),
        "drain" => "it is drained".into(),
        "full" => "it has as many as it takes (addresses.capacity)".into(),
        other => other.to_owned(),
    }
}

fn moves(table: &Table, set: &SetRow) -> Vec<String> {
    let mut said = Vec::new();
    let Some(owner) = &set.owner else {
        match heir(table, set, "") {
            Some(heir) => said.push(format!("As things are, {heir} gets it next.")),
            None => said.push("A machine that can have it gets it as soon as there is one.".into()),
        }
        return said;
    };
    match heir(table, set, owner) {
        Some(heir) => said.push(format!(
            "If {owner} dies, is stopped or drained, fails its checks or loses its interface, {heir} gets it."
        )),
        None => said.push(format!("No other machine can have it: without {owner} it would be nowhere.")),
    }
    let wants = set.candidates.iter().find(|one| one.preferred && one.machine != *owner);
    if let (Some(wants), false) = (wants, set.pinned) {
        said.push(format!(
            "{} prefers it and gets it when it has been there for long enough (addresses.prefer_after).",
            wants.machine
        ));
    }
    if let Some(to) = uneven(table, set, owner).filter(|_| !set.pinned) {
        said.push(format!("Balance takes sets from {owner} to {to}, which has a smaller share; it may be this one."));
    }
    let called = set.called();
    said.push(format!("`backhand vip move {called} MACHINE` moves it now, and it stays there."));
    said
}

/// Who gets it if the owner goes: the best, of equals the one with the smallest share, of those the first.
fn heir<'a>(table: &'a Table, set: &'a SetRow, owner: &str) -> Option<&'a str> {
    let all = set.candidates.iter().zip(&table.machines).enumerate();
    let able = all.filter(|(_, (one, _))| one.can != Can::No && one.machine != owner);
    let rank = |(at, (one, row)): &(usize, (&CandidateRow, &MachineRow))| {
        let badly = match (one.can, one.why.as_deref()) {
            (Can::Good, _) => 0,
            (_, Some("full")) => 1,
            (_, Some("drain")) => 2,
            _ => 3,
        };
        // A share of so many millionths, since weights are at most 1000.
        let share = u64::from(row.sets + 1) * 1_000_000 / u64::from(row.weight.max(1));
        (badly, !one.preferred, share, *at)
    };
    able.min_by_key(rank).map(|(_, (one, _))| one.machine.as_str())
}

/// To whom balance would take something from the owner.
fn uneven<'a>(table: &'a Table, set: &'a SetRow, owner: &str) -> Option<&'a str> {
    let from = table.machine(owner)?;
    let own = set.candidates.iter().find(|one| one.machine == owner)?;
    if own.preferred {
        return None;
    }
    let able = set.candidates.iter().filter(|one| one.can == Can::Good);
    let rows = able.filter_map(|one| table.machine(&one.machine));
    // Better only if the taker has less afterwards than the giver had before.
    let less = |to: &&MachineRow| {
        u64::from(to.sets + 1) * u64::from(from.weight)
            < u64::from(from.sets) * u64::from(to.weight)
    };
    let to = rows.filter(|to| to.machine != owner).find(less)?;
    Some(&to.machine)
}

/// A time for people: at most two units.
pub fn lasting(millis: u64) -> String {
    let time = Duration::from_millis(millis);
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", millis),
        1..60 => format!("{}.{} s", seconds, time.subsec_millis() / 100),
        60..3_600 => format!("{} m {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::{AddressRow, Table};
    use super::super::words::CountersRow;
    use super::*;

    fn machine_row(machine: &str, sets: u32) -> MachineRow {
        MachineRow {
            machine: machine.into(),
            member: format!("#v#{machine}"),
            shown: None,
            mature: true,
            healthy: true,
            drained: false,
            keeps: true,
            leaving: false,
            silent: false,
            weight: 100,
            capacity: 0,
            sets,
            here_ms: 0,
        }
    }

    fn candidate(machine: &str, can: Can, why: Option<&str>) -> CandidateRow {
        CandidateRow { machine: machine.into(), can, preferred: false, why: why.map(Into::into) }
    }

    fn set() -> SetRow {
        let address = |ip: &str| AddressRow {
            interface: "eth0".into(),
            address: ip.parse().unwrap(),
            prefix: 32,
        };
        SetRow {
            name: None,
            head: "10.0.0.1".parse().unwrap(),
            addresses: vec![address("10.0.0.1"), address("10.0.0.2")],
            state: SetState::Held,
            owner: Some("m1".into()),
            shown: None,
            moving_to: None,
            why: "lost".into(),
            since_ms: 192_000,
            quorum: false,
            pending_ms: None,
            pinned: false,
            blocked_by: None,
            here: true,
            unable: None,
            listed: true,
            candidates: vec![
                candidate("m1", Can::Good, None),
                candidate("m2", Can::Reluctant, Some("drain")),
                candidate("m3", Can::No, Some("immature")),
                candidate("m4", Can::Good, None),
            ],
        }
    }

    fn table(counts: [u32; 4]) -> Table {
        let machines = ["m1", "m2", "m3", "m4"].into_iter().zip(counts);
        Table {
            machine: "m1".into(),
            stage: "running".into(),
            connected: true,
            bus: "#v#m1".into(),
            away: false,
            majority: None,
            healthy: true,
            health: String::new(),
            guarded: true,
            passes_on: true,
            passes_on_not: None,
            passed_on: 0,
            held: vec![],
            machines: machines.map(|(name, sets)| machine_row(name, sets)).collect(),
            sets: vec![set()],
            decision: 1,
            checks: vec![],
            counters: CountersRow::default(),
        }
    }

    #[test]
    fn a_held_set_says_why_who_else_and_what_would_move_it() {
        let told = explain(&table([3, 0, 0, 1]), &set());
        assert_eq!(
            told.why,
            [
                "10.0.0.1 (10.0.0.2) has been at m1 for 3 m 12 s, because the machine that had it was lost and m1 had the smallest share."
            ]
        );
        assert_eq!(
            told.machines,
            [
                "m1 has it (it has 3 of 1 sets, weight 100).",
                "m2 would have it only if nobody better can: it is drained (it has 0 of 1 sets, weight 100).",
                "m3 cannot have it: it does not take part yet.",
                "m4 can have it (it has 1 of 1 sets, weight 100).",
            ]
        );
        assert_eq!(
            told.moves,
            [
                "If m1 dies, is stopped or drained, fails its checks or loses its interface, m4 gets it.",
                "Balance takes sets from m1 to m4, which has a smaller share; it may be this one.",
                "`backhand vip move 10.0.0.1 MACHINE` moves it now, and it stays there.",
            ]
        );
    }

    #[test]
    fn too_many_sets_are_told_with_why_they_stay() {
        let mut full = table([3, 0, 0, 1]);
        full.machines[0].capacity = 2;
        full.machines[3].capacity = 1;
        let mut one = set();
        one.candidates[0] = candidate("m1", Can::Reluctant, Some("full"));
        one.candidates[3] = candidate("m4", Can::Reluctant, Some("full"));
        let told = explain(&full, &one);
        assert_eq!(
            told.why[1],
            "m1 has more sets than it takes (addresses.capacity), because no other machine that can have them has room; what is too much goes as soon as one has."
        );
        assert_eq!(
            [&told.machines[0], &told.machines[3]],
            [
                "m1 keeps it only if nobody better can: it has as many as it takes (addresses.capacity) (it has 3 of 1 sets, weight 100, capacity 2).",
                "m4 would have it only if nobody better can: it has as many as it takes (addresses.capacity) (it has 1 of 1 sets, weight 100, capacity 1).",
            ]
        );
        // One with room is better than one that is full, and that than one that is drained.
        assert!(told.moves[0].ends_with("m4 gets it."), "{:?}", told.moves);
        full.machines[0].capacity = 3;
        assert!(explain(&full, &one).why.len() == 1);
    }

    #[test]
    fn an_even_share_and_a_pin_move_nothing() {
        let balance = |set: &SetRow, counts| {
            explain(&table(counts), set).moves.iter().any(|one| one.starts_with("Balance"))
        };
        assert!(!balance(&set(), [2, 0, 0, 1]));
        assert!(balance(&set(), [3, 0, 0, 1]));
        let pinned = SetRow { pinned: true, ..set() };
        assert!(!balance(&pinned, [3, 0, 0, 1]));
        assert!(
            explain(&table([3, 0, 0, 1]), &pinned).why[1].starts_with("An operator moved it there")
        );
    }

    #[test]
    fn a_set_that_nobody_has_says_what_it_waits_for() {
        let nowhere = SetRow { owner: None, state: SetState::Nowhere, ..set() };
        let mut table = table([0; 4]);
        assert_eq!(
            explain(&table, &nowhere).why,
            ["10.0.0.1 (10.0.0.2) is nowhere: no machine can have it."]
        );
        assert_eq!(explain(&table, &nowhere).moves, ["As things are, m1 gets it next."]);
        table.machines.iter_mut().for_each(|one| one.mature = false);
        assert!(explain(&table, &nowhere).why[0].contains("(addresses.mature)"));
        table.connected = false;
        assert!(explain(&table, &nowhere).why[0].contains("the bus is away"));
        let waiting = SetRow { state: SetState::Waiting, pending_ms: Some(2_500), ..nowhere };
        assert_eq!(
            explain(&table, &waiting).why[1],
            "The lease of a lost holder runs for another 2.5 s."
        );
    }

    #[test]
    fn a_wait_for_nobody_in_particular_and_one_without_a_majority_are_told_as_what_they_are() {
        let mut table = table([0; 4]);
        table.majority = Some(true);
        let lost = SetRow {
            owner: None,
            state: SetState::Waiting,
            quorum: true,
            pending_ms: Some(2_500),
            ..set()
        };
        assert!(explain(&table, &lost).why[0].ends_with("was lost and may still answer for it."));
        let unsure = SetRow { why: "unowned".into(), ..lost.clone() };
        assert_eq!(
            explain(&table, &unsure).why[..2],
            [
                "10.0.0.1 (10.0.0.2) is nowhere: a machine that is not here, or that says nothing, may still have it.",
                "The longest lease that it may have runs for another 2.5 s.",
            ]
        );
        table.majority = Some(false);
        for (set, sentences) in [(unsure, 2), (lost, 3)] {
            let told = explain(&table, &set).why;
            assert_eq!(told[0], "10.0.0.1 (10.0.0.2) is nowhere: there is no majority.");
            assert_eq!(told.len(), sentences, "{told:?}");
        }
    }

    #[test]
    fn times_have_at_most_two_units() {
        let told = [5, 61_000, 3_725_000, 90_061_000].map(lasting);
        assert_eq!(told, ["5 ms", "1 m 1 s", "1 h 2 m", "1 d 1 h"]);
    }
}
