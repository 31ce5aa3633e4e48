//! See `harness/chunked_body.rs`.
#![no_main]
#[path = "../harness/chunked_body.rs"]
mod harness;
libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::run(data));
