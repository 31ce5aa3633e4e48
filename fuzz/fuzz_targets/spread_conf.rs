//! See `harness/spread_conf.rs`.
#![no_main]
#[path = "../harness/spread_conf.rs"]
mod harness;
libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::run(data));
