//! Starting, signalling and ending processes.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::time::Duration;

use lab::{Exit, Lab, LabError, Output, Place, Spawn};

use crate::support::{PATIENCE, eventually, shell};

pub(crate) fn surroundings(lab: &Lab) {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let spawn = || {
        Spawn::new("sh")
            .args(["-c", "echo \"$1 $WORD ${BACKHAND_LAB_ROLE-none}\"; pwd >&2", "sh", "a b"])
            .env("WORD", "word")
            .cwd(dir.path())
            .stdout(Output::File(log.clone()))
            .stderr(Output::Pipe)
    };
    for _ in 0..2 {
        let process = lab.machine(0).spawn(spawn()).unwrap();
        let mut folder = String::new();
        process.take_stderr().unwrap().read_to_string(&mut folder).unwrap();
        assert_eq!(folder.trim(), dir.path().to_str().unwrap());
        assert_eq!(process.wait(), Exit::Code(0));
    }
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "a b word none\n".repeat(2));
    let bare = Spawn::new("/usr/bin/env").clear_env().env("ONLY", "1").stdout(Output::Pipe);
    let process = lab.machine(0).spawn(bare).unwrap();
    let mut text = String::new();
    process.take_stdout().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "ONLY=1\n");
}

pub(crate) fn missing_program(lab: &Lab) {
    let error = lab.machine(0).spawn(Spawn::new("no-such-program")).unwrap_err();
    assert!(matches!(error, LabError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("no-such-program in m1"), "{error}");
    let error = lab.machine(0).spawn(Spawn::new("true").cwd("/no/such/folder")).unwrap_err();
    assert!(error.to_string().contains("/no/such/folder"), "{error}");
    assert_eq!(shell(&lab.machine(0), "echo still here"), "still here");
}

pub(crate) fn killed(lab: &Lab) {
    let process = lab.machine(0).spawn(Spawn::new("sleep").arg("1000")).unwrap();
    assert!(process.is_running());
    assert!(std::path::Path::new(&format!("/proc/{}", process.pid())).exists());
    process.kill9().unwrap();
    assert_eq!(process.wait_timeout(PATIENCE), Some(Exit::Signal(9)));
    process.kill9().unwrap();
    let coded = lab.machine(0).spawn(Spawn::new("sh").args(["-c", "exit 7"])).unwrap();
    assert_eq!(coded.wait(), Exit::Code(7));
}

/// State letter of a process, as the caller sees it.
fn state(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('-')
}

pub(crate) fn frozen(lab: &Lab) {
    let process = lab.machine(0).spawn(Spawn::new("cat").arg("/dev/zero").stdout(Output::Null));
    let process = process.unwrap();
    process.stop().unwrap();
    eventually("it stands still", || state(process.pid()) == 'T');
    assert!(process.is_running());
    process.cont().unwrap();
    eventually("it goes on", || "RS".contains(state(process.pid())));
    process.term().unwrap();
    assert_eq!(process.wait_timeout(PATIENCE), Some(Exit::Signal(15)));
}

pub(crate) fn frozen_family(lab: &Lab) {
    // The shell waits for its child and prints the child's state as the child sees it.
    let script = "sleep 1000 & while read word; do :; done < /proc/$!/stat; echo ready; wait";
    let family = Spawn::new("sh").args(["-c", script]).stdout(Output::Pipe);
    let process = lab.machine(0).spawn(family).unwrap();
    let mut line = String::new();
    BufReader::new(process.take_stdout().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let other = lab.machine(1).spawn(Spawn::new("sleep").arg("1000")).unwrap();
    let pid = process.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let child: u32 = children.trim().parse().unwrap();
    lab.machine(0).freeze().unwrap();
    eventually("parent and child stand still", || state(pid) == 'T' && state(child) == 'T');
    eventually("the other machine sleeps as before", || state(other.pid()) == 'S');
    lab.machine(0).thaw().unwrap();
    eventually("both go on", || state(pid) == 'S' && state(child) == 'S');
    lab.machine(0).kill().unwrap();
    assert_eq!(process.wait_timeout(PATIENCE), Some(Exit::Signal(9)));
    eventually("the child is gone", || "-Z".contains(state(child)));
    assert_eq!(other.wait_timeout(Duration::ZERO), None);
}

pub(crate) fn frozen_daemon(lab: &Lab) {
    let script = "setsid sleep 1000 & echo ready; wait";
    let family = Spawn::new("sh").args(["-c", script]).stdout(Output::Pipe);
    let process = lab.machine(0).spawn(family).unwrap();
    let mut line = String::new();
    BufReader::new(process.take_stdout().unwrap()).read_line(&mut line).unwrap();
    let pid = process.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let child: u32 = children.trim().parse().unwrap();
    let session = || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(3)?.parse().ok())
    };
    eventually("it has left its group", || session() == Some(child));
    lab.machine(0).freeze().unwrap();
    eventually("it stands still", || state(child) == 'T');
    process.cont().unwrap();
    eventually("its parent goes on", || state(pid) == 'S');
    assert_eq!(state(child), 'T');
    lab.machine(0).kill().unwrap();
    eventually("it is gone", || "-Z".contains(state(child)));
}

pub(crate) fn client_process(lab: &Lab) {
    let at = SocketAddr::new(lab.machine(0).address(), 0);
    let listener = lab.listen(Place::Machine(0), at).unwrap();
    let to = listener.local_addr().unwrap();
    let script =
        "import socket, sys; socket.create_connection((sys.argv[1], sys.argv[2])).send(b'hi')";
    let arguments = ["-c", script, &to.ip().to_string(), &to.port().to_string()];
    let client = lab.spawn_client(Spawn::new("python3").args(arguments)).unwrap();
    let (mut served, _) = listener.accept().unwrap();
    let mut word = String::new();
    served.read_to_string(&mut word).unwrap();
    assert_eq!((word.as_str(), client.wait()), ("hi", Exit::Code(0)));
    let error = lab.spawn_client(Spawn::new("no-such-program")).unwrap_err().to_string();
    assert!(error.contains("at the switch"), "{error}");
}

pub(crate) fn see_only_their_lab(lab: &Lab) {
    let numbers = shell(&lab.machine(0), "cd /proc; echo [0-9]*");
    let count = numbers.split(' ').count();
    assert!((2..=8).contains(&count), "the hub, the shell and little else, not {numbers}");
    assert_eq!(shell(&lab.machine(0), "test $PPID = 1 && echo hub"), "hub");
}
