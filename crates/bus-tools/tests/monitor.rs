//! `spmonitor` with daemons that really run.

// A failed unwrap in a helper of tests is a failed test with its line.
#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::io::Cursor;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base::AddrBlocks;
use bus_tools::Tool;
use bus_tools::tool::Handles;
use spread_daemon::config::{Around, BusSection};
use spread_daemon::{Daemon, Stopper};

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

struct Running(Stopper, Option<JoinHandle<()>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.stop();
        if let Some(thread) = self.1.take() {
            let _ = thread.join();
        }
    }
}

fn free_port() -> u16 {
    let any: SocketAddr = "127.0.78.1:0".parse().unwrap();
    UdpSocket::bind(any).unwrap().local_addr().unwrap().port()
}

fn start(folder: &Path, name: &str, address: &str, port: u16) -> Running {
    let socket = folder.join(name);
    let text = format!(
        "name = {name:?}\nlisten = []\nsocket = {socket:?}\naddress = {address:?}\nport = {port}\nsegment = \"none\"\n\
         seeds = [\"127.0.78.1:{port}\", \"127.0.78.2:{port}\"]\npriority = \"none\"\ntimeout_floor = \"1s\"\ndangerous_monitor = true\n"
    );
    let section: BusSection = toml::from_str(&text).unwrap();
    let around = Around {
        name,
        here: &[],
        key: None,
        insecure: false,
        accept: &AddrBlocks(vec!["127.0.0.0/8".parse().unwrap()]),
        read_key: &|_| unreachable!("no key is named"),
    };
    let daemon = Daemon::open(section.check(&around).unwrap()).unwrap();
    let stopper = daemon.stopper();
    Running(stopper, Some(std::thread::spawn(move || daemon.run().unwrap())))
}

/// What `spmonitor` prints and ends with.
fn monitor(folder: &Path, words: &[&str], input: &str) -> (u8, String, String) {
    let socket = folder.join("one").into_os_string();
    let words = [OsString::from("-s"), socket].into_iter().chain(words.iter().map(OsString::from));
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let handles = Handles {
        input: Cursor::new(input.to_owned()),
        output: &mut output,
        errors: &mut errors,
        terminal: false,
    };
    let status = Tool::Monitor.run("spmonitor", words, 2, handles);
    (status, String::from_utf8(output).unwrap(), String::from_utf8(errors).unwrap())
}

fn until(folder: &Path, what: &str) {
    let begun = Instant::now();
    while !monitor(folder, &["status", "all"], "").1.contains(what) {
        assert!(begun.elapsed() < PATIENCE, "never {what:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const TWO: &str = "Membership  :  2  procs in 1 segments, leader is one, accelerated protocol\n";
const ALONE: &str = "Membership  :  1  procs in 1 segments, leader is two, accelerated protocol\n";

#[test]
fn the_menu_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let _one = start(folder.path(), "one", "127.0.78.1", port);
    let two = start(folder.path(), "two", "127.0.78.2", port);
    until(folder.path(), TWO);

    // Status of one, by hand, with a mistake.
    let (status, output, _) = monitor(folder.path(), &[], "0\nnobody\ntwo\n\n9\n");
    assert_eq!(status, 0);
    assert!(output.starts_with("\n=============\nMonitor Menu:\n-------------\n\t0. Activate"));
    let expected = "\n=============\nActivate Status\n-------------\n\n\tEnter Proc Name: Please! enter a legal proc name, none, or all\n\
        \tEnter Proc Name: \tEnter Proc Name: Monitor: send status query\n\n============================\nStatus at two V 5.00. 1 (state 1, gstate 1) after ";
    assert!(output.contains(expected), "{output}");
    assert!(output.ends_with("==================================\n\nMonitor> Bye.\n"), "{output}");

    // A partition, seen from both sides, and its end.
    let (_, output, _) = monitor(folder.path(), &[], "1\n0\nx\n1\n2\n3\n");
    let map = "\tone\t\ttwo\tPlease enter a number\n\ttwo\t\n\n=============\nPartition Map:\n-------------\n\n\tone\t0\n\ttwo\t1\n\n\nMonitor> Monitor: send partition\n\nMonitor> ";
    assert!(output.contains(map), "{output}");
    until(folder.path(), ALONE);
    monitor(folder.path(), &[], "4\n");
    until(folder.path(), TWO);

    // Windows, of which personal ones mean nothing.
    let (_, output, _) = monitor(folder.path(), &[], "5\n100\n20\n\n\n9\n6\n7\n");
    assert!(
        output.contains("    Window size: \n\tone personal window\t\tone accelerated window\t")
    );
    assert!(output.contains("Monitor: personal windows change nothing"));
    assert!(output.contains(
        "Window size:  100\n\n\tone personal window\t20\n\tone accelerated window\t-1\n"
    ));
    let (_, output, _) = monitor(folder.path(), &["status", "two"], "");
    assert!(output.contains("P/A Window :     100/9\n"), "{output}");

    // The end of one, after which the other is alone.
    let (_, output, _) = monitor(folder.path(), &[], "8\ntwo\n\nq\n");
    assert!(
        output.contains(
            "\tEnter Proc Name to Terminate: \tEnter Proc Name to Terminate: \nMonitor> Bye.\n"
        ),
        "{output}"
    );
    let mut two = two;
    two.1.take().unwrap().join().unwrap();
    until(folder.path(), "Membership  :  1  procs in 1 segments, leader is one");
}

#[test]
fn commands_are_for_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let (status, _, errors) = monitor(folder.path(), &["status"], "");
    assert_eq!(status, 1);
    assert!(errors.contains("no daemon answers at") && errors.contains("-s"), "{errors}");
    let _one = start(folder.path(), "one", "127.0.78.1", free_port());
    until(folder.path(), "Membership  :  1 ");
    let (status, output, _) = monitor(folder.path(), &["status", "--json", "all"], "");
    let value: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!((status, &value["name"], &value["daemons"]), (0, &"one".into(), &1.into()));
    let (status, _, errors) = monitor(folder.path(), &["status", "nobody"], "");
    assert!(status == 1 && errors.contains("nobody"), "{errors}");
    let (status, output, errors) = monitor(folder.path(), &["sttus"], "");
    assert!(status == 2 && errors.contains("sttus") && output.starts_with("Usage: spmonitor"));
    assert_eq!(monitor(folder.path(), &["flow", "window", "40"], "").1, "one: done\n");
    // A daemon that was given its configuration by a program has none to read again.
    let (status, _, errors) = monitor(folder.path(), &["reload"], "");
    assert!(status == 1 && errors.contains("no file to read again"), "{errors}");
    let (_, output, _) = monitor(folder.path(), &[], "r\n");
    assert!(
        output.contains("Monitor> Monitor: reload configuration files\nMonitor: one: one has no"),
        "{output}"
    );
    let begun = Instant::now();
    let timed = monitor(folder.path(), &["partition", "one=0", "for", "1"], "");
    assert_eq!((timed.0, timed.1.as_str()), (0, "one: done\none: done\n"));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(monitor(folder.path(), &["terminate", "all"], "").1, "one: done\n");
}
