//! The corpus of the fuzz target `peer_handshake`, replayed: whatever once made trouble stays harmless.
// The corpus is a folder that grows; embedding it would mean listing it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, unreachable_pub)]

#[path = "../../../fuzz/harness/peer_handshake.rs"]
mod peer_handshake;

#[test]
fn every_handshake_of_the_corpus_is_handled() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/peer_handshake");
    let mut replayed = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        peer_handshake::run(&std::fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed >= 8, "{replayed} handshakes in {corpus}");
}
