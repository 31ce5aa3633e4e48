//! See `harness/vip_message.rs`.
#![no_main]
#[path = "../harness/vip_message.rs"]
mod harness;
libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::run(data));
