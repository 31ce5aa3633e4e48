//! The corpus of the fuzz target `vip_message`, replayed: whatever once made trouble stays harmless.

#![allow(clippy::unwrap_used, unreachable_pub)]

use std::collections::BTreeSet;

use testkit::corpus;

#[path = "../../../fuzz/harness/vip_message.rs"]
mod vip_message;

const TARGET: &str = "vip_message";

#[test]
fn every_input_of_the_corpus_does_no_harm_whole_or_cut() {
    let all = corpus::inputs(TARGET);
    for data in &all {
        for how in 0..16 {
            for end in [data.len(), data.len() / 2, data.len() * 3 / 4] {
                let mut input = data[..end].to_vec();
                if let Some(first) = input.first_mut() {
                    *first = how;
                }
                vip_message::run(&input);
            }
        }
    }
    assert!(all.len() >= 13, "{} inputs in {TARGET}", all.len());
}

/// Each word followed by a few others, with some bytes changed, as one who holds the key would try. `VIP_INPUTS` says how many,
/// `VIP_SEED` which.
#[test]
fn changed_words_in_any_order_do_no_harm() {
    let all = corpus::inputs(TARGET);
    let mut dice = base::Random::new(corpus::number("VIP_SEED", 5));
    for _ in 0..corpus::number("VIP_INPUTS", 400) {
        let mut input = vec![dice.below(16) as u8];
        for _ in 0..=dice.below(10) {
            let mut word = all[dice.below(all.len() as u32) as usize][1..].to_vec();
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
        // Whoever sees a failure finds the input in what it says.
        let outcome = std::panic::catch_unwind(|| vip_message::run(&input));
        assert!(outcome.is_ok(), "{}", hexadecimal(&input));
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_corpus_has_a_word_of_every_kind() {
    let recorded = vip_message::recorded();
    let kinds: BTreeSet<u8> = recorded.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, (1..=13).collect());
    let named = recorded.into_iter().enumerate();
    corpus::has(TARGET, named.map(|(at, (kind, input))| (format!("kind-{kind}-{at}"), input)));
}
