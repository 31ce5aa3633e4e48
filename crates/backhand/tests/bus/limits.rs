//! Clients that do wrong, and a machine without descriptors, log or disk: each costs itself, and the daemon lives.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use lab::Place;
use socket2::{Domain, Type};
use spread_client::blocking::Connection;
use spread_client::{Cause, Endpoint, Event, GroupName, Options, Service};
use testkit::trial::Failed;

use crate::client::{Client, alone, connect};
use crate::cluster::{Bus, NAMES, PORT, count, names};
use crate::history;
use crate::stage;
use crate::support::{PATIENCE, until};

pub(crate) const TRIALS: &[crate::Named] = &[
    ("clients_that_speak_nonsense_or_nothing_end_and_nobody_else_notices", nonsense),
    ("clients_in_processes_of_their_own_are_seen_to_be_disconnected_when_killed", killed),
    ("a_client_that_does_not_read_is_dropped_and_nobody_else_waits", deaf_client),
    ("a_client_that_sends_and_never_receives_is_told_to_and_loses_nothing", talker),
    ("a_client_that_reads_a_little_now_and_then_does_not_hold_up_the_ring", trickle),
    ("a_daemon_without_descriptors_lives_and_takes_clients_again", descriptors),
    ("a_daemon_whose_log_nobody_reads_or_can_be_written_works", speechless),
];

/// A connection without the library.
pub(crate) fn raw(bus: &Bus, i: usize) -> UnixStream {
    let Endpoint::Unix(path) = bus.endpoint(i) else { panic!("no path") };
    let stream = until("a connection is taken", || UnixStream::connect(&path).ok());
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Good manners without the library, at daemon `i`: the stream is in `group` then.
fn greet<S: Read + Write>(mut stream: S, i: usize, name: &str, group: &[u8]) -> S {
    let mut hello = vec![5, 0, 1, 1, name.len() as u8];
    hello.extend_from_slice(name.as_bytes());
    stream.write_all(&hello).unwrap();
    let mut length = [0];
    stream.read_exact(&mut length).unwrap();
    let mut methods = vec![0; length[0] as usize];
    stream.read_exact(&mut methods).unwrap();
    let mut method = [0; 90];
    method[..4].copy_from_slice(b"NULL");
    stream.write_all(&method).unwrap();
    let mut join = Vec::new();
    join.extend_from_slice(&0x8001_0080_u32.to_le_bytes());
    join.extend_from_slice(format!("#{name}#{}", NAMES[i]).as_bytes());
    join.resize(36, 0);
    for word in [1_u32, 0x8000_0080, 0] {
        join.extend_from_slice(&word.to_le_bytes());
    }
    join.extend_from_slice(group);
    join.resize(80, 0);
    stream.write_all(&join).unwrap();
    stream
}

/// Reads until the daemon closes.
fn drain(mut stream: UnixStream) {
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
            Err(error) => panic!("the daemon did not close: {error}"),
        }
    }
}

fn nonsense() -> Result<(), Failed> {
    let bus = Bus::new(2);
    let clients = Client::everywhere(&bus, Duration::from_millis(4));
    clients.iter().for_each(|client| drop(client.wait_for_daemons(&names(&[0, 1]))));
    let members = clients[0].last().members;
    let silent = raw(&bus, 0);
    let mut half = raw(&bus, 0);
    half.write_all(&[5, 0, 1])?;
    let mut dice = base::Random::new(7);
    for length in (0..200).map(|n| n * 3 % 97 + 1) {
        let mut stream = raw(&bus, 0);
        let bytes: Vec<u8> = (0..length).map(|_| dice.below(256) as u8).collect();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        drain(stream);
    }
    // Good manners first, and then a header that no client may send: it is in a group, and is seen to go.
    for word in [[0xff; 48], [0; 48]] {
        let mut stream = greet(raw(&bus, 1), 1, &format!("bad{}", word[0]), crate::client::GROUP);
        clients[0].wait_for("the rude one", |last| last.members == members + 1);
        stream.write_all(&word)?;
        drain(stream);
        clients[0].wait_for("its end", |last| last.members == members);
    }
    // Who does not say who it is is not waited for.
    drain(silent);
    drain(half);
    bus.all_live()?;
    Ok(history::check(&Client::finish(clients))?)
}

/// By the Unix socket under its usual name, and by both families of TCP.
fn killed() -> Result<(), Failed> {
    let bus = Bus::new(2);
    let watcher = Client::start(&bus, 0, None);
    let other = Client::start(&bus, 1, None);
    watcher.wait_for_daemons(&names(&[0, 1]));
    let address = format!("4803@{}", bus.lab.machine(1).address());
    for endpoint in ["4803", "4803@127.0.0.1", &address] {
        let process = bus.lab.machine(1).spawn(alone(endpoint))?;
        watcher.wait_for("the new one", |last| last.members == 3);
        assert_eq!(watcher.last().cause, Some(Cause::Join));
        process.kill9()?;
        watcher.wait_for("its end", |last| last.members == 2);
        assert_eq!(watcher.last().cause, Some(Cause::Disconnect));
    }
    bus.all_live()?;
    Ok(history::check(&Client::finish(vec![watcher, other]))?)
}

/// It is dropped with a word in the log, and its group is told; messages of others come all the time.
fn deaf_client() -> Result<(), Failed> {
    let bus = Bus::new(2);
    let clients = Client::everywhere(&bus, Duration::from_millis(4));
    clients.iter().for_each(|client| drop(client.wait_for_daemons(&names(&[0, 1]))));
    let members = clients[0].last().members;
    let group = GroupName::new(crate::client::GROUP).unwrap();
    let other = GroupName::new(b"flood").unwrap();
    let mut deaf = connect(&bus, 1, &Options::named("deaf").unwrap());
    deaf.join(&group).unwrap();
    deaf.join(&other).unwrap();
    clients[0].wait_for("the deaf one", |last| last.members == members + 1);
    let mut flood = connect(&bus, 0, &Options::named("flood").unwrap());
    let mut sent = 0_u32;
    until("the deaf one is dropped", || {
        for _ in 0..100 {
            flood.multicast(Service::Agreed, &other, &[7; 20_000]).unwrap();
            sent += 1;
        }
        (clients[0].last().members == members).then_some(())
    });
    println!("dropped after {sent} messages of 20,000 bytes at most");
    bus.wait_until_said(1, &["does not read", "deaf"]);
    // It was told what it read no more of, and then that it is over.
    let mut got = 0;
    let error = loop {
        match deaf.receive() {
            Ok(Event::Regular(_)) => got += 1,
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(error.ends_session() && got < sent, "{error}, {got} of {sent}");
    // Its name is free again.
    drop(connect(&bus, 1, &Options::named("deaf").unwrap()));
    bus.all_live()?;
    Ok(history::check(&Client::finish(clients))?)
}

/// It has no limit of its own messages on their way: what comes back is put aside, then it is told to receive, and nothing is lost.
fn talker() -> Result<(), Failed> {
    let bus = Bus::new(2);
    let group = GroupName::new(b"echo").unwrap();
    for (place, options) in [(0, Options::named("talker")), (1, Options::named("other"))] {
        let options = Options { unread_max: 1 << 20, ..options.unwrap() };
        let mut talker = connect(&bus, place, &options);
        talker.join(&group).unwrap();
        let mut sent = 0;
        let refused = loop {
            match talker.multicast(Service::Agreed, &group, &[7; 500]) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
            assert!(sent < 1_000_000, "nobody told it to receive");
        };
        assert!(!refused.ends_session(), "after {sent} messages: {refused}");
        println!("{sent} messages, then: {refused}");
        let mut got = 0;
        while got < sent {
            got += usize::from(matches!(talker.receive().unwrap(), Event::Regular(_)));
        }
        talker.multicast(Service::Agreed, &group, b"more").unwrap();
    }
    Ok(bus.all_live()?)
}

/// Writers wait for readers that are only slower than they are, but not for one that takes as little as it can.
fn trickle() -> Result<(), Failed> {
    /// Bytes taken each time, some MB a second in all, and bytes that the kernel may take ahead.
    const SIP: usize = 8 << 10;
    const AHEAD: usize = 64 << 10;
    let bus = Bus::new(2);
    // By TCP, where the kernel tells the daemon of less room than at a Unix socket.
    let slow = bus.lab.socket(Place::Machine(1), Domain::IPV4, Type::STREAM)?;
    slow.set_recv_buffer_size(AHEAD)?;
    let address = SocketAddr::new(bus.lab.machine(1).address(), PORT).into();
    until("the daemon listens", || slow.connect(&address).ok());
    let mut slow = greet(TcpStream::from(slow), 1, "slow", b"flood");
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let sips = std::thread::spawn(move || {
        let mut bytes = vec![0; SIP];
        while !stopped.load(Relaxed) && slow.read_exact(&mut bytes).is_ok() {
            // Slow on purpose, and yet never so slow that it seems to have stopped.
            std::thread::sleep(Duration::from_millis(3));
        }
    });
    let other = GroupName::new(b"flood").unwrap();
    let mut options = Options::named("writer").unwrap();
    options.outstanding_max = Some(32);
    let mut writer = connect(&bus, 0, &options);
    writer.join(&other).unwrap();
    let began = Instant::now();
    let mut sent = 0;
    until("the slow one is dropped", || {
        for _ in 0..20 {
            writer.multicast(Service::Agreed, &other, &[7; 20_000]).unwrap();
            sent += 1;
            while writer.receive_within(Duration::ZERO).unwrap().is_some() {}
        }
        (count(&bus.said(1), &["reads slower than others write", "#slow#beta"]) > 0).then_some(())
    });
    println!("{sent} messages of 20,000 bytes in {:?} until it was dropped", began.elapsed());
    stop.store(true, Relaxed);
    sips.join().unwrap();
    Ok(bus.all_live()?)
}

fn descriptors() -> Result<(), Failed> {
    const MOST: u64 = 48;
    let mut bus = Bus::silent(2);
    bus.start_with(0, stage::descriptors(MOST), "spread.conf", "key");
    bus.start(1);
    let clients = Client::everywhere(&bus, Duration::from_millis(4));
    clients.iter().for_each(|client| drop(client.wait_for_daemons(&names(&[0, 1]))));
    // More than fit. The last ones wait in the queue of the kernel.
    let crowd: Vec<UnixStream> = (0..MOST).map(|_| raw(&bus, 0)).collect();
    bus.wait_until_said(0, &["cannot be accepted"]);
    clients.iter().for_each(|client| client.wait_for_messages(100));
    drop(crowd);
    let again: Vec<Connection> =
        (0..10).map(|n| connect(&bus, 0, &Options::named(&format!("again{n}")).unwrap())).collect();
    drop(again);
    let said = count(&bus.said(0), &["cannot be accepted"]);
    assert!(said < 100, "it was said {said} times");
    bus.all_live()?;
    Ok(history::check(&Client::finish(clients))?)
}

fn speechless() -> Result<(), Failed> {
    let mut bus = Bus::silent(3);
    for (i, how) in ["blocked", "closed", "full"].into_iter().enumerate() {
        bus.start_with(i, stage::speechless(how), "spread.conf", "key");
    }
    let mut clients = Client::everywhere(&bus, Duration::from_millis(4));
    clients.iter().for_each(|client| drop(client.wait_for_daemons(&names(&[0, 1, 2]))));
    // Something worth many lines.
    for _ in 0..3 {
        bus.kill(2);
        clients[0].wait_for_daemons(&names(&[0, 1]));
        bus.start_with(2, stage::speechless("blocked"), "spread.conf", "key");
        let new = Client::start(&bus, 2, None);
        clients[0].wait_for_daemons(&names(&[0, 1, 2]));
        let old = std::mem::replace(&mut clients[2], new);
        clients.push(old);
    }
    let dead = clients.split_off(3);
    bus.all_live()?;
    let mut traces = Client::finish(clients);
    traces.extend(Client::finish(dead));
    Ok(history::check(&traces)?)
}
