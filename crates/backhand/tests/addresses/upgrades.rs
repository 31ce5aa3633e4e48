//! Upgrades in place: SIGUSR2.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lab::{Exit, Output, Place, Signal, Spawn, Which};
use testkit::trial::Failed;

use crate::Named;
use crate::eyes::Eyes;
use crate::stand::{Stand, WARM, v4, v6};
use crate::support::{PATIENCE, PROGRAM};

pub(crate) const TRIALS: &[Named] = &[
    ("an_upgrade_of_one_machine_after_the_other_costs_no_connection", rolling),
    ("a_machine_upgraded_alone_keeps_its_addresses_all_the_time_and_loses_no_request", alone),
    ("a_machine_upgraded_alone_stops_what_is_under_quorum_and_keeps_the_rest", in_part),
    ("a_machine_upgraded_alone_stops_what_no_kernel_has_before_it_starts_it_again", called),
    ("what_the_next_image_does_not_list_is_stopped_by_the_guardian", left_out),
    ("the_next_image_has_its_guardian_as_it_is_configured_then", guarded_anew),
    ("an_upgrade_to_what_cannot_be_executed_is_refused_and_serving_goes_on", refused),
    ("a_program_killed_while_it_hands_over_leaves_nothing_and_the_next_run_begins_at_once", killed),
    ("a_next_image_that_ends_at_once_leaves_its_addresses_to_others", stillborn),
    ("an_upgrade_executes_what_is_at_the_path_of_the_start_though_what_runs_was_renamed", renamed),
    ("an_upgrade_follows_the_link_by_which_the_program_was_started", linked),
    ("a_new_binary_that_hangs_is_given_up_and_signals_are_heard_meanwhile", hangs),
    ("told_to_end_while_others_take_its_addresses_a_machine_ends_instead_of_upgrading", ended),
    ("told_to_end_when_addresses_are_handed_over_the_next_image_ends_in_order", ended_alone),
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

/// What machine `i` executes.
fn exe(stand: &Stand, i: usize) -> PathBuf {
    fs::read_link(format!("/proc/{}/exe", stand.run(i).pid())).unwrap()
}

/// Upgrades machine `i`. Returns when its next image runs, in the same process.
fn become_next(stand: &Stand, i: usize) {
    let before = stand.count(i, &["starting", "version="]);
    stand.run(i).signal_alone(Signal::USR2).unwrap();
    stand.wait_until_said_again(i, &["starting", "version="], before);
}

/// Puts a new binary in the place of machine `i`'s and upgrades it. Returns when that runs, in the same process.
fn upgrade(stand: &Stand, i: usize) {
    let binary = binary(stand, i);
    fs::remove_file(&binary).unwrap();
    let before = exe(stand, i);
    assert!(before.to_string_lossy().ends_with(" (deleted)"), "{before:?}");
    install(&binary);
    become_next(stand, i);
    assert_eq!(exe(stand, i), binary);
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
        let met = stand.count(0, &[" 1 machine: "]);
        upgrade(stand, 0);
        stand.wait_until_said_again(0, &[" 1 machine: "], met);
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

/// A script, or what may be none, at this path, in the place of what is there.
fn put(at: &Path, text: &str, mode: u32) {
    let new = at.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).unwrap();
    fs::rename(new, at).unwrap();
}

fn refused() -> Result<(), Failed> {
    let mut stand = Stand::silent(2, (1..=4).map(v4));
    start_all(&mut stand);
    let at = stand.holder(&[0, 1], v4(1)).expect("one has it");
    let (binary, map) = (binary(&stand, at), stand.map());
    let eyes = Eyes::open(&stand, v4(1));
    let script = |text: &str, mode: u32| put(&binary, text, mode);
    let none = || fs::remove_file(&binary).unwrap();
    let cases: [(&dyn Fn(), &str); 5] = [
        (&none, "No such file"),
        (&|| script("#!/bin/sh\n", 0o755), "is no Backhand"),
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

/// A death is noticed by the guardian, and what was held is off, after this, in a hand-over as at any time.
const NOTICED: Duration = Duration::from_secs(1);

fn killed() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1)]);
    let [ran, begun] = ["ran", "begun"].map(|name| stand.path(name));
    // What is running when addresses are handed over has half of the time of that to end, so the next image does not come soon.
    let section = format!(
        "{}[[addresses.hook]]\nevent = \"on up\"\ntimeout = \"2m\"\n\
         command = [\"/bin/sh\", \"-c\", \"echo >> {}; exec sleep 120\"]\n\
         [[addresses.hook]]\nevent = \"on down\"\ncommand = [\"/bin/sh\", \"-c\", \"echo down >> {}\"]\n",
        stand.list(),
        begun.display(),
        ran.display()
    );
    let text = stand.with(0, &section);
    let runs = || fs::read_to_string(&begun).unwrap_or_default().lines().count();
    let downs = || fs::read_to_string(&ran).unwrap_or_default().lines().count();
    let guardian = Which::Named("backhand-guard".to_owned());
    for round in 1..=2 {
        let start = Instant::now();
        stand.start_as(0, &text, Spawn::new(PROGRAM));
        stand.wait_until_whole(&[0]);
        stand.until("its program runs", || (runs() == round).then_some(()));
        println!("killed while it hands over, run {round}: up after {:?}", start.elapsed());
        stand.run(0).signal_alone(Signal::USR2)?;
        stand.wait_until_said_again(0, &["they are kept for the next image"], round - 1);
        stand.until("it is handed over", || {
            let held = stand.lab.addresses(Place::Machine(0)).unwrap();
            let mut ours = held.iter().filter(|held| held.address == v4(1));
            ours.any(|held| held.valid > Some(Duration::from_secs(10))).then_some(())
        });
        let dies = Instant::now();
        stand.kill(0);
        stand.until("its kernel is empty", || stand.held(0).is_empty().then_some(()));
        let empty = dies.elapsed();
        println!("killed while it hands over: kernel empty after {empty:?}");
        assert!(empty < NOTICED, "{empty:?}");
        stand.until("what stops it was run", || (downs() == round).then_some(()));
        let lives = || stand.lab.machine(0).signal_one(&guardian, Signal::CONT).is_ok();
        stand.until("nobody is left who could do it once more", || (!lives()).then_some(()));
        assert_eq!(stand.count(0, &["starting", "version="]), round, "it was too late");
    }
    assert_eq!(stand.count(0, &["is not waited for any more"]), 0);
    Ok(())
}

fn stillborn() -> Result<(), Failed> {
    let mut stand = Stand::silent(2, [v4(1)]);
    let (text, binary) = (stand.with(0, &stand.list()), binary(&stand, 0));
    install(&binary);
    stand.start_as(0, &text, Spawn::new(&binary));
    stand.wait_until_whole(&[0]);
    let script = format!("#!/bin/sh\n[ \"$1\" = check ] && exec {PROGRAM} \"$@\"\nexit 3\n");
    put(&binary, &script, 0o755);
    stand.run(0).signal_alone(Signal::USR2)?;
    let exit = stand.wait_until_ended(0);
    let ended = Instant::now();
    assert_eq!(exit, Some(Exit::Code(3)), "{}", stand.said(0));
    assert_eq!(stand.count(0, &["they are kept for the next image"]), 1);
    stand.until("its kernel is empty", || stand.held(0).is_empty().then_some(()));
    let empty = ended.elapsed();
    println!("the next image ends at once: kernel empty after {empty:?}");
    assert!(empty < NOTICED, "{empty:?}");
    // Nobody answers for it any more when another machine asks whether it may have it.
    stand.start(1);
    stand.wait_until_whole(&[1]);
    assert_eq!(stand.count(1, &["stranger"]), 0);
    let map = stand.map();
    install(&binary);
    stand.start_as(0, &text, Spawn::new(binary));
    stand.wait_until_said(0, &["2 machines:"]);
    assert_eq!(stand.map(), map, "it was taken back");
    Ok(stand.all_live()?)
}

fn renamed() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1)]);
    start_all(&mut stand);
    let binary = binary(&stand, 0);
    // The second time it is the next image that was renamed.
    for old in ["old1", "old2"] {
        let old = binary.with_extension(old);
        fs::rename(&binary, &old)?;
        assert_eq!(exe(&stand, 0), old);
        install(&binary);
        become_next(&stand, 0);
        assert_eq!(exe(&stand, 0), binary);
        stand.wait_until_whole(&[0]);
    }
    // What runs is not taken for what is to come, either.
    fs::rename(&binary, binary.with_extension("old3"))?;
    stand.run(0).signal_alone(Signal::USR2)?;
    let name = binary.display().to_string();
    stand.wait_until_said(0, &["not upgraded", &name, "No such file"]);
    assert_eq!(stand.count(0, &["becoming the next image"]), 2);
    assert!(stand.is_whole(&[0]));
    Ok(stand.all_live()?)
}

fn linked() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1)]);
    let [first, second, link] = ["version1", "version2", "current"].map(|name| stand.path(name));
    [&first, &second].into_iter().for_each(|at| install(at));
    symlink(&first, &link)?;
    let text = stand.with(0, &stand.list());
    // By a path that is no whole one: machines start in the root.
    stand.start_as(0, &text, Spawn::new(link.strip_prefix("/")?));
    stand.wait_until_whole(&[0]);
    assert_eq!(exe(&stand, 0), first);
    for to in [&second, &first] {
        let new = link.with_extension("new");
        symlink(to, &new)?;
        fs::rename(new, &link)?;
        become_next(&stand, 0);
        assert_eq!(exe(&stand, 0), *to);
        stand.wait_until_whole(&[0]);
    }
    Ok(stand.all_live()?)
}

fn hangs() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1)]);
    start_all(&mut stand);
    let (binary, begun) = (binary(&stand, 0), stand.path("begun"));
    // Not by itself: what it has started hangs as well.
    let text = format!("#!/bin/sh\necho > {}\nsleep 4321\n", begun.display());
    put(&binary, &text, 0o755);
    let check = || {
        let _ = fs::remove_file(&begun);
        stand.run(0).signal_alone(Signal::USR2).unwrap();
        stand.until("it is checked", || begun.exists().then_some(()));
    };
    let sleeper = Which::Saying("sleep 4321".to_owned());
    let sleeps = |stand: &Stand| stand.lab.machine(0).signal_one(&sleeper, Signal::CONT).is_ok();
    let late = ["not upgraded", "has not said within"];
    check();
    stand.until("what it has started runs", || sleeps(&stand).then_some(()));
    stand.run(0).signal_alone(Signal::USR2)?;
    stand.wait_until_said(0, &["being checked already"]);
    stand.run(0).signal_alone(Signal::HUP)?;
    stand.wait_until_said(0, &["reopening the access log"]);
    assert_eq!(stand.count(0, &late), 0, "too late for what is to be tried");
    stand.wait_until_said(0, &late);
    stand.until("all of it is killed", || (!sleeps(&stand)).then_some(()));
    assert!(stand.is_whole(&[0]));
    check();
    stand.stop(0);
    assert_eq!(stand.count(0, &late), 1, "it has waited for the new binary");
    stand.until("all of it is killed", || (!sleeps(&stand)).then_some(()));
    assert!(stand.held(0).is_empty());
    assert_eq!(stand.count(0, &["becoming the next image"]), 0);
    Ok(())
}

/// A hook whose program stops the set "slow", once it is armed, and says that it has begun and ended by files; `go` lets it end.
struct Slow {
    hook: String,
    armed: PathBuf,
    begun: PathBuf,
    go: PathBuf,
    ended: PathBuf,
}

fn slow(stand: &Stand) -> Slow {
    let [armed, begun, go, ended] = ["armed", "begun", "go", "ended"].map(|name| stand.path(name));
    let script = format!(
        "test -e {} || exit 0; echo > {}; while [ ! -e {} ]; do sleep 0.05; done; echo > {}",
        armed.display(),
        begun.display(),
        go.display(),
        ended.display()
    );
    let hook = format!(
        "[[addresses.hook]]\nevent = \"on down\"\ntimeout = \"2m\"\nsets = [\"slow\"]\n\
         command = [\"/bin/sh\", \"-c\", '{script}']\n"
    );
    Slow { hook, armed, begun, go, ended }
}

/// Told to end, which is heard in an upgrade.
const HEARD: [&str; 1] = ["told to end while upgrading"];

fn ended() -> Result<(), Failed> {
    let mut stand = Stand::silent(3, [v4(1)]);
    let Slow { hook, armed, begun, go, ended } = slow(&stand);
    let section = format!(
        "stop_within = \"1m\"\n[[addresses.set]]\nname = \"slow\"\naddresses = [\"{}\"]\nquorum = true\n\
         [addresses.quorum]\nmembers = {{ m1 = 1, m2 = 1, m3 = 1 }}\n{hook}",
        v4(1)
    );
    for i in stand.all() {
        let text = stand.with(i, &section);
        stand.start_as(i, &text, Spawn::new(PROGRAM));
    }
    stand.wait_until_whole(&stand.all());
    let at = stand.holder(&stand.all(), v4(1)).expect("one has it");
    let others: Vec<usize> = stand.all().into_iter().filter(|i| *i != at).collect();
    fs::write(&armed, "")?;
    stand.run(at).signal_alone(Signal::USR2)?;
    stand.until("its program runs", || begun.exists().then_some(()));
    let run = stand.leave(at);
    stand.wait_until_said(at, &HEARD);
    // Nothing is cut short by it.
    assert!(run.is_running() && !ended.exists());
    fs::write(&go, "")?;
    assert_eq!(run.wait_timeout(PATIENCE), Some(Exit::Code(0)), "{}", stand.said(at));
    assert!(ended.exists());
    assert_eq!(stand.count(at, &["told again to end"]), 0);
    assert_eq!(stand.count(at, &["told to end: not upgraded"]), 1);
    assert_eq!(stand.count(at, &["starting", "version="]), 1);
    stand.wait_until_whole(&others);
    Ok(stand.all_live()?)
}

fn ended_alone() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1)]);
    let ran = stand.path("ran");
    let Slow { hook, armed, begun, go, ended } = slow(&stand);
    let section = format!(
        "{}[[addresses.set]]\nname = \"slow\"\naddresses = [\"{}\"]\nkernel = false\n{}{hook}",
        stand.list(),
        v4(2),
        says(&ran, "slow", "up")
    );
    let text = stand.with(0, &section);
    stand.start_as(0, &text, Spawn::new(PROGRAM));
    stand.wait_until_whole(&[0]);
    let up = || fs::read_to_string(&ran).unwrap_or_default() == "up\n";
    stand.until("the other is here too", || up().then_some(()));
    fs::write(&armed, "")?;
    stand.run(0).signal_alone(Signal::USR2)?;
    stand.wait_until_said(0, &["they are kept for the next image"]);
    stand.until("its program runs", || begun.exists().then_some(()));
    let run = stand.leave(0);
    stand.wait_until_said(0, &HEARD);
    assert!(run.is_running() && !ended.exists());
    assert!(stand.is_whole(&[0]), "what is handed over stays");
    fs::write(&go, "")?;
    assert_eq!(run.wait_timeout(PATIENCE), Some(Exit::Code(0)), "{}", stand.said(0));
    assert!(ended.exists());
    assert_eq!(stand.count(0, &["starting", "version="]), 2);
    assert_eq!(stand.count(0, &["the image before this one was told to end"]), 1);
    assert_eq!(stand.count(0, &["told again to end"]), 0);
    // Long before the time of the handing over is at its end.
    assert!(stand.held(0).is_empty());
    Ok(())
}
