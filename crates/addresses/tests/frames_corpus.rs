//! The corpus of the fuzz target `address_frames`, replayed: whatever once made trouble stays harmless.
#![allow(clippy::unwrap_used, unreachable_pub)]

use addresses::frames::{Mac, arp, discovery, read};

#[path = "../../../fuzz/harness/address_frames.rs"]
mod address_frames;

#[test]
fn every_frame_of_the_corpus_is_handled() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/address_frames");
    let mut replayed = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        address_frames::run(&std::fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed >= 20, "{replayed} frames in {corpus}");
}

/// The corpus was written by another program, check sums included.
#[test]
fn frames_that_another_program_made_are_ours_byte_by_byte() {
    let own = Mac([0x52, 0x54, 0, 1, 2, 3]);
    let host = Mac([0x52, 0x54, 0, 9, 9, 9]);
    let four = |text: &str| text.parse().unwrap();
    let six = |text: &str| text.parse().unwrap();
    let vip = six("fd00::10");
    for (name, frame) in [
        ("arp-gratuitous-request", arp::gratuitous_request(own, four("10.0.0.10"))),
        ("arp-gratuitous-reply", arp::gratuitous_reply(own, four("10.0.0.10"))),
        ("arp-probe", arp::probe(own, four("10.0.0.10"))),
        (
            "arp-directed-reply",
            arp::directed_reply(own, four("10.0.0.10"), four("10.0.0.1"), Some(host)),
        ),
        ("na-to-all", discovery::advertisement(own, vip, false)),
        ("na-by-a-router", discovery::advertisement(own, vip, true)),
        ("na-directed", discovery::directed_advertisement(own, vip, false, six("fd00::1"), host)),
        ("ns-probe", discovery::probe(own, vip)),
    ] {
        let made = corpus(name);
        assert_eq!(made, frame.as_bytes(), "{name}");
        assert!(read(1, &made).is_ok(), "{name}");
    }
}

fn corpus(name: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/address_frames/");
    std::fs::read(path.to_owned() + name).unwrap()
}
