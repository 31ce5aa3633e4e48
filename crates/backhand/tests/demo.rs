//! The demonstration leaves nothing behind, however it ends.

#![allow(clippy::unwrap_used)] // A failed unwrap in a helper of tests is a failed test with its line.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The most that anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a demonstration whose folders are made in `place`.
fn demo(place: &Path) -> Child {
    demo_with(place, &[])
}

fn demo_with(place: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_backhand"))
        .args(["demo", "--loopback", "--machines", "2"])
        .args(arguments)
        .env("TMPDIR", place)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
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
