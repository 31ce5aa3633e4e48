//! The corpus of the fuzz target `spread_conf`, replayed: whatever once made trouble stays harmless.
#![allow(unreachable_pub)]

#[path = "../../../fuzz/harness/spread_conf.rs"]
mod spread_conf;

#[test]
fn every_text_of_the_corpus_is_read_or_refused() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/spread_conf");
    let mut replayed = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        spread_conf::run(&std::fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed >= 15, "{replayed} texts in {corpus}");
}
