//! The Spread client session protocol: handshake, messages, both byte orders.
#![no_std]
#![forbid(unsafe_code)]
#[cfg(test)]
extern crate std;
