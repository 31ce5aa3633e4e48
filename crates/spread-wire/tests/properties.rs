//! What holds for all messages and all bytes.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use spread_wire::client::{Decoder as ClientDecoder, Event, Outgoing, Sender};
use spread_wire::client_message::{ClientMessage, Decoder};
use spread_wire::limits::BODY_AND_NAMES_MAX;
use spread_wire::{
    Cause, GroupId, GroupName, Hint, Membership, Names, Order, READ_MAX, Regular, Service,
    ServiceType, Transitional, encode_self_leave,
};
use support::session;

fn name() -> impl Strategy<Value = GroupName> {
    vec(1_u8.., 1..=31).prop_map(|bytes| GroupName::destination(&bytes).unwrap())
}

fn joinable() -> impl Strategy<Value = GroupName> {
    vec(b'$'..=b'~', 1..=31).prop_map(|bytes| GroupName::new(&bytes).unwrap())
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Little), Just(Order::Big)]
}

fn service() -> impl Strategy<Value = Service> {
    proptest::sample::select(&Service::ALL[..])
}

/// A message as one client sends it.
#[derive(Clone, Debug)]
enum Sent {
    Join(GroupName),
    Leave(GroupName),
    Multicast { service: Service, discard: bool, kind: i16, groups: Vec<GroupName>, body: Vec<u8> },
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        1 => joinable().prop_map(Sent::Join),
        1 => joinable().prop_map(Sent::Leave),
        4 => (service(), any::<bool>(), any::<i16>(), vec(name(), 0..=100), vec(any::<u8>(), 0..9_000))
            .prop_map(|(service, discard, kind, groups, body)| Sent::Multicast {
                service, discard, kind, groups, body
            }),
    ]
}

fn write(sender: &Sender, sent: &Sent) -> bytes::Bytes {
    match sent {
        Sent::Join(group) => sender.join(group).unwrap(),
        Sent::Leave(group) => sender.leave(group).unwrap(),
        Sent::Multicast { service, discard, kind, groups, body } => {
            let (service, self_discard, kind) = (*service, *discard, *kind);
            sender.message(&Outgoing { service, self_discard, kind, groups, body }).unwrap()
        }
    }
}

fn meant(sent: &Sent, order: Order) -> ClientMessage {
    match sent.clone() {
        Sent::Join(group) => ClientMessage::Join(group),
        Sent::Leave(group) => ClientMessage::Leave(group),
        Sent::Multicast { service, discard, kind, groups, body } => {
            let bit = if discard { ServiceType::SELF_DISCARD } else { ServiceType::default() };
            ClientMessage::Multicast(Regular {
                service: ServiceType::from(service) | bit,
                sender: Some(session("alice").into()),
                hint: Hint::new(kind, order),
                groups: Names::new(&groups),
                body: body.into(),
            })
        }
    }
}

fn told() -> impl Strategy<Value = Event> {
    let id = any::<[i32; 3]>().prop_map(|[proc, time, index]| GroupId { proc, time, index });
    let cause = proptest::sample::select(&Cause::ALL[..3]);
    let names = || vec(name(), 0..20).prop_map(|names| Names::new(&names));
    let sets = (vec(names(), 1..5), any::<proptest::sample::Index>());
    prop_oneof![
        name().prop_map(Event::SelfLeave),
        (name(), id.clone())
            .prop_map(|(group, id)| Transitional { group, id })
            .prop_map(Event::Transitional),
        (name(), cause, id.clone(), names(), name())
            .prop_map(|(group, cause, id, members, changed)| Membership::of_one(
                group, cause, id, members, changed
            ))
            .prop_map(Event::Membership),
        (name(), id, names(), sets)
            .prop_map(|(group, id, members, (sets, own))| Membership::of_network(
                group,
                id,
                members,
                &sets,
                own.index(sets.len())
            ))
            .prop_map(Event::Membership),
    ]
}

/// Feeds pieces as a driver does, and looks after its memory.
fn feed<T, E>(
    pieces: impl Iterator<Item = Vec<u8>>,
    bound: usize,
    mut decode: impl FnMut(&mut BytesMut) -> Result<Option<T>, E>,
) -> Result<Vec<T>, E> {
    let mut buffer = BytesMut::new();
    let mut all = Vec::new();
    for piece in pieces {
        assert!(piece.len() <= READ_MAX);
        buffer.extend_from_slice(&piece);
        while let Some(one) = decode(&mut buffer)? {
            all.push(one);
        }
        assert!(buffer.len() <= bound, "{} bytes are buffered", buffer.len());
    }
    Ok(all)
}

fn pieces(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut all = Vec::new();
    for &cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at(cut.min(rest.len()));
        all.push(now.to_vec());
        rest = later;
    }
    all
}

proptest! {
    #[test]
    fn a_daemon_reads_what_a_client_wrote_however_it_is_cut(
        sent in vec(sent(), 1..6),
        order in order(),
        cuts in vec(1_usize..5_000, 1..8),
    ) {
        let sender = Sender::new(session("alice")).in_order(order);
        let bytes: Vec<u8> = sent.iter().flat_map(|one| write(&sender, one)).collect();
        let mut decoder = Decoder::new(session("alice"));
        let pieces = pieces(&bytes, &cuts).into_iter();
        let read = feed(pieces, BODY_AND_NAMES_MAX + READ_MAX, |buffer| decoder.decode(buffer));
        let expected: Vec<_> = sent.iter().map(|one| meant(one, order)).collect();
        prop_assert_eq!(read.unwrap(), expected);
    }

    #[test]
    fn a_client_reads_what_a_daemon_wrote_however_it_is_cut(
        told in vec(told(), 1..6),
        order in order(),
        cuts in vec(1_usize..500, 1..8),
    ) {
        let bytes: Vec<u8> = told.iter().flat_map(|event| match event {
            Event::Membership(view) => view.encode(order),
            Event::Transitional(signal) => signal.encode(order),
            Event::SelfLeave(group) => encode_self_leave(*group, order),
            Event::Regular(_) | Event::Reject(_) => unreachable!("not made here"),
        }).collect();
        let mut decoder = ClientDecoder::default();
        let read = feed(pieces(&bytes, &cuts).into_iter(), usize::MAX, |buffer| decoder.decode(buffer));
        let mut read = read.unwrap();
        // Sets without members can begin at one offset; then the first of them is as good.
        for (one, expected) in read.iter_mut().zip(&told) {
            if let (Event::Membership(one), Event::Membership(expected)) = (one, expected) {
                prop_assert_eq!(one.own_set(), expected.own_set());
                one.own = expected.own;
            }
        }
        prop_assert_eq!(read, told);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_are_never_gathered(
        bytes in vec(any::<u8>(), 0..2_000),
        cuts in vec(1_usize..500, 1..4),
    ) {
        let mut decoder = Decoder::new(session("alice"));
        let all = pieces(&bytes, &cuts);
        let bound = BODY_AND_NAMES_MAX + READ_MAX;
        let _ = feed(all.clone().into_iter(), bound, |buffer| decoder.decode(buffer));
        let mut decoder = ClientDecoder::new(1_000);
        let _ = feed(all.into_iter(), 1_000 + 4 + 500, |buffer| decoder.decode(buffer));
    }

    #[test]
    fn bodies_of_memberships_never_panic(body in vec(any::<u8>(), 0..400), small: [u8; 3]) {
        // Numbers that are small often enough to be believed.
        let mut body = body;
        for (at, value) in [12, 16, 20].into_iter().zip(small) {
            if body.len() > at + 3 {
                body[at..at + 4].copy_from_slice(&Order::NATIVE.u32(u32::from(value) % 8));
            }
        }
        let header = spread_wire::Header {
            service: ServiceType::REG_MEMB_MESS | ServiceType::CAUSED_BY_NETWORK,
            name: Some(session("alice").into()),
            groups: 0,
            hint: Hint::default(),
            data_length: body.len() as i32,
        };
        let bytes = [&header.encode()[..], &body].concat();
        if let Ok(Some(Event::Membership(view))) = ClientDecoder::default().decode(&mut BytesMut::from(&bytes[..])) {
            prop_assert_eq!(view.sets.iter().count(), view.sets.len());
            let again = view.encode(Order::NATIVE);
            prop_assert_eq!(again.len(), bytes.len());
        }
    }
}
