//! Addresses that do not exist: of several machines, with something out of the ordinary on most of them.

use console::view::{
    AddressCheck, AddressCounters, AddressDecision, AddressHook, AddressMember, AddressSet,
    AddressesView, Counted,
};

fn member(at: usize, machine: &str) -> AddressMember {
    AddressMember {
        machine: machine.into(),
        member: format!("#a{at}#{machine}"),
        this: at == 0,
        mature: at != 3,
        healthy: at != 4,
        drained: at == 2,
        silent: at == 5,
        weight: if at == 3 { 200 } else { 100 },
        here_for_seconds: 754.0 + 3_600.0 * at as f64,
        ..AddressMember::default()
    }
}

fn set(n: usize, owner: Option<usize>) -> AddressSet {
    let head = match n {
        0..200 => format!("192.0.2.{}", 10 + n),
        _ => format!("198.18.{}.{}", n / 200, 1 + n % 200),
    };
    AddressSet {
        key: format!("{n:016x}"),
        addresses: vec![format!("eth0:{head}/32")],
        head,
        owner,
        reason: if owner.is_some() { "balance" } else { "no-quorum" }.into(),
        since_seconds: 740.0 + 11.0 * n as f64,
        here: owner == Some(0),
        ..AddressSet::default()
    }
}

/// The addresses of so many machines, so many at each.
pub(crate) fn addresses(machines: &[&str], each: usize, looks: u64) -> AddressesView {
    let mut members: Vec<AddressMember> =
        machines.iter().enumerate().map(|(at, name)| member(at, name)).collect();
    let all = machines.len() * each;
    let mut sets: Vec<AddressSet> = (0..all).map(|n| set(n, Some(n % machines.len()))).collect();
    sets[1].reason = "lost".into();
    sets[1].since_seconds = (looks % 30) as f64 + 0.4;
    sets[1].pending_seconds = Some(2.7);
    sets[2].moving_to = Some(usize::from(sets[2].owner == Some(0)));
    sets[2].reason = "drain".into();
    sets[2].since_seconds = 0.2;
    sets[3].name = Some("mail".into());
    sets[3].addresses.extend(["eth1:198.51.100.7/32".into(), "eth0:2001:db8::25/128".into()]);
    sets[3].pinned = true;
    sets[3].not_at = vec![(0, "unable".into())];
    sets[3].unable = Some("there is no interface eth1".into());
    sets.push(AddressSet { quorum: true, ..set(all, None) });
    for (at, member) in members.iter_mut().enumerate() {
        member.sets = sets.iter().filter(|set| set.owner == Some(at)).count() as u32;
    }
    let decision = |number: u64, age_ms: u64, what: &str, alarm: bool| AddressDecision {
        number,
        age_ms,
        head: Some("192.0.2.11".into()),
        what: what.into(),
        alarm,
    };
    AddressesView {
        answers: true,
        machine: machines[0].into(),
        stage: "running".into(),
        on_bus: true,
        bus: format!("#a0#{}", machines[0]),
        majority: Some(true),
        guarded: true,
        passes_on: true,
        healthy: true,
        health: "2 of 2 checks pass".into(),
        checks: vec![AddressCheck {
            name: "http://127.0.0.1:9000/".into(),
            standing: "passes".into(),
            trouble: None,
            took_ms: 1.4,
        }],
        members,
        sets,
        decisions: vec![
            decision(44, 210, "192.0.2.12 goes from elm to birch (drain)", false),
            decision(43, 1_900, "elm is drained", false),
            decision(42, 13_000, "192.0.2.11 went from hazel to cedar (lost)", false),
            decision(
                41,
                61_000,
                "a stranger, 02:00:00:00:00:99, has 192.0.2.10; it is defended",
                true,
            ),
        ],
        counters: AddressCounters {
            came: Counted(vec![("unowned", 9), ("lost", 3), ("balance", 12 + looks % 3)]),
            went: Counted(vec![("balance", 14), ("drain", 2)]),
            announced: 4_108 + looks,
            told: 912,
            unsent: 0,
            conflicts: Counted(vec![("expected", 18), ("apart", 0), ("stranger", 1), ("taken", 0)]),
            defended: 1,
            renewals_missed: 2,
            renewals_late: 0,
            gaps: 0,
            passed_on: 27,
            reset: 31,
            put_back: 1,
            fenced: 0,
            guardians: 1,
            farewells: 2,
            farewells_refused: 1,
            hooks: vec![AddressHook {
                name: "/etc/backhand/promote main".into(),
                runs: 24,
                failures: 1,
                seconds: 3.25,
            }],
        },
        warnings: vec!["nobody has 192.0.2.28 (no-quorum).".into()],
    }
}
