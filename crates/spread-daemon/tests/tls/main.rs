//! Clients that come by TLS to a daemon that really runs: good ones, and each kind of bad one.

// A failed unwrap in a helper of tests is a failed test with its line.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod client;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use client::{Client, PATIENCE, Running, config};
use rustls::version::{TLS12, TLS13};

#[test]
fn a_session_over_tls_gets_views_and_moves_large_messages_both_ways() {
    let daemon = Running::start("");
    for version in [&TLS13, &TLS12] {
        let stream = daemon.sealed_as(Some("client"), &[version]);
        let mut alice = Client::connect(stream, "alice").unwrap();
        let socket = UnixStream::connect(daemon.socket()).unwrap();
        let mut bob = Client::connect(socket, "bob").unwrap();
        alice.join("room");
        assert_eq!(alice.view(), 1);
        bob.join("room");
        assert_eq!((alice.view(), bob.view()), (2, 2));
        for round in 0..20_u8 {
            let body = vec![round; 100_000];
            alice.send("room", &body);
            assert!(alice.body() == body && bob.body() == body, "{round} from alice");
            bob.send("room", &body);
            assert!(alice.body() == body && bob.body() == body, "{round} from bob");
        }
        drop(bob);
        assert_eq!(alice.view(), 1);
    }
    let counters = daemon.status().sessions;
    assert_eq!((counters.tls_begun, counters.tls_failed), (2, 0));
}

#[test]
fn many_small_messages_come_in_their_order_with_and_without_tls() {
    let daemon = Running::start("");
    let plain = |name| Client::connect(daemon.tcp(daemon.plain), name).unwrap();
    let without = pass_small(plain("sender"), plain("receiver"));
    let with = pass_small(daemon.alice("tsender"), daemon.alice("treceiver"));
    println!("20,000 messages of 100 bytes: {without:?}, with TLS {with:?}");
}

/// How long 20,000 messages take from one to the other.
fn pass_small<S: Read + Write + Send>(mut from: Client<S>, mut to: Client<S>) -> Duration {
    const COUNT: u32 = 20_000;
    to.join("small");
    to.view();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..COUNT {
                let mut body = [7; 100];
                body[..4].copy_from_slice(&number.to_be_bytes());
                from.send("small", &body);
            }
        });
        for number in 0..COUNT {
            assert_eq!(to.body()[..4], number.to_be_bytes());
        }
    });
    begun.elapsed()
}

#[test]
fn what_a_bad_client_does_costs_only_its_own_session() {
    let daemon = Running::start("");
    let mut good = daemon.alice("good");
    let mut goes_on = |what: &str| {
        good.join(what);
        assert_eq!(good.view(), 1, "{what}");
    };
    let refused = |certificate: Option<&str>| {
        let error = Client::connect(daemon.sealed(certificate), "bad").err().unwrap();
        assert!(error.contains("alert"), "{certificate:?} is told why: {error}");
    };
    refused(None);
    goes_on("without");
    refused(Some("stranger"));
    goes_on("stranger");
    refused(Some("ended"));
    goes_on("ended");
    daemon.until("three have failed", |status| status.sessions.tls_failed == 3);

    // No TLS where it is spoken, and TLS where it is not.
    assert!(Client::connect(daemon.tcp(daemon.tls), "plain").is_err());
    goes_on("plain");
    daemon.until("four have failed", |status| status.sessions.tls_failed == 4);
    let mut stream = daemon.sealed(Some("client"));
    stream.sock = daemon.tcp(daemon.plain);
    assert!(Client::connect(stream, "sealed").is_err());
    goes_on("sealed");

    // Noise within a session.
    let mut alice = daemon.alice("alice");
    alice.stream.sock.write_all(&[0x17, 3, 3, 0, 40]).unwrap();
    alice.stream.sock.write_all(&[9; 40]).unwrap();
    assert!(alice.receive().unwrap_err().contains("alert"));
    goes_on("noise");
    let mut alice = daemon.alice("alice");
    alice.stream.sock.write_all(&[0xff; 4096]).unwrap();
    assert!(alice.receive().is_err());
    goes_on("noise2");

    // The same, while much waits for it.
    let mut alice = daemon.alice("alice");
    alice.join("much");
    assert_eq!(alice.view(), 1);
    let mut writer = daemon.alice("writer");
    (0..100).for_each(|_| writer.send("much", &[1; 100_000]));
    daemon.until("something waits", |status| status.slowest.iter().any(|one| one.bytes > 0));
    alice.stream.sock.write_all(&[0x17, 3, 3, 0, 40]).unwrap();
    alice.stream.sock.write_all(&[9; 40]).unwrap();
    daemon.until("it is sent away", |status| status.open == 2);
    while alice.receive().is_ok() {}
    drop(writer);
    goes_on("noise3");

    // What the protocol of the bus does not allow, well sealed.
    let mut alice = daemon.alice("alice");
    alice.stream.write_all(&[0xff; 48]).unwrap();
    assert!(alice.receive().is_err());
    goes_on("violation");
    daemon.until("only the good one is left", |status| status.open == 1 && status.shaking == 0);
}

#[test]
fn a_session_ends_with_its_connection_however_that_ends() {
    let daemon = Running::start("");
    let mut good = daemon.alice("good");
    good.join("room");
    assert_eq!(good.view(), 1);
    for way in 0..4 {
        let mut alice = daemon.alice("alice");
        alice.join("room");
        assert_eq!(good.view(), 2);
        match way {
            0 => {
                alice.stream.conn.send_close_notify();
                alice.stream.flush().unwrap();
            }
            1 => alice.stream.sock.shutdown(Shutdown::Both).unwrap(),
            2 => {
                // Half a record, and then the end.
                alice.stream.sock.write_all(&[0x17, 3, 3, 1, 0, 5, 5]).unwrap();
                alice.stream.sock.shutdown(Shutdown::Write).unwrap();
            }
            _ => {
                let kill = alice.wire.kill();
                alice.stream.write_all(&kill).unwrap();
                // In order: nothing more, and that is said.
                let mut rest = Vec::new();
                alice.stream.read_to_end(&mut rest).unwrap();
            }
        }
        assert_eq!(good.view(), 1, "way {way}");
    }
    daemon.until("only the good one is left", |status| status.open == 1);
}

#[test]
fn who_never_ends_his_handshake_is_sent_away_and_keeps_nobody_waiting() {
    let daemon = Running::start("");
    let mut silent = daemon.tcp(daemon.tls);
    let mut half = daemon.tcp(daemon.tls);
    // The head of a record of a greeting of 512 bytes, and some of them.
    half.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 7, 7]).unwrap();
    let mut shaken = daemon.sealed(Some("client"));
    // All of TLS, and not a word of the bus.
    while shaken.conn.is_handshaking() {
        shaken.conn.complete_io(&mut shaken.sock).unwrap();
    }
    let begun = Instant::now();
    daemon.alice("alice");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    // To both TLS says that nothing more comes.
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).unwrap();
    assert_eq!(rest[..3], [0x15, 3, 3]);
    half.read_to_end(&mut rest).unwrap();
    assert_eq!(shaken.read(&mut [0; 10]).unwrap(), 0);
    assert!((3..20).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    daemon.until("nobody is left", |status| status.shaking == 0);
}

#[test]
fn a_slow_reader_over_tls_is_dropped_and_the_others_are_served() {
    let daemon = Running::start("backlog = \"256KiB\"");
    let mut slow = daemon.alice("slow");
    slow.join("room");
    assert_eq!(slow.view(), 1);
    let mut writer = daemon.alice("writer");
    let begun = Instant::now();
    while daemon.status().sessions.slow == 0 {
        assert!(begun.elapsed() < PATIENCE, "it is not dropped");
        (0..10).for_each(|_| writer.send("room", &[1; 100_000]));
    }
    writer.join("after");
    assert_eq!(writer.view(), 1);
    // What it had got before is whole, and then comes the end.
    let error = loop {
        match slow.receive() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(!error.contains("decrypt"), "{error}");
}

#[test]
fn one_too_many_is_told_so_over_tls() {
    let daemon = Running::start("sessions = 1");
    let _alice = daemon.alice("alice");
    let error = Client::connect(daemon.sealed(Some("client")), "bob").err().unwrap();
    assert!(error.contains("refused"), "{error}");
}

#[test]
fn the_address_is_looked_at_before_a_byte() {
    let daemon = Running::start("tls_accept_clients = [\"10.0.0.0/8\"]");
    assert!(Client::connect(daemon.sealed(Some("client")), "alice").is_err());
    Client::connect(daemon.tcp(daemon.plain), "alice").unwrap();
    assert_eq!(daemon.status().sessions.tls_failed, 0, "nothing was looked at");
}

#[test]
fn a_new_certificate_is_for_those_who_come_from_now_on() {
    let daemon = Running::start("");
    let mut before = daemon.alice("before");
    // One that does not name this host: the clients here notice.
    daemon.reloader.reload(config(daemon.folder.path(), "nameless", ""));
    let begun = Instant::now();
    while Client::connect(daemon.sealed(Some("client")), "after").is_ok() {
        assert!(begun.elapsed() < PATIENCE, "it is not taken");
    }
    before.join("room");
    assert_eq!(before.view(), 1);
    // Without a word of TLS those who listen go on.
    let mut without = config(daemon.folder.path(), "server", "");
    without.clients.tls = None;
    daemon.reloader.reload(config(daemon.folder.path(), "server", ""));
    daemon.reloader.reload(without);
    daemon.status();
    daemon.alice("again");
}
