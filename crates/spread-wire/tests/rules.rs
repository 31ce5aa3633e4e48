//! What a client may not send, and what is done where the original fails (protocol reference, 3.6).
#![allow(clippy::unwrap_used)]

mod support;

use bytes::{Bytes, BytesMut};
use spread_wire::client::{
    Decoder as ClientDecoder, Event, Malformed, Outgoing, SendError, Sender,
};
use spread_wire::client_message::{ClientMessage, Decoder, Ignored, Violation};
use spread_wire::limits::{BODY_AND_NAMES_MAX, DESTINATIONS_MAX};
use spread_wire::{
    GroupName, Header, Hint, Names, Order, PrivateGroup, Regular, Reject, Service, ServiceType,
};
use support::{at, group, session};

fn header(service: ServiceType) -> Header {
    Header {
        service,
        name: Some(session("alice").into()),
        groups: 0,
        hint: Hint::default(),
        data_length: 0,
    }
}

fn decode(bytes: &[u8]) -> Result<Option<ClientMessage>, Violation> {
    let mut decoder = Decoder::new(session("alice"));
    let mut buffer = BytesMut::from(bytes);
    let read = decoder.decode(&mut buffer);
    if read.is_err() {
        // It stays so.
        assert_eq!(decoder.decode(&mut BytesMut::from(&capture!("join")[..])), read);
    }
    read
}

fn judged(header: Header) -> Result<Option<ClientMessage>, Violation> {
    let little = decode(&header.encode_in(Order::Little));
    assert_eq!(decode(&header.encode_in(Order::Big)), little);
    little
}

#[test]
fn exactly_one_request_is_needed() {
    let wrong = [0, 0x3, 0x30, 0x1_0010, 0x7_0000, 0x40, 0x1000, 0x100, 0x40_0000, 0x8_0000];
    for bits in wrong {
        let service = ServiceType::from_bits(bits);
        assert_eq!(judged(header(service)), Err(Violation::Request(service)));
    }
}

#[test]
fn the_bit_of_the_daemons_ends_the_session_whatever_else_is_set() {
    for bits in [0x8_0010, 0x9_0000, 0xc_0000] {
        let service = ServiceType::from_bits(bits);
        assert_eq!(judged(header(service)), Err(Violation::DaemonsOnly(service)));
    }
}

#[test]
fn nobody_speaks_in_another_name() {
    let own = session("alice");
    let others: [Option<GroupName>; 6] = [
        None,
        Some(group("alice")),
        Some(session("bob").into()),
        Some(at("alice", "otherhost").into()),
        Some(group("#alice#localhost2")),
        Some(group("#alice#localhos")),
    ];
    for found in others {
        let judged = judged(Header { name: found, ..header(ServiceType::AGREED_MESS) });
        assert_eq!(judged, Err(Violation::Sender { found, own }));
    }
}

#[test]
fn counts_and_hints_out_of_range_end_the_session() {
    let good = header(ServiceType::AGREED_MESS);
    for groups in [-1, 101, i32::MAX, i32::MIN] {
        assert_eq!(judged(Header { groups, ..good }), Err(Violation::Groups(groups)));
    }
    for bytes in [[1, 0, 0, 0], [0x40, 0, 0, 0], [0, 0, 0, 1], [0x80, 0, 0, 0xc0]] {
        let hint = Hint::from_bytes(bytes);
        assert_eq!(judged(Header { hint, ..good }), Err(Violation::Hint(bytes)));
    }
    let wrong =
        [(-1, 0), (143_953, 0), (143_921, 1), (140_753, 100), (i32::MAX, 100), (i32::MIN, 0)];
    for (data_length, groups) in wrong {
        let judged = judged(Header { data_length, groups, ..good });
        assert_eq!(judged, Err(Violation::Length { data: data_length, groups }));
    }
}

#[test]
fn messages_of_the_full_size_to_100_destinations_are_read() {
    let groups: Vec<GroupName> = (0..100).map(|n| group(&format!("group{n}"))).collect();
    for count in [0, 1, 43, 44, 99, 100] {
        let body = vec![7; BODY_AND_NAMES_MAX - 32 * count];
        let message = Outgoing {
            service: Service::Safe,
            self_discard: false,
            kind: 5,
            groups: &groups[..count],
            body: &body,
        };
        let bytes = Sender::new(session("alice")).message(&message).unwrap();
        let Some(ClientMessage::Multicast(read)) = decode(&bytes).unwrap() else { panic!() };
        assert_eq!(read.groups, Names::new(&groups[..count]));
        assert_eq!(read.body, body);
        let longer = [&body[..], b"x"].concat();
        let error = Sender::new(session("alice")).message(&Outgoing { body: &longer, ..message });
        assert!(matches!(error, Err(SendError::Length { groups, .. }) if groups == count));
    }
}

#[test]
fn no_bit_makes_a_message_look_like_a_membership_or_a_reject() {
    let set = ServiceType::MEMBERSHIP_MESS | ServiceType::REJECT_MESS;
    let passed = ServiceType::AGREED_MESS
        | ServiceType::SELF_DISCARD
        | ServiceType::DROP_RECV
        | ServiceType::from_bits(0x8000);
    let read = judged(header(set | passed));
    assert!(matches!(read, Ok(Some(ClientMessage::Multicast(read))) if read.service == passed));
    assert_eq!(judged(header(set | ServiceType::KILL_MESS)), Ok(Some(ClientMessage::Kill)));
}

fn ask(service: ServiceType, names: &[u8], body: &[u8]) -> ClientMessage {
    let groups = (names.len() / 32) as i32;
    let header = Header { groups, data_length: body.len() as i32, ..header(service) };
    decode(&[&header.encode()[..], names, body].concat()).unwrap().unwrap()
}

#[test]
fn joins_of_what_nobody_may_join_have_no_effect() {
    let (join, leave) = (ServiceType::JOIN_MESS, ServiceType::LEAVE_MESS);
    for name in ["#foo", "a b", "#alice#localhost", "caf\u{e9}"] {
        let name = group(name);
        let ignored = |why| ClientMessage::Ignored(why);
        assert_eq!(ask(join, name.field(), b""), ignored(Ignored::Join(name)));
        assert_eq!(ask(leave, name.field(), b""), ignored(Ignored::Leave(name)));
    }
    for names in [&[][..], &[0; 32]] {
        assert_eq!(ask(join, names, b""), ClientMessage::Ignored(Ignored::JoinNothing));
        assert_eq!(ask(leave, names, b""), ClientMessage::Ignored(Ignored::LeaveNothing));
    }
}

#[test]
fn of_a_join_only_the_first_group_counts_and_its_body_nothing() {
    let two = Names::new(&[group("one"), group("two")]);
    let join = ask(ServiceType::JOIN_MESS, two.as_bytes(), b"ignored");
    assert_eq!(join, ClientMessage::Join(group("one")));
}

#[test]
fn a_name_of_32_bytes_is_read_without_its_last() {
    let ClientMessage::Multicast(read) = ask(ServiceType::FIFO_MESS, &[b'x'; 64], b"") else {
        panic!()
    };
    assert_eq!(read.groups, Names::new(&[group(&"x".repeat(31)); 2]));
    assert_eq!(read.encode(Order::NATIVE)[79], 0);
}

#[test]
fn after_the_end_nothing_is_read() {
    let mut decoder = Decoder::new(session("alice"));
    let bytes = [capture!("disconnect"), capture!("join")].concat();
    let mut buffer = BytesMut::from(&bytes[..]);
    assert_eq!(decoder.decode(&mut buffer), Ok(Some(ClientMessage::Kill)));
    assert_eq!(decoder.decode(&mut buffer), Ok(None));
}

#[test]
fn a_violation_is_known_before_the_body_has_come() {
    let header = Header { data_length: 1_000_000, ..header(ServiceType::SAFE_MESS) };
    assert!(judged(header).is_err());
}

#[test]
fn room_is_made_for_what_came_and_not_for_what_was_announced() {
    let header = Header { data_length: 140_000, ..header(ServiceType::SAFE_MESS) };
    let mut decoder = Decoder::new(session("alice"));
    assert_eq!(decoder.room(0), 8_192);
    let mut buffer = BytesMut::from(&header.encode()[..]);
    assert_eq!(decoder.decode(&mut buffer), Ok(None));
    assert!(decoder.is_within_message(0));
    assert_eq!(decoder.room(buffer.len()), 65_536);
    assert_eq!(decoder.room(139_000), 8_192);
}

#[test]
fn a_reject_comes_back_with_the_old_type_and_the_sender_as_last_group() {
    let alice = session("alice");
    let message = Regular {
        service: ServiceType::SAFE_MESS | ServiceType::SELF_DISCARD,
        sender: Some(alice.into()),
        hint: Hint::new(3, Order::Big),
        groups: Names::new(&[group("room")]),
        body: Bytes::from_static(b"body"),
    };
    for order in [Order::Little, Order::Big] {
        let reject = Reject::of_message(&alice, &message);
        let bytes = reject.encode(order);
        assert_eq!(bytes.len(), 48 + 4 + 64 + 4);
        let mut buffer = BytesMut::from(&bytes[..]);
        let event = ClientDecoder::default().decode(&mut buffer).unwrap();
        assert_eq!(event, Some(Event::Reject(reject.clone())));
        assert_eq!(reject.service, message.service);
        assert_eq!(reject.groups, Names::new(&[group("room"), alice.into()]));
    }
    let little = Reject::of_message(&alice, &message).encode(Order::Little);
    assert_eq!(little[..4], [0xc0, 0, 0x40, 0x80]);
    assert_eq!(little[44..52], [4, 0, 0, 0, 0x60, 0, 0, 0]);
}

#[test]
fn a_reject_of_100_destinations_gives_the_last_place_to_the_sender() {
    let alice: PrivateGroup = session("alice");
    let full = Regular {
        service: ServiceType::FIFO_MESS,
        sender: Some(alice.into()),
        hint: Hint::default(),
        groups: Names::new(&[group("room"); DESTINATIONS_MAX]),
        body: Bytes::new(),
    };
    let reject = Reject::of_message(&alice, &full);
    assert_eq!((reject.groups.len(), reject.groups.get(99)), (100, Some(alice.into())));
    let join = Reject::of_join(&alice, group("room"), Order::NATIVE);
    assert_eq!(join.service, ServiceType::CAUSED_BY_JOIN);
}

#[test]
fn a_client_refuses_what_no_daemon_can_mean() {
    let judged = |header: Header, rest: &[u8]| {
        let mut decoder = ClientDecoder::new(1_000);
        let bytes = [&header.encode()[..], rest].concat();
        let read = decoder.decode(&mut BytesMut::from(&bytes[..]));
        assert_eq!(decoder.decode(&mut BytesMut::new()), read);
        read.unwrap_err()
    };
    let regular = header(ServiceType::AGREED_MESS);
    let negative = Malformed::Negative { groups: -1, data: 0 };
    assert_eq!(judged(Header { groups: -1, ..regular }, b""), negative);
    let long = Malformed::Long { groups: 31, data: 9, max: 1_000 };
    assert_eq!(judged(Header { groups: 31, data_length: 9, ..regular }, b""), long);
    let kind = ServiceType::JOIN_MESS;
    assert_eq!(judged(header(kind), b""), Malformed::Kind(kind));
    let view = ServiceType::REG_MEMB_MESS | ServiceType::CAUSED_BY_NETWORK;
    // No vs set at all, one that is longer than the body, and more than announced.
    let bodies: [&[u8]; 4] = [
        &[0; 19],
        &[[0; 12], [1; 12]].concat(),
        &[0; 24],
        &[&[0; 12][..], &[1; 8], &[0xff; 4]].concat(),
    ];
    for body in bodies {
        let header = Header { data_length: body.len() as i32, ..header(view) };
        assert_eq!(judged(header, body), Malformed::Membership(view));
    }
}

#[test]
fn a_client_sends_nothing_that_would_end_its_session() {
    let alice = Sender::new(session("alice"));
    let groups = [group("room"); 101];
    let many = Outgoing {
        service: Service::Fifo,
        self_discard: false,
        kind: 0,
        groups: &groups,
        body: b"",
    };
    assert_eq!(alice.message(&many), Err(SendError::Destinations { count: 101, max: 100 }));
    let careful = alice.up_to(143_152, 43);
    let some = Outgoing { groups: &groups[..44], ..many };
    assert_eq!(careful.head(&some), Err(SendError::Destinations { count: 44, max: 43 }));
    assert_eq!(alice.join(&group("#foo")), Err(SendError::Group(group("#foo"))));
    assert_eq!(alice.leave(&group("a b")), Err(SendError::Group(group("a b"))));
}
