//! What operators and the service say to each other at the control socket of the addresses, in both languages.
//!
//! The first byte says what the others are: a request as a line of JSON, an answer as one, records of the historical language. What
//! must hold: nothing panics; what was read and is written again reads the same, on one line; a refused request is told why, and not
//! at length; records that are made of any table are whole and are read back; what is shown to people moves no cursor.

use addresses::control::historical::{self, RECORD};
use addresses::control::{Answer, Ask, REQUEST_MAX, Table};

pub fn run(data: &[u8]) {
    let &[choice, ref bytes @ ..] = data else { return };
    match choice % 3 {
        0 => request(bytes),
        1 => answer(bytes),
        _ => shown(bytes),
    }
}

fn request(bytes: &[u8]) {
    match Ask::read(bytes) {
        Ok(ask) => {
            let line = serde_json::to_vec(&ask).unwrap_or_default();
            assert!(!line.contains(&b'\n'));
            assert_eq!(Ask::read(&line), Ok(ask));
        }
        Err(why) => assert!(!why.is_empty() && why.len() < bytes.len().max(REQUEST_MAX) + 1_000),
    }
}

fn answer(bytes: &[u8]) {
    let Ok(answer) = serde_json::from_slice::<Answer>(bytes) else { return };
    let line = answer.line();
    assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
    assert_eq!(serde_json::from_slice::<Answer>(&line).ok().as_ref(), Some(&answer));
    if let Answer::Table(table) = answer {
        told(&table);
    }
}

fn told(table: &Table) {
    assert_eq!(table.timeless(), table.timeless().timeless());
    for set in &table.sets {
        let found = table.set(&set.head.to_string()).map(|one| one.head);
        // A name may look like an address.
        let named = table.sets.iter().any(|one| one.name == Some(set.head.to_string()));
        assert!(named || found == Some(set.head));
    }
    let bytes = historical::answer(table);
    let Some((length, records)) = bytes.split_first_chunk::<4>() else { panic!("no length") };
    assert_eq!(u32::from_be_bytes(*length) as usize, records.len());
    let with_room = |set: &&addresses::control::SetRow| {
        set.listed && set.addresses.iter().any(|one| one.address.is_ipv4())
    };
    assert_eq!(records.len(), RECORD * table.sets.iter().filter(with_room).count());
    shown(records);
}

fn shown(bytes: &[u8]) {
    let records = historical::records(bytes);
    assert_eq!(records.len(), bytes.len() / RECORD);
    let listing = historical::listing(&records);
    let lines: usize = records.iter().map(|record| 1 + record.addresses.len()).sum();
    assert_eq!(listing.lines().count(), lines);
    assert!(listing.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
}

/// One input for each kind of word.
#[allow(dead_code)] // Used to write the corpus.
pub fn recorded() -> Vec<(String, Vec<u8>)> {
    use addresses::control::{
        AddressRow, Can, CandidateRow, CheckRow, ConflictsRow, CountersRow, DecisionRow, ErrorKind,
        Explained, HookRow, MachineRow, SetRow, SetState,
    };

    let head = std::net::IpAddr::from([10, 1, 1, 100]);
    let address = |ip, prefix| AddressRow { interface: "eth0".into(), address: ip, prefix };
    let set = SetRow {
        name: Some("web".into()),
        head,
        addresses: vec![address(head, 24), address(std::net::Ipv6Addr::LOCALHOST.into(), 128)],
        state: SetState::Moving,
        owner: Some("m1".into()),
        owner_member: Some("#addr#m1".into()),
        shown: Some([10, 1, 1, 5].into()),
        moving_to: Some("m2".into()),
        moving_to_member: None,
        why: "balance".into(),
        since_ms: 1_234,
        quorum: true,
        pending_ms: Some(4_400),
        pinned: false,
        blocked_by: None,
        here: true,
        unable: Some("eth1 is not there".into()),
        listed: true,
        candidates: vec![CandidateRow {
            machine: "m2".into(),
            can: Can::Reluctant,
            preferred: false,
            why: Some("unhealthy".into()),
        }],
    };
    let machine = MachineRow {
        machine: "m1".into(),
        member: "#addr#m1".into(),
        shown: Some([10, 1, 1, 5].into()),
        original: false,
        mature: true,
        healthy: true,
        drained: false,
        leaving: false,
        silent: false,
        keeps: true,
        weight: 100,
        capacity: 3,
        sets: 1,
        here_ms: 9,
    };
    let table = Table {
        machine: "m1".into(),
        stage: "running".into(),
        connected: true,
        bus: "#addr#m1".into(),
        away: false,
        majority: Some(true),
        healthy: true,
        health: "no checks".into(),
        guarded: true,
        passes_on: false,
        passes_on_not: Some("the kernel cannot".into()),
        passed_on: 5,
        held: vec![head],
        doubled: vec!["m2".into()],
        machines: vec![machine],
        sets: vec![set.clone()],
        decision: 7,
        checks: vec![CheckRow {
            name: "web".into(),
            healthy: None,
            why: Some("refused".into()),
            since_ms: 8,
            took_ms: 2,
        }],
        counters: CountersRow {
            came: [("lost".into(), 3)].into(),
            conflicts: ConflictsRow { strangers: 1, ..ConflictsRow::default() },
            hooks: [("page".into(), HookRow { runs: 2, failures: 1, took_ms: 40 })].into(),
            ..CountersRow::default()
        },
    };
    let named =
        |name: &str, choice: u8, bytes: &[u8]| (name.to_owned(), [&[choice], bytes].concat());
    let mut all = Vec::new();
    let some = || Some("m1".to_owned());
    for (name, ask) in [
        ("list", Ask::List { follow: true }),
        ("explain", Ask::Explain { set: Some("web".into()) }),
        ("drain", Ask::Drain { machine: some() }),
        ("undrain", Ask::Undrain { machine: None }),
        ("move", Ask::Move { set: "10.1.1.100".into(), machine: "m2".into() }),
        ("watch", Ask::Watch { after: Some(3) }),
        ("away", Ask::Away),
        ("back", Ask::Back),
    ] {
        let line = serde_json::to_vec(&ask).unwrap_or_default();
        all.push(named(&format!("request-{name}"), 0, &line));
    }
    let explained = Explained {
        set,
        why: vec!["so".into()],
        machines: Vec::new(),
        moves: vec!["\u{1b}[2J".into()],
    };
    let decision = DecisionRow {
        number: 7,
        at_ms: 1,
        set: some(),
        what: "mature".into(),
        alarm: false,
        reason: Some("lost".into()),
        from: vec!["m2".into(), "m3".into()],
        to: some(),
    };
    let records = historical::answer(&table);
    for (name, answer) in [
        ("table", Answer::Table(Box::new(table))),
        ("explained", Answer::Explained { sets: vec![explained] }),
        ("ordered", Answer::Ordered { machine: "m1".into(), member: some(), set: None }),
        ("decision", Answer::Decision(Box::new(decision))),
        ("error", Answer::Error { kind: ErrorKind::NoSet, message: "a\nb".into() }),
    ] {
        all.push(named(&format!("answer-{name}"), 1, &answer.line()));
    }
    all.push(named("records", 2, &records[4..]));
    all
}
