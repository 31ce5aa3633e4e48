//! The demonstration leaves nothing behind, however it ends.

#![allow(clippy::unwrap_used)] // A failed unwrap in a helper of tests is a failed test with its line.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The most that anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a demonstration whose folders are made in `place`.
fn demo(place: &Path) -> Child {
    demo_with(place, &[])
}

fn demo_with(place: &Path, arguments: &[&str]) -> Child {
    let start = ["--loopback", "--machines", "2"];
    command(place, &[&start, arguments].concat()).spawn().unwrap()
}

fn command(place: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backhand"));
    command.arg("demo").args(arguments).env("TMPDIR", place);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn folders(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).unwrap().flatten().map(|entry| entry.path());
    entries.filter(|path| path.to_string_lossy().contains("backhand-demo-")).collect()
}

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain waited until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn signal(demo: &Child, signal: Signal) {
    kill_process(Pid::from_child(demo), signal).unwrap();
}

/// Waits for the end; what was said on standard error.
fn ended(mut demo: Child) -> String {
    until("it ends", || demo.try_wait().unwrap());
    let mut said = String::new();
    demo.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    said
}

#[test]
fn interrupted_in_its_first_moments_it_leaves_nothing_behind() {
    let place = tempfile::tempdir().unwrap();
    let demo = demo(place.path());
    until("it has a folder", || folders(place.path()).pop());
    signal(&demo, Signal::INT);
    let said = ended(demo);
    assert_eq!(said, "");
    assert_eq!(folders(place.path()), Vec::<PathBuf>::new());
}

#[test]
fn it_ends_with_its_terminal() {
    let place = tempfile::tempdir().unwrap();
    let demo = demo(place.path());
    until("it has a folder", || folders(place.path()).pop());
    signal(&demo, Signal::HUP);
    assert_eq!(ended(demo), "");
    assert_eq!(folders(place.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_story_that_was_cut_short_is_no_success() {
    let place = tempfile::tempdir().unwrap();
    let mut demo = demo_with(place.path(), &["--once"]);
    let mut said = BufReader::new(demo.stdout.take().unwrap()).lines();
    until("a client sends requests", || {
        said.next().unwrap().unwrap().contains("a client sends").then_some(())
    });
    signal(&demo, Signal::TERM);
    let status = until("it ends", || demo.try_wait().unwrap());
    assert!(!status.success());
    assert_eq!(said.last().unwrap().unwrap(), "It was stopped before its end.");
}

/// What is behind the last word of the first line with this in it.
fn told(lines: &mut impl Iterator<Item = std::io::Result<String>>, word: &str) -> String {
    let line = lines.map(Result::unwrap).find(|line| line.contains(word));
    line.unwrap_or_else(|| panic!("it ended before it said {word}"))
}

/// Asks for something at a URL on 127.0.0.1, with further fields and a body; the answer.
fn ask(method: &str, url: &str, fields: &str, body: &str) -> String {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn its_control_page_shows_the_machines_and_takes_no_order_while_it_tells_its_story() {
    let place = tempfile::tempdir().unwrap();
    let mut demo = demo_with(place.path(), &["--port", "0"]);
    let mut said = BufReader::new(demo.stdout.take().unwrap()).lines();
    assert!(told(&mut said, "Addresses that move").contains("need network namespaces"));
    let control = told(&mut said, "  control  ");
    let control = control.rsplit(' ').next().unwrap();
    told(&mut said, "a client sends");
    let page = ask("GET", control, "", "");
    for shown in ["m1", "m2", "Freeze it", "disabled", "need network namespaces"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(!page.contains("Pull its cable"), "there is none: {page}");
    let order = format!("{control}do");
    let host = control.split('/').nth(2).unwrap();
    let own = format!("Origin: http://{host}\r\n");
    let refused = [("", "403"), ("Origin: http://evil.example\r\n", "403"), (own.as_str(), "409")];
    for (origin, status) in refused {
        let answer = ask("POST", &order, origin, "machine=0&what=kill");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{origin}: {answer}");
    }
    signal(&demo, Signal::INT);
    assert_eq!(ended(demo), "");
}

/// A demonstration with machines of its own and what it says; `None` where namespaces are not allowed.
fn in_namespaces(place: &Path) -> Option<(Child, Lines<BufReader<ChildStdout>>)> {
    let mut demo = command(place, &["--port", "0"]).spawn().unwrap();
    let mut said = BufReader::new(demo.stdout.take().unwrap()).lines();
    let machines = told(&mut said, " machines: ");
    if !machines.contains("loopback") {
        return Some((demo, said));
    }
    eprintln!("not tried: {machines}");
    signal(&demo, Signal::INT);
    ended(demo);
    None
}

#[test]
fn its_addresses_are_answered_for_where_namespaces_are_allowed() {
    let place = tempfile::tempdir().unwrap();
    let Some((demo, mut said)) = in_namespaces(place.path()) else { return };
    assert!(told(&mut said, "addresses for clients").contains("10.77.0.101 to 10.77.0.104"));
    let status = told(&mut said, "  status  ");
    let control = told(&mut said, "  control  ");
    let owners = told(&mut said, "every address is answered for");
    for shown in [".101", ".102", ".103", ".104", "m1", "m2", "m3"] {
        assert!(owners.contains(shown), "{owners}");
    }
    let page = ask("GET", control.rsplit(' ').next().unwrap(), "", "");
    assert!(page.contains("10.77.0.104") && page.contains("Pull its cable"), "{page}");
    let url = format!("{}status.json", status.rsplit(' ').next().unwrap());
    let answer = ask("GET", &url, "", "");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(json["addresses"]["stage"], "running");
    assert_eq!(json["addresses"]["sets"].as_array().unwrap().len(), 4);
    assert_eq!(json["addresses"]["members"].as_array().unwrap().len(), 3);
    signal(&demo, Signal::INT);
    assert_eq!(ended(demo), "");
    assert_eq!(folders(place.path()), Vec::<PathBuf>::new());
}

/// Who answers at an address, as its strip on the control page says.
fn answers(parts: &serde_json::Value, address: &str) -> Option<String> {
    let (_, behind) = parts["strips"].as_str()?.split_once(&format!("<b>{address}</b> at "))?;
    behind.split(' ').next().filter(|name| *name != "nobody").map(str::to_owned)
}

#[test]
fn a_cable_pulled_by_a_click_moves_an_address_and_the_strip_shows_it() {
    let place = tempfile::tempdir().unwrap();
    let Some((demo, mut said)) = in_namespaces(place.path()) else { return };
    let control = told(&mut said, "  control  ").rsplit(' ').next().unwrap().to_owned();
    // Before that the buttons are the story's own.
    told(&mut said, "It goes on until you press Ctrl-C");
    let parts = || -> serde_json::Value {
        let answer = ask("GET", &format!("{control}parts.json"), "", "");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    let origin = format!("Origin: http://{}\r\n", control.split('/').nth(2).unwrap());
    let press = |body: &str| {
        let answer = ask("POST", &format!("{control}do"), &origin, body);
        assert!(answer.starts_with("HTTP/1.1 303 "), "{body}: {answer}");
    };
    let address = "10.77.0.101";
    let holder = until("somebody answers", || answers(&parts(), address));
    let machine: usize = holder.strip_prefix('m').unwrap().parse().unwrap();
    press(&format!("machine={}&what=cut", machine - 1));
    let cut = |parts: &serde_json::Value| parts["machines"].to_string().contains("has no cable");
    let other = until("another answers for the machine without a cable", || {
        let parts = parts();
        answers(&parts, address).filter(|name| cut(&parts) && *name != holder)
    });
    assert!(["m1", "m2", "m3"].contains(&other.as_str()), "{other}");
    assert!(parts()["events"].as_str().unwrap().contains(&holder), "it is told");
    press(&format!("machine={}&what=back", machine - 1));
    until("it has its cable again", || (!cut(&parts())).then_some(()));
    signal(&demo, Signal::INT);
    assert_eq!(ended(demo), "");
    assert_eq!(folders(place.path()), Vec::<PathBuf>::new());
}

#[test]
fn what_a_killed_one_leaves_the_next_one_removes() {
    let place = tempfile::tempdir().unwrap();
    let mut killed = demo(place.path());
    let left = until("it has a key", || {
        folders(place.path()).pop().filter(|folder| folder.join("cluster.key").exists())
    });
    signal(&killed, Signal::KILL);
    killed.wait().unwrap();
    assert!(left.exists());
    let next = demo(place.path());
    until("the next one has a folder", || folders(place.path()).into_iter().find(|it| *it != left));
    assert!(!left.exists());
    signal(&next, Signal::INT);
    ended(next);
    assert_eq!(folders(place.path()), Vec::<PathBuf>::new());
}

#[test]
fn with_nobody_reading_any_more_it_ends_quietly() {
    let place = tempfile::tempdir().unwrap();
    let mut demo = demo(place.path());
    let mut first = String::new();
    BufReader::new(demo.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("Backhand"), "{first}");
    assert_eq!(ended(demo), "");
    assert_eq!(folders(place.path()), Vec::<PathBuf>::new());
}
