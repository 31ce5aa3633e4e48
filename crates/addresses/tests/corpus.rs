//! The corpus of the fuzz target `wackamole_conf`, replayed: whatever once made trouble stays harmless.

// The corpus is a folder that grows; embedding it would mean listing it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, unreachable_pub)]

#[path = "../../../fuzz/harness/wackamole_conf.rs"]
mod wackamole_conf;

use proptest::prelude::*;

/// What a text is made of by chance: each thing that means something somewhere.
const PIECES: &[&str] = &[
    "Group",
    "Spread",
    "Control",
    "Mature",
    "Arp-Cache",
    "Balance",
    "Interval",
    "AcquisitionsPerRound",
    "Prefer",
    "VIFs",
    "VirtualInterfaces",
    "Notify",
    "ModuleDir",
    "RunDynamic",
    "PerlUse",
    "LogFacility",
    "None",
    "all",
    "arp-cache",
    "throttle",
    "ping",
    "on up",
    "post down",
    "=",
    "=",
    "{",
    "{",
    "}",
    "}",
    "}",
    "#",
    "\n",
    "\n",
    "\"",
    "'",
    "5s",
    "2h",
    "7",
    "0",
    "wack1",
    "a:b",
    "ab",
    "/run/x",
    "10.0.0.1/32",
    "eth0:10.0.0.2/24",
    "10.0.0.3/32n16",
    "10.0.0.0/8",
    "10.0.0.300/32",
    "[fd00::1]/64",
    "eth1:fe80::1/64",
    "0.0.0.0/32",
    "\u{fc}",
    "\0",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn texts_of_words_by_chance_are_read_or_refused(
        pieces in proptest::collection::vec((0..PIECES.len(), any::<bool>()), 0..40),
    ) {
        let mut text = String::new();
        for (piece, blank) in pieces {
            text.push_str(PIECES[piece]);
            text.push_str(if blank { " " } else { "" });
        }
        wackamole_conf::run(text.as_bytes());
    }
}

/// Everything in the corpus.
fn inputs() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/wackamole_conf");
    let files = std::fs::read_dir(folder).unwrap().flatten();
    files.map(|file| std::fs::read(file.path()).unwrap()).collect()
}

#[test]
fn every_text_of_the_corpus_is_read_or_refused() {
    let all = inputs();
    all.iter().for_each(|text| wackamole_conf::run(text));
    assert!(all.len() >= 20, "{} texts", all.len());
}

#[test]
fn texts_cut_anywhere_and_bent_anywhere_are_read_or_refused() {
    for text in inputs().into_iter().filter(|text| text.len() < 2000) {
        for at in 0..text.len() {
            wackamole_conf::run(&text[..at]);
            for value in [0, b'{', b'}', b'=', b'"', b' ', 0xff] {
                let mut bent = text.clone();
                bent[at] = value;
                wackamole_conf::run(&bent);
            }
        }
    }
}
