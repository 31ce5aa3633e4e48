//! The corpus of the fuzz target `packet`, replayed: whatever once made trouble stays harmless.
// The corpus is a folder that grows; embedding it would mean listing it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, unreachable_pub)]

#[path = "../../../fuzz/harness/packet.rs"]
mod packet;

#[test]
fn every_packet_of_the_corpus_is_handled() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/packet");
    let mut replayed = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        packet::run(&std::fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed >= 10, "{replayed} packets in {corpus}");
}
