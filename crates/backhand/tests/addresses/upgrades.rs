//! Upgrades in place: SIGUSR2.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lab::{Output, Place, Signal, Spawn, Which};
use testkit::trial::Failed;

use crate::Named;
use crate::eyes::Eyes;
use crate::stand::{Stand, WARM, v4, v6};
use crate::support::PROGRAM;

pub(crate) const TRIALS: &[Named] = &[
    ("an_upgrade_of_one_machine_after_the_other_costs_no_connection", rolling),
    ("a_machine_upgraded_alone_keeps_its_addresses_all_the_time_and_loses_no_request", alone),
    ("a_machine_upgraded_alone_stops_what_is_under_quorum_and_keeps_the_rest", in_part),
    ("a_machine_upgraded_alone_stops_what_no_kernel_has_before_it_starts_it_again", called),
    ("what_the_next_image_does_not_list_is_stopped_by_the_guardian", left_out),
    ("the_next_image_has_its_guardian_as_it_is_configured_then", guarded_anew),
    ("an_upgrade_to_what_cannot_be_executed_is_refused_and_serving_goes_on", refused),
];

/// How often clients connect.
const EVERY: Duration = Duration::from_millis(5);

/// A binary at this path, in the place of what is there.
fn install(at: &Path) {
    let new = at.with_extension("new");
    // A copy is big; a link is another file to whoever looks at the path.
    if fs::hard_link(PROGRAM, &new).is_err() {
        fs::copy(PROGRAM, &new).unwrap();
    }
    fs::rename(new, at).unwrap();
}

fn binary(stand: &Stand, i: usize) -> PathBuf {
    stand.path(&format!("program{}", i + 1))
}

/// Starts all machines, each with a binary of its own.
fn start_all(stand: &mut Stand) {
    for i in stand.all() {
        let section = stand.list() + &stand.more;
        let (text, binary) = (stand.with(i, &section), binary(stand, i));
        install(&binary);
        stand.start_as(i, &text, Spawn::new(binary));
    }
    stand.wait_until_even(&stand.all());
}

/// Puts a new binary in the place of machine `i`'s and upgrades it. Returns when that runs, in the same process.
fn upgrade(stand: &Stand, i: usize) {
    let (binary, pid) = (binary(stand, i), stand.run(i).pid());
    let exe = || fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    fs::remove_file(&binary).unwrap();
    assert!(exe().to_string_lossy().ends_with(" (deleted)"), "{:?}", exe());
    install(&binary);
    let before = stand.count(i, &["starting", "version="]);
    stand.run(i).signal_alone(Signal::USR2).unwrap();
    stand.wait_until_said_again(i, &["starting", "version="], before);
    assert_eq!(exe(), binary);
}

fn rolling() -> Result<(), Failed> {
    let mut stand = Stand::silent_passing(3, (1..=6).map(v4));
    start_all(&mut stand);
    let eyes = Eyes::open_every(&stand, v4(1), EVERY);
    for i in stand.all() {
        let began = Instant::now();
        upgrade(&stand, i);
        let starts = began.elapsed();
        stand.wait_until_even(&stand.all());
        println!(
            "m{}: the next image after {starts:?}, its share after {:?}",
            i + 1,
            began.elapsed()
        );
        assert_eq!(stand.count(i, &["all addresses are with other machines"]), 1);
    }
    eyes.wait_until_served(&stand, Instant::now());
    let seen = eyes.close();
    seen.nothing_lost("upgraded one after the other", stand.resets(6));
    assert!(seen.tcp[0].owners().len() > 1, "it has never moved");
    Ok(stand.all_live()?)
}

fn alone() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1), v4(2), v6(1)]);
    start_all(&mut stand);
    // Every change of an address, as the kernel tells it.
    let changes = stand.path("changes");
    let monitor = Spawn::new("ip").args(["-o", "monitor", "address"]).cwd("/");
    let monitor = monitor.stdout(Output::File(changes.clone())).stderr(Output::Null);
    let monitor = stand.lab.machine(0).spawn(monitor)?;
    let lines = || fs::read_to_string(&changes).unwrap_or_default().lines().count();
    stand.until("a renewal is seen", || (lines() > 0).then_some(()));
    let (four, six) =
        (Eyes::open_every(&stand, v4(1), EVERY), Eyes::open_every(&stand, v6(1), EVERY));
    for _ in 0..2 {
        let began = Instant::now();
        upgrade(&stand, 0);
        let renewals = lines();
        four.wait_until_served(&stand, Instant::now());
        six.wait_until_served(&stand, Instant::now());
        println!("alone: the next image serves after {:?}", began.elapsed());
        stand.until("it renews", || (lines() > renewals).then_some(()));
        // What the former image left runs out within a minute; what the next one holds has the usual lease again.
        stand.until("the lease is the usual one", || {
            let held = stand.lab.addresses(Place::Machine(0)).unwrap();
            let held = held.iter().filter(|held| stand.shared.contains(&held.address));
            let mut valid = held.map(|held| held.valid);
            valid
                .all(|valid| valid.is_some_and(|left| left <= Duration::from_secs(3)))
                .then_some(())
        });
    }
    assert_eq!(stand.count(0, &["they are kept for the next image"]), 2);
    assert!(stand.is_whole(&[0]));
    let monitor_lives = monitor.is_running();
    let told = fs::read_to_string(&changes)?;
    let off: Vec<&str> = told.lines().filter(|line| line.contains("Deleted")).collect();
    assert!(monitor_lives && off.is_empty(), "an address was off: {off:?}");
    for eyes in [four, six] {
        let seen = eyes.close();
        seen.nothing_lost("upgraded alone", 0);
        let quiet = seen.owner.questions().iter().filter(|q| q.owners().is_empty()).count();
        println!("of {} questions who has it {quiet} had no answer", seen.owner.questions().len());
    }
    assert!(stand.believes(WARM, v4(1)).is_some());
    monitor.kill9()?;
    Ok(stand.all_live()?)
}

fn in_part() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1), v4(2)]);
    let ran = stand.path("ran");
    let hook = |event: &str| {
        let script = format!("sleep 0.3; echo {event} >> {}", ran.display());
        format!(
            "[[addresses.hook]]\nevent = \"on {event}\"\nsets = [\"db\"]\ncommand = [\"/bin/sh\", \"-c\", \"{script}\"]\n"
        )
    };
    let section = format!(
        "list = [\"{}\"]\n[[addresses.set]]\nname = \"db\"\naddresses = [\"{}\"]\nquorum = true\n\
         [addresses.quorum]\nmembers = {{ m1 = 1 }}\n{}{}",
        v4(1),
        v4(2),
        hook("up"),
        hook("down")
    );
    let (text, binary) = (stand.with(0, &section), binary(&stand, 0));
    install(&binary);
    stand.start_as(0, &text, Spawn::new(binary));
    stand.wait_until_whole(&[0]);
    let ran = || fs::read_to_string(&ran).unwrap_or_default();
    stand.until("the database is up", || (ran() == "up\n").then_some(()));
    let (eyes, began) = (Eyes::open_every(&stand, v4(1), EVERY), Instant::now());
    upgrade(&stand, 0);
    // The next image has only just begun.
    assert!(ran().starts_with("up\ndown\n"), "{}", ran());
    stand.until("the database is up again", || (ran() == "up\ndown\nup\n").then_some(()));
    println!("alone, a part of it under quorum: whole again after {:?}", began.elapsed());
    assert!(stand.is_whole(&[0]));
    assert_eq!(stand.count(0, &["they are kept for the next image"]), 1);
    eyes.wait_until_served(&stand, Instant::now());
    eyes.close().nothing_lost("upgraded alone, a part of it under quorum", 0);
    Ok(stand.all_live()?)
}

/// A hook of this set that adds a word to a file, not at once.
fn says(file: &Path, set: &str, event: &str) -> String {
    let script = format!("sleep 0.3; echo {event} >> {}", file.display());
    format!(
        "[[addresses.hook]]\nevent = \"on {event}\"\nsets = [\"{set}\"]\ncommand = [\"/bin/sh\", \"-c\", \"{script}\"]\n"
    )
}

fn called() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1)]);
    let ran = stand.path("ran");
    let section = format!(
        "list = [\"{}\"]\n[[addresses.set]]\nname = \"api\"\naddresses = [\"{}\"]\nkernel = false\n{}{}",
        v4(1),
        v4(2),
        says(&ran, "api", "up"),
        says(&ran, "api", "down")
    );
    let (text, binary) = (stand.with(0, &section), binary(&stand, 0));
    install(&binary);
    stand.start_as(0, &text, Spawn::new(binary));
    stand.wait_until_whole(&[0]);
    let ran = || fs::read_to_string(&ran).unwrap_or_default();
    stand.until("it is called", || (ran() == "up\n").then_some(()));
    upgrade(&stand, 0);
    // The next image has only just begun.
    assert!(ran().starts_with("up\ndown\n"), "{}", ran());
    stand.until("it is called again", || (ran() == "up\ndown\nup\n").then_some(()));
    assert!(stand.is_whole(&[0]));
    assert_eq!(stand.count(0, &["they are kept for the next image"]), 1);
    Ok(stand.all_live()?)
}

fn left_out() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1), v4(2)]);
    let ran = stand.path("ran");
    let list = format!("list = [\"{}\"]\n", v4(1));
    let section = format!(
        "{list}[[addresses.set]]\nname = \"old\"\naddresses = [\"{}\"]\n{}{}",
        v4(2),
        says(&ran, "old", "up"),
        says(&ran, "old", "down")
    );
    let (text, binary) = (stand.with(0, &section), binary(&stand, 0));
    install(&binary);
    stand.start_as(0, &text, Spawn::new(binary));
    stand.wait_until_whole(&[0]);
    let ran = || fs::read_to_string(&ran).unwrap_or_default();
    stand.until("it is up", || (ran() == "up\n").then_some(()));
    fs::write(stand.path("m1.toml"), stand.with(0, &list))?;
    let eyes = Eyes::open_every(&stand, v4(1), EVERY);
    upgrade(&stand, 0);
    stand.until("the guardian has stopped it", || (ran() == "up\ndown\n").then_some(()));
    let rest = BTreeSet::from([v4(1)]);
    stand.until("the rest is here", || (stand.held(0) == rest).then_some(()));
    eyes.wait_until_served(&stand, Instant::now());
    eyes.close().nothing_lost("upgraded alone, with less in its list", 0);
    Ok(stand.all_live()?)
}

fn guarded_anew() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1)]);
    // A lease so long that nothing but a guardian takes an address off in time.
    let section = |stand: &Stand, guardian: &str| {
        let text = format!("lease = \"20s\"\n{}guardian = {{ {guardian} }}\n", stand.list());
        stand.with(0, &text)
    };
    let (text, binary) = (section(&stand, "suspicion = \"500ms\""), binary(&stand, 0));
    install(&binary);
    stand.start_as(0, &text, Spawn::new(binary));
    stand.wait_until_whole(&[0]);
    let become_with = |stand: &Stand, guardian: &str| {
        fs::write(stand.path("m1.toml"), section(stand, guardian)).unwrap();
        let met = stand.count(0, &[" machines: "]);
        upgrade(stand, 0);
        stand.wait_until_said_again(0, &[" machines: "], met);
    };
    become_with(&stand, "suspicion = \"8s\"");
    assert_eq!(stand.count(0, &["they are kept for the next image"]), 1);
    let map = stand.map();
    stand.run(0).signal_alone(Signal::STOP)?;
    // Four times as long as the first image allowed.
    stand.stays(&map, Duration::from_secs(2));
    stand.run(0).signal_alone(Signal::CONT)?;
    assert_eq!(stand.listed(0)["guarded"], true);
    assert_eq!(stand.count(0, &["the guardian has taken every address away"]), 0);
    stand.wait_until_whole(&[0]);
    become_with(&stand, "enabled = false");
    let guardian = Which::Named("backhand-guard".to_owned());
    assert!(stand.lab.machine(0).signal_one(&guardian, Signal::CONT).is_err(), "it has not ended");
    stand.wait_until_whole(&[0]);
    assert_eq!(stand.listed(0)["guarded"], false);
    Ok(stand.all_live()?)
}

fn refused() -> Result<(), Failed> {
    let mut stand = Stand::silent(2, (1..=4).map(v4));
    start_all(&mut stand);
    let at = stand.holder(&[0, 1], v4(1)).expect("one has it");
    let (binary, map) = (binary(&stand, at), stand.map());
    let eyes = Eyes::open(&stand, v4(1));
    let script = |text: &str, mode: u32| {
        let new = binary.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(mode)).unwrap();
        fs::rename(new, &binary).unwrap();
    };
    let none = || fs::remove_file(&binary).unwrap();
    let cases: [(&dyn Fn(), &str); 4] = [
        (&none, "No such file"),
        (&|| script("#!/bin/sh\n", 0o644), "Permission denied"),
        (&|| script("no program\n", 0o755), "format error"),
        (
            &|| script("#!/bin/sh\necho too old >&2\nexit 3\n", 0o755),
            "does not take the configuration: too old",
        ),
    ];
    for (put, why) in cases {
        put();
        stand.run(at).signal_alone(Signal::USR2)?;
        stand.wait_until_said(at, &["not upgraded", why]);
        let now = Instant::now();
        eyes.wait_until_served(&stand, now);
        assert_eq!(stand.map(), map, "something has moved");
    }
    assert_eq!(stand.count(at, &["draining"]), 0);
    eyes.close().nothing_lost("not upgraded", 0);
    // And it is none the worse for it.
    install(&binary);
    stand.run(at).signal_alone(Signal::USR2)?;
    stand.wait_until_said(at, &["becoming the next image"]);
    stand.wait_until_even(&[0, 1]);
    Ok(stand.all_live()?)
}
