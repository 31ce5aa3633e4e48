//! See `harness/spread_session.rs`.
#![no_main]
#[path = "../harness/spread_session.rs"]
mod harness;
libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::run(data));
