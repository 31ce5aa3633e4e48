//! Programs that are left with a guardian: when it runs them, and what it says of them.

use std::io::Read;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use addresses::guardian::{Config, Event as Told, Guardian, Program, Running};
use addresses::hooks::KILL_AFTER;
use rustix::process::{Pid, Signal, getpgid};

use crate::connections::{is_reset, pair, works};
use crate::guardian::{LIMIT, Parent, SUSPICION, THEN, set, told};
use crate::stage::{PATIENCE, readable, until_removed, watch};

/// A file that one side writes to and the other waits for.
fn fifo(folder: &tempfile::TempDir) -> String {
    let path = folder.path().join("fifo").to_str().unwrap().to_owned();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

pub(crate) fn programs() {
    let folder = tempfile::tempdir().unwrap();
    let path = fifo(&folder);
    let policy = "cut -d' ' -f41 /proc/self/stat";
    let says = format!("echo $SET; cat; grep SigBlk /proc/$$/status; {policy}");
    let mut parent = Parent::holding(&format!("2a ({says}) > {path}"));
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut pair = pair(&listener, (set("2a")[0].ip, port).into());
    works(&mut pair);
    let mut watch = watch();
    parent.kill();
    let took = is_reset(&mut pair.client);
    assert!(took < Duration::from_secs(1), "{took:?}");
    // With no signal blocked, though the guardian blocks them all, and of ordinary priority, though the guardian is not.
    let said = "2a\ninputSigBlk:\t0000000000000000\n0\n";
    assert_eq!(std::fs::read_to_string(&path).unwrap(), said);
    until_removed(&mut watch, &set("2a"));
}

pub(crate) fn hanging_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = fifo(&folder);
    let script = format!("echo $$ > {path}; sleep 1000 & wait");
    let mut parent = Parent::holding(&format!("2a {script}"));
    let guardian = parent.guardian_handle();
    parent.kill();
    let mut pid = String::new();
    std::fs::File::open(&path).unwrap().read_to_string(&mut pid).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    let group = getpgid(Some(pid)).unwrap();
    assert_eq!(group, pid, "it leads a group of its own");
    assert!(readable(&guardian, PATIENCE), "it was waited for no longer than allowed");
    assert!(rustix::process::test_kill_process(pid).is_err());
}

pub(crate) fn in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("said");
    let path = file.display();
    // That the first fails keeps nobody from the second, which looks at what it has of its parent's environment.
    let first = format!("echo begin >> {path}; sleep 0.2; echo end >> {path}; exit 1");
    let second = format!("cat /proc/$$/environ >> {path}; :");
    let mut parent = Parent::holding(&format!("2a {first}{THEN}{second}"));
    let guardian = parent.guardian_handle();
    parent.kill();
    assert!(readable(&guardian, PATIENCE), "it stays until the last has ended");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "begin\nend\nSET=2a\0");
}

pub(crate) fn beside() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = (fifo(&folder), folder.path().join("said"));
    // Neither gets on without the other.
    let mut parent = Parent::holding(&format!("2a cat {path} > {}", file.display()));
    parent.order(&format!("hold 2b echo met > {path}"));
    let guardian = parent.guardian_handle();
    parent.kill();
    assert!(readable(&guardian, PATIENCE));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "met\n");
}

pub(crate) fn at_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let [file, number] = ["said", "pid"].map(|name| folder.path().join(name));
    let (path, number_path) = (file.display(), number.display());
    let deaf = format!("trap '' TERM; echo $$ > {number_path}; sleep 1000 & wait; echo >> {path}");
    // What it does at the last: says how much time of a processor its guardian has used, in hundredths of a second.
    let last = format!("cut -d\" \" -f14,15 /proc/$PPID/stat >> {path}; exit");
    let obeys = format!("trap '{last}' TERM; sleep 1000 & wait");
    let mut parent = Parent::holding(&format!("2a {deaf}"));
    parent.order(&format!("hold 2b {obeys}"));
    let guardian = parent.guardian_handle();
    let start = Instant::now();
    parent.kill();
    assert!(readable(&guardian, PATIENCE), "the deaf one was waited for no longer than allowed");
    let took = start.elapsed();
    assert!(took >= LIMIT + KILL_AFTER, "{took:?}");
    let said = std::fs::read_to_string(&file).unwrap();
    let used: Vec<u32> = said.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert!(used.len() == 2 && used[0] + used[1] < 40, "it waits and does nothing else: {said}");
    let pid = std::fs::read_to_string(&number).unwrap().trim().parse().unwrap();
    assert!(rustix::process::test_kill_process(Pid::from_raw(pid).unwrap()).is_err());
}

pub(crate) fn told_late() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("said");
    let program = |word: &str| Program {
        command: vec![
            "/bin/sh".into(),
            "-c".into(),
            format!("echo {word} >> {}", file.display()).into(),
        ],
        limit: LIMIT,
        ..Program::default()
    };
    let mut guardian = Guardian::start(Config { suspicion: SUSPICION }, None).unwrap();
    // Nobody has told of a fencing: there is nothing to acknowledge.
    guardian.acknowledge().unwrap();
    guardian.hold("x", &set("10a"), &[program("x")]).unwrap();
    assert!(readable(&guardian, PATIENCE), "it is fenced");
    // Said before the parent knows: its program was not run with the others.
    guardian.hold("y", &set("10b"), &[program("y")]).unwrap();
    assert_eq!(told(&mut guardian), Told::Fenced);
    assert!(guardian.has_programs("x") && guardian.has_programs("y"));
    assert!(!guardian.has_programs("z"));
    guardian.acknowledge().unwrap();
    assert_eq!(told(&mut guardian), Told::Stopped { well: true });
    let said = std::fs::read_to_string(&file).unwrap();
    let mut said: Vec<&str> = said.lines().collect();
    said.sort_unstable();
    assert_eq!(said, ["x", "y"]);
    assert!(!guardian.has_programs("x"));
    guardian.end().unwrap();
}

/// Stops the parent until its guardian has taken this set away, and tells what it says when its fencing is acknowledged.
fn fence(parent: &mut Parent, name: &str) {
    let mut watch = watch();
    parent.signal(Signal::STOP);
    until_removed(&mut watch, &set(name));
    parent.signal(Signal::CONT);
    parent.hear("fenced");
    parent.order("acknowledge");
}

pub(crate) fn stopped() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("said");
    let path = file.display();
    let slow = format!("sleep 0.3; echo first >> {path}{THEN}echo second >> {path}");
    let mut parent = Parent::holding(&format!("2a {slow}"));
    fence(&mut parent, "2a");
    parent.hear("stopped well");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "first\nsecond\n");
    parent.order(&format!("hold 2a sleep 0.3; echo third >> {path}"));
    // How one of them ends does not depend on the others.
    parent.order("hold 2b exit 3");
    fence(&mut parent, "2a");
    parent.hear("stopped badly");
    assert!(std::fs::read_to_string(&file).unwrap().ends_with("third\n"));
    // That is over: it says nothing of the next time.
    parent.order("hold 2a true");
    fence(&mut parent, "2a");
    parent.hear("stopped well");
    // And what runs when the parent dies comes to its end without it.
    parent.order(&format!("hold 2a sleep 0.3; echo last >> {path}"));
    let guardian = parent.guardian_handle();
    fence(&mut parent, "2a");
    parent.kill();
    assert!(readable(&guardian, PATIENCE));
    assert!(std::fs::read_to_string(&file).unwrap().ends_with("third\nlast\n"));
}

pub(crate) fn behind() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = (fifo(&folder), folder.path().join("said"));
    let says = |word: &str| format!("echo {word} >> {}", file.display());
    let program = |script: String| Program {
        command: vec!["/bin/sh".into(), "-c".into(), script.into()],
        limit: LIMIT,
        ..Program::default()
    };
    let said = || std::fs::read_to_string(&file).unwrap();
    let mut guardian = Guardian::start(Config { suspicion: SUSPICION }, None).unwrap();
    let mut own = Command::new("/bin/sh")
        .args(["-c", &format!("read _; {}", says("own"))])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let running = [Running { set: "a".into(), pid: own.id(), rest: PATIENCE }];
    // Told again, as when another one begins, it is the same.
    for _ in 0..2 {
        guardian.runs(&running).unwrap();
    }
    guardian.hold("a", &set("10a"), &[program(says("a"))]).unwrap();
    guardian.hold("b", &set("10b"), &[program(format!("echo b > {path}"))]).unwrap();
    assert!(readable(&guardian, PATIENCE));
    assert_eq!(told(&mut guardian), Told::Fenced);
    guardian.acknowledge().unwrap();
    // Another set waits for nobody.
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "b\n");
    assert!(!file.exists());
    drop(own.stdin.take());
    assert_eq!(told(&mut guardian), Told::Stopped { well: true });
    assert_eq!(said(), "own\na\n");
    own.wait().unwrap();
    // One that neither ends nor dies is waited for no longer than it may last.
    let mut deaf = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    let (rest, began) = (2 * SUSPICION, Instant::now());
    guardian.runs(&[Running { set: "a".into(), pid: deaf.id(), rest }]).unwrap();
    guardian.hold("a", &set("10a"), &[program(says("again"))]).unwrap();
    assert_eq!(told(&mut guardian), Told::Fenced);
    guardian.acknowledge().unwrap();
    assert_eq!(told(&mut guardian), Told::Stopped { well: true });
    assert!(began.elapsed() >= rest, "{:?}", began.elapsed());
    assert_eq!(said(), "own\na\nagain\n");
    deaf.kill().unwrap();
    deaf.wait().unwrap();
    guardian.end().unwrap();
}
