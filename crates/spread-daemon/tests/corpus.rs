//! The corpora of the fuzz targets `spread_conf` and `control`, replayed: whatever once made trouble stays harmless.

// The corpora are folders that grow; embedding them would mean listing them.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, unreachable_pub)]

#[path = "../../../fuzz/harness/control.rs"]
mod control;
#[path = "../../../fuzz/harness/spread_conf.rs"]
mod spread_conf;

fn corpus(target: &str) -> String {
    format!("{}/../../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"))
}

/// Everything in the corpus of a target, by name.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(corpus(target)).unwrap().flatten();
    let input = |file: std::fs::DirEntry| {
        (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())
    };
    files.map(input).collect()
}

#[test]
fn every_text_of_the_corpus_is_read_or_refused() {
    let all = inputs("spread_conf");
    all.iter().for_each(|(_, text)| spread_conf::run(text));
    assert!(all.len() >= 15, "{} texts", all.len());
}

/// With `BACKHAND_WRITE_CORPUS` set it writes the inputs anew; without, each kind of word must have one.
#[test]
fn every_word_of_operators_and_monitors_in_the_corpus_is_handled_whole_cut_and_bent() {
    for (name, input) in control::recorded() {
        if std::env::var_os("BACKHAND_WRITE_CORPUS").is_some() {
            std::fs::create_dir_all(corpus("control")).unwrap();
            std::fs::write(format!("{}/{name}", corpus("control")), input).unwrap();
        }
        assert!(inputs("control").iter().any(|(there, _)| *there == name), "no {name}");
    }
    let all = inputs("control");
    for (_, input) in &all {
        for end in 0..=input.len() {
            control::run(&input[..end]);
        }
        for at in 0..input.len() {
            for value in [0, 0xff, input[at].wrapping_add(1)] {
                let mut bent = input.clone();
                bent[at] = value;
                control::run(&bent);
            }
        }
    }
    assert!(all.len() >= 15, "{} inputs", all.len());
}
