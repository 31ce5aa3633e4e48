//! The async client against a daemon of the test's own, over real sockets.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use spread_client::{
    Backoff, Cause, Connection, Endpoint, Error, ErrorCode, Event, GroupName, Happened, Options,
    Outgoing, Service, Session,
};
use testkit::bus::{Server, body, group, members};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

async fn connect(endpoint: &Endpoint, name: &str) -> Connection {
    Connection::connect(endpoint, &Options::named(name).unwrap()).await.unwrap()
}

fn message<'a>(groups: &'a [GroupName], body: &'a [u8]) -> Outgoing<'a> {
    Outgoing { service: Service::Agreed, self_discard: false, kind: 7, groups, body }
}

#[tokio::test]
async fn two_clients_meet_in_a_group_and_part() {
    let server = Server::start();
    let room = group("room");
    let mut alice = connect(&server.unix, "alice").await;
    assert_eq!(alice.group().to_string(), "#alice#here");
    alice.join(&room).await.unwrap();
    assert!(members(&alice.receive().await.unwrap()).is_some());
    let mut bob = connect(&server.tcp, "bob").await;
    bob.join(&room).await.unwrap();
    let both = vec!["#alice#here".to_owned(), "#bob#here".to_owned()];
    for client in [&mut alice, &mut bob] {
        let view = client.receive().await.unwrap();
        assert_eq!(members(&view), Some((Cause::Join, both.clone())));
    }
    alice.send(&message(&[room, group("nobody")], b"hello")).await.unwrap();
    for client in [&mut alice, &mut bob] {
        assert_eq!(body(&client.receive().await.unwrap()), Some(&b"hello"[..]));
    }
    let private = *bob.group().group();
    alice.multicast(Service::Safe, &private, b"for you alone").await.unwrap();
    assert_eq!(body(&bob.receive().await.unwrap()), Some(&b"for you alone"[..]));
    bob.leave(&room).await.unwrap();
    assert_eq!(bob.receive().await.unwrap(), Event::SelfLeave(room));
    assert_eq!(members(&alice.receive().await.unwrap()).unwrap().0, Cause::Leave);
    bob.disconnect().await.unwrap();
}

#[tokio::test]
async fn refusals_and_absences_are_told_apart() {
    let server = Server::start();
    let _alice = connect(&server.unix, "alice").await;
    let options = Options::named("alice").unwrap();
    let error = Connection::connect(&server.unix, &options).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::RejectNotUnique, "{error}");
    let nowhere = Endpoint::Unix("/nonexistent/socket".into());
    let error = Connection::connect(&nowhere, &options).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::CouldNotConnect, "{error}");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let endpoint = format!("{port}@localhost").parse().unwrap();
    let options = Options { timeout: Duration::from_millis(50), ..options };
    let error = Connection::connect(&endpoint, &options).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn sending_waits_for_own_messages_and_neither_end_waits_for_the_other() {
    let server = Server::start();
    let room = group("room");
    for (endpoint, max) in [(&server.unix, Some(3)), (&server.tcp, None)] {
        let options = Options { outstanding_max: max, ..Options::named("flood").unwrap() };
        let mut flood = Connection::connect(endpoint, &options).await.unwrap();
        flood.join(&room).await.unwrap();
        let large = vec![5; 100_000];
        for _ in 0..100 {
            flood.multicast(Service::Agreed, &room, &large).await.unwrap();
            assert!(flood.outstanding() <= max.unwrap_or(usize::MAX));
        }
        assert!(members(&flood.receive().await.unwrap()).is_some());
        for _ in 0..100 {
            assert_eq!(body(&flood.receive().await.unwrap()), Some(&large[..]));
        }
        assert_eq!(flood.outstanding(), 0);
        flood.disconnect().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_nobody_receives_ends_the_sending_and_not_the_session() {
    let server = Server::start();
    let room = group("room");
    let (outstanding_max, unread_max) = (Some(2), 50_000);
    let options = Options { outstanding_max, unread_max, ..Options::named("deaf").unwrap() };
    let mut deaf = Connection::connect(&server.unix, &options).await.unwrap();
    deaf.join(&room).await.unwrap();
    let mut sent = 0;
    let error = loop {
        match deaf.multicast(Service::Agreed, &room, &[1; 10_000]).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 1_000);
    };
    assert!(matches!(error, Error::Unread { .. }), "{error}");
    assert!(members(&deaf.receive().await.unwrap()).is_some());
    for _ in 0..sent {
        assert!(body(&deaf.receive().await.unwrap()).is_some());
    }
    deaf.multicast(Service::Agreed, &room, b"again").await.unwrap();
    assert_eq!(body(&deaf.receive().await.unwrap()), Some(&b"again"[..]));
}

#[tokio::test]
async fn a_caller_that_stops_waiting_loses_and_doubles_nothing() {
    let server = Server::start();
    let room = group("room");
    let mut alice = connect(&server.unix, "alice").await;
    alice.join(&room).await.unwrap();
    assert!(members(&alice.receive().await.unwrap()).is_some());
    // The daemon reads no more, so at last a message is written in part only, and its sender gives up.
    server.stall(true);
    let large = vec![9; 140_000];
    let mut begun = 0;
    let short = Duration::from_millis(20);
    while timeout(short, alice.multicast(Service::Agreed, &room, &large)).await.is_ok() {
        begun += 1;
        assert!(begun < 1_000);
    }
    assert!(timeout(short, alice.receive()).await.is_err());
    server.stall(false);
    // The one that was given up had begun and is sent by receiving.
    for _ in 0..=begun {
        let event = timeout(Duration::from_secs(10), alice.receive()).await.unwrap();
        assert_eq!(body(&event.unwrap()), Some(&large[..]));
    }
    alice.multicast(Service::Agreed, &room, b"after").await.unwrap();
    assert_eq!(body(&alice.receive().await.unwrap()), Some(&b"after"[..]));
}

#[tokio::test]
async fn the_halves_work_in_two_tasks_and_small_messages_go_together() {
    let server = Server::start();
    let room = group("room");
    let options = Options { outstanding_max: Some(50), ..Options::named("two").unwrap() };
    let connection = Connection::connect(&server.unix, &options).await.unwrap();
    let (mut sending, mut receiving) = connection.split();
    sending.join(&room).await.unwrap();
    let sender = tokio::spawn(async move {
        for number in 0..2_000_u32 {
            sending.feed(&message(&[group("room")], &number.to_be_bytes())).await.unwrap();
            assert!(sending.outstanding() <= 50);
        }
        sending.flush().await.unwrap();
        sending
    });
    assert!(members(&receiving.receive().await.unwrap()).is_some());
    for number in 0..2_000_u32 {
        let event = receiving.receive().await.unwrap();
        assert_eq!(body(&event), Some(&number.to_be_bytes()[..]));
    }
    let mut sending = sender.await.unwrap();
    drop(receiving);
    let error = sending.send(&message(&[room], b"x")).await.unwrap_err();
    assert!(matches!(error, Error::Closed), "nothing comes back any more: {error}");
}

#[tokio::test]
async fn a_session_comes_back_with_its_groups() {
    let server = Server::start();
    let (room, left) = (group("room"), group("left"));
    let backoff = Backoff { first: Duration::from_millis(5), most: Duration::from_millis(20) };
    let options = Options::named("alice").unwrap();
    let mut alice = Session::new(server.unix.clone(), options, backoff);
    alice.join(&room).await.unwrap();
    assert!(matches!(alice.send(&message(&[room], b"x")).await, Err(Error::NotConnected)));
    assert!(matches!(alice.receive().await.unwrap(), Happened::Connected { joining: 1, .. }));
    assert!(matches!(alice.receive().await.unwrap(), Happened::Event(Event::Membership(_))));
    alice.join(&left).await.unwrap();
    assert!(matches!(alice.receive().await.unwrap(), Happened::Event(Event::Membership(_))));
    alice.leave(&left).await.unwrap();
    assert!(matches!(alice.receive().await.unwrap(), Happened::Event(Event::SelfLeave(_))));
    server.refuse_names(2);
    server.end_sessions();
    assert!(matches!(alice.receive().await.unwrap(), Happened::Lost { error: Error::Closed, .. }));
    let mut waits = 0;
    loop {
        match alice.receive().await.unwrap() {
            Happened::Waiting { .. } => waits += 1,
            Happened::Connected { joining, .. } => {
                assert_eq!(joining, 1, "the group that was left is not joined again");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(waits >= 2);
    assert!(matches!(alice.receive().await.unwrap(), Happened::Event(Event::Membership(_))));
    alice.multicast(Service::Agreed, &room, b"back").await.unwrap();
    let Happened::Event(event) = alice.receive().await.unwrap() else { panic!() };
    assert_eq!(body(&event), Some(&b"back"[..]));
    alice.disconnect().await.unwrap();
}

/// Passes everything on between a port of its own and the server's, each piece later by so much.
async fn slow_way(to: &Endpoint, late: Duration) -> Endpoint {
    let text = to.to_string();
    let (port, host) = text.split_once('@').unwrap();
    let there = (host.to_owned(), port.parse::<u16>().unwrap());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let here = listener.local_addr().unwrap().port();
    let carry = move |mut from: OwnedReadHalf, mut to: OwnedWriteHalf| async move {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            tokio::time::sleep(late).await;
            if to.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(there.clone()).await.unwrap();
            let ((read, write), (back, forth)) = (client.into_split(), server.into_split());
            tokio::spawn(carry(read, forth));
            tokio::spawn(carry(back, write));
        }
    });
    format!("{here}@127.0.0.1").parse().unwrap()
}

/// As one does who looks after something else as well, a hundred times a second. The handshake takes longer than that.
#[tokio::test]
async fn a_session_connects_also_while_its_caller_stops_waiting_again_and_again() {
    let server = Server::start();
    let way = slow_way(&server.tcp, Duration::from_millis(40)).await;
    let room = group("room");
    let options = Options::named("alice").unwrap();
    let mut alice = Session::new(way, options, Backoff::default());
    alice.join(&room).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let mut happened = Vec::new();
    while happened.len() < 2 {
        assert!(tokio::time::Instant::now() < deadline, "{happened:?}");
        if let Ok(one) = timeout(Duration::from_millis(10), alice.receive()).await {
            happened.push(one.unwrap());
        }
    }
    assert!(matches!(happened[0], Happened::Connected { joining: 1, .. }), "{happened:?}");
    assert!(matches!(happened[1], Happened::Event(Event::Membership(_))), "{happened:?}");
}
