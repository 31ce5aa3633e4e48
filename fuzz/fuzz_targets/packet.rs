//! See `harness/packet.rs`.
#![no_main]
#[path = "../harness/packet.rs"]
mod harness;
libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::run(data));
