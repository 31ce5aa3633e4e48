//! `spuser` against a daemon of the test's own: what it prints, byte by byte.
#![allow(clippy::unwrap_used)]

mod support;

use bus_tools::user::{Arguments, run, usage};
use spread_client::blocking::Connection;
use spread_client::{Cause, Event, GroupId, Membership, Names, Options, Outgoing, Service};
use spread_wire::{Order, PrivateGroup, PrivateName, Transitional};
use support::Running;
use testkit::bus::{FORBIDDEN, Server, group};

const MENU: &str = "
==========
User Menu:
----------

\tj <group> -- join a group
\tl <group> -- leave a group

\ts <group> -- send a message
\tm <group> -- send a multiline message to group. Terminate with empty line
\tb <group> -- send a burst of messages

\tr -- receive a message (stuck) 
\tp -- poll for a message 
\te -- enable asynchonous read (default)
\td -- disable asynchronous read 

\tq -- quit
";
const PROMPT: &str = "\nUser> ";
const RULE: &str = "\n============================\n";

fn start(server: &Server, user: &str) -> Running {
    let arguments =
        Arguments { user: user.into(), spread: server.unix.to_string(), ..Arguments::default() };
    Running::start(move |input, output| run(&arguments, input, output, false))
}

/// Starts one and takes the menu off its screen.
fn greeted(server: &Server, user: &str) -> Running {
    let running = start(server, user);
    running.screen.until(PROMPT);
    running
}

fn connect(server: &Server, name: &str) -> Connection {
    Connection::connect(&server.unix, &Options::named(name).unwrap()).unwrap()
}

#[test]
fn a_session_reads_as_with_the_original() {
    let server = Server::start();
    let spread = server.unix.to_string();
    let mut user = start(&server, "alice");
    assert_eq!(
        user.screen.until(PROMPT),
        format!(
            "Spread library version is 5.0.1\n\
             User: connected to {spread} with private group #alice#here\n{MENU}{PROMPT}"
        )
    );
    user.types("j testgrp\n");
    let view = format!(
        "{PROMPT}{RULE}\
         Received REGULAR membership for group testgrp with 1 members, where I am member 0:\n\
         \t#alice#here\n\
         grp id is 1 2 1\n\
         Due to the JOIN of #alice#here\n{PROMPT}"
    );
    assert_eq!(user.screen.until(&view), view);
    user.types("s testgrp\n");
    assert_eq!(user.screen.until("enter message: "), "enter message: ");
    user.types("hello spread\n");
    let message = format!(
        "{PROMPT}{RULE}\
         received SAFE message from #alice#here, of type 1, (endian 0) to 1 groups \n\
         (13 bytes): hello spread\n\n{PROMPT}"
    );
    assert_eq!(user.screen.until(&message), message);
    user.types("l testgrp\n");
    let left =
        format!("{PROMPT}{RULE}received membership message that left group testgrp\n{PROMPT}");
    assert_eq!(user.screen.until(&left), left);
    user.types("q\n");
    assert_eq!(user.ends(), (0, "\nBye.\n".into()));
}

#[test]
fn others_come_and_go() {
    let server = Server::start();
    let mut user = greeted(&server, "zoe");
    user.types("j room\n");
    user.screen.until("Due to the JOIN of #zoe#here\n\nUser> ");
    let mut bob = connect(&server, "bob");
    bob.join(&group("room")).unwrap();
    assert_eq!(
        user.screen.until(PROMPT),
        format!(
            "{RULE}Received REGULAR membership for group room with 2 members, where I am member 1:\n\
             \t#bob#here\n\t#zoe#here\ngrp id is 1 2 2\nDue to the JOIN of #bob#here\n{PROMPT}"
        )
    );
    bob.leave(&group("room")).unwrap();
    assert!(user.screen.until(PROMPT).ends_with("Due to the LEAVE of #bob#here\n\nUser> "));
    bob.join(&group("room")).unwrap();
    user.screen.until(PROMPT);
    bob.disconnect().unwrap();
    assert!(user.screen.until(PROMPT).ends_with("Due to the DISCONNECT of #bob#here\n\nUser> "));
}

#[test]
fn daemons_part_and_meet() {
    let server = Server::start();
    let user = greeted(&server, "ann");
    let name = PrivateName::new(b"ann").unwrap();
    let own = PrivateGroup::new(&name, b"here").unwrap();
    let id = GroupId { proc: -7, time: 8, index: 9 };
    let signal = Transitional { group: group("net"), id };
    server.say(&own, &signal.encode(Order::NATIVE));
    assert_eq!(
        user.screen.until(PROMPT),
        format!("{RULE}received TRANSITIONAL membership for group net\n{PROMPT}")
    );
    let cat = group_of("cat");
    let sets = [Names::new([&cat]), Names::new([own.group(), &cat])];
    let members = Names::new([&cat]);
    let view = Membership::of_network(group("net"), id, members, &sets, 1);
    server.say(&own, &view.encode(Order::NATIVE));
    assert_eq!(
        user.screen.until(PROMPT),
        format!(
            "{RULE}Received REGULAR membership for group net with 1 members, where I am member -1:\n\
             \t#cat#there\ngrp id is -7 8 9\nDue to NETWORK change with 2 VS sets\n\
             OTHER VS set 0 has 1 members:\n\t#cat#there\n\
             LOCAL VS set 1 has 2 members:\n\t#ann#here\n\t#cat#there\n{PROMPT}"
        )
    );
    assert_eq!(view.cause, Cause::Network);
}

fn group_of(name: &str) -> spread_client::GroupName {
    *PrivateGroup::new(&PrivateName::new(name.as_bytes()).unwrap(), b"there").unwrap().group()
}

#[test]
fn messages_of_every_service_and_byte_order() {
    let server = Server::start();
    let user = greeted(&server, "ann");
    let own = spread_client::GroupName::destination(b"#ann#here").unwrap();
    let mut bob = connect(&server, "bob");
    for (service, word) in
        Service::ALL.into_iter().zip(["UNRELIABLE", "RELIABLE", "FIFO", "CAUSAL", "AGREED", "SAFE"])
    {
        let groups = &[own, group("x"), group("y")];
        let body = b"a\0behind";
        bob.send(&Outgoing { service, self_discard: false, kind: -5, groups, body }).unwrap();
        assert_eq!(
            user.screen.until(PROMPT),
            format!(
                "{RULE}received {word} message from #bob#here, of type -5, (endian 0) to 3 groups \n\
                 (8 bytes): a\n{PROMPT}"
            )
        );
    }
    let foreign = if Order::NATIVE == Order::Big { Order::Little } else { Order::Big };
    let message = spread_client::Regular {
        service: spread_client::ServiceType::CAUSAL_MESS,
        sender: None,
        hint: spread_client::Hint::new(7, foreign),
        groups: Names::new([&own]),
        body: (&b"x"[..]).into(),
    };
    server.say(&own.private().unwrap(), &message.encode(foreign));
    assert!(user.screen.until(PROMPT).contains("from , of type 7, (endian 1) to 1 groups \n"));
}

#[test]
fn rejects_are_told_with_the_whole_service_type() {
    let server = Server::start();
    let mut user = greeted(&server, "ann");
    user.types(&format!("s {FORBIDDEN} other\nhi\n"));
    assert_eq!(
        user.screen.until(&format!("hi\n\n{PROMPT}")),
        format!(
            "enter message: {PROMPT}{RULE}REJECTED message from #ann#here, of servicetype 0x400020 \
             messtype 1, (endian 0) to 3 groups \n(3 bytes): hi\n\n{PROMPT}"
        )
    );
    user.types(&format!("j {FORBIDDEN}\n"));
    assert!(user.screen.until("bytes): \n\nUser> ").contains("servicetype 0x400100"));
}

#[test]
fn a_message_of_several_lines_ends_with_an_empty_one() {
    let server = Server::start();
    let mut user = greeted(&server, "ann");
    user.types("m #ann#here\n");
    user.screen.until("enter message: ");
    user.types("one\ntwo\n\n");
    assert!(user.screen.until("two\n\n\nUser> ").contains("(8 bytes): one\ntwo\n"));
}

#[test]
fn a_burst_is_ten_messages_of_the_size_last_said() {
    let server = Server::start();
    let mut user = greeted(&server, "ann");
    let mut bob = connect(&server, "bob");
    bob.join(&group("room")).unwrap();
    bob.receive().unwrap();
    user.types("b room\n");
    user.screen.until("enter size of each message: ");
    user.types("15\n");
    let sent: String = (1..=10).map(|n| format!("sent message {n} (total {n})\n")).collect();
    let text = format!("sending 10 messages of 15 bytes\n{sent}{PROMPT}");
    assert_eq!(user.screen.until(&text), text);
    for number in 1..=10 {
        let Event::Regular(message) = bob.receive().unwrap() else { panic!() };
        assert_eq!(message.service(), Some(Service::Fifo));
        assert_eq!((message.hint.kind(), message.body.len()), (2, 15));
        let text = format!("mess num {number} ");
        assert!(message.body.starts_with(text.as_bytes()));
    }
    // No size is the last one; a size too small cuts the text.
    user.types("b room\n\nb room\n4x\n");
    user.screen.until(&format!("sent message 10 (total 30)\n{PROMPT}"));
    let bodies: Vec<_> = (0..20)
        .map(|_| {
            let Event::Regular(message) = bob.receive().unwrap() else { panic!() };
            message.body
        })
        .collect();
    assert_eq!((bodies[0].len(), &bodies[19][..]), (15, &b"mess"[..]));
}

#[test]
fn what_comes_can_be_held_back_counted_and_taken_one_by_one() {
    let server = Server::start();
    let mut user = greeted(&server, "ann");
    user.types("d\n");
    user.screen.until(PROMPT);
    let mut bob = connect(&server, "bob");
    let own = spread_client::GroupName::destination(b"#ann#here").unwrap();
    bob.multicast(Service::Fifo, &own, b"first").unwrap();
    bob.multicast(Service::Fifo, &own, b"second").unwrap();
    // 48 bytes of header, 32 of the destination, and the body.
    let waiting = format!("Polling sais: {}\n{PROMPT}", 80 + 5 + 80 + 6);
    while {
        user.types("p\n");
        user.screen.until(PROMPT) != waiting
    } {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    user.types("r\n");
    let first = "received FIFO message from #bob#here, of type 0, (endian 0) to 1 groups \n\
                 (5 bytes): first\n";
    // The message's prompt, and the command's.
    let text = format!("{RULE}{first}{PROMPT}{PROMPT}");
    assert_eq!(user.screen.until(&text), text);
    user.types("e\n");
    assert!(
        user.screen.until(&format!("second\n{PROMPT}")).starts_with(&format!("{PROMPT}{RULE}"))
    );
}

#[test]
fn wrong_commands_and_groups_are_told() {
    let server = Server::start();
    let mut user = greeted(&server, "ann");
    for (typed, told) in [
        ("j\n", " invalid group \n"),
        ("l   \n", " invalid group \n"),
        ("s\n", " invalid group \n"),
        ("j #ann#here\n", "SP_error: (-14) Illegal group.\n"),
        ("l a\u{7f}b\n", "SP_error: (-14) Illegal group.\n"),
        ("s 12345678901234567890123456789012\n", " invalid group \n"),
        ("x\n", &format!("\nUnknown commnad\n{MENU}")),
        ("\n", &format!("\nUnknown commnad\n{MENU}")),
    ] {
        user.types(typed);
        let text = format!("{told}{PROMPT}");
        assert_eq!(user.screen.until(&text), text, "{typed:?}");
    }
    assert_eq!(user.ends(), (0, "\nBye.\n".into()));
}

#[test]
fn a_script_without_pauses_is_done_to_its_end() {
    let server = Server::start();
    let mut bob = connect(&server, "bob");
    bob.join(&group("room")).unwrap();
    bob.receive().unwrap();
    let mut user = start(&server, "ann");
    let long = "x".repeat(5_000);
    user.types(&format!("s room\n{long}\nb room\n3\nq\n"));
    let (status, text) = user.ends();
    assert_eq!(status, 0);
    assert!(text.ends_with(&format!("sent message 10 (total 11)\n{PROMPT}\nBye.\n")), "{text}");
    let Event::Regular(message) = bob.receive().unwrap() else { panic!() };
    assert_eq!(message.body.len(), 5_001);
}

#[test]
fn the_end_of_the_input_within_a_message_sends_nothing() {
    let server = Server::start();
    let mut bob = connect(&server, "bob");
    bob.join(&group("room")).unwrap();
    bob.receive().unwrap();
    let mut user = start(&server, "ann");
    user.types("m room\nhalf\n");
    assert_eq!(user.ends().0, 0);
    assert_eq!(bob.receive_within(std::time::Duration::from_millis(50)).unwrap(), None);
}

#[test]
fn a_lost_session_is_told_as_the_library_does() {
    let server = Server::start();
    let user = greeted(&server, "ann");
    server.end_sessions();
    let (status, text) = user.ends_after("Bye.\n");
    assert_eq!(status, 1);
    assert_eq!(text, format!("{RULE}SP_error: (-8) Connection closed by Spread.\n{RULE}\nBye.\n"));
}

#[test]
fn no_session_is_told_as_the_library_does() {
    let run = |user: &str, spread: &str| {
        let arguments =
            Arguments { user: user.into(), spread: spread.into(), ..Arguments::default() };
        let mut output = Vec::new();
        let status = run(&arguments, std::io::empty(), &mut output, false).unwrap();
        assert_eq!(status, 1);
        String::from_utf8(output).unwrap()
    };
    let told =
        |error: &str| format!("Spread library version is 5.0.1\nSP_error: {error}\n\nBye.\n");
    let nowhere = "/nonexistent/socket";
    assert_eq!(run("user", nowhere), told("(-2) Could not connect."));
    assert_eq!(run("user", "here"), told("(-1) Illegal spread name provided."));
    assert_eq!(run("a b", nowhere), told("(-5) Connection rejected, illegal name."));
    let server = Server::start();
    let _bob = connect(&server, "bob");
    assert_eq!(
        run("bob", &server.unix.to_string()),
        told("(-6) Connection rejected, name not unique.")
    );
}

#[test]
fn a_long_name_is_cut_and_an_empty_one_made_up() {
    let server = Server::start();
    let running = start(&server, "abcdefghijklm");
    assert!(running.screen.until(PROMPT).contains("private group #abcdefghij#here\n"));
    let running = start(&server, "");
    assert!(running.screen.until(PROMPT).contains("private group #r1-1#here\n"));
}

#[test]
fn flags_are_told_apart_by_two_characters() {
    let parse = |words: &[&str]| Arguments::parse(words.iter().map(Into::into));
    let line = parse(&["-user", "ann", "-s", "4913@host", "-n", "me", "-p", "secret"]).unwrap();
    assert_eq!((&line.user[..], &line.spread[..], line.password), ("ann", "4913@host", true));
    assert_eq!(parse(&[]).unwrap(), Arguments::default());
    assert_eq!(parse(&["-r"]).unwrap().user, "");
    for wrong in [&["usage"][..], &["-x"], &["-u"], &["--help"]] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
    let usage = usage("spuser");
    assert!(usage.starts_with("Usage: spuser\n\t[-u <user name>]  : unique"), "{usage}");
}
