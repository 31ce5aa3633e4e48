//! See `harness/control.rs`.
#![no_main]
#[path = "../harness/control.rs"]
mod harness;
libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::run(data));
