//! Replays the fuzzing corpus of the datagrams between daemons.

// The corpus is a folder that grows; embedding it would mean listing it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, unreachable_pub)]

#[path = "../../../fuzz/harness/ring_datagram.rs"]
mod ring_datagram;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/ring_datagram");

#[test]
fn every_input_of_the_corpus_does_no_harm_whole_or_cut() {
    let files = std::fs::read_dir(CORPUS).unwrap();
    let mut count = 0;
    for file in files {
        let data = std::fs::read(file.unwrap().path()).unwrap();
        count += 1;
        for how in 0..4 {
            for end in [data.len(), data.len() / 2, data.len() * 3 / 4] {
                let mut input = data[..end].to_vec();
                if let Some(first) = input.first_mut() {
                    *first = how;
                }
                ring_datagram::run(&input);
            }
        }
    }
    assert!(count >= 10, "{count} inputs in {CORPUS}");
}

/// Each word followed by a few others, with some bytes changed, as one who holds the key would try.
#[test]
fn changed_words_in_any_order_do_no_harm() {
    let mut corpus: Vec<Vec<u8>> = std::fs::read_dir(CORPUS)
        .unwrap()
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect();
    corpus.sort();
    let mut dice = base::Random::new(5);
    let inputs = std::env::var("RING_INPUTS").map_or(1500, |count| count.parse().unwrap());
    for _ in 0..inputs {
        let mut input = vec![dice.below(4) as u8];
        for _ in 0..=dice.below(12) {
            let word = &corpus[dice.below(corpus.len() as u32) as usize][1..];
            let mut word = word.to_vec();
            for _ in 0..dice.below(4) {
                let at = 2 + dice.below(word.len() as u32 - 2) as usize;
                word[at] = match dice.below(3) {
                    0 => dice.below(256) as u8,
                    1 => word[at].wrapping_add(1),
                    _ => 0xff,
                };
            }
            input.extend_from_slice(&word);
        }
        ring_datagram::run(&input);
    }
}

/// With `BACKHAND_WRITE_CORPUS` set it writes the inputs anew; without, each kind of word must have one.
#[test]
fn the_corpus_has_a_word_of_every_kind() {
    let write = std::env::var_os("BACKHAND_WRITE_CORPUS").is_some();
    for (at, (kind, input)) in ring_datagram::recorded().into_iter().enumerate() {
        let kind = ring::KINDS[usize::from(kind)];
        if write {
            std::fs::write(format!("{CORPUS}/{kind}-{at}"), input).unwrap();
        }
        let files = std::fs::read_dir(CORPUS).unwrap().flatten();
        let of_kind = |file: std::fs::DirEntry| {
            file.file_name().to_string_lossy().starts_with(&format!("{kind}-"))
        };
        assert!(files.into_iter().any(of_kind), "no {kind} in {CORPUS}");
    }
}
