//! The corpora of the fuzz targets for heads and bodies, replayed: whatever once made trouble stays harmless.
// The corpora are folders that grow; embedding them would mean listing them.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    unreachable_pub
)]

#[path = "../../../fuzz/harness/chunked_body.rs"]
mod chunked_body;
#[path = "../../../fuzz/harness/request_head.rs"]
mod request_head;
#[path = "../../../fuzz/harness/response_head.rs"]
mod response_head;

fn replay(target: &str, run: fn(&[u8])) {
    let corpus = format!("{}/../../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut replayed = 0;
    for entry in std::fs::read_dir(&corpus).unwrap() {
        let mut data = std::fs::read(entry.unwrap().path()).unwrap();
        run(&data);
        // Cut elsewhere, too.
        for cut in [0, 1, 7, 64, 200, 255] {
            if let Some(first) = data.first_mut() {
                *first = cut;
            }
            run(&data);
        }
        replayed += 1;
    }
    assert!(replayed >= 25, "{replayed} in {corpus}");
}

#[test]
fn every_request_head_of_the_corpus_is_read_or_refused() {
    replay("request_head", request_head::run);
}

#[test]
fn every_response_head_of_the_corpus_is_read_or_refused() {
    replay("response_head", response_head::run);
}

#[test]
fn every_chunked_body_of_the_corpus_is_read_or_refused() {
    replay("chunked_body", chunked_body::run);
}
