//! Captures of the original, read and written byte for byte (protocol reference, 8). They were made on a little-endian
//! machine; that is said wherever something is written, so the tests hold on any.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::BytesMut;
use spread_wire::client::connect::Step as ClientStep;
use spread_wire::client::{Connect, Decoder, Event, Hello, Outgoing, Sender};
use spread_wire::client_message::{ClientMessage, Decoder as ServerDecoder};
use spread_wire::{
    Cause, GroupId, GroupName, Handshake, Hint, Membership, Names, Order, Policy, Regular, Service,
    ServiceType, Step, Transitional, Version, encode_self_leave,
};
use support::{at, group, private, session};

fn alice() -> Sender {
    Sender::new(session("alice")).in_order(Order::Little)
}

/// What a daemon understands of the bytes of `name`.
fn heard_from(name: &str, bytes: &[u8]) -> ClientMessage {
    let mut buffer = BytesMut::from(bytes);
    let mut decoder = ServerDecoder::new(session(name));
    let message = decoder.decode(&mut buffer).unwrap().unwrap();
    assert!(buffer.is_empty(), "{} bytes are left", buffer.len());
    message
}

fn heard(bytes: &[u8]) -> ClientMessage {
    heard_from("alice", bytes)
}

/// What a client understands.
fn told(bytes: &[u8]) -> Vec<Event> {
    let mut buffer = BytesMut::from(bytes);
    let mut decoder = Decoder::default();
    let events = std::iter::from_fn(|| decoder.decode(&mut buffer).unwrap()).collect();
    assert!(buffer.is_empty(), "{} bytes are left", buffer.len());
    events
}

fn id(proc: u32, time: i32, index: i32) -> GroupId {
    GroupId { proc: proc as i32, time, index }
}

#[test]
fn the_handshake_is_that_of_the_capture_on_the_daemons_side() {
    let mut daemon = Handshake::new(Policy::default());
    let input = [capture!("hello"), capture!("auth-choice")].concat();
    let mut input = &input[..];
    assert_eq!(daemon.receive(&mut input), Step::Name(Some(private("alice"))));
    daemon.answer_name(Ok(session("alice")));
    assert_eq!(daemon.receive(&mut input), Step::Send(capture!("auth-list")));
    let Step::Accepted(reply, accepted) = daemon.receive(&mut input) else { panic!() };
    assert_eq!(reply, capture!("accept"));
    assert_eq!(accepted.group, session("alice"));
    assert_eq!(accepted.version, Version { major: 5, minor: 0, patch: 1 });
    assert!(accepted.membership && accepted.priority == 0 && input.is_empty());
}

#[test]
fn the_handshake_is_that_of_the_capture_on_the_clients_side() {
    let hello = Hello { name: Some(private("alice")), membership: true, priority: false };
    assert_eq!(hello.encode(), capture!("hello"));
    let mut client = Connect::new(hello);
    let list = capture!("auth-list");
    let choice = client.receive(&mut &list[..]).unwrap();
    assert_eq!(choice, ClientStep::Send(capture!("auth-choice")));
    let accept = capture!("accept");
    let ClientStep::Done(done) = client.receive(&mut &accept[..]).unwrap() else { panic!() };
    assert_eq!(done.group, session("alice"));
    assert_eq!(done.daemon, Version::SPOKEN);
}

#[test]
fn joins_leaves_and_the_end_are_those_of_the_captures() {
    let testgrp = group("testgrp");
    assert_eq!(alice().join(&testgrp).unwrap(), capture!("join"));
    assert_eq!(heard(&capture!("join")), ClientMessage::Join(testgrp));
    assert_eq!(alice().leave(&testgrp).unwrap(), capture!("leave"));
    assert_eq!(heard(&capture!("leave")), ClientMessage::Leave(testgrp));
    assert_eq!(alice().kill(), capture!("disconnect"));
    assert_eq!(heard(&capture!("disconnect")), ClientMessage::Kill);
    assert_eq!(encode_self_leave(testgrp, Order::Little), capture!("self-leave"));
    assert_eq!(told(&capture!("self-leave")), [Event::SelfLeave(testgrp)]);
}

/// A message that is delivered as it was sent: the client writes it, the daemon reads it and writes it again, the client
/// reads it.
fn passed_on(bytes: &[u8], message: Outgoing<'_>) {
    assert_eq!(alice().message(&message).unwrap(), bytes);
    let head = alice().head(&message).unwrap();
    assert_eq!([&head[..], message.body].concat(), bytes);
    let ClientMessage::Multicast(read) = heard(bytes) else { panic!() };
    let mut service = ServiceType::from(message.service);
    if message.self_discard {
        service = service | ServiceType::SELF_DISCARD;
    }
    let expected = Regular {
        service,
        sender: Some(session("alice").into()),
        hint: Hint::new(message.kind, Order::Little),
        groups: Names::new(message.groups),
        body: message.body.to_vec().into(),
    };
    assert_eq!(read, expected);
    assert_eq!(read.service(), Some(message.service));
    assert_eq!(read.discards_self(), message.self_discard);
    assert_eq!(read.encode(Order::Little), bytes);
    assert_eq!(read.encoded_len(), bytes.len());
    assert_eq!([&read.head(Order::Little), &read.body[..]].concat(), bytes);
    assert_eq!(told(bytes), [Event::Regular(expected)]);
}

fn message<'a>(
    service: Service,
    kind: i16,
    groups: &'a [GroupName],
    body: &'a str,
) -> Outgoing<'a> {
    Outgoing { service, self_discard: false, kind, groups, body: body.as_bytes() }
}

#[test]
fn regular_messages_are_those_of_the_captures() {
    let testgrp = [group("testgrp")];
    passed_on(&capture!("safe"), message(Service::Safe, 1, &testgrp, "hello spread\n"));
    let three = [group("testgrp"), group("grp2"), session("alice").into()];
    passed_on(&capture!("safe-to-three"), message(Service::Safe, 1, &three, "multi\n"));
    let room = [group("room")];
    passed_on(&capture!("agreed"), message(Service::Agreed, 0x1234, &room, "agreed-1"));
    let discard = message(Service::Agreed, -1, &room, "selfdiscard");
    passed_on(&capture!("agreed-self-discard"), Outgoing { self_discard: true, ..discard });
    let four = [group("room"), session("bob").into(), group("room"), group("none")];
    passed_on(&capture!("fifo-to-four"), message(Service::Fifo, 0, &four, "dup"));
    let bob = [session("bob").into()];
    passed_on(&capture!("reliable-private"), message(Service::Reliable, 0, &bob, "p2p reliable"));
    passed_on(&capture!("unreliable-empty"), message(Service::Unreliable, 0, &room, ""));
}

#[test]
fn a_big_endian_client_is_understood_and_its_hint_passed_on() {
    let body = "BE client causal";
    let room = [group("room")];
    let sent = alice().in_order(Order::Big).message(&message(Service::Causal, 7, &room, body));
    let ClientMessage::Multicast(read) = heard(&sent.unwrap()) else { panic!() };
    let delivered = capture!("causal-from-big-endian");
    assert_eq!(read.encode(Order::Little), delivered);
    let [Event::Regular(told)] = &told(&delivered)[..] else { panic!() };
    assert_eq!(told.hint.kind(), 7);
    assert_eq!(told.hint.order(), Order::Big);
}

/// A view by one member's doing, written and read.
fn view_by_one(
    bytes: &[u8],
    name: &str,
    cause: Cause,
    id: GroupId,
    members: &[&str],
    changed: &str,
) {
    let members = members.iter().map(|name| session(name).into()).collect();
    let changed = session(changed).into();
    let view = Membership::of_one(group(name), cause, id, members, changed);
    assert_eq!(view.encode(Order::Little), bytes);
    assert_eq!(told(bytes), [Event::Membership(view.clone())]);
    assert_eq!(view.changed(), Some(changed));
    // What a daemon of the other order says means the same.
    assert_eq!(told(&view.encode(Order::Big)), [Event::Membership(view)]);
}

#[test]
fn views_by_one_members_doing_are_those_of_the_captures() {
    const LOCALHOST: u32 = 0x1cc5_9726;
    let first = id(LOCALHOST, 0x6b00_6113, 1);
    view_by_one(&capture!("membership-join"), "testgrp", Cause::Join, first, &["alice"], "alice");
    let at = |index| id(LOCALHOST, 0x6b00_644c, index);
    let second = capture!("membership-join-second");
    view_by_one(&second, "room", Cause::Join, at(2), &["alice", "bob"], "bob");
    let left = capture!("membership-leave");
    view_by_one(&left, "room", Cause::Leave, at(4), &["alice", "nomemb"], "bob");
    let gone = capture!("membership-disconnect");
    view_by_one(&gone, "room", Cause::Disconnect, at(7), &["alice"], "bob");
}

/// The four members of the captures with three daemons.
fn four() -> [GroupName; 4] {
    [at("abe", "alpha"), at("ann", "alpha"), at("ben", "beta"), at("cat", "gamma")].map(Into::into)
}

const ALPHA: u32 = 0xaf0a_d731;
const BETA: u32 = 0x4829_6d27;
const GAMMA: u32 = 0xa38a_3fad;

#[test]
fn two_views_in_one_piece_are_two_events() {
    let [abe, ann, ben, cat] = four();
    let view = |index, members: &[GroupName], changed| {
        let id = id(ALPHA, 0x6b00_636a, index);
        Membership::of_one(group("net"), Cause::Join, id, Names::new(members), changed)
    };
    let views = [view(3, &[ann, ben, cat], cat), view(4, &four(), abe)];
    let written: Vec<u8> = views.iter().flat_map(|view| view.encode(Order::Little)).collect();
    assert_eq!(written, capture!("membership-two-joins"));
    assert_eq!(told(&written), views.map(Event::Membership));
}

/// A transitional signal, if `old` is given, and a view by the daemons' doing.
fn view_by_network(
    bytes: &[u8],
    old: Option<GroupId>,
    id: GroupId,
    members: &[GroupName],
    sets: &[&[GroupName]],
    own: usize,
) {
    let sets: Vec<Names> = sets.iter().map(|set| Names::new(*set)).collect();
    let view = Membership::of_network(group("net"), id, Names::new(members), &sets, own);
    let signal = old.map(|id| Transitional { group: group("net"), id });
    for order in [Order::Little, Order::Big] {
        let mut written: Vec<u8> = signal.iter().flat_map(|one| one.encode(order)).collect();
        written.extend(view.encode(order));
        if order == Order::Little {
            assert_eq!(written, bytes);
        }
        let expected = signal.map(Event::Transitional).into_iter();
        let expected = expected.chain([Event::Membership(view.clone())]);
        assert_eq!(told(&written), expected.collect::<Vec<_>>());
    }
    assert_eq!(view.changed(), None);
    assert_eq!(view.own_set(), Some(sets[own].clone()));
    assert_eq!(view.position(&members[0]), Some(0));
}

#[test]
fn partitions_and_merges_are_those_of_the_captures() {
    let all = four();
    let [_, _, _, cat] = all;
    let before = Some(id(ALPHA, 0x6b00_636a, 4));
    let (majority, minority) = (&all[..3], &[cat][..]);
    let apart = id(ALPHA, 0x6b00_6370, 1);
    view_by_network(&capture!("partition-majority"), before, apart, majority, &[majority], 0);
    let alone = id(GAMMA, 0x6b00_6370, 1);
    view_by_network(&capture!("partition-minority"), before, alone, minority, &[minority], 0);
    let again = id(ALPHA, 0x6b00_6373, 1);
    let sets = [minority, majority];
    view_by_network(&capture!("merge-first"), None, again, &all, &sets, 1);
    view_by_network(&capture!("merge-second"), None, again, &all, &sets, 0);
    let rest = &all[2..];
    let left = id(BETA, 0x6b00_6378, 1);
    view_by_network(&capture!("crash"), Some(again), left, rest, &[rest], 0);
}

#[test]
fn messages_that_come_together_or_bytewise_are_the_same() {
    // As spflooder sends: a join and three messages in one piece.
    let one = capture!("agreed");
    let together = [&capture!("join")[..], &one, &one, &one].concat();
    let mut whole = BytesMut::from(&together[..]);
    let mut decoder = ServerDecoder::new(session("alice"));
    let heard: Vec<_> = std::iter::from_fn(|| decoder.decode(&mut whole).unwrap()).collect();
    assert_eq!(heard.len(), 4);
    let mut bytewise = Vec::new();
    let mut buffer = BytesMut::new();
    for byte in together {
        buffer.extend_from_slice(&[byte]);
        bytewise.extend(decoder.decode(&mut buffer).unwrap());
    }
    assert_eq!(heard, bytewise);
}
