//! What the original daemon told its clients, byte for byte, from the events that led to it
//! (`spread-client-protocol.md`, 8).
#![allow(clippy::unwrap_used)]

mod support;

use base::Random;
use bytes::{Bytes, BytesMut};
use groups::SessionId;
use spread_wire::{ClientMessage, Hint, Order, Regular, ServiceType};
use support::{Net, group, multicast};

macro_rules! capture {
    ($name:literal) => {
        bytes(include_str!(concat!("../../spread-wire/tests/captures/", $name, ".hex")))
    };
}

fn bytes(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// The captures are of a little-endian machine.
fn assert_told(told: &[Bytes], capture: &[u8]) {
    if Order::NATIVE == Order::Little {
        assert_eq!(told.concat(), capture);
    }
}

/// One daemon as in the captures, in a view of the time in the capture.
fn localhost(time: u32) -> Net {
    let mut net = Net::new(&["localhost"]);
    net.time = time;
    net.heal();
    net
}

fn join(net: &mut Net, node: usize, name: &str, room: &str) -> SessionId {
    let session = net.connect(node, name, true);
    net.join(node, session, room);
    net.settle();
    session
}

/// What a client's bytes mean to its daemon.
fn heard(own: &str, bytes: &[u8]) -> ClientMessage {
    let own = group(own).private().unwrap();
    let mut decoder = spread_wire::client_message::Decoder::new(own);
    decoder.decode(&mut BytesMut::from(bytes)).unwrap().unwrap()
}

#[test]
fn a_session_joins_says_something_and_leaves() {
    let mut net = localhost(0x6b00_6113);
    let alice = net.connect(0, "alice", true);
    net.say(0, alice, heard("#alice#localhost", &capture!("join")));
    net.settle();
    assert_told(&net.inbox(0, alice), &capture!("membership-join"));
    for sent in [capture!("safe"), capture!("safe-to-three")] {
        net.say(0, alice, heard("#alice#localhost", &sent));
        net.settle();
        assert_told(&net.inbox(0, alice), &sent);
    }
    net.say(0, alice, heard("#alice#localhost", &capture!("leave")));
    net.settle();
    assert_told(&net.inbox(0, alice), &capture!("self-leave"));
    net.say(0, alice, heard("#alice#localhost", &capture!("disconnect")));
    net.settle();
    assert_eq!(net.inbox(0, alice), [] as [Bytes; 0]);
    assert_eq!(net.nodes[0].closed, [alice]);
}

#[test]
fn two_members_and_one_without_memberships() {
    let mut net = localhost(0x6b00_644c);
    let alice = join(&mut net, 0, "alice", "room");
    net.inbox(0, alice);
    let bob = join(&mut net, 0, "bob", "room");
    assert_told(&net.inbox(0, alice), &capture!("membership-join-second"));
    assert_told(&net.inbox(0, bob), &capture!("membership-join-second"));

    for sent in [capture!("agreed"), capture!("fifo-to-four"), capture!("unreliable-empty")] {
        net.say(0, alice, heard("#alice#localhost", &sent));
        net.settle();
        assert_told(&net.inbox(0, alice), &sent);
        assert_told(&net.inbox(0, bob), &sent);
    }
    net.say(0, alice, heard("#alice#localhost", &capture!("agreed-self-discard")));
    net.say(0, alice, heard("#alice#localhost", &capture!("reliable-private")));
    net.settle();
    assert_told(&net.inbox(0, alice), &[]);
    let both = [capture!("agreed-self-discard"), capture!("reliable-private")].concat();
    assert_told(&net.inbox(0, bob), &both);

    let big = Regular {
        service: ServiceType::CAUSAL_MESS,
        sender: group("#alice#localhost").into(),
        hint: Hint::new(7, Order::Big),
        groups: spread_wire::Names::new(&[group("room")]),
        body: Bytes::from_static(b"BE client causal"),
    };
    net.say(0, alice, heard("#alice#localhost", &big.encode(Order::Big)));
    net.settle();
    assert_told(&net.inbox(0, bob), &capture!("causal-from-big-endian"));

    let nomemb = net.connect(0, "nomemb", false);
    net.join(0, nomemb, "room");
    net.settle();
    net.inbox(0, alice);
    net.leave(0, bob, "room");
    net.settle();
    assert_told(&net.inbox(0, alice), &capture!("membership-leave"));
    net.join(0, bob, "room");
    net.settle();
    net.nodes[0].groups.disconnect(nomemb, groups::Departure::Lost);
    net.settle();
    net.inbox(0, alice);
    net.nodes[0].groups.disconnect(bob, groups::Departure::Lost);
    net.settle();
    assert_told(&net.inbox(0, alice), &capture!("membership-disconnect"));
    assert_eq!(net.nodes[0].inbox.get(&nomemb), None);
}

#[test]
fn three_daemons_part_meet_again_and_lose_one() {
    let mut net = Net::new(&["alpha", "beta", "gamma"]);
    let (alpha, beta, gamma) = (0, 1, 2);
    let mut random = Random::new(1);
    net.time = 0x6b00_636a;
    net.heal();
    let ann = join(&mut net, alpha, "ann", "net");
    let ben = join(&mut net, beta, "ben", "net");
    let cat = join(&mut net, gamma, "cat", "net");
    let abe = join(&mut net, alpha, "abe", "net");
    assert_told(&net.inbox(gamma, cat), &capture!("membership-two-joins"));
    for (node, session) in [(alpha, ann), (alpha, abe), (beta, ben)] {
        net.inbox(node, session);
    }

    net.time = 0x6b00_6370;
    net.change(&[0, 0, 1], &mut random);
    net.settle();
    for (node, session) in [(alpha, ann), (alpha, abe), (beta, ben)] {
        assert_told(&net.inbox(node, session), &capture!("partition-majority"));
    }
    assert_told(&net.inbox(gamma, cat), &capture!("partition-minority"));

    net.time = 0x6b00_6373;
    net.heal();
    for (node, session) in [(alpha, ann), (alpha, abe), (beta, ben)] {
        assert_told(&net.inbox(node, session), &capture!("merge-first"));
    }
    assert_told(&net.inbox(gamma, cat), &capture!("merge-second"));

    net.time = 0x6b00_6378;
    net.crash(alpha);
    net.heal();
    assert_told(&net.inbox(beta, ben), &capture!("crash"));
    assert_told(&net.inbox(gamma, cat), &capture!("crash"));

    // A daemon without members comes back: nobody is told anything, and the next join goes on with the same id.
    net.restart(alpha);
    net.heal();
    assert_eq!(net.told(beta, ben), []);
    let new = join(&mut net, alpha, "new", "net");
    let told = net.told(beta, ben);
    let [spread_wire::client::Event::Membership(joined)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((joined.id.proc as u32, joined.id.time), (0x4829_6d27, 0x6b00_6378));
    assert_eq!(joined.id.index, 2);
    assert_eq!(net.told(alpha, new), told);

    net.say(alpha, new, multicast(ServiceType::AGREED_MESS, &["net"], "hello"));
    net.settle();
    assert_eq!(net.inbox(beta, ben).len(), 1);
}
