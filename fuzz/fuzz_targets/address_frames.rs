//! See `harness/address_frames.rs`.
#![no_main]
#[path = "../harness/address_frames.rs"]
mod harness;
libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::run(data));
