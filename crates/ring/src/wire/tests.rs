//! Every message reads as it was written, and whatever else comes is refused without harm.

use alloc::vec;
use alloc::vec::Vec;

use base::Boot;
use proptest::collection::vec;
use proptest::prelude::*;

use super::bytes::NUMBERS;
use super::forming::Missing;
use super::*;
use crate::bits::Bits;
use crate::event::Service;
use crate::name::DaemonName;
use crate::settings::{ADDRESS_MAX, MEMBERS_MAX, PEERS_MAX, UNSTABLE_MAX};

fn ring_ids() -> impl Strategy<Value = RingId> {
    any::<(u64, u64)>().prop_map(|(counter, founder)| RingId { counter, founder })
}

fn tags() -> impl Strategy<Value = Tag> {
    any::<u64>().prop_map(Tag)
}

fn names() -> impl Strategy<Value = DaemonName> {
    vec(b'$'..=b'~', 1..=19).prop_map(|bytes| DaemonName::new(&bytes).unwrap())
}

fn cards() -> impl Strategy<Value = Card> {
    (names(), any::<(u8, u8, u32, u32, u64, u32)>()).prop_map(
        |(name, (a, b, configuration, site, age, id))| Card {
            name,
            minor_min: a.min(b),
            minor_max: a.max(b),
            configuration,
            site,
            age,
            id,
        },
    )
}

fn statements() -> impl Strategy<Value = Statement> {
    let follows = proptest::option::of((tags(), any::<u64>()));
    (ring_ids(), heard(), follows, any::<(u64, u8, u8, [bool; 3])>()).prop_map(
        |(ring, hears, follows, (number, size, degree, [intact, refused, fresh]))| Statement {
            number,
            ring,
            size,
            intact,
            refused,
            fresh,
            degree,
            follows,
            hears,
        },
    )
}

fn heartbeats() -> impl Strategy<Value = Heartbeat> {
    (ring_ids(), any::<([u64; 7], bool, bool)>()).prop_map(|(ring, (n, holds, ping))| Heartbeat {
        ring,
        token: n[0] % NUMBERS,
        stable: n[1] % NUMBERS,
        holds,
        ping,
        statement: n[2],
        has: n[3],
        stamp: n[4],
        echo: n[5],
        held: n[6],
    })
}

fn heard() -> impl Strategy<Value = Vec<Heard>> {
    vec(any::<(u64, [bool; 4])>(), 0..=PEERS_MAX).prop_map(|mut hears| {
        hears.sort_unstable();
        hears.dedup_by_key(|heard| heard.0);
        let heard = hears.into_iter().map(|(tag, [multicast, proposed, kept_out, unlisted])| {
            Heard { tag: Tag(tag), multicast, proposed, kept_out, unlisted }
        });
        heard.collect()
    })
}

/// Ranges above `from`, apart and ascending, within what may be unstable.
fn ranges(from: u64) -> impl Strategy<Value = Vec<(u64, u64)>> {
    vec((2_u64..5, 1_u64..4), 0..100).prop_map(move |steps| {
        let mut next = from;
        let mut out = Vec::new();
        for (gap, count) in steps {
            let first = next + gap;
            out.push((first, count));
            next = first + count;
        }
        out
    })
}

prop_compose! {
    fn infos()(aru in 1000..NUMBERS)(
        aru in Just(aru),
        ring in ring_ids(),
        stable in aru - 600..=aru,
        above in ranges(aru),
        obligations in vec(0..MEMBERS_MAX, 0..9),
        (counter, time, timeout) in any::<(u64, u32, u16)>(),
    ) -> Info {
        let obligations = obligations.into_iter().collect::<Bits>();
        Info { ring, aru, stable, above, obligations, counter, time, timeout }
    }
}

prop_compose! {
    fn tokens()(seq in 1000..NUMBERS)(
        behind in vec(0..=UNSTABLE_MAX, 1..=MEMBERS_MAX),
        missing in ranges(seq - UNSTABLE_MAX),
        seq in Just(seq),
        number in 0..NUMBERS,
        (ring, sent, lost) in any::<(u64, u32, u32)>(),
        (backlogged, window, timeout, idle, last_sender) in any::<(u8, u16, u16, u8, u8)>(),
    ) -> Token {
        let arus: Vec<u64> = behind.iter().map(|behind| seq - behind).collect();
        let mut token = Token {
            ring, number, seq, arus, sent, lost, backlogged, window, timeout, idle, last_sender,
            missing: Vec::new(),
        };
        let stable = token.stable();
        token.missing = missing;
        token.missing.retain(|(first, _)| *first > stable);
        token
    }
}

/// Every kind of message, already written.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Nonce>().prop_map(|nonce| Message::Challenge { nonce }.encode()),
        (cards(), any::<bool>())
            .prop_map(|(card, to_group)| Message::Hello { card, to_group }.encode()),
        (any::<Nonce>(), cards()).prop_map(|(nonce, card)| Message::Proof { nonce, card }.encode()),
        statements().prop_map(|statement| Message::Statement(statement).encode()),
        heartbeats().prop_map(|heartbeat| Message::Heartbeat(heartbeat).encode()),
        (any::<(u64, u8)>(), vec(tags(), 0..=MEMBERS_MAX)).prop_map(
            |((proposal, minor), members)| {
                Message::Commit(Commit { proposal, minor, members }).encode()
            }
        ),
        (any::<u64>(), infos()).prop_map(|(proposal, info)| Message::Ready(Ready {
            proposal,
            info
        })
        .encode()),
        (any::<(u64, u32, u16, u8)>(), ring_ids(), vec(infos(), 0..9)).prop_map(
            |((proposal, time, timeout, first), ring, infos)| {
                Message::Install(Install { proposal, ring, time, timeout, first, infos }).encode()
            }
        ),
        any::<u64>().prop_map(|proposal| Message::Recovered { proposal }.encode()),
        ring_ids().prop_map(|ring| Message::Go { ring }.encode()),
        (any::<u64>(), ranges(70)).prop_map(|(ring, ranges)| {
            Message::Missing(Missing { ring, from: 70, ranges }).encode()
        }),
        tokens().prop_map(|token| Message::Token(token).encode()),
        (any::<([u64; 3], u8, [bool; 3])>(), vec(any::<u8>(), 0..200)).prop_map(
            |(([ring, seq, token], sender, [keeps, recovery, relay]), body)| {
                let (seq, token, body) = (seq % NUMBERS, token % NUMBERS, &body[..]);
                Message::Data(Data { ring, seq, token, sender, keeps, recovery, relay, body })
                    .encode()
            }
        ),
        any::<([u64; 3], u8, bool)>().prop_map(|([ring, number, seq], holder, relay)| {
            let (number, seq) = (number % NUMBERS, seq % NUMBERS);
            Message::Rest(Rest { ring, number, seq, holder, relay }).encode()
        }),
        any::<u64>().prop_map(|ring| Message::Want { ring }.encode()),
        Just(Message::Leave.encode()),
        tags().prop_map(|tag| Message::Where { tag }.encode()),
        (tags(), vec(any::<u8>(), 0..=ADDRESS_MAX)).prop_map(|(tag, address)| Message::Introduce {
            tag,
            address: &address
        }
        .encode()),
    ]
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(bytes in messages()) {
        let message = Message::decode(&bytes);
        prop_assert!(message.is_ok(), "{message:?}");
        prop_assert_eq!(message.unwrap().encode(), bytes);
    }

    #[test]
    fn what_follows_belongs_to_a_later_version_and_is_skipped(
        bytes in messages(),
        more in vec(any::<u8>(), 1..20),
    ) {
        let long = [&bytes[..], &more].concat();
        let (short, long) = (Message::decode(&bytes).unwrap(), Message::decode(&long).unwrap());
        // The body of a packet is all that is there.
        if !matches!(short, Message::Data(_)) {
            prop_assert_eq!(long, short);
        }
    }

    #[test]
    fn a_message_cut_short_is_refused(bytes in messages(), share in 0.0..1.0) {
        let cut = &bytes[..(bytes.len() as f64 * share) as usize];
        let data = bytes[0] == super::kind::DATA && cut.len() >= DATA_HEAD;
        prop_assert!(data || Message::decode(cut).is_err());
    }

    #[test]
    fn damaged_messages_and_noise_do_no_harm(
        mut bytes in messages(),
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
        noise in vec(any::<u8>(), 0..300),
    ) {
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _ = Message::decode(&bytes);
        let _ = Message::decode(&noise);
        let mut known = noise;
        known.splice(0..known.len().min(2), [at as u8 % 20, MAJOR]);
        let _ = Message::decode(&known);
    }

    #[test]
    fn chunks_of_any_body_lie_within_it(body in vec(any::<u8>(), 0..400)) {
        let mut at = 0;
        while let Some(chunk) = Chunk::read(&body, at) {
            prop_assert!(chunk.at > at && chunk.end() <= body.len());
            at = chunk.end();
        }
    }
}

#[test]
fn a_count_that_promises_more_than_there_is_reserves_nothing() {
    // 128 members are announced, one is there.
    let mut commit = Vec::from([super::kind::COMMIT, MAJOR]);
    commit.extend_from_slice(&[0; 9]);
    commit.extend_from_slice(&[0x80, 0x01]);
    commit.extend_from_slice(&[0; 8]);
    assert_eq!(Message::decode(&commit), Err(Malformed::Bad));
}

#[test]
fn another_major_version_is_told_from_noise() {
    assert_eq!(Message::decode(&[3, 9, 0]), Err(Malformed::Version(9)));
    assert_eq!(Message::decode(&[200, MAJOR]), Err(Malformed::Unknown));
    assert_eq!(Message::decode(&[1]), Err(Malformed::Bad));
}

#[test]
fn a_chunk_keeps_its_service_and_its_place_in_the_message() {
    let mut body = Vec::new();
    Chunk::write(&mut body, Service::Safe, true, false, b"ab");
    Chunk::write(&mut body, Service::Agreed, false, true, b"");
    let first = Chunk::read(&body, 0).unwrap();
    assert_eq!((first.service, first.first, first.last), (Service::Safe, true, false));
    assert_eq!(&body[first.at..first.end()], b"ab");
    let second = Chunk::read(&body, first.end()).unwrap();
    assert_eq!((second.service, second.first, second.last), (Service::Agreed, false, true));
    assert!(Chunk::read(&body, second.end()).is_none());
}

#[test]
fn a_daemon_is_named_by_the_first_half_of_its_boot() {
    let mut boot = Boot([0; 16]);
    boot.0[7] = 5;
    assert_eq!(Tag::from(&boot), Tag(5));
}
