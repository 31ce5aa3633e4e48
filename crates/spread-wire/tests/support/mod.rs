//! Captures of the original 5.0.1 daemon and its clients, as bytes, and names for them.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use spread_wire::{GroupName, PrivateGroup, PrivateName};

/// The bytes of a capture, which stands as hexadecimal text.
pub fn bytes(text: &str) -> Vec<u8> {
    let pairs = text.split_whitespace();
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

#[macro_export]
macro_rules! capture {
    ($name:literal) => {
        $crate::support::bytes(include_str!(concat!("captures/", $name, ".hex")))
    };
}

pub fn private(name: &str) -> PrivateName {
    PrivateName::new(name.as_bytes()).unwrap()
}

/// A session of the daemon of most captures.
pub fn session(name: &str) -> PrivateGroup {
    at(name, "localhost")
}

pub fn at(name: &str, daemon: &str) -> PrivateGroup {
    PrivateGroup::new(&private(name), daemon.as_bytes()).unwrap()
}

/// Any name that can stand in a message.
pub fn group(name: &str) -> GroupName {
    GroupName::destination(name.as_bytes()).unwrap()
}
