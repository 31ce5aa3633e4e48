//! See `harness/wackamole_conf.rs`.
#![no_main]
#[path = "../harness/wackamole_conf.rs"]
mod harness;
libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::run(data));
