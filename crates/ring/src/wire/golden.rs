//! The bytes of every word as they are in wire version 1.1, written down. They are a contract: neighbouring versions form
//! one ring while an upgrade rolls through a cluster. A later minor version may only add bytes at the end of a body; if a line
//! here has to change, it is another major version, which is refused by all that run the present one.

use alloc::string::String;
use alloc::vec::Vec;

use super::forming::Missing;
use super::*;
use crate::event::Service;
use crate::name::DaemonName;

const RING: RingId = RingId { counter: 0x0102_0304_0506_0708, founder: 0x1112_1314_1516_1718 };
const TAG: Tag = Tag(0x2122_2324_2526_2728);
const OTHER: Tag = Tag(0x3132_3334_3536_3738);

fn card() -> Card {
    Card {
        name: DaemonName::of_host("ann"),
        minor_min: 0,
        minor_max: 1,
        configuration: 0x4142_4344,
        site: 7,
        id: 0x5152_5354,
        age: 300,
    }
}

fn info() -> Info {
    Info {
        ring: RING,
        aru: 200,
        stable: 190,
        above: Vec::from([(202, 3), (210, 1)]),
        obligations: [0, 2].into_iter().collect(),
        counter: 9,
        time: 1_700_000_000,
        timeout: 100,
    }
}

fn statement() -> Statement {
    let heard = |tag, how: [bool; 4]| {
        let [multicast, proposed, kept_out, unlisted] = how;
        Heard { tag, multicast, proposed, kept_out, unlisted }
    };
    Statement {
        number: 5,
        ring: RING,
        size: 3,
        intact: true,
        refused: false,
        fresh: true,
        degree: 2,
        follows: Some((TAG, 6)),
        hears: Vec::from([
            heard(TAG, [true, true, false, false]),
            heard(OTHER, [false, false, true, true]),
        ]),
    }
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        ring: RING,
        token: 1000,
        stable: 900,
        holds: true,
        ping: false,
        statement: 5,
        has: 4,
        stamp: 1_000_000,
        echo: 999_000,
        held: 77,
    }
}

fn token() -> Token {
    Token {
        ring: short(RING),
        number: 1000,
        seq: 205,
        arus: Vec::from([205, 200, 203]),
        sent: 12,
        lost: 1,
        backlogged: 2,
        window: 64,
        timeout: 100,
        idle: 1,
        last_sender: 2,
        missing: Vec::from([(201, 2)]),
    }
}

/// One of each, and how it is written.
fn words(body: &[u8]) -> Vec<(Message<'_>, &'static str)> {
    let ring = short(RING);
    Vec::from([
        (
            Message::Hello { card: card(), to_group: true },
            "01010103616e6e000141424344ac020000000751525354",
        ),
        (Message::Challenge { nonce: [0x61; 16] }, "020161616161616161616161616161616161"),
        (
            Message::Proof { nonce: [0x61; 16], card: card() },
            "03016161616161616161616161616161616103616e6e000141424344ac020000000751525354",
        ),
        (
            Message::Heartbeat(heartbeat()),
            "04010101020304050607081112131415161718e80784070504c0843dd8fc3c4d",
        ),
        (
            Message::Statement(statement()),
            "05010501020304050607081112131415161718030d022122232425262728060221222324252627280331323334353637380c",
        ),
        (
            Message::Commit(Commit { proposal: 8, minor: 1, members: Vec::from([TAG, OTHER]) }),
            "06010000000000000008010221222324252627283132333435363738",
        ),
        (
            Message::Ready(Ready { proposal: 8, info: info() }),
            "070100000000000000080102030405060708111213141516171800000000000000c80a02020305010000000000000005000000000000000000000000000000096553f1000064",
        ),
        (
            Message::Install(Install {
                proposal: 8,
                ring: RING,
                time: 1_700_000_001,
                timeout: 100,
                first: 1,
                infos: Vec::from([info()]),
            }),
            "08010000000000000008010203040506070811121314151617186553f101006401010102030405060708111213141516171800000000000000c80a02020305010000000000000005000000000000000000000000000000096553f1000064",
        ),
        (Message::Recovered { proposal: 8 }, "09010000000000000008"),
        (Message::Go { ring: RING }, "0a0101020304050607081112131415161718"),
        (
            Message::Missing(Missing { ring, from: 200, ranges: Vec::from([(201, 2)]) }),
            "0b01ff8555ea7b06518c00000000000000c8010102",
        ),
        (
            Message::Token(token()),
            "0c01ff8555ea7b06518c00000000000003e800000000000000cd030005020c0102010200400064010102",
        ),
        (
            Message::Data(Data {
                ring,
                seq: 206,
                token: 1000,
                sender: 1,
                keeps: true,
                recovery: false,
                relay: true,
                body,
            }),
            "0d01ff8555ea7b06518c00000000000000ce00000000000003e801050300026162",
        ),
        (
            Message::Rest(Rest { ring, number: 1001, seq: 206, holder: 2, relay: true }),
            "0e01ff8555ea7b06518c00000000000003e900000000000000ce0201",
        ),
        (Message::Want { ring }, "0f01ff8555ea7b06518c"),
        (Message::Leave, "1001"),
        (Message::Where { tag: TAG }, "11012122232425262728"),
        (
            Message::Introduce { tag: TAG, address: b"192.0.2.1:4803" },
            "120121222324252627280e3139322e302e322e313a34383033",
        ),
    ])
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

#[test]
fn every_word_is_written_as_it_was_and_what_was_written_is_read() {
    let mut body = Vec::new();
    Chunk::write(&mut body, Service::Safe, true, false, b"ab");
    let words = words(&body);
    assert_eq!(words.len(), KINDS.len() - 1, "one of each kind");
    for (kind, (word, written)) in words.iter().enumerate() {
        let kind = KINDS[kind + 1];
        let bytes = word.encode();
        assert_eq!(hex(&bytes), *written, "{kind}");
        assert_eq!(Message::decode(&bytes).as_ref(), Ok(word), "{kind}");
    }
}
