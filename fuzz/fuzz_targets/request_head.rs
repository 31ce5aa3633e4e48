//! See `harness/request_head.rs`.
#![no_main]
#[path = "../harness/request_head.rs"]
mod harness;
libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::run(data));
