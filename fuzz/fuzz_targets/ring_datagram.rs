//! See `harness/ring_datagram.rs`.
#![no_main]
#[path = "../harness/ring_datagram.rs"]
mod harness;
libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::run(data));
