//! Why a set is where it is, what every machine is for it, and what would move it, as sentences.

use std::time::Duration;

use super::heirs::{Heir, heirs};
use super::table::{Can, CandidateRow, MachineRow, SetRow, SetState, Table};
use super::words::Explained;

/// Explains this set of the table, or all.
pub(super) fn explain(table: &Table, only: Option<&SetRow>) -> Vec<Explained> {
    let wanted = |set: &SetRow| only.is_none_or(|only| std::ptr::eq(only, set));
    let all = table.sets.iter().zip(heirs(table)).filter(|(set, _)| wanted(set));
    all.map(|(set, heir)| Explained {
        set: set.clone(),
        why: why(table, set),
        machines: machines(table, set),
        moves: moves(table, set, heir),
    })
    .collect()
}

fn why(table: &Table, set: &SetRow) -> Vec<String> {
    let mut said = Vec::new();
    let (called, since) = (with_addresses(set), lasting(set.since_ms));
    let (owner, to) = (table.owner_called(set), table.target_called(set));
    let to = to.as_deref();
    // Under quorum a wait may be for nobody in particular, and only a majority waits.
    let unsure = set.state == SetState::Waiting && set.quorum && set.why != "lost";
    let apart = set.quorum && table.majority != Some(true);
    match (set.state, &owner) {
        (SetState::Moving, Some(owner)) if set.has_come() => said.push(format!(
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
    if let Some(owner) = owner.filter(|_| over(table, set)) {
        said.push(format!(
            "{owner} has more sets than it takes (addresses.capacity), because no other machine that can have them has room; what is too much goes as soon as one has."
        ));
    }
    if set.pinned {
        said.push(
            "An operator moved it there, so balance and preference leave it there until it goes elsewhere: by another move, or when that machine is drained, stopped or lost.".into(),
        );
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

/// Whether the machine that has it has more sets than it takes.
fn over(table: &Table, set: &SetRow) -> bool {
    let row = table.owner_at(set).and_then(|at| table.machines.get(at));
    row.is_some_and(|row| row.capacity != 0 && row.sets > u32::from(row.capacity))
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
        "full" => "the machine that had it had more than it takes (addresses.capacity)".into(),
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

fn nowhere(table: &Table, set: &SetRow) -> String {
    let immature = table.machines.iter().all(|one| !one.mature);
    let originals = table.originals();
    let why = if table.stage == "gathering" {
        "the machines are just being heard"
    } else if immature && !originals.is_empty() {
        return format!(
            "an original Wackamole is in the group ({}), and no other machine takes part as long as it is there",
            originals.join(", ")
        );
    } else if immature {
        "no machine has been there for long enough to take part (addresses.mature)"
    } else if set.quorum && table.majority != Some(true) {
        "there is no majority"
    } else if lacks_interfaces(set) {
        "no machine's interfaces can hold it now"
    } else {
        "no machine can have it"
    };
    why.to_owned()
}

/// Whether all machines that could have it cannot hold it now, and that alone is why nobody has it.
fn lacks_interfaces(set: &SetRow) -> bool {
    let all = || set.candidates.iter().map(|one| one.why.as_deref().unwrap_or_default());
    all().any(|why| why == "unable")
        && all().all(|why| matches!(why, "unable" | "unlisted" | "lost"))
}

fn machines(table: &Table, set: &SetRow) -> Vec<String> {
    // Candidates are in the order of the machines.
    let all = set.candidates.iter().enumerate();
    all.map(|(at, one)| machine(table, set, table.machines.get(at), one)).collect()
}

fn machine(table: &Table, set: &SetRow, row: Option<&MachineRow>, one: &CandidateRow) -> String {
    let name = row.map_or_else(|| one.machine.clone(), |row| table.called(row));
    let has = row.is_some_and(|row| set.is_at(row));
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
            obstacle(table, why.as_deref(), row)
        ),
        (Can::No, why) => format!(
            "{name} cannot have it: {}{}.",
            obstacle(table, why.as_deref(), row),
            if has { "; it still has it until another does" } else { "" }
        ),
    }
}

/// Why a machine is no good one.
pub(super) fn obstacle(table: &Table, word: Option<&str>, row: Option<&MachineRow>) -> String {
    match word.unwrap_or_default() {
        "lost" if row.is_some_and(|row| row.original) => "it is an original Wackamole".into(),
        "lost" if row.is_some_and(|row| row.silent) => "it is in the group and says nothing".into(),
        "lost" => "it has not said anything yet".into(),
        "unlisted" => "it does not list it".into(),
        "unable" => {
            "its interface is missing, down, without a carrier or answers nobody, or did not take it, or somebody else, or this machine itself, has the address".into()
        }
        "leaving" => "it is being stopped".into(),
        "immature" if !table.originals().is_empty() => {
            "it does not take part as long as an original Wackamole is in the group".into()
        }
        "immature" => "it does not take part yet".into(),
        "unhealthy" => "its checks fail".into(),
        "no-quorum" => "there is no majority".into(),
        "drain" => "it is drained".into(),
        "full" => "it has as many as it takes (addresses.capacity)".into(),
        other => other.to_owned(),
    }
}

fn moves(table: &Table, set: &SetRow, heir: Heir) -> Vec<String> {
    let mut said = Vec::new();
    let called =
        |at: usize| table.machines.get(at).map_or_else(|| "?".into(), |row| table.called(row));
    let owner = table.owner_at(set);
    let Some(name) = table.owner_called(set) else {
        said.push(match (heir.together, heir.alone) {
            (Some(heir), Some(alone)) if heir != alone => format!(
                "As things are, {} gets it next, after what else nobody has; by itself it would go to {}.",
                called(heir),
                called(alone)
            ),
            (Some(heir), _) => format!("As things are, {} gets it next.", called(heir)),
            (None, _) => "A machine that can have it gets it as soon as there is one.".into(),
        });
        return said;
    };
    said.push(match (heir.together, heir.alone) {
        (Some(heir), Some(alone)) if heir != alone => format!(
            "If {name} dies, is stopped or drained, or fails its checks, all that it has goes, each to the machine with the smallest share by then, and as things are {} gets this; if only this goes, because its interface is lost, {} gets it.",
            called(heir),
            called(alone)
        ),
        (Some(heir), _) => {
            // Whoever is no better off gets it only if there is nothing else to do.
            let when = match set.candidates.get(heir).and_then(|one| one.why.as_deref()) {
                Some("drain" | "unhealthy") => "is stopped or loses its interface",
                _ => "is stopped or drained, fails its checks or loses its interface",
            };
            format!("If {name} dies, {when}, {} gets it.", called(heir))
        }
        (None, _) => format!("No other machine can have it: without {name} it would be nowhere."),
    });
    let mut all = set.candidates.iter().enumerate();
    let wants = all.find(|(at, one)| one.preferred && Some(*at) != owner);
    if let (Some((wants, _)), false) = (wants, set.pinned) {
        said.push(format!(
            "{} prefers it and gets it when it has been there for long enough (addresses.prefer_after).",
            called(wants)
        ));
    }
    if let Some(to) = uneven(table, set, owner).filter(|_| !set.pinned) {
        let to = called(to);
        said.push(format!(
            "Balance takes sets from {name} to {to}, which has a smaller share; it may be this one."
        ));
    }
    let called = set.called();
    said.push(format!("`backhand vip move {called} MACHINE` moves it now, and it stays there."));
    said
}

/// To whom balance would take something from the owner.
fn uneven(table: &Table, set: &SetRow, owner: Option<usize>) -> Option<usize> {
    let from = table.machines.get(owner?)?;
    if set.candidates.get(owner?)?.preferred {
        return None;
    }
    let all = set.candidates.iter().zip(&table.machines).enumerate();
    let mut able = all.filter(|(at, (one, _))| one.can == Can::Good && Some(*at) != owner);
    // Better only if the taker has less afterwards than the giver had before.
    let less = |to: &MachineRow| {
        u64::from(to.sets + 1) * u64::from(from.weight)
            < u64::from(from.sets) * u64::from(to.weight)
    };
    able.find(|(_, (_, to))| less(to)).map(|(at, _)| at)
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
            original: false,
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
            owner_member: None,
            shown: None,
            moving_to: None,
            moving_to_member: None,
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
            doubled: vec![],
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

    /// Of a table with this set instead of its own.
    fn explain(table: &Table, set: &SetRow) -> Explained {
        let mut table = table.clone();
        table.sets = vec![set.clone()];
        super::explain(&table, None).remove(0)
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
    fn a_drained_heir_gets_nothing_from_one_that_is_drained() {
        let mut one = set();
        one.candidates.truncate(3);
        assert_eq!(
            explain(&table([3, 0, 0, 1]), &one).moves[0],
            "If m1 dies, is stopped or loses its interface, m2 gets it."
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
        let no = |why| candidate("m1", Can::No, Some(why));
        let mut unable = SetRow { why: "unable".into(), ..nowhere.clone() };
        unable.candidates = ["unable", "unable", "lost", "unlisted"].map(no).to_vec();
        assert_eq!(
            explain(&table, &unable).why,
            ["10.0.0.1 (10.0.0.2) is nowhere: no machine's interfaces can hold it now."]
        );
        assert_eq!(
            explain(&table, &unable).moves,
            ["A machine that can have it gets it as soon as there is one."]
        );
        unable.candidates[0] = no("unhealthy");
        assert!(explain(&table, &unable).why[0].ends_with("no machine can have it."));
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
    fn an_heir_is_named_for_what_goes_together_and_for_what_goes_by_itself() {
        let good = || ["m1", "m2", "m3"].map(|name| candidate(name, Can::Good, None)).to_vec();
        let at = |owner: Option<&str>, last: u8| SetRow {
            head: [10, 0, 0, last].into(),
            addresses: vec![],
            owner: owner.map(Into::into),
            state: if owner.is_some() { SetState::Held } else { SetState::Nowhere },
            candidates: good(),
            ..set()
        };
        // As in a cluster of three, of which the second is killed: the first of its sets goes to the third, the other to the first.
        let mut table = table([2, 2, 1, 0]);
        table.machines.truncate(3);
        let owners = [("m2", 21), ("m1", 22), ("m1", 23), ("m3", 24), ("m2", 25)];
        table.sets = owners.map(|(owner, last)| at(Some(owner), last)).to_vec();
        let told = super::explain(&table, None);
        assert_eq!(
            told[0].moves[0],
            "If m2 dies, is stopped or drained, fails its checks or loses its interface, m3 gets it."
        );
        assert_eq!(
            told[4].moves[0],
            "If m2 dies, is stopped or drained, or fails its checks, all that it has goes, each to the machine with the smallest share by then, and as things are m1 gets this; if only this goes, because its interface is lost, m3 gets it."
        );
        let one = super::explain(&table, Some(&table.sets[4]));
        assert_eq!(one, [told[4].clone()]);
        // What nobody has is given away one after the other, too.
        table.sets = vec![at(None, 21), at(None, 22)];
        table.machines.iter_mut().for_each(|one| one.sets = 0);
        let told: Vec<String> =
            super::explain(&table, None).into_iter().map(|mut one| one.moves.remove(0)).collect();
        assert_eq!(
            told,
            [
                "As things are, m1 gets it next.",
                "As things are, m2 gets it next, after what else nobody has; by itself it would go to m1.",
            ]
        );
    }

    #[test]
    fn machines_of_one_name_are_not_taken_for_each_other() {
        let mut table = table([1, 0, 0, 0]);
        table.machines.truncate(2);
        for (n, one) in table.machines.iter_mut().enumerate() {
            one.machine = "vm".into();
            one.member = format!("#wack#m{}", n + 1);
        }
        let twins = SetRow {
            owner: Some("vm".into()),
            owner_member: Some("#wack#m1".into()),
            candidates: vec![candidate("vm", Can::Good, None); 2],
            ..set()
        };
        let told = explain(&table, &twins);
        assert!(told.why[0].contains("has been at vm (#wack#m1) for "), "{told:?}");
        assert_eq!(
            told.machines,
            [
                "vm (#wack#m1) has it (it has 1 of 1 sets, weight 100).",
                "vm (#wack#m2) can have it (it has 0 of 1 sets, weight 100).",
            ]
        );
        assert!(told.moves[0].ends_with(", vm (#wack#m2) gets it."), "{told:?}");
    }

    #[test]
    fn an_original_wackamole_is_told_as_the_reason_that_nobody_takes_part() {
        let mut table = table([0; 4]);
        for one in &mut table.machines {
            one.mature = false;
        }
        let other = &mut table.machines[1];
        (other.original, other.silent, other.machine) = (true, true, other.member.clone());
        let candidates = vec![
            candidate("m1", Can::No, Some("immature")),
            candidate("#v#m2", Can::No, Some("lost")),
        ];
        let nowhere = SetRow { owner: None, state: SetState::Nowhere, candidates, ..set() };
        let told = explain(&table, &nowhere);
        assert_eq!(
            told.why,
            [
                "10.0.0.1 (10.0.0.2) is nowhere: an original Wackamole is in the group (#v#m2), and no other machine takes part as long as it is there."
            ]
        );
        assert_eq!(
            told.machines,
            [
                "m1 cannot have it: it does not take part as long as an original Wackamole is in the group.",
                "#v#m2 cannot have it: it is an original Wackamole.",
            ]
        );
    }

    #[test]
    fn times_have_at_most_two_units() {
        let told = [5, 61_000, 3_725_000, 90_061_000].map(lasting);
        assert_eq!(told, ["5 ms", "1 m 1 s", "1 h 2 m", "1 d 1 h"]);
    }
}
