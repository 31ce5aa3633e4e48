//! Words come back as they were said, and bytes that are no words do no harm.

use alloc::collections::BTreeMap;
use alloc::vec;
use std::string::ToString;

use proptest::prelude::*;

use super::*;
use crate::peer::Peer;
use crate::set::Set;
use core::time::Duration;

fn peer() -> Peer {
    Peer {
        machine: "m1".into(),
        boot: 7,
        shown: Some("10.0.0.1".parse().unwrap()),
        macs: vec![[2, 0, 0, 0, 0, 1]],
        mature: true,
        healthy: true,
        drained: false,
        leaving: true,
        keep_unhealthy: true,
        keeps: true,
        aside: false,
        back_within: Some(Duration::from_secs(9)),
        weight: 100,
        capacity: 0,
        lease: Duration::from_millis(4_400),
        prefer_after: Duration::ZERO,
        epoch: 300,
        uncertain: Duration::from_millis(2_500),
        quorum: BTreeMap::from([("m1".into(), 1), ("m2".into(), 2)]),
    }
}

fn state() -> State {
    let set = |all: &[&str]| {
        let all: Vec<IpAddr> = all.iter().map(|ip| ip.parse().unwrap()).collect();
        Set::new(&all).unwrap()
    };
    let said = |set, held| Said {
        set,
        listed: true,
        able: true,
        held,
        known: true,
        preferred: false,
        quorum: !held,
        pinned: held,
        going: !held,
        lost: vec![(77, Duration::from_millis(1_234)), (u64::MAX, Duration::ZERO)],
    };
    State {
        view: ViewId([3; 12]),
        peer: peer(),
        sets: vec![
            said(set(&["10.0.0.9", "fd00::1", "10.0.0.3"]), true),
            said(set(&["fe80::1"]), false),
            said(set(&["10.0.0.4"]).hooks_only(), true),
        ],
        silent: vec!["#spuser#m2".into()],
    }
}

fn all() -> Vec<Message> {
    let view = ViewId(*b"abcdefghijkl");
    let keys = vec![SetKey(1), SetKey(u64::MAX)];
    vec![
        Message::State(state()),
        Message::Update(state()),
        Message::Mature(view),
        Message::Move(view, vec![(SetKey(5), 1_000, Reason::Balance)]),
        Message::Acquired(view, keys.clone()),
        Message::Released(view, keys.clone()),
        Message::Failed(view, keys.clone()),
        Message::Cancel(view, keys.clone()),
        Message::Claim(view, keys),
        Message::Exclude(view, vec![0, 200]),
        Message::Alive(view, u64::MAX),
        Message::Request("m3".into(), Ask::Drain),
        Message::Request("m3".into(), Ask::Undrain),
        Message::Request("m3".into(), Ask::Take("fd00::7".parse().unwrap())),
        Message::Fenced(u64::MAX),
    ]
}

#[test]
fn every_word_is_read_back() {
    for message in all() {
        assert_eq!(Message::decode(&message.encode()), Ok(message));
    }
}

#[test]
fn a_word_that_is_cut_short_is_refused_wherever_it_is_cut() {
    for message in all() {
        let bytes = message.encode();
        for length in 0..bytes.len() {
            assert!(Message::decode(&bytes[..length]).is_err(), "{message:?} at {length}");
        }
    }
}

#[test]
fn what_a_newer_version_adds_behind_is_not_looked_at() {
    for message in all() {
        let mut bytes = message.encode();
        bytes.extend_from_slice(b"more");
        assert_eq!(Message::decode(&bytes), Ok(message));
    }
}

#[test]
fn another_version_is_told_apart_from_noise() {
    let mut bytes = Message::Mature(ViewId([0; 12])).encode();
    bytes[3] = 2;
    let error = Message::decode(&bytes).unwrap_err();
    assert_eq!(error.to_string(), "it is of version 2, this program speaks version 1");
    assert_eq!(Message::decode(b"hello"), Err(Malformed::Foreign));
}

#[test]
fn a_count_that_lies_reserves_nothing() {
    let mut bytes = Message::Released(ViewId([0; 12]), vec![]).encode();
    bytes.pop();
    bytes.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert_eq!(Message::decode(&bytes), Err(Malformed::Wrong("a count")));
}

proptest! {
    #[test]
    fn bytes_that_came_to_harm_do_no_harm(which in 0..15_usize, at in 0..400_usize, to: u8) {
        let all = all();
        let mut bytes = all[which % all.len()].encode();
        let at = at % bytes.len();
        bytes[at] = to;
        let _ = Message::decode(&bytes);
    }
}
