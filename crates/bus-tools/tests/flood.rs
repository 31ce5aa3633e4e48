//! `spflooder` against a daemon of the test's own.
#![allow(clippy::unwrap_used)]

mod support;

use bus_tools::flood::{Arguments, Direction, run, usage};
use spread_client::blocking::Connection;
use spread_client::{Event, Options, Service};
use support::Running;
use testkit::bus::{Server, group};

fn start(server: &Server, arguments: Arguments) -> Running {
    let arguments = Arguments { spread: server.unix.to_string(), ..arguments };
    Running::start(move |_, output| run(&arguments, output))
}

fn listener(server: &Server) -> Connection {
    let mut bus = Connection::connect(&server.unix, &Options::named("ear").unwrap()).unwrap();
    bus.join(&group("flooder")).unwrap();
    assert!(matches!(bus.receive().unwrap(), Event::Membership(_)));
    bus
}

fn messages(bus: &mut Connection, count: usize) -> Vec<spread_client::Regular> {
    let mut messages = Vec::new();
    while messages.len() < count {
        if let Event::Regular(message) = bus.receive().unwrap() {
            messages.push(message);
        }
    }
    messages
}

#[test]
fn a_flood_is_told_as_with_the_original() {
    let server = Server::start();
    let spread = server.unix.to_string();
    let mut ear = listener(&server);
    let ears = std::thread::spawn(move || messages(&mut ear, 2_500));
    let flood = start(&server, Arguments { messages: 2_500, bytes: 20, ..Arguments::default() });
    let (status, text) = flood.ends();
    assert_eq!(
        (status, text),
        (
            0,
            format!(
                "flooder: connecting to {spread}\n\
                 flooder: starting  multicast of 2500 messages, 20 bytes each.\n\
                 flooder: completed   1000 messages of 20 bytes\n\
                 flooder: completed   2000 messages of 20 bytes\n\
                 flooder: completed multicast of 2500 messages, 20 bytes each.\n"
            )
        )
    );
    let messages = ears.join().unwrap();
    assert!(messages.iter().all(|message| message.service() == Some(Service::Reliable)
        && message.hint.kind() == 0
        && message.body.len() == 20));
}

#[test]
fn one_can_only_write_and_another_only_read() {
    let server = Server::start();
    let read = Arguments {
        user: "r".into(),
        messages: 1_000,
        direction: Direction::Read,
        ..Arguments::default()
    };
    let reader = start(&server, read);
    reader.screen.containing("flooder: Only receiving messages\n");
    // The reader has asked to join; who joins after it comes after it.
    let write = Arguments {
        messages: 1_000,
        bytes: 7,
        direction: Direction::Write,
        ..Arguments::default()
    };
    std::thread::sleep(std::time::Duration::from_millis(100));
    let (status, text) = start(&server, write).ends();
    assert_eq!(status, 0);
    assert!(
        text.contains("starting  multicast of 1000 messages, 7 bytes each (self discarding).\n")
    );
    let (status, text) = reader.ends();
    assert_eq!(status, 0);
    assert!(text.contains("flooder: completed   1000 messages of 7 bytes\n"), "{text}");
}

#[test]
fn members_wait_for_each_other_and_for_the_slowest() {
    let server = Server::start();
    let arguments = |user: &str| Arguments {
        user: user.into(),
        messages: 1_500,
        bytes: 4,
        members: 2,
        ..Arguments::default()
    };
    let first = start(&server, arguments("a"));
    let waits = "Received REGULAR membership for group flooder with 1 members, where I am member 0:\n\t#a#here\n";
    assert!(first.screen.containing(waits).contains(" with group membership\n"));
    let second = start(&server, arguments("b"));
    for (flood, place) in [(first, 0), (second, 1)] {
        let (status, text) = flood.ends();
        assert_eq!(status, 0, "{text}");
        let view = format!(
            "with 2 members, where I am member {place}:\n\t#a#here\n\t#b#here\n\
             flooder: completed   1000 messages of 4 bytes\n"
        );
        assert!(text.contains(&view), "{text}");
    }
}

#[test]
fn a_member_that_dies_is_not_waited_for() {
    let server = Server::start();
    let arguments = |user: &str, messages| Arguments {
        user: user.into(),
        messages,
        bytes: 4,
        members: 2,
        ..Arguments::default()
    };
    let long = start(&server, arguments("a", 3_000));
    let short = start(&server, arguments("b", 300));
    assert_eq!(short.ends().0, 0);
    let (status, text) = long.ends();
    assert!(status == 0 && text.contains("completed multicast of 3000"), "{text}");
}

#[test]
fn no_session_is_told() {
    let arguments = Arguments { spread: "/nonexistent/socket".into(), ..Arguments::default() };
    let mut output = Vec::new();
    assert_eq!(run(&arguments, &mut output).unwrap(), 1);
    let text = String::from_utf8(output).unwrap();
    assert!(text.ends_with("\nSP_error: (-2) Could not connect.\n"), "{text}");
}

#[test]
fn flags_are_those_of_the_original() {
    let parse = |words: &[&str]| Arguments::parse(words.iter().map(Into::into));
    let line = parse(&["-u", "x", "-m", "5", "-b", "10", "-s", "1@h", "-n", "3", "-ro"]).unwrap();
    assert_eq!((line.messages, line.bytes, line.members), (5, 10, 3));
    assert_eq!((&line.user[..], &line.spread[..]), ("x", "1@h"));
    assert_eq!(line.direction, Direction::Read);
    // The last of two counts.
    assert_eq!(parse(&["-ro", "-wo"]).unwrap().direction, Direction::Write);
    assert_eq!(parse(&[]).unwrap(), Arguments::default());
    for wrong in [
        &["-r"][..],
        &["-b", "100001"],
        &["-b", "0"],
        &["-n", "101"],
        &["-n", "2", "-b", "3"],
        &["-n", "2", "-wo"],
        &["-m"],
        &["flood"],
    ] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
    assert!(usage("spflooder").starts_with("Usage: spflooder\n\t[-u <user name>]     : unique"));
}
