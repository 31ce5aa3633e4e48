//! The corpus of the fuzz target `configuration`, replayed: whatever once made trouble stays harmless.
#![allow(unreachable_pub)]

#[path = "../../../fuzz/harness/configuration.rs"]
mod configuration;

#[test]
fn every_text_of_the_corpus_is_read_or_refused() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/configuration");
    let mut replayed = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        configuration::run(&std::fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed >= 10, "{replayed} texts in {corpus}");
}
