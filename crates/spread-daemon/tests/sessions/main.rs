//! Clients that do wrong to a daemon that really runs, and what the others notice of it.

// A failed unwrap in a helper of tests is a failed test with its line.
#![allow(clippy::unwrap_used, unreachable_pub)]

#[allow(dead_code)]
#[path = "../tls/client.rs"]
mod client;
mod doubles;
mod log;
mod slow;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use client::{Client, PATIENCE, Running};
use spread_wire::Service;
use spread_wire::client::Outgoing;

fn local(daemon: &Running, name: &str) -> Client<UnixStream> {
    let stream = UnixStream::connect(daemon.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Client::connect(stream, name).unwrap()
}

#[test]
fn a_client_that_breaks_the_protocol_is_named_and_a_crowd_of_them_is_counted() {
    log::keep();
    let daemon = Running::start("");
    for name in ["breaker1", "breaker2", "breaker3"] {
        let mut client = Client::connect(daemon.tcp(daemon.plain), name).unwrap();
        client.stream.write_all(&[0xff; 48]).unwrap();
        assert!(client.receive().is_err());
    }
    daemon.until("they are sent away", |status| status.sessions.violations == 3);
    let line = log::wait_until_said(&["WARN", "breaks the protocol", "#breaker1#d", "127.0.0.1"]);
    assert!(line.contains("disconnected: "), "{line}");
    assert!(log::said(&["#breaker2#"]).is_empty() && log::said(&["#breaker3#"]).is_empty());
}

#[test]
fn a_lower_number_of_sessions_holds_for_those_who_are_at_the_door() {
    let daemon = Running::start("sessions = 100");
    let streams: Vec<TcpStream> = (0..10).map(|_| daemon.tcp(daemon.plain)).collect();
    daemon.until("all have come", |status| status.shaking == 10);
    daemon.reloader.reload(client::config(daemon.folder.path(), "server", "sessions = 3"));
    daemon.status();
    let clients = streams.into_iter().enumerate();
    let clients: Vec<_> =
        clients.map(|(at, tcp)| Client::connect(tcp, &format!("c{at}"))).collect();
    assert_eq!(clients.iter().filter(|client| client.is_ok()).count(), 3);
    assert_eq!(daemon.status().open, 3);
}

#[test]
fn who_connects_and_says_nothing_keeps_nobody_else_out() {
    log::keep();
    let mut files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    files.current = files.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, files).unwrap();
    let daemon = Running::start("");
    let mut tcp: Vec<TcpStream> = (0..1100).map(|_| daemon.tcp(daemon.plain)).collect();
    daemon.until("all have come", |status| status.sessions.connections == 1100);
    assert_eq!(daemon.status().shaking, 1024);
    local(&daemon, "local");
    Client::connect(daemon.tcp(daemon.plain), "remote").unwrap();
    // The oldest are those who went.
    let mut nothing = [0];
    assert_eq!(tcp[75].read(&mut nothing).unwrap(), 0);
    tcp[1099].set_nonblocking(true).unwrap();
    assert!(tcp[1099].read(&mut nothing).is_err());
    let crowd: Vec<UnixStream> =
        (0..1100).map(|_| UnixStream::connect(daemon.socket()).unwrap()).collect();
    local(&daemon, "again");
    Client::connect(daemon.tcp(daemon.plain), "remote2").unwrap();
    drop(crowd);
    let line = log::wait_until_said(&["WARN", "have not said who they are", "127.0.0.1"]);
    assert!(line.contains("before=0"), "{line}");
}

/// Clients that do not read, each with its own messages or all with the same, of 400,000 bytes. A socket takes half of that.
fn deaf_crowd(daemon: &Running, shared: bool) -> Vec<Client<UnixStream>> {
    let mut crowd: Vec<_> = (0..40).map(|at| local(daemon, &format!("deaf{at}"))).collect();
    std::thread::scope(|scope| {
        if shared {
            for client in &mut crowd {
                client.join("crowd");
                client.view();
            }
            let mut writer = local(daemon, "writer");
            (0..20).for_each(|_| writer.send("crowd", &[1; 20_000]));
            return;
        }
        for (at, client) in crowd.iter_mut().enumerate() {
            let own = format!("own{at}");
            client.join(&own);
            scope.spawn(move || (0..20).try_for_each(|_| client.try_send(&own, &[1; 20_000])));
        }
    });
    crowd
}

#[test]
fn what_waits_for_all_together_is_bounded_and_the_one_goes_for_whom_most_waits() {
    log::keep();
    let daemon = Running::start("backlog = \"256KiB\"");
    let crowd = std::thread::scope(|scope| {
        let crowd = scope.spawn(|| deaf_crowd(&daemon, false));
        while !crowd.is_finished() {
            let waits: usize = daemon.status().slowest.iter().map(|session| session.bytes).sum();
            assert!(waits <= 16 * (256 << 10), "{waits}");
        }
        crowd.join().unwrap()
    });
    daemon.until("some go", |status| status.sessions.slow > 5);
    let open = daemon.status().open;
    assert!((10..40).contains(&open), "{open} of 40 stay");
    log::wait_until_said(&["WARN", "for all clients together", "#deaf"]);
    drop(crowd);
}

#[test]
fn a_message_that_waits_for_many_counts_once() {
    let daemon = Running::start("backlog = \"256KiB\"");
    let crowd = deaf_crowd(&daemon, true);
    let waits = |status: &spread_daemon::Status| -> usize {
        status.slowest.iter().map(|session| session.bytes).sum()
    };
    daemon.until("much waits", |status| waits(status) > 20 * (256 << 10));
    assert_eq!(daemon.status().open, 40);
    drop(crowd);
}

#[test]
fn of_those_who_stop_in_the_middle_of_a_message_the_longest_silent_go_when_it_is_too_much() {
    log::keep();
    let daemon = Running::start("backlog = \"256KiB\"");
    let half = |client: &mut Client<UnixStream>| {
        let groups = [client::group("nobody")];
        let body = vec![1; 120_000];
        let message = Outgoing {
            service: Service::Agreed,
            self_discard: false,
            kind: 0,
            groups: &groups,
            body: &body,
        };
        let mut bytes = client.wire.message(&message).unwrap();
        let rest = bytes.split_off(100_000);
        client.stream.write_all(&bytes).unwrap();
        rest
    };
    let mut crowd: Vec<_> = (0..60).map(|at| local(&daemon, &format!("half{at}"))).collect();
    let rests: Vec<_> = crowd.iter_mut().map(half).collect();
    daemon.until("the oldest go", |status| status.open < 45);
    let open = daemon.status().open;
    assert!(open > 15, "{open} of 60 stay");
    assert!(crowd[0].receive().is_err());
    log::wait_until_said(&["WARN", "in the middle of its message", "#half"]);
    // Who stays ends its message and goes on.
    let last = &mut crowd[59];
    last.stream.write_all(&rests[59]).unwrap();
    last.join("somewhere");
    assert_eq!(last.view(), 1);
}
