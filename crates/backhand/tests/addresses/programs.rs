//! Programs of hooks that take their time or fail: what is under quorum is nobody else's before they have ended, and none is forgotten.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use lab::{Output, Place, Signal, Spawn, Which};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use testkit::trial::Failed;

use crate::Named;
use crate::stand::{Stand, v4};
use crate::support::{PATIENCE, PROGRAM};

pub(crate) const TRIALS: &[Named] = &[
    ("a_set_under_quorum_is_released_when_the_last_of_its_programs_has_ended", both),
    ("a_set_under_quorum_that_could_not_be_stopped_is_released_after_a_lease", failed),
    ("an_orderly_stop_waits_in_the_group_for_programs_longer_than_a_lease", slow),
    ("a_set_that_was_fenced_is_not_released_by_a_drain_while_its_program_runs", fenced),
    ("a_set_that_was_fenced_is_stopped_once_and_comes_back_when_it_is", once),
    ("what_the_guardian_is_still_stopping_another_machine_has_meanwhile", elsewhere),
    ("a_set_under_quorum_that_was_fenced_and_not_stopped_well_comes_back_after_a_lease", badly),
    ("a_guardian_that_cannot_be_started_is_tried_again", tried_again),
    ("an_end_before_the_turn_of_a_program_leaves_it_to_the_guardian", left),
    ("an_upgrade_alone_while_a_program_runs_takes_nothing_off", upgraded),
    ("the_guardian_knows_the_new_form_of_a_set_whose_addresses_have_changed", reloaded),
    ("a_run_after_a_kill_waits_for_the_programs_of_the_guardian_of_the_one_before", after_a_kill),
];

/// What the lease is at the least, by the clock of somebody who sees its end.
const LEASE: Duration = Duration::from_millis(3_300);

/// A hook that runs this.
fn hook(event: &str, script: &str, timeout: &str) -> String {
    format!(
        "[[addresses.hook]]\nevent = \"{event}\"\ntimeout = \"{timeout}\"\n\
         command = [\"/bin/sh\", \"-c\", '{script}']\n"
    )
}

/// Three machines with a set under quorum and these hooks.
fn stand_with(more: &str, hooks: impl Fn(&Stand, usize) -> String) -> Stand {
    let mut stand = Stand::silent(3, [v4(1)]);
    for i in stand.all() {
        let section = format!(
            "{more}[[addresses.set]]\nname = \"db\"\naddresses = [\"{}\"]\nquorum = true\n\
             [addresses.quorum]\nmembers = {{ m1 = 1, m2 = 1, m3 = 1 }}\n{}",
            v4(1),
            hooks(&stand, i)
        );
        let text = stand.with(i, &section);
        stand.start_as(i, &text, Spawn::new(PROGRAM));
    }
    stand.wait_until_whole(&stand.all());
    stand
}

/// A file that the program of machine `i` makes; what was there when the machines came together is gone.
fn fresh(stand: &Stand, i: usize, name: &str) -> std::path::PathBuf {
    let path = stand.path(&format!("{name}{}", i + 1));
    let _ = std::fs::remove_file(&path);
    path
}

/// Does something to the machine that has the address; after how long another had it, and whether the file was there then.
fn until_taken(
    stand: &mut Stand,
    at: usize,
    file: &Path,
    what: impl FnOnce(&mut Stand),
) -> (Duration, bool) {
    let (lab, others) = (stand.lab.clone(), stand.all().into_iter().filter(move |i| *i != at));
    let others: Vec<usize> = others.collect();
    let (began, given_up) = (Instant::now(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let has = |i: &usize| {
                let held = lab.addresses(Place::Machine(*i)).unwrap();
                held.iter().any(|held| held.address == v4(1))
            };
            loop {
                // Looked at before the address: what is there later says nothing.
                let there = file.exists();
                if others.iter().any(has) {
                    return (began.elapsed(), there);
                }
                assert!(began.elapsed() < PATIENCE, "nobody has taken it");
                assert!(!given_up.load(Relaxed), "what was to happen has failed");
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| what(stand)));
        given_up.store(done.is_err(), Relaxed);
        let taken = watcher.join();
        done.and(taken).unwrap_or_else(|why| std::panic::resume_unwind(why))
    })
}

fn both() -> Result<(), Failed> {
    let mut stand = stand_with("", |stand, i| {
        let file = stand.path(&format!("down{}", i + 1));
        let second = format!("sleep 2; echo > {}", file.display());
        hook("on down", "true", "10s") + &hook("on down", &second, "10s")
    });
    let at = stand.holder(&stand.all(), v4(1)).expect("one has it");
    let file = fresh(&stand, at, "down");
    let (taken, stopped) = until_taken(&mut stand, at, &file, |stand| stand.stop(at));
    println!("programs: taken {taken:?} after the stop, with two programs of 2 s together");
    assert!(stopped, "it was taken before the second program had ended");
    Ok(stand.all_live()?)
}

fn failed() -> Result<(), Failed> {
    let mut stand = stand_with("", |_, _| hook("on down", "exit 1", "10s"));
    let at = stand.holder(&stand.all(), v4(1)).expect("one has it");
    let none = stand.path("none");
    let (taken, _) = until_taken(&mut stand, at, &none, |stand| stand.stop(at));
    println!("programs: taken {taken:?} after the stop, with a program that failed");
    assert!(taken > LEASE, "the lease was not waited for: {taken:?}");
    assert_eq!(stand.count(at, &["could not be stopped well here", "4.4 s"]), 1);
    Ok(stand.all_live()?)
}

fn slow() -> Result<(), Failed> {
    let mut stand = stand_with("stop_within = \"1s\"\n", |stand, i| {
        let file = stand.path(&format!("down{}", i + 1));
        hook("on down", &format!("sleep 8; echo > {}", file.display()), "15s")
    });
    let at = stand.holder(&stand.all(), v4(1)).expect("one has it");
    let file = fresh(&stand, at, "down");
    let (taken, stopped) = until_taken(&mut stand, at, &file, |stand| stand.stop(at));
    println!("programs: taken {taken:?} after the stop, with a program of 8 s");
    assert!(stopped, "it was taken before the program had ended");
    assert_eq!(stand.count(at, &["all addresses are with other machines"]), 0);
    assert_eq!(stand.count(at, &["nobody took these addresses in time"]), 1);
    assert!(stand.count(at, &["is under quorum", "others take it after 4400ms"]) > 0, "no warning");
    Ok(stand.all_live()?)
}

fn fenced() -> Result<(), Failed> {
    let more = |stand: &Stand, i| format!("socket = \"{}\"\n", socket(stand, i).display());
    // A short suspicion: the bus does not notice so short a stop.
    let mut stand = Stand::silent(3, [v4(1)]);
    for i in stand.all() {
        let file = stand.path(&format!("down{}", i + 1));
        let section = format!(
            "{}guardian = {{ suspicion = \"50ms\" }}\n[[addresses.set]]\nname = \"db\"\naddresses = [\"{}\"]\nquorum = true\n\
             [addresses.quorum]\nmembers = {{ m1 = 1, m2 = 1, m3 = 1 }}\n{}",
            more(&stand, i),
            v4(1),
            hook("on down", &format!("sleep 3; echo > {}", file.display()), "10s")
        );
        let text = stand.with(i, &section);
        stand.start_as(i, &text, Spawn::new(PROGRAM));
    }
    stand.wait_until_whole(&stand.all());
    let at = stand.holder(&stand.all(), v4(1)).expect("one has it");
    let file = fresh(&stand, at, "down");
    let (taken, stopped) = until_taken(&mut stand, at, &file, |stand| {
        stand_still(stand, at, "nothing more", || true);
        let drain = Spawn::new(PROGRAM).args(["vip", "drain", "--socket"]);
        let drain = drain.arg(socket(stand, at)).cwd("/").stdout(Output::Null);
        let drain = stand.lab.machine(at).spawn(drain).unwrap();
        assert!(drain.wait_timeout(PATIENCE).is_some());
        stand.wait_until_said(at, &["is drained"]);
    });
    println!("programs: taken {taken:?} after the stop of a program that was fenced and drained");
    assert!(stopped, "it was taken before the program had ended");
    Ok(stand.all_live()?)
}

/// Stops the program of machine `at`, alone, until its guardian has taken everything and done this.
fn stand_still(stand: &Stand, at: usize, until: &str, done: impl Fn() -> bool) {
    stand.run(at).signal_alone(Signal::STOP).unwrap();
    stand.until("the guardian takes it", || stand.held(at).is_empty().then_some(()));
    stand.until(until, || done().then_some(()));
    stand.run(at).signal_alone(Signal::CONT).unwrap();
    stand.wait_until_said(at, &["the guardian has taken every address away"]);
}

fn once() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1)]);
    let [ran, after] = ["ran", "after"].map(|name| stand.path(name));
    let say = |word: &str| format!("echo {word} >> {}", ran.display());
    let section = stand.list()
        + &hook("on up", &say("up"), "10s")
        + &hook("on down", &format!("{}; sleep 3; {}", say("begins"), say("ends")), "10s")
        + &hook("post down", &format!("echo >> {}", after.display()), "10s");
    let text = stand.with(0, &section);
    stand.start_as(0, &text, Spawn::new(PROGRAM));
    let said = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    stand.until("it is up", || (said(&ran) == "up\n").then_some(()));
    stand_still(&stand, 0, "the guardian stops it", || said(&ran) == "up\nbegins\n");
    assert_eq!(said(&ran), "up\nbegins\n", "too late for what is to be tried");
    stand.until("it is up again", || (said(&ran).matches("up\n").count() == 2).then_some(()));
    assert_eq!(said(&ran), "up\nbegins\nends\nup\n");
    stand.until("what follows has run", || (said(&after) == "\n").then_some(()));
    stand.wait_until_said(0, &["the programs that the guardian ran have ended"]);
    assert!(stand.is_whole(&[0]));
    assert_eq!(stand.count(0, &["could not be stopped well here"]), 0);
    Ok(stand.all_live()?)
}

fn elsewhere() -> Result<(), Failed> {
    let mut stand = Stand::silent(2, [v4(1)]);
    for i in stand.all() {
        let ends = stand.path(&format!("down{}", i + 1));
        // A short suspicion: the bus does not notice so short a stop.
        let section = format!("guardian = {{ suspicion = \"50ms\" }}\n{}", stand.list())
            + &hook("on down", &format!("sleep 3; echo >> {}", ends.display()), "10s");
        let text = stand.with(i, &section);
        stand.start_as(i, &text, Spawn::new(PROGRAM));
    }
    stand.wait_until_whole(&[0, 1]);
    let at = stand.holder(&[0, 1], v4(1)).expect("one has it");
    let file = fresh(&stand, at, "down");
    let (taken, stopped) = until_taken(&mut stand, at, &file, |stand| {
        stand_still(stand, at, "nothing more", || true);
    });
    println!("programs: elsewhere {taken:?} after the stop of a program that was fenced");
    assert!(!stopped, "it was nobody's until the guardian had ended its program");
    stand.wait_until_said(at, &["can be held here again"]);
    assert_eq!(std::fs::read_to_string(&file)?.lines().count(), 1, "it was stopped twice");
    Ok(stand.all_live()?)
}

fn badly() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1)]);
    let [up, down] = ["up", "down"].map(|name| stand.path(name));
    let section = format!(
        "[[addresses.set]]\nname = \"db\"\naddresses = [\"{}\"]\nquorum = true\n\
         [addresses.quorum]\nmembers = {{ m1 = 1 }}\n{}{}",
        v4(1),
        hook("on up", &format!("echo >> {}", up.display()), "10s"),
        hook("on down", &format!("echo >> {}; sleep 1; exit 1", down.display()), "10s")
    );
    let text = stand.with(0, &section);
    stand.start_as(0, &text, Spawn::new(PROGRAM));
    let times = |path: &Path| std::fs::read_to_string(path).unwrap_or_default().lines().count();
    stand.until("it is up", || (times(&up) == 1).then_some(()));
    stand_still(&stand, 0, "the guardian stops it", || times(&down) == 1);
    stand.wait_until_said(0, &["could not be stopped well here", "4.4 s"]);
    let began = Instant::now();
    stand.until("it is up again", || (times(&up) == 2).then_some(()));
    let took = began.elapsed();
    println!("programs: up {took:?} after the guardian could not stop it well");
    assert!(took > LEASE, "the lease was not waited for: {took:?}");
    assert_eq!(times(&down), 1, "it was stopped twice");
    Ok(stand.all_live()?)
}

fn tried_again() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1)]);
    let down = stand.path("down");
    let script = format!("echo >> {}", down.display());
    // A lease so long that nothing but a guardian takes an address off in time.
    let section = format!("lease = \"20s\"\n{}", stand.list()) + &hook("on down", &script, "10s");
    let text = stand.with(0, &section);
    stand.start_as(0, &text, Spawn::new(PROGRAM));
    stand.until("it has it", || (stand.held(0).len() == 1).then_some(()));
    // It gets no descriptor any more, and keeps what it has.
    let pid = i32::try_from(stand.run(0).pid()).ok().and_then(Pid::from_raw);
    let limit = |limit| prlimit(Some(pid.expect("it has a number")), Resource::Nofile, limit);
    let most = getrlimit(Resource::Nofile).maximum;
    let before = limit(Rlimit { current: Some(8), maximum: most })?;
    let guardian = Which::Named("backhand-guard".to_owned());
    stand.lab.machine(0).signal_one(&guardian, Signal::KILL)?;
    stand.wait_until_said(0, &["there is no guardian", "it is tried again"]);
    limit(before)?;
    stand.wait_until_said(0, &["there is a guardian again"]);
    assert_eq!(stand.count(0, &["there is no guardian"]), 1);
    assert_eq!(stand.listed(0)["guarded"], true);
    let began = Instant::now();
    stand.kill(0);
    stand.until("it is off", || stand.held(0).is_empty().then_some(()));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "the guardian did not know of it: {took:?}");
    stand.until("the guardian has run its program", || down.exists().then_some(()));
    Ok(())
}

fn socket(stand: &Stand, i: usize) -> std::path::PathBuf {
    stand.path(&format!("vip{}", i + 1))
}

fn left() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1)]);
    let (up, down) = (stand.path("up"), stand.path("down"));
    let stays = "trap : TERM; while :; do sleep 0.1; done";
    // The time of the second is not over when that of the service is.
    let section = stand.list()
        + &hook("on up", &format!("echo >> {}; {stays}", up.display()), "3s")
        + &hook("on up", stays, "3s")
        + &hook("on down", &format!("echo >> {}", down.display()), "3s");
    let text = stand.with(0, &section);
    stand.start_as(0, &text, Spawn::new(PROGRAM));
    stand.until("the first program runs", || up.exists().then_some(()));
    stand.stop(0);
    assert_eq!(stand.count(0, &["the guardian runs the programs"]), 1, "its turn came");
    stand.until("the guardian has run it", || down.exists().then_some(()));
    Ok(())
}

fn upgraded() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1)]);
    let (up, down) = (stand.path("up"), stand.path("down"));
    let section = stand.list()
        + &hook("on up", &format!("echo >> {}; sleep 4", up.display()), "20s")
        + &hook("on down", &format!("echo >> {}", down.display()), "20s");
    let text = stand.with(0, &section);
    stand.start_as(0, &text, Spawn::new(PROGRAM));
    let changes = stand.path("changes");
    let monitor = Spawn::new("ip").args(["-o", "monitor", "address"]).cwd("/");
    let monitor = monitor.stdout(Output::File(changes.clone())).stderr(Output::Null);
    let monitor = stand.lab.machine(0).spawn(monitor)?;
    let told = || std::fs::read_to_string(&changes).unwrap_or_default();
    stand.until("a renewal is seen", || (!told().is_empty()).then_some(()));
    stand.until("the program runs", || up.exists().then_some(()));
    assert_eq!(stand.count(0, &["on-up", "ended well"]), 0, "too late for what is to be tried");
    stand.run(0).signal_alone(Signal::USR2)?;
    stand.until("the next image starts", || {
        (stand.count(0, &["starting", "version="]) > 1).then_some(())
    });
    let before = told().lines().count();
    stand.until("it renews", || (told().lines().count() > before).then_some(()));
    assert_eq!(stand.count(0, &["they are kept for the next image"]), 1);
    let lives = monitor.is_running();
    let off: Vec<String> =
        told().lines().filter(|line| line.contains("Deleted")).map(Into::into).collect();
    assert!(lives && off.is_empty(), "an address was off: {off:?}");
    assert!(!down.exists(), "what is here was told to be gone");
    monitor.kill9()?;
    Ok(stand.all_live()?)
}

fn reloaded() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1), v4(2)]);
    let down = stand.path("down");
    // A lease so long that nothing but the guardian takes an address off in time.
    let section = |stand: &Stand, addresses: &str| {
        let script = format!("echo >> {}", down.display());
        let set = format!("[[addresses.set]]\nname = \"web\"\naddresses = [{addresses}]\n");
        let text = format!("lease = \"20s\"\n{set}{}", hook("on down", &script, "10s"));
        stand.with(0, &text)
    };
    let text = section(&stand, &format!("\"{}\"", v4(1)));
    stand.start_as(0, &text, Spawn::new(PROGRAM));
    stand.until("it has the first", || (stand.held(0).len() == 1).then_some(()));
    let both = section(&stand, &format!("\"{}\", \"{}\"", v4(1), v4(2)));
    std::fs::write(stand.path("m1.toml"), both)?;
    stand.run(0).signal_alone(Signal::HUP)?;
    stand.wait_until_said(0, &["the configuration was read again"]);
    stand.until("it has both", || (stand.held(0).len() == 2).then_some(()));
    stand.wait_until_said(0, &["is gone from here"]);
    stand.wait_until_said(0, &["on-down", "ended well"]);
    let _ = std::fs::remove_file(&down);
    let began = Instant::now();
    stand.kill(0);
    stand.until("they are off", || stand.held(0).is_empty().then_some(()));
    let took = began.elapsed();
    println!("programs: off {took:?} after the death");
    assert!(took < Duration::from_secs(5), "the guardian did not know of them: {took:?}");
    stand.until("the guardian has run its program", || down.exists().then_some(()));
    Ok(())
}

fn after_a_kill() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1)]);
    let ran = stand.path("ran");
    let section = stand.list()
        + &hook("on up", &format!("echo up >> {}", ran.display()), "10s")
        + &hook(
            "on down",
            &format!("echo begins >> {0}; sleep 2; echo ends >> {0}", ran.display()),
            "10s",
        );
    let text = stand.with(0, &section);
    stand.start_as(0, &text, Spawn::new(PROGRAM));
    let said = || std::fs::read_to_string(&ran).unwrap_or_default();
    stand.until("it is up", || (said() == "up\n").then_some(()));
    stand.kill(0);
    stand.start_as(0, &text, Spawn::new(PROGRAM));
    stand.wait_until_said(0, &["the guardian of the run before still stops what was here"]);
    let bus = stand.listed(0)["bus"].to_string();
    assert!(bus.contains("the guardian of the run before"), "{bus}");
    stand.until("it is up again", || (said().matches("up\n").count() == 2).then_some(()));
    assert_eq!(said(), "up\nbegins\nends\nup\n");
    stand.wait_until_said(0, &["the guardian of the run before has ended, and this machine"]);
    assert_eq!(stand.listed(0)["guarded"], true);
    // An orderly end leaves nothing behind that would have to be waited for.
    stand.stop(0);
    stand.start_as(0, &text, Spawn::new(PROGRAM));
    stand.until("it is up once more", || (said().matches("up\n").count() == 3).then_some(()));
    assert_eq!(stand.count(0, &["the guardian of the run before still stops"]), 1);
    Ok(stand.all_live()?)
}
