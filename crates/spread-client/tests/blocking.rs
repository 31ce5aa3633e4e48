//! The blocking client against a daemon of the test's own, over real sockets.
#![allow(clippy::unwrap_used)]

use std::thread;
use std::time::{Duration, Instant};

use spread_client::blocking::{Connection, Session};
use spread_client::{
    Backoff, Cause, Endpoint, Error, ErrorCode, Event, Happened, Options, Outgoing, Service,
};
use testkit::bus::{FORBIDDEN, Server, body, group, members};

fn connect(endpoint: &Endpoint, name: &str) -> Connection {
    Connection::connect(endpoint, &Options::named(name).unwrap()).unwrap()
}

fn message<'a>(groups: &'a [spread_client::GroupName], body: &'a [u8]) -> Outgoing<'a> {
    Outgoing { service: Service::Agreed, self_discard: false, kind: 7, groups, body }
}

#[test]
fn two_clients_meet_in_a_group_and_part() {
    let server = Server::start();
    let room = group("room");
    let mut alice = connect(&server.unix, "alice");
    assert_eq!(alice.group().to_string(), "#alice#here");
    assert_eq!(alice.daemon().major, 5);
    alice.join(&room).unwrap();
    let view = alice.receive().unwrap();
    assert_eq!(members(&view), Some((Cause::Join, vec!["#alice#here".into()])));

    let mut bob = connect(&server.tcp, "bob");
    bob.join(&room).unwrap();
    let both = vec!["#alice#here".to_owned(), "#bob#here".to_owned()];
    for client in [&mut alice, &mut bob] {
        let event = client.receive().unwrap();
        assert_eq!(members(&event), Some((Cause::Join, both.clone())));
        let Event::Membership(view) = event else { panic!() };
        assert_eq!(view.changed().unwrap().to_string(), "#bob#here");
    }

    alice.send(&message(&[room, group("nobody")], b"hello")).unwrap();
    for client in [&mut alice, &mut bob] {
        let Event::Regular(message) = client.receive().unwrap() else { panic!() };
        assert_eq!((&message.body[..], message.hint.kind()), (&b"hello"[..], 7));
        assert_eq!(message.sender.unwrap().to_string(), "#alice#here");
        assert_eq!(message.groups.len(), 2);
    }
    let private = *bob.group().group();
    alice.multicast(Service::Fifo, &private, b"for you alone").unwrap();
    assert_eq!(body(&bob.receive().unwrap()), Some(&b"for you alone"[..]));

    bob.leave(&room).unwrap();
    assert_eq!(bob.receive().unwrap(), Event::SelfLeave(room));
    assert_eq!(members(&alice.receive().unwrap()).unwrap().0, Cause::Leave);
    bob.join(&room).unwrap();
    assert_eq!(members(&alice.receive().unwrap()).unwrap().0, Cause::Join);
    bob.disconnect().unwrap();
    assert_eq!(members(&alice.receive().unwrap()).unwrap().0, Cause::Disconnect);
    assert_eq!(alice.receive_within(Duration::from_millis(20)).unwrap(), None);
}

#[test]
fn refusals_and_absences_are_told_apart() {
    let server = Server::start();
    let _alice = connect(&server.unix, "alice");
    let error = Connection::connect(&server.unix, &Options::named("alice").unwrap()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::RejectNotUnique, "{error}");
    let nowhere = Endpoint::Unix("/nonexistent/socket".into());
    let error = Connection::connect(&nowhere, &Options::default()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::CouldNotConnect, "{error}");
    assert!(error.to_string().contains("/nonexistent/socket"), "{error}");
}

#[test]
fn a_listener_that_says_nothing_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let endpoint = format!("{port}@127.0.0.1").parse().unwrap();
    let timeout = Duration::from_millis(50);
    let options = Options { timeout, ..Options::default() };
    let begun = Instant::now();
    let error = Connection::connect(&endpoint, &options).unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_session_without_membership_hears_messages_only() {
    let server = Server::start();
    let room = group("room");
    let options = Options { membership: false, ..Options::named("quiet").unwrap() };
    let mut quiet = Connection::connect(&server.unix, &options).unwrap();
    quiet.join(&room).unwrap();
    quiet.multicast(Service::Safe, &room, b"first").unwrap();
    assert_eq!(body(&quiet.receive().unwrap()), Some(&b"first"[..]));
}

#[test]
fn messages_too_large_for_the_original_need_leave() {
    let server = Server::start();
    let room = group("room");
    let big = vec![1; 143_952 - 32];
    let mut careful = connect(&server.unix, "careful");
    let error = careful.multicast(Service::Agreed, &room, &big).unwrap_err();
    assert_eq!(error.code(), ErrorCode::MessageTooLong);
    assert!(!error.ends_session());
    let options = Options { full_size: true, ..Options::named("bold").unwrap() };
    let mut bold = Connection::connect(&server.tcp, &options).unwrap();
    careful.join(&room).unwrap();
    assert!(members(&careful.receive().unwrap()).is_some());
    bold.multicast(Service::Agreed, &room, &big).unwrap();
    assert_eq!(body(&careful.receive().unwrap()), Some(&big[..]));
    let hundred = [group("room"); 100];
    bold.send(&message(&hundred, b"to all")).unwrap();
    let Event::Regular(message) = careful.receive().unwrap() else { panic!() };
    assert_eq!(message.groups.len(), 100);
}

#[test]
fn sending_waits_for_own_messages_and_neither_end_waits_for_the_other() {
    let server = Server::start();
    let room = group("room");
    for (endpoint, max) in [(&server.unix, Some(3)), (&server.tcp, None)] {
        let options = Options { outstanding_max: max, ..Options::named("flood").unwrap() };
        let mut flood = Connection::connect(endpoint, &options).unwrap();
        flood.join(&room).unwrap();
        // More than both directions' socket buffers hold.
        let large = vec![5; 100_000];
        for _ in 0..100 {
            flood.multicast(Service::Agreed, &room, &large).unwrap();
            assert!(flood.outstanding() <= max.unwrap_or(usize::MAX));
        }
        assert!(members(&flood.receive().unwrap()).is_some());
        for _ in 0..100 {
            assert_eq!(body(&flood.receive().unwrap()), Some(&large[..]));
        }
        assert_eq!(flood.outstanding(), 0);
        flood.disconnect().unwrap();
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_nobody_receives_ends_the_sending_and_not_the_session() {
    let server = Server::start();
    let room = group("room");
    let (outstanding_max, unread_max) = (Some(2), 50_000);
    let options = Options { outstanding_max, unread_max, ..Options::named("deaf").unwrap() };
    let mut deaf = Connection::connect(&server.unix, &options).unwrap();
    deaf.join(&room).unwrap();
    let body_bytes = vec![1; 10_000];
    let mut sent = 0;
    let error = loop {
        match deaf.multicast(Service::Agreed, &room, &body_bytes) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 1_000);
    };
    assert!(matches!(error, Error::Unread { .. }), "{error}");
    assert!(members(&deaf.receive().unwrap()).is_some());
    for _ in 0..sent {
        assert!(body(&deaf.receive().unwrap()).is_some());
    }
    deaf.multicast(Service::Agreed, &room, b"again").unwrap();
    assert_eq!(body(&deaf.receive().unwrap()), Some(&b"again"[..]));
}

#[test]
fn rejected_messages_and_joins_do_not_count_as_outstanding() {
    let server = Server::start();
    let (room, forbidden) = (group("room"), group(FORBIDDEN));
    let options = Options { outstanding_max: Some(1), ..Options::named("bold").unwrap() };
    let mut bold = Connection::connect(&server.unix, &options).unwrap();
    bold.join(&room).unwrap();
    bold.join(&forbidden).unwrap();
    assert!(members(&bold.receive().unwrap()).is_some());
    let Event::Reject(reject) = bold.receive().unwrap() else { panic!() };
    assert_eq!(reject.groups.get(0), Some(forbidden));
    for _ in 0..3 {
        bold.send(&message(&[room, forbidden], b"x")).unwrap();
        assert_eq!(bold.outstanding(), 1);
        assert!(matches!(bold.receive().unwrap(), Event::Reject(_)));
        assert_eq!(bold.outstanding(), 0);
        // Not a member there, so nothing comes back at all.
        bold.send(&message(&[forbidden], b"x")).unwrap();
        assert_eq!(bold.outstanding(), 0);
        assert!(matches!(bold.receive().unwrap(), Event::Reject(_)));
    }
    bold.send(&Outgoing { self_discard: true, ..message(&[room], b"x") }).unwrap();
    assert_eq!(bold.outstanding(), 0);
}

#[test]
fn the_halves_work_in_two_threads() {
    let server = Server::start();
    let room = group("room");
    let options = Options { outstanding_max: Some(5), ..Options::named("two").unwrap() };
    let connection = Connection::connect(&server.unix, &options).unwrap();
    let (mut sending, mut receiving) = connection.split();
    sending.join(&room).unwrap();
    let sender = thread::spawn(move || {
        for number in 0..500_u32 {
            sending.send(&message(&[group("room")], &number.to_be_bytes())).unwrap();
            assert!(sending.outstanding() <= 5);
        }
        sending
    });
    assert!(members(&receiving.receive().unwrap()).is_some());
    for number in 0..500_u32 {
        assert_eq!(body(&receiving.receive().unwrap()), Some(&number.to_be_bytes()[..]));
    }
    let mut sending = sender.join().unwrap();
    drop(receiving);
    let error = sending.send(&message(&[room], b"x")).unwrap_err();
    assert!(matches!(error, Error::Closed), "nothing comes back any more: {error}");
}

#[test]
fn the_end_comes_after_all_that_was_received() {
    let server = Server::start();
    let room = group("room");
    let mut alice = connect(&server.unix, "alice");
    alice.join(&room).unwrap();
    alice.multicast(Service::Agreed, &room, b"last").unwrap();
    assert!(members(&alice.receive().unwrap()).is_some());
    thread::sleep(Duration::from_millis(50));
    server.end_sessions();
    assert_eq!(body(&alice.receive().unwrap()), Some(&b"last"[..]));
    assert!(matches!(alice.receive(), Err(Error::Closed)));
    assert!(matches!(alice.receive(), Err(Error::Closed)));
}

#[test]
fn a_daemon_that_talks_nonsense_is_left() {
    let server = Server::start();
    let mut alice = connect(&server.unix, "alice");
    let own = *alice.group();
    alice.join(&group("room")).unwrap();
    assert!(members(&alice.receive().unwrap()).is_some());
    server.say(&own, &[0xff; 48]);
    let error = alice.receive().unwrap_err();
    assert_eq!(error.code(), ErrorCode::IllegalMessage, "{error}");
    assert!(error.ends_session());
}

#[test]
fn a_session_comes_back_with_its_groups() {
    let server = Server::start();
    let room = group("room");
    let backoff = Backoff { first: Duration::from_millis(5), most: Duration::from_millis(20) };
    let options = Options::named("alice").unwrap();
    let mut alice = Session::new(server.unix.clone(), options, backoff);
    alice.join(&room).unwrap();
    assert!(matches!(alice.send(&message(&[room], b"x")), Err(Error::NotConnected)));
    assert!(matches!(alice.receive().unwrap(), Happened::Connected { joining: 1, .. }));
    assert!(matches!(alice.receive().unwrap(), Happened::Event(Event::Membership(_))));
    for _ in 0..3 {
        server.refuse_names(2);
        server.end_sessions();
        assert!(matches!(alice.receive().unwrap(), Happened::Lost { error: Error::Closed, .. }));
        assert_eq!(alice.group(), None);
        let mut waits = 0;
        let joining = loop {
            match alice.receive().unwrap() {
                Happened::Waiting { error, .. } => {
                    assert_eq!(error.code(), ErrorCode::RejectNotUnique);
                    waits += 1;
                }
                Happened::Connected { joining, .. } => break joining,
                other => panic!("{other:?}"),
            }
        };
        assert!(waits >= 2);
        assert_eq!(joining, 1);
        assert!(matches!(alice.receive().unwrap(), Happened::Event(Event::Membership(_))));
        alice.multicast(Service::Agreed, &room, b"back").unwrap();
        let Happened::Event(event) = alice.receive().unwrap() else { panic!() };
        assert_eq!(body(&event), Some(&b"back"[..]));
    }
    assert!(alice.receive_within(Duration::from_millis(5)).unwrap().is_none());
    alice.disconnect().unwrap();
}
