//! What `backhand vip` prints for people.

use addresses::control::{DecisionRow, Explained, MachineRow, SetRow, SetState, Table, lasting};

/// The table of `list`.
pub(super) fn table(table: &Table) -> String {
    let mut rows = vec![["SET", "ADDRESSES", "OWNER", "STATE", "SINCE", "WHY"].map(str::to_owned)];
    rows.extend(table.sets.iter().map(|set| row(table, set)));
    let mut text = columns(&rows);
    text += &format!("\n{}: {}", table.machine, standing(table));
    if !table.machines.is_empty() {
        let machines: Vec<String> = table.machines.iter().map(|one| machine(table, one)).collect();
        text += &format!("; machines: {}", machines.join(", "));
    }
    text.push('\n');
    let originals = table.originals();
    if !originals.is_empty() {
        let what = if table.stage == "running" {
            "it may take addresses that are held here"
        } else {
            "nobody else takes part as long as it is there"
        };
        text +=
            &format!("An original Wackamole is in the group ({}): {what}.\n", originals.join(", "));
    }
    if !table.connected {
        text += &format!("The bus is away: {}\n", table.bus);
    }
    if !table.healthy {
        text += &format!("{} is not healthy: {}\n", table.machine, table.health);
    }
    if !table.guarded {
        text += &format!(
            "There is no guardian: if the program of {} dies, its addresses stay until their leases run out.\n",
            table.machine
        );
    }
    if table.majority == Some(false) {
        text += "There is no majority: sets under quorum are not held here.\n";
    }
    if !table.doubled.is_empty() {
        text += &format!(
            "Two machines have been called {}: such a name counts for nobody in addresses.quorum until each has its own and the programs were started anew.\n",
            table.doubled.join(", ")
        );
    }
    for (why, sets) in unable(table) {
        text += &format!("On {}: {why} ({})\n", table.machine, sets.join(", "));
    }
    text
}

/// Why this machine cannot hold sets now: each reason once, with the sets that are not held here because of it.
fn unable(table: &Table) -> Vec<(&str, Vec<String>)> {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for set in &table.sets {
        let Some(why) = set.unable.as_deref() else { continue };
        match reasons.iter_mut().find(|(one, _)| *one == why) {
            Some((_, sets)) => sets.push(set.called()),
            None => reasons.push((why, vec![set.called()])),
        }
    }
    reasons
}

fn standing(table: &Table) -> &str {
    if table.away { "away, as an operator told it to be" } else { &table.stage }
}

fn row(table: &Table, set: &SetRow) -> [String; 6] {
    let one = |one: &addresses::control::AddressRow| {
        let interface =
            if one.interface.is_empty() { String::new() } else { format!("{}:", one.interface) };
        format!("{interface}{}/{}", one.address, one.prefix)
    };
    let addresses: Vec<String> = set.addresses.iter().map(one).collect();
    let state = match (set.state, table.target_called(set)) {
        (SetState::Moving, Some(_)) if set.has_come() => "arriving".to_owned(),
        (SetState::Moving, Some(to)) => format!("to {to}"),
        (SetState::Held, _) if set.pinned => "held, pinned".into(),
        (state, _) => state.word().into(),
    };
    [
        set.called(),
        addresses.join(" "),
        table.owner_called(set).unwrap_or_else(|| "-".into()),
        state,
        lasting(set.since_ms),
        set.why.clone(),
    ]
}

fn machine(table: &Table, one: &MachineRow) -> String {
    // The original says nothing of itself.
    let states = [
        (one.original, "an original Wackamole"),
        (!one.mature && !one.original, "immature"),
        (!one.healthy && !one.original, "unhealthy"),
        (one.drained, "drained"),
        (one.leaving, "leaving"),
        (one.silent && !one.original, "silent"),
        (one.capacity != 0 && one.sets > u32::from(one.capacity), "beyond its capacity"),
    ];
    let states: Vec<&str> =
        states.into_iter().filter(|(so, _)| *so).map(|(_, word)| word).collect();
    let called = table.called(one);
    if states.is_empty() { called } else { format!("{called} ({})", states.join(", ")) }
}

/// Cells below each other, two blanks apart, the last one as long as it is.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line += &format!("{cell:<width$}  ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// The sentences of `explain`.
pub(super) fn explained(sets: &[Explained]) -> String {
    let one = |one: &Explained| {
        let mut text = String::new();
        for sentence in &one.why {
            text += &format!("{sentence}\n");
        }
        for sentence in one.machines.iter().chain(&one.moves) {
            text += &format!("  {sentence}\n");
        }
        text
    };
    sets.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// What `watch` says between two decisions whose numbers do not follow each other. They are of two runs of the service, or some in
/// between are forgotten; which, the numbers do not tell.
pub(super) fn gap(before: u64, number: u64) -> String {
    if number.saturating_sub(before) <= 1 {
        return String::new();
    }
    format!("... what was decided between #{before} and #{number}, if anything, is forgotten\n")
}

/// A line of `watch`: the time of day in UTC, the number, `!` where somebody should look.
pub(super) fn decision(one: &DecisionRow) -> String {
    let millis = one.at_ms % 86_400_000;
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let (seconds, millis) = (millis / 1_000 % 60, millis % 1_000);
    let mark = if one.alarm { '!' } else { ' ' };
    format!(
        "{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z #{} {mark} {}\n",
        one.number, one.what
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_of_one_name_are_told_apart_and_an_original_wackamole_is_told_of() {
        let machine = |member: &str, name: &str, original: bool| {
            serde_json::json!({
                "machine": name, "member": member, "shown": null, "original": original, "mature": false, "healthy": !original,
                "drained": false, "leaving": false, "silent": original, "weight": 100, "sets": 0, "here_ms": 0,
            })
        };
        let mut of: Table = serde_json::from_value(serde_json::json!({
            "machine": "vm", "stage": "immature", "connected": true, "bus": "#w1#m1", "away": false, "majority": null,
            "healthy": true, "health": "", "guarded": true, "held": [], "decision": 7,
            "machines": [
                machine("#w1#m1", "vm", false), machine("#w2#m2", "vm", false), machine("#wack#m3", "#wack#m3", true),
            ],
            "sets": [{
                "name": null, "head": "10.0.0.1", "addresses": [], "state": "moving", "owner": "vm", "owner_member": "#w2#m2",
                "shown": null, "moving_to": "vm", "moving_to_member": "#w1#m1", "why": "operator", "since_ms": 5,
                "quorum": false, "pending_ms": null, "pinned": false, "blocked_by": null, "here": false, "unable": null,
                "listed": true, "candidates": [],
            }],
        }))
        .unwrap();
        let text = table(&of);
        assert!(text.contains("vm (#w2#m2)  to vm (#w1#m1)  5 ms   operator\n"), "{text}");
        assert!(
            text.contains("vm: immature; machines: vm (#w1#m1) (immature), vm (#w2#m2) (immature), #wack#m3 (an original Wackamole)\n"),
            "{text}"
        );
        assert!(
            text.contains(
                "An original Wackamole is in the group (#wack#m3): nobody else takes part"
            ),
            "{text}"
        );
        of.machines.pop();
        assert!(!table(&of).contains("Wackamole"));
        assert!(!table(&of).contains("guardian"), "there is one");
        of.guarded = false;
        assert!(table(&of).contains("There is no guardian: if the program of vm dies"));
        of.sets[0].owner_member = of.sets[0].moving_to_member.clone();
        assert!(table(&of).contains("arriving"));
    }

    #[test]
    fn what_keeps_several_sets_away_is_told_once_with_their_names() {
        let set = |head: &str, unable: Option<&str>| {
            serde_json::json!({
                "name": null, "head": head, "addresses": [], "state": "nowhere", "owner": null, "shown": null,
                "moving_to": null, "why": "unable", "since_ms": 5, "quorum": false, "pending_ms": null, "pinned": false,
                "blocked_by": null, "here": false, "unable": unable, "listed": true, "candidates": [],
            })
        };
        let [dark, down] = [Some("interface eth1 has no carrier"), Some("interface eth2 is down")];
        let of: Table = serde_json::from_value(serde_json::json!({
            "machine": "m1", "stage": "running", "connected": true, "bus": "#w1#m1", "away": false, "majority": null,
            "healthy": true, "health": "", "guarded": true, "held": [], "decision": 7, "machines": [],
            "sets": [set("10.0.0.1", dark), set("10.0.0.2", down), set("10.0.0.3", None), set("10.0.0.4", dark)],
        }))
        .unwrap();
        let text = table(&of);
        assert!(text.contains("-      nowhere  5 ms   unable\n"), "{text}");
        let end = "m1: running\nOn m1: interface eth1 has no carrier (10.0.0.1, 10.0.0.4)\nOn m1: interface eth2 is down (10.0.0.2)\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn a_decision_has_its_time_of_day_and_its_number() {
        let mut one = DecisionRow {
            number: 7,
            at_ms: 86_400_000 * 3 + 3_723_004,
            set: None,
            what: "10.0.0.1 is at m1 (lost)".into(),
            alarm: false,
            reason: Some("lost".into()),
            from: Vec::new(),
            to: Some("m1".into()),
        };
        assert_eq!(decision(&one), "01:02:03.004Z #7   10.0.0.1 is at m1 (lost)\n");
        one.alarm = true;
        assert!(decision(&one).contains("#7 ! 10.0.0.1"));
    }

    #[test]
    fn a_gap_is_told_where_numbers_leave_some_out_and_not_where_they_begin_anew() {
        assert_eq!([gap(7, 8), gap(7, 3), gap(u64::MAX, 1)], ["", "", ""]);
        assert_eq!(
            gap(7, 10),
            "... what was decided between #7 and #10, if anything, is forgotten\n"
        );
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["A", "B"].map(str::to_owned), ["long", "x"].map(str::to_owned)];
        assert_eq!(columns(&rows), "A     B\nlong  x\n");
    }
}
