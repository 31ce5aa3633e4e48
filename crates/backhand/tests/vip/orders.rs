//! `backhand vip` against three whole machines: seen, explained, drained, moved, watched.

use std::io::{BufRead, BufReader};
use std::net::IpAddr;

use lab::{Exit, Output, Process, Signal};
use serde_json::Value;
use testkit::trial::Failed;

use crate::Named;
use crate::stage::{NOTHING, Stage, owners};
use crate::support::until;

pub(crate) const TRIALS: &[Named] = &[
    ("addresses_are_listed_explained_drained_moved_and_watched", orders),
    ("a_new_list_of_addresses_is_taken_while_everything_runs", reloaded),
    ("a_drained_machine_stays_drained_when_it_is_started_again", drained),
    ("an_order_without_a_machine_is_for_the_one_that_is_asked_also_beside_a_namesake", namesakes),
    ("a_capacity_is_kept_to_as_far_as_there_is_room_and_what_is_too_much_is_told", full),
];

const LINES: &str = "mature = \"1s\"
list = [\"10.77.0.101\", \"10.77.0.102\", \"10.77.0.103\"]
balance = { interval = \"1s\" }
[[addresses.set]]
name = \"pair\"
addresses = [\"eth0:10.77.0.111/32\", \"10.77.0.112\"]
";

fn all() -> Vec<IpAddr> {
    [101, 102, 103, 111, 112].map(|n| IpAddr::from([10, 77, 0, n])).to_vec()
}

fn three() -> (Stage, Vec<Process>) {
    let stage = Stage::new(&["m1", "m2", "m3"], "eth0");
    let programs = (0..3).map(|i| stage.whole(i, LINES)).collect();
    for i in 0..3 {
        until(&format!("m{} knows where everything is", i + 1), || {
            let list = stage.list(i)?;
            let calm = list["sets"].as_array()?.iter().all(|set| set["state"] == "held");
            (calm && list["machines"].as_array()?.len() == 3 && owners(&list).len() == 4)
                .then_some(())
        });
    }
    (stage, programs)
}

fn set<'a>(list: &'a Value, head: &str) -> &'a Value {
    list["sets"].as_array().unwrap().iter().find(|set| set["head"] == head).unwrap()
}

fn orders() -> Result<(), Failed> {
    let (stage, _programs) = three();
    // What is seen.
    let list = stage.list(1).unwrap();
    assert_eq!((&list["machine"], &list["stage"]), (&"m2".into(), &"running".into()));
    let pair = set(&list, "10.77.0.111");
    assert_eq!(pair["name"], "pair");
    assert_eq!(
        pair["addresses"][1],
        serde_json::json!({"interface": "eth0", "address": "10.77.0.112", "prefix": 32})
    );
    assert_eq!(pair["candidates"].as_array().unwrap().len(), 3);
    assert_eq!(list["machines"][0]["shown"], "10.77.0.1");
    let text = stage.vip(1, &["list"]).well();
    let head = text.lines().next().unwrap();
    assert_eq!(
        head.split_whitespace().collect::<Vec<_>>(),
        ["SET", "ADDRESSES", "OWNER", "STATE", "SINCE", "WHY"]
    );
    assert!(
        text.contains("pair") && text.contains("eth0:10.77.0.111/32 eth0:10.77.0.112/32"),
        "{text}"
    );
    assert!(text.contains("m2: running; machines: m1, m2, m3"), "{text}");

    // What is explained.
    let text = stage.vip(0, &["explain", "10.77.0.112"]).well();
    assert!(text.starts_with("pair (10.77.0.111, 10.77.0.112) has been at "), "{text}");
    assert!(text.contains(" can have it (it has ") && text.contains(" gets it."), "{text}");
    let json = stage.vip(0, &["explain", "--json"]).json();
    assert_eq!(json.as_array().unwrap().len(), 4);

    // What is watched.
    let watcher =
        stage.begin(2, "backhand", &["vip", "watch", "--json"], Output::Pipe, Output::Null);
    let mut watched = BufReader::new(watcher.take_stdout().unwrap());

    // Everything leaves m1, and nothing is left there when the command ends. Addresses that nobody ever had are asked for first.
    until("m1 has its share", || (stage.here(0, &all()) != NOTHING).then_some(()));
    let said = stage.vip(2, &["drain", "m1"]);
    assert_eq!(said.exit, Exit::Code(0), "{said:?}");
    assert!(said.out.starts_with("m1 is drained: its "), "{said:?}");
    assert!(!said.err.contains("not taken"), "{said:?}");
    let list = stage.list(0).unwrap();
    assert!(
        !owners(&list).contains(&Some("m1".into())) && !owners(&list).contains(&None),
        "{list}"
    );
    assert_eq!(stage.here(0, &all()), NOTHING, "{list}");
    assert_eq!(list["machines"][0]["drained"], true);
    let went = list["counters"]["went"].as_object().unwrap();
    assert!(went.values().any(|sets| sets.as_u64() > Some(0)), "{list}");
    assert_eq!(list["checks"], serde_json::json!([]));
    let text = stage.vip(0, &["list"]).well();
    assert!(text.contains("m1 (drained)"), "{text}");
    let (mut last, mut drained, mut moved) = (None, false, false);
    while !(drained && moved) {
        let mut line = String::new();
        watched.read_line(&mut line)?;
        let decision: Value = serde_json::from_str(&line)?;
        let number = decision["number"].as_u64().unwrap();
        assert!(last.is_none_or(|last| number == last + 1), "{line} after {last:?}");
        last = Some(number);
        drained |= decision["what"] == "m1 is drained";
        moved |= decision["from"] == serde_json::json!(["m1"])
            && decision["to"].is_string()
            && decision["reason"].is_string();
    }
    // Whoever reads goes away, and the command ends with the next decision.
    drop(watched);

    // A drained machine can be given something by name, and takes part again when told.
    let told = stage.vip(0, &["undrain", "--json"]).json();
    assert_eq!((&told["done"], &told["machine"]), (&true.into(), &"m1".into()));
    assert_eq!(watcher.wait_timeout(crate::support::PATIENCE), Some(Exit::Code(0)));

    // A move, to where it is not.
    until("m1 has its share", || {
        owners(&stage.list(0)?).contains(&Some("m1".into())).then_some(())
    });
    until("nothing moves", || {
        stage.list(0)?["sets"].as_array()?.iter().all(|set| set["state"] == "held").then_some(())
    });
    let to = if set(&stage.list(0).unwrap(), "10.77.0.111")["owner"] == "m3" { "m2" } else { "m3" };
    let said = stage.vip(0, &["move", "pair", to]).well();
    assert_eq!(said, format!("pair is at {to}\n"));
    let at = if to == "m3" { 2 } else { 1 };
    let pair = [IpAddr::from([10, 77, 0, 111]), IpAddr::from([10, 77, 0, 112])];
    assert_eq!(stage.here(at, &pair), pair);
    let list = stage.list(at).unwrap();
    assert_eq!(
        (&set(&list, "10.77.0.111")["why"], &set(&list, "10.77.0.111")["pinned"]),
        (&"operator".into(), &true.into())
    );
    let text = stage.vip(at, &["explain", "pair"]).well();
    assert!(
        text.contains("because an operator moved it.")
            && text.contains("so balance and preference leave it there"),
        "{text}"
    );
    let again = stage.vip(0, &["move", "10.77.0.112", to, "--json"]).json();
    assert_eq!(again["done"], true);

    // What is remembered can be seen later.
    let after =
        stage.begin(0, "backhand", &["vip", "watch", "--after", "0"], Output::Pipe, Output::Null);
    let mut first = String::new();
    BufReader::new(after.take_stdout().unwrap()).read_line(&mut first)?;
    assert!(first.contains("Z #"), "{first}");
    let oldest = |after: &str| -> Result<u64, Failed> {
        let words = ["vip", "watch", "--json", "--after", after];
        let watcher = stage.begin(0, "backhand", &words, Output::Pipe, Output::Null);
        let mut line = String::new();
        BufReader::new(watcher.take_stdout().unwrap()).read_line(&mut line)?;
        let decision: Value = serde_json::from_str(&line)?;
        Ok(decision["number"].as_u64().unwrap())
    };
    let first = oldest("0")?;
    assert_eq!(oldest(&first.to_string())?, first + 1);
    // A number of a time that is not yet is one of a clock that was set back.
    assert_eq!(oldest("9007199254740991")?, first);

    // Names that there are not.
    let told = stage.vip(0, &["drain", "m9"]).ill(1);
    assert!(told.contains("there is no machine \"m9\"; there are m1, m2, m3"), "{told}");
    let told = stage.vip(0, &["explain", "10.9.9.9"]).ill(1);
    assert!(
        told.contains(
            "there is no set \"10.9.9.9\"; there are 10.77.0.101, 10.77.0.102, 10.77.0.103, pair"
        ),
        "{told}"
    );
    stage.vip(0, &["move", "pair"]).ill(2);
    stage.vip(0, &["drain", "--timeout", "0"]).ill(2);
    let told = stage.vip(0, &["list", "--socket", "/run/nowhere.sock"]).ill(1);
    assert!(
        told.contains("nobody listens at /run/nowhere.sock: No such file")
            && told.contains("--socket"),
        "{told}"
    );
    // The same for programs.
    let kind = |words: &[&str]| {
        let told = stage.vip(0, &[words, &["--json"]].concat()).ill(1);
        let told: Value = serde_json::from_str(&told).unwrap_or_else(|e| panic!("{e}: {told}"));
        assert!(told["error"]["message"].is_string(), "{told}");
        told["error"]["kind"].clone()
    };
    assert_eq!(kind(&["drain", "m9"]), "no-machine");
    assert_eq!(kind(&["explain", "10.9.9.9"]), "no-set");
    assert_eq!(kind(&["list", "--socket", "/run/nowhere.sock"]), "absent");

    // All others drained: what m1 has stays, and the command says why it waits.
    stage.vip(0, &["drain", "m2"]).well();
    stage.vip(0, &["drain", "m3"]).well();
    let said = stage.vip(0, &["drain", "--timeout", "1"]);
    let told = said.ill(1);
    assert!(
        told.contains("not done after 1 s")
            && told.contains("others cannot have it (m2 drain, m3 drain)"),
        "{told}"
    );
    assert_eq!(stage.here(0, &all()), all());
    let given = stage.vip(0, &["undrain", "m2", "--no-wait"]).well();
    assert_eq!(given, "the order for m2 is given\n");
    let given = stage.vip(0, &["undrain", "m3", "--no-wait", "--json"]).json();
    assert_eq!((&given["done"], &given["machine"]), (&false.into(), &"m3".into()));
    Ok(())
}

fn reloaded() -> Result<(), Failed> {
    let (stage, programs) = three();
    for (i, program) in programs.iter().enumerate() {
        let lines = LINES.replace("\"10.77.0.103\"]", "\"10.77.0.103\", \"10.77.0.104\"]");
        let name = format!("m{}.toml", i + 1);
        let text = stage.file(i, &lines);
        stage.write(&name, &text.replace("[addresses]\n", "[addresses]\nlease = \"5s\"\n"));
        program.signal(Signal::HUP)?;
    }
    for i in 0..3 {
        until("the new address is known", || {
            let list = stage.list(i)?;
            (owners(&list).len() == 5 && !owners(&list).contains(&None)).then_some(())
        });
        let log = stage.log(i, "run");
        assert!(log.contains("lease has changed in the configuration and needs a start"), "{log}");
    }
    stage.write("m1.toml", "[addresses]\nlist = [\"nonsense\"]\n");
    programs[0].signal(Signal::HUP)?;
    until("the mistake is said", || {
        stage.log(0, "run").contains("the addresses stay as they are").then_some(())
    });
    assert_eq!(
        owners(
            &stage.vip(0, &["list", "--json", "--socket", "/run/backhand/addresses.sock"]).json()
        )
        .len(),
        5
    );
    Ok(())
}

fn drained() -> Result<(), Failed> {
    let (stage, mut programs) = three();
    let said = stage.vip(1, &["drain", "m1"]).well();
    assert!(!said.contains("started again"), "{said}");
    let file = stage.path("m1/drained");
    until("the order is written down", || file.exists().then_some(()));
    let mut newest = stage.list(0).unwrap()["decision"].as_u64();
    // Killed, and then stopped in order: either way it is what it was.
    for signal in [Signal::KILL, Signal::TERM] {
        programs[0].signal_alone(signal)?;
        assert!(programs[0].wait_timeout(crate::support::PATIENCE).is_some());
        programs[0] = stage.whole(0, LINES);
        until("m1 is back, drained, and nothing is on its way", || {
            let list = stage.list(0)?;
            let back = list["machines"].as_array()?.len() == 3;
            let rest = list["sets"].as_array()?.iter().all(|set| set["state"] == "held");
            (back && rest && stage.vip(0, &["list"]).well().contains("m1 (drained)")).then_some(())
        });
        let list = stage.list(1).unwrap();
        assert!(!owners(&list).contains(&Some("m1".into())), "{list}");
        assert_eq!(stage.here(0, &all()), NOTHING);
        // Whoever watches goes on where he was.
        let now = stage.list(0).unwrap()["decision"].as_u64();
        assert!(newest < now && now < Some(1 << 53), "{now:?} after {newest:?}");
        newest = now;
    }
    let log = stage.log(0, "run");
    assert!(
        log.contains("this machine has been drained for ")
            && log.contains("by order; `backhand vip undrain` ends it"),
        "{log}"
    );
    stage.vip(0, &["undrain"]).well();
    until("the order is taken back", || (!file.exists()).then_some(()));
    until("m1 has its share", || {
        owners(&stage.list(0)?).contains(&Some("m1".into())).then_some(())
    });
    Ok(())
}

fn namesakes() -> Result<(), Failed> {
    let stage = Stage::new(&["m1", "m2"], "eth0");
    let start = |i: usize| {
        let name = format!("m{}", i + 1);
        let own = format!("[cluster]\nname = \"{name}\"\n");
        let text = stage.file(i, LINES).replace(&own, "[cluster]\nname = \"vm\"\n");
        // Daemons of the bus need names of their own.
        let text = text.replace("[bus]\n", &format!("[bus]\nname = \"{name}\"\n"));
        let file = stage.write(&format!("{name}.toml"), &text);
        stage.logged(i, "run", "backhand", &["run", "--config", file.to_str().unwrap()])
    };
    let _programs: Vec<Process> = (0..2).map(start).collect();
    for i in 0..2 {
        until("both know where everything is", || {
            let list = stage.list(i)?;
            let calm = list["sets"].as_array()?.iter().all(|set| set["state"] == "held");
            (calm && list["machines"].as_array()?.len() == 2).then_some(())
        });
    }
    let said = stage.vip(0, &["drain"]).well();
    assert!(said.contains("is drained: "), "{said}");
    let list = stage.list(0).unwrap();
    let member = list["bus"].as_str().unwrap();
    for machine in list["machines"].as_array().unwrap() {
        assert_eq!(machine["drained"] == true, machine["member"] == member, "{list}");
    }
    assert_eq!(stage.here(0, &all()), NOTHING);
    // What nobody has had yet is asked for first.
    until("the other has everything", || (stage.here(1, &all()) == all()).then_some(()));
    let told = stage.vip(1, &["undrain", "vm"]).ill(1);
    assert!(told.contains("2 machines may be meant by \"vm\"") && told.contains(member), "{told}");
    let said = stage.vip(1, &["undrain", member]).well();
    assert_eq!(said, format!("vm ({member}) takes part\n"));
    let said = stage.vip(1, &["move", "pair", member, "--json"]).json();
    assert_eq!((&said["done"], &said["member"]), (&true.into(), &member.into()));
    let pair = [IpAddr::from([10, 77, 0, 111]), IpAddr::from([10, 77, 0, 112])];
    assert_eq!(stage.here(0, &pair), pair);
    for i in 0..2 {
        let log = stage.log(i, "run");
        assert_eq!(log.matches("2 machines are called vm (").count(), 1, "{log}");
    }
    Ok(())
}

fn full() -> Result<(), Failed> {
    let (stage, programs) = three();
    let capacity = |i: usize, most: u8| -> Result<(), Failed> {
        let lines = format!("capacity = {most}\n{LINES}");
        stage.write(&format!("m{}.toml", i + 1), &stage.file(i, &lines));
        Ok(programs[i].signal(Signal::HUP)?)
    };
    let has = |list: &Value, name: &str| {
        let of = |owner: &&Option<String>| owner.as_deref() == Some(name);
        owners(list).iter().filter(of).count()
    };
    // Room elsewhere: it gives away what is too much, down to one and to what the others have not.
    for i in [0, 1] {
        capacity(i, 1)?;
    }
    until("m3 has the rest", || {
        let list = stage.list(2)?;
        let counts = ["m1", "m2", "m3"].map(|name| has(&list, name));
        (counts == [1, 1, 2]).then_some(())
    });
    // Nobody has room any more: all is served, and it is told who has too much.
    capacity(2, 1)?;
    until("m3 is told to have too many", || {
        let text = stage.vip(0, &["list"]).well();
        text.contains("m3 (beyond its capacity)").then_some(())
    });
    let list = stage.list(0).unwrap();
    assert!(!owners(&list).contains(&None), "{list}");
    let text = stage.vip(1, &["explain"]).well();
    assert!(text.contains("m3 has more sets than it takes (addresses.capacity)"), "{text}");
    assert!(text.contains("it has as many as it takes (addresses.capacity)"), "{text}");
    assert!(text.contains("weight 100, capacity 1)"), "{text}");
    Ok(())
}
