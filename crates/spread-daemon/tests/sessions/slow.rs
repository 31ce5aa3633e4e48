//! Readers that are slower than those who write to them.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::client::{Client, Running};
use super::{local, log};

/// How long they are watched.
const WATCHED: Duration = Duration::from_secs(4);
/// Bytes a second that they read, evenly.
const RATE: u64 = 2_000_000;
/// The longest wait of somebody else on a machine that does other work besides.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Reads evenly.
fn sip(stream: &mut impl Read) {
    let (begun, mut count, mut sip) = (Instant::now(), 0, vec![0; 16 << 10]);
    while begun.elapsed() < WATCHED {
        let some = stream.read(&mut sip).unwrap();
        assert!(some > 0, "disconnected after {:?} and {count} bytes", begun.elapsed());
        count += some as u64;
        let due = Duration::from_micros(count * 1_000_000 / RATE);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    println!("{count} bytes read");
}

/// Writes as much as it may, until it is told or is sent away.
fn flood(daemon: &Running, to: &str, stop: &AtomicBool) {
    let mut writer = local(daemon, &format!("to{to}"));
    while !stop.load(Relaxed) && writer.try_send(to, &[7; 1400]).is_ok() {}
}

/// Talks to itself; the longest that it waited.
fn talk(daemon: &Running, stop: &AtomicBool) -> Duration {
    let mut bystander = local(daemon, "bystander");
    bystander.join("alone");
    let mut worst = Duration::ZERO;
    while !stop.load(Relaxed) {
        let begun = Instant::now();
        bystander.send("alone", &[1]);
        bystander.body();
        worst = worst.max(begun.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    worst
}

/// Reads what a writer at full speed sends to it.
fn read_slowly<S: Read + Write>(daemon: &Running, mut reader: Client<S>, name: &str) {
    reader.join(name);
    reader.view();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| flood(daemon, name, &stop));
        sip(&mut reader.stream);
        stop.store(true, Relaxed);
        // What holds the writer goes with it.
        drop(reader);
    });
}

#[test]
fn a_reader_that_is_slower_than_a_writer_stays_and_slows_down_nobody_else() {
    let daemon = Running::start("");
    let stop = AtomicBool::new(false);
    let worst = std::thread::scope(|scope| {
        let bystander = scope.spawn(|| talk(&daemon, &stop));
        let tcp = Client::connect(daemon.tcp(daemon.plain), "tcp").unwrap();
        let tcp = scope.spawn(|| read_slowly(&daemon, tcp, "bytcp"));
        read_slowly(&daemon, local(&daemon, "unix"), "byunix");
        tcp.join().unwrap();
        stop.store(true, Relaxed);
        bystander.join().unwrap()
    });
    assert!(worst < WAIT_MAX, "a bystander waited for {worst:?}");
    println!("the longest wait of a bystander: {worst:?}");
    assert_eq!(daemon.status().sessions.slow, 0);
}

#[test]
fn a_reader_that_stops_is_disconnected_and_holds_up_nobody_else() {
    log::keep();
    let daemon = Running::start("");
    let mut deaf = local(&daemon, "stopped");
    deaf.join("room");
    deaf.view();
    let stop = AtomicBool::new(false);
    let worst = std::thread::scope(|scope| {
        scope.spawn(|| flood(&daemon, "room", &stop));
        let bystander = scope.spawn(|| talk(&daemon, &stop));
        daemon.until("it is sent away", |status| status.sessions.slow == 1);
        stop.store(true, Relaxed);
        bystander.join().unwrap()
    });
    assert!(worst < WAIT_MAX, "a bystander waited for {worst:?}");
    log::wait_until_said(&["WARN", "a client does not read and is disconnected", "#stopped#d"]);
}

#[test]
fn writers_wait_for_a_reader_with_a_small_backlog_too() {
    const COUNT: u8 = 200;
    let daemon = Running::start("backlog = \"256KiB\"");
    let mut reader = local(&daemon, "reader");
    reader.join("room");
    reader.view();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = local(&daemon, "writer");
            (0..COUNT).for_each(|number| writer.send("room", &vec![number; 140_000]));
        });
        for number in 0..COUNT {
            assert_eq!(reader.body()[0], number);
        }
    });
    assert_eq!(daemon.status().sessions.slow, 0);
}
