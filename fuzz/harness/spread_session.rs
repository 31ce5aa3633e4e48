//! One end of a session of the Spread protocol, from its first byte on, and somebody who sends it anything.
//!
//! The first byte says which end, in its lowest bit, and where the session begins, in the next: with the handshake or
//! after it. The second is the length of the pieces. What must hold: nothing panics; what was read and is written again
//! reads the same; what waits to be read is bounded, whatever was announced; however the bytes are cut, the same is
//! read; a refusal is one byte after what was sent before.

use bytes::BytesMut;
use spread_wire::client::connect::Step as ClientStep;
use spread_wire::client::{Connect, Decoder as ClientDecoder, Event, Hello};
use spread_wire::client_message::{ClientMessage, Decoder};
use spread_wire::limits::{ACCEPT_MAX, BODY_AND_NAMES_MAX};
use spread_wire::{Handshake, Methods, Order, Policy, PrivateGroup, PrivateName, Refusal, Step};

const TAKEN: &[u8] = b"taken";
const CLIENT_LENGTH_MAX: usize = 4_096;

pub fn run(data: &[u8]) {
    let &[choice, piece, ref bytes @ ..] = data else { return };
    let piece = usize::from(piece).max(1);
    let (is_client, skips) = (choice & 1 == 1, choice & 2 == 2);
    if is_client {
        assert_eq!(client(skips, piece, bytes), client(skips, bytes.len().max(1), bytes));
    } else {
        assert_eq!(daemon(skips, piece, bytes), daemon(skips, bytes.len().max(1), bytes));
    }
}

fn own(name: &PrivateName) -> Option<PrivateGroup> {
    PrivateGroup::new(name, b"localhost").ok()
}

fn alice() -> Option<PrivateGroup> {
    own(&PrivateName::new(b"alice").ok()?)
}

/// Everything a daemon reads of a client, ended by the violation if there was one.
fn daemon(skips: bool, piece: usize, bytes: &[u8]) -> Option<Vec<String>> {
    let mut rest = bytes;
    let group = if skips { alice()? } else { greeted(piece, &mut rest)? };
    let mut decoder = Decoder::new(group);
    let mut buffer = BytesMut::new();
    let mut read = Vec::new();
    for part in rest.chunks(piece) {
        buffer.extend_from_slice(part);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(message)) => {
                    if let ClientMessage::Multicast(message) = &message {
                        let again = message.encode(Order::Big);
                        let twice = Decoder::new(group).decode(&mut BytesMut::from(&again[..]));
                        assert_eq!(twice, Ok(Some(ClientMessage::Multicast(message.clone()))));
                    }
                    read.push(format!("{message:?}"));
                }
                Ok(None) => break,
                Err(why) => {
                    read.push(why.to_string());
                    return Some(read);
                }
            }
        }
        if matches!(read.last(), Some(last) if last == "Kill") {
            return Some(read);
        }
        assert!(buffer.len() < BODY_AND_NAMES_MAX + piece);
    }
    Some(read)
}

/// The daemon's side of a handshake. What is left of the input are the session's messages.
fn greeted(piece: usize, rest: &mut &[u8]) -> Option<PrivateGroup> {
    let both = Methods { null: true, ip: true };
    let mut handshake = Handshake::new(Policy { allowed: both, required: Methods::default() });
    loop {
        let (mut now, later) = rest.split_at(piece.min(rest.len()));
        let nothing_left = now.is_empty();
        let step = handshake.receive(&mut now);
        *rest = &rest[rest.len() - later.len() - now.len()..];
        match step {
            Step::Wait if nothing_left => return None,
            Step::Wait => {}
            Step::Name(name) => {
                let name = name.or_else(|| PrivateName::new(b"r1-1").ok())?;
                let free = name.as_bytes() != TAKEN;
                let group = if free { own(&name) } else { None };
                handshake.answer_name(group.ok_or(Refusal::NotUnique));
            }
            Step::Address => handshake.answer_address(true),
            Step::Send(bytes) => assert_eq!(bytes, b"\x08NULL IP "),
            Step::Accepted(bytes, session) => {
                assert!(bytes.len() <= ACCEPT_MAX);
                return Some(session.group);
            }
            Step::Refused(bytes, why) => {
                assert_eq!(bytes, [why.code().byte()]);
                return None;
            }
        }
    }
}

/// Everything a client reads of a daemon.
fn client(skips: bool, piece: usize, bytes: &[u8]) -> Option<Vec<String>> {
    let mut rest = bytes;
    if !skips {
        welcomed(piece, &mut rest)?;
    }
    let mut decoder = ClientDecoder::new(CLIENT_LENGTH_MAX);
    let mut buffer = BytesMut::new();
    let mut read = Vec::new();
    for part in rest.chunks(piece) {
        buffer.extend_from_slice(part);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(event)) => {
                    written_again(&event);
                    read.push(format!("{event:?}"));
                }
                Ok(None) => break,
                Err(why) => {
                    read.push(why.to_string());
                    return Some(read);
                }
            }
        }
        assert!(buffer.len() < CLIENT_LENGTH_MAX + 4 + piece);
    }
    Some(read)
}

fn welcomed(piece: usize, rest: &mut &[u8]) -> Option<PrivateGroup> {
    let mut connect = Connect::new(Hello { name: None, membership: true, priority: false });
    loop {
        let (mut now, later) = rest.split_at(piece.min(rest.len()));
        let nothing_left = now.is_empty();
        let step = connect.receive(&mut now);
        *rest = &rest[rest.len() - later.len() - now.len()..];
        match step.ok()? {
            ClientStep::Wait if nothing_left => return None,
            ClientStep::Wait => {}
            ClientStep::Send(choice) => assert_eq!(choice.len(), 90),
            ClientStep::Done(session) => return Some(session.group),
        }
    }
}

fn written_again(event: &Event) {
    let bytes = match event {
        Event::Regular(message) => message.encode(Order::Big),
        Event::Membership(view) => view.encode(Order::Big),
        Event::Transitional(signal) => signal.encode(Order::Big),
        Event::SelfLeave(group) => spread_wire::encode_self_leave(*group, Order::Big),
        Event::Reject(reject) => reject.encode(Order::Big),
    };
    let again = ClientDecoder::default().decode(&mut BytesMut::from(&bytes[..]));
    let Ok(Some(mut again)) = again else { panic!("{event:?} was written and is {again:?}") };
    // An offset at which no set begins is not written again.
    if let (Event::Membership(again), Event::Membership(view)) = (&mut again, event) {
        again.own = view.own;
    }
    assert_eq!(&again, event);
}
