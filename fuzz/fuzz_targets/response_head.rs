//! See `harness/response_head.rs`.
#![no_main]
#[path = "../harness/response_head.rs"]
mod harness;
libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::run(data));
