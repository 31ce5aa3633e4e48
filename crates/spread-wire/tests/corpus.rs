//! The corpus of the fuzz target `spread_session`, replayed: whatever once made trouble stays harmless.
// The corpus is a folder that grows; embedding it would mean listing it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, unreachable_pub)]

#[path = "../../../fuzz/harness/spread_session.rs"]
mod spread_session;

#[test]
fn every_session_of_the_corpus_is_handled() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/spread_session");
    let mut replayed = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let mut data = std::fs::read(entry.unwrap().path()).unwrap();
        spread_session::run(&data);
        // Cut elsewhere, too.
        for cut in [1, 7, 47, 48, 49, 255] {
            if let Some(piece) = data.get_mut(1) {
                *piece = cut;
            }
            spread_session::run(&data);
        }
        replayed += 1;
    }
    assert!(replayed >= 25, "{replayed} sessions in {corpus}");
}
