//! See `harness/peer_handshake.rs`.
#![no_main]
#[path = "../harness/peer_handshake.rs"]
mod harness;
libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::run(data));
