//! The corpus of the fuzz target `address_control`, replayed: whatever once made trouble stays harmless.

#![allow(clippy::unwrap_used, unreachable_pub)]

use testkit::corpus;

#[path = "../../../fuzz/harness/address_control.rs"]
mod address_control;

const TARGET: &str = "address_control";

#[test]
fn every_word_of_the_corpus_is_read_or_refused_wherever_it_is_cut() {
    let all = corpus::inputs(TARGET);
    for word in &all {
        for end in 0..=word.len() {
            address_control::run(&word[..end]);
        }
    }
    assert!(all.len() >= 14, "{} words in {TARGET}", all.len());
}

/// `CONTROL_INPUTS` says how many, `CONTROL_SEED` which.
#[test]
fn bent_words_are_read_or_refused() {
    let all = corpus::inputs(TARGET);
    let mut dice = base::Random::new(corpus::number("CONTROL_SEED", 5));
    for _ in 0..corpus::number("CONTROL_INPUTS", 5_000) {
        let mut word = all[dice.below(all.len() as u32) as usize].clone();
        for _ in 0..=dice.below(4) {
            let at = 1 + dice.below(word.len() as u32 - 1) as usize;
            match dice.below(5) {
                0 => word[at] = dice.below(256) as u8,
                1 => word[at] = word[at].wrapping_add(1),
                2 => word[at] = b'0' + dice.below(10) as u8,
                3 => word.insert(at, b'0' + dice.below(10) as u8),
                _ => drop(word.remove(at)),
            }
            if word.len() < 2 {
                break;
            }
        }
        address_control::run(&word);
    }
}

#[test]
fn the_corpus_has_a_word_of_every_kind() {
    corpus::has(TARGET, address_control::recorded());
}
