//! What is left when a lab has ended, and when its caller was killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use lab::{Lab, LabConfig, Output, Spawn, Wish};

use crate::support::eventually;

/// Tells a second start of this test to be the caller that is killed.
const VICTIM: &str = "LAB_TEST_VICTIM";

/// A case that starts its labs itself, of the kind named.
type Case = (&'static str, fn(&str));

pub(crate) const CASES: &[Case] = &[
    ("nothing_is_left_after_the_lab_is_dropped", nothing_after_drop),
    ("nothing_is_left_after_its_caller_is_killed", nothing_after_kill),
    ("the_next_lab_removes_groups_of_a_killed_caller", next_lab_removes_groups),
];

fn config(label: &str) -> LabConfig {
    let wish = match label {
        "user" => Wish::UserNamespaces,
        "root" => Wish::RootNamespaces,
        _ => Wish::Loopback,
    };
    LabConfig { machines: 2, wish, ..LabConfig::default() }
}

/// A lab with a family of processes, one of which has left its group, as a daemon does.
fn populated(label: &str) -> (Lab, Vec<u32>) {
    let lab = Lab::start(config(label)).unwrap();
    let mut pids = Vec::new();
    for i in 0..2 {
        let script = "setsid sleep 1000 & echo $!; wait";
        let family = Spawn::new("sh").args(["-c", script]).stdout(Output::Pipe);
        let process = lab.machine(i).spawn(family).unwrap();
        let mut line = String::new();
        BufReader::new(process.take_stdout().unwrap()).read_line(&mut line).unwrap();
        let pid = process.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        pids.extend(children.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
        pids.push(pid);
    }
    assert_eq!(pids.len(), 4);
    (lab, pids)
}

fn exists(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// Children of this process that are helpers of labs.
fn helpers() -> usize {
    let mut count = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for pid in children.split_whitespace() {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            count += usize::from(line.starts_with(b"backhand-lab"));
        }
    }
    count
}

/// Interfaces of the host.
fn interfaces() -> String {
    let text = std::fs::read_to_string("/proc/self/net/dev").unwrap();
    text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim()).collect()
}

fn nothing_after_drop(label: &str) {
    let before = interfaces();
    let (lab, pids) = populated(label);
    let dirs: Vec<_> = (0..2).flat_map(|i| lab.machine(i).cgroup_dirs()).collect();
    assert!(dirs.iter().all(|dir| dir.is_dir()) && pids.iter().all(|&pid| exists(pid)));
    assert_eq!(interfaces(), before, "the host sees nothing of the lab's cables");
    let machine = lab.machine(0);
    drop(lab);
    assert!(!pids.iter().any(|&pid| exists(pid)), "all processes are gone when drop returns");
    assert!(!dirs.iter().any(|dir| dir.exists()), "{dirs:?}");
    assert!(matches!(machine.freeze(), Err(lab::LabError::Ended)));
}

/// What the killed caller told: process ids, then directories of control groups.
fn killed_caller(label: &str) -> (Vec<u32>, Vec<String>) {
    let mut caller = Command::new(std::env::current_exe().unwrap())
        .env(VICTIM, label)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(caller.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    let pids = next().split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>();
    let dirs = next().split_whitespace().map(str::to_owned).collect();
    assert!(pids.iter().all(|&pid| exists(pid)));
    caller.kill().unwrap();
    caller.wait().unwrap();
    (pids, dirs)
}

fn nothing_after_kill(label: &str) {
    let before = (interfaces(), helpers());
    let (pids, _) = killed_caller(label);
    eventually("every process is gone", || !pids.iter().any(|&pid| exists(pid)));
    assert_eq!(interfaces(), before.0);
}

fn next_lab_removes_groups(label: &str) {
    let (pids, dirs) = killed_caller(label);
    eventually("every process is gone", || !pids.iter().any(|&pid| exists(pid)));
    eventually("a later lab has tidied up", || {
        drop(Lab::start(config(label)).unwrap());
        !dirs.iter().any(|dir| Path::new(dir).exists())
    });
}

/// Plays the caller that is killed, when this is its second start.
pub(crate) fn victim_if_asked() {
    let Ok(label) = std::env::var(VICTIM) else { return };
    let (lab, mut pids) = populated(&label);
    // Starter and hub, which must go as well.
    let me = std::process::id();
    for task in std::fs::read_dir(format!("/proc/{me}/task")).unwrap().flatten() {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for starter in children.split_whitespace() {
            pids.push(starter.parse().unwrap());
            let path = format!("/proc/{starter}/task/{starter}/children");
            let hub = std::fs::read_to_string(path).unwrap_or_default();
            pids.extend(hub.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
        }
    }
    assert_eq!(pids.len(), 6, "four processes, starter and hub");
    let join = |words: Vec<String>| words.join(" ");
    println!("{}", join(pids.iter().map(u32::to_string).collect()));
    let dirs = (0..2).flat_map(|i| lab.machine(i).cgroup_dirs());
    println!("{}", join(dirs.map(|dir| dir.display().to_string()).collect()));
    loop {
        std::thread::park();
    }
}
