//! See `harness/address_control.rs`.
#![no_main]
#[path = "../harness/address_control.rs"]
mod harness;
libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::run(data));
