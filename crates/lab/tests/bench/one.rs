//! Stopping and killing single processes, and all of them however they hide.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use lab::{Exit, Lab, Machine, Output, Process, Signal, Spawn, Which};

use crate::support::{PATIENCE, eventually};

/// State letter of a process, as the caller sees it.
fn state(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('-')
}

/// All descendants of a process, as the caller sees them.
fn descendants(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let children = text.split_whitespace().map(|pid| pid.parse().unwrap());
    children.flat_map(|child: u32| std::iter::once(child).chain(descendants(child))).collect()
}

/// Starts a shell script and waits for its first line.
fn started(machine: &Machine, script: &str) -> Process {
    let process =
        machine.spawn(Spawn::new("sh").args(["-c", script]).stdout(Output::Pipe)).unwrap();
    let mut line = String::new();
    BufReader::new(process.take_stdout().unwrap()).read_line(&mut line).unwrap();
    process
}

pub(crate) fn without_its_guardian(lab: &Lab) {
    let machine = lab.machine(0);
    // The shell is the main process, its child the guardian in the same group.
    let main = started(&machine, "sleep 1234 & echo ready; wait");
    let guardian = descendants(main.pid())[0];
    eventually("the guardian sleeps", || state(guardian) == 'S');
    main.signal_alone(Signal::STOP).unwrap();
    eventually("the main process stands still", || state(main.pid()) == 'T');
    assert!("RS".contains(state(guardian)));
    main.signal_alone(Signal::CONT).unwrap();
    eventually("the main process goes on", || "RS".contains(state(main.pid())));
    machine.signal_one(&Which::Named("sleep".into()), Signal::STOP).unwrap();
    eventually("the guardian stands still", || state(guardian) == 'T');
    assert!("RS".contains(state(main.pid())));
    // The main process has the same words in its own command line, behind others.
    let several = machine.signal_one(&Which::Saying("sleep 1234".into()), Signal::KILL);
    let error = several.unwrap_err().to_string();
    assert!(error.contains("there are 2"), "{error}");
    main.signal_alone(Signal::KILL).unwrap();
    assert_eq!(main.wait_timeout(PATIENCE), Some(Exit::Signal(9)));
    assert_eq!(state(guardian), 'T', "the guardian survives");
    main.signal_alone(Signal::KILL).unwrap();
    machine.signal_one(&Which::Saying("sleep 1234".into()), Signal::KILL).unwrap();
    eventually("the guardian is gone", || "-Z".contains(state(guardian)));
    let error = machine.signal_one(&Which::Named("sleep".into()), Signal::KILL).unwrap_err();
    assert!(error.to_string().contains("there is none"), "{error}");
}

pub(crate) fn by_pid_file(lab: &Lab) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("main.pid");
    let script = format!("echo $$ > {}; echo ready; while :; do sleep 1; done", file.display());
    let main = started(&lab.machine(0), &script);
    let which = Which::PidFile(file.clone());
    let elsewhere = lab.machine(1).signal_one(&which, Signal::KILL).unwrap_err().to_string();
    assert!(elsewhere.contains("there is none"), "another machine's: {elsewhere}");
    lab.machine(0).signal_one(&which, Signal::KILL).unwrap();
    assert_eq!(main.wait_timeout(PATIENCE), Some(Exit::Signal(9)));
    std::fs::write(&file, "no number").unwrap();
    let error = lab.machine(0).signal_one(&which, Signal::KILL).unwrap_err().to_string();
    assert!(error.contains("no number") && error.contains("main.pid"), "{error}");
}

pub(crate) fn frozen_secretive(lab: &Lab) {
    let machine = lab.machine(0);
    // In a session of its own, and not to be looked into by others: so does a guardian that holds keys.
    let python = "import ctypes, os, time; os.setsid(); ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); \
                  print('ready', flush=True); time.sleep(1000)";
    let main = started(&machine, &format!("python3 -c \"{python}\" & wait"));
    let hidden = descendants(main.pid())[0];
    machine.freeze().unwrap();
    eventually("it stands still", || state(hidden) == 'T');
    machine.kill().unwrap();
    eventually("it is gone", || "-Z".contains(state(hidden)));
}

pub(crate) fn frozen_escapees(lab: &Lab) {
    let machine = lab.machine(0);
    // One in a session of its own, one in a group of its own, one whose parent has gone, and the first one.
    let script =
        "setsid sleep 1111 & set -m; sleep 1112 & set +m; (setsid sleep 1113 &); echo ready; wait";
    let main = started(&machine, script);
    let number = |seconds: &str| {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let mut found = all.filter_map(|entry| {
            let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
            // Not those of a lab of another test beside this one.
            let same = std::fs::read_link(entry.path().join("ns/net")).ok()?
                == std::fs::read_link(format!("/proc/{}/ns/net", main.pid())).ok()?;
            (same && line == format!("sleep\0{seconds}\0"))
                .then(|| entry.file_name().to_str()?.parse::<u32>().ok())?
        });
        found.next()
    };
    let names = ["1111", "1112", "1113"];
    eventually("all run", || names.iter().all(|name| number(name).is_some()));
    let mut all: Vec<u32> = names.iter().map(|name| number(name).unwrap()).collect();
    all.push(main.pid());
    machine.freeze().unwrap();
    eventually("all stand still", || all.iter().all(|pid| state(*pid) == 'T'));
    machine.thaw().unwrap();
    eventually("all go on", || all.iter().all(|pid| state(*pid) == 'S'));
    machine.kill().unwrap();
    eventually("all are gone", || all.iter().all(|pid| "-Z".contains(state(*pid))));
    assert_eq!(main.wait_timeout(Duration::from_secs(5)), Some(Exit::Signal(9)));
}
