//! The Spread client session protocol: handshake, messages, both byte orders, both sides.
//!
//! A session begins with a handshake of a few bytes; then both ends send messages without any framing but a header of 48
//! bytes that says how many names and how much body follow.
//!
//! - [`limits`]: every size, with its unit.
//! - [`name`]: sessions, groups, private groups.
//! - [`service`]: what kind of message it is.
//! - [`header`]: the 48 bytes, the byte orders, the hint.
//!
//! A core: bytes come in, in pieces of any size, and values and bytes go out. Not here: sockets, deadlines, and who is
//! a member of what (`groups`).
#![no_std]
#![forbid(unsafe_code)]
#[cfg(test)]
extern crate std;

pub mod header;
pub mod limits;
pub mod name;
pub mod service;

pub use header::{Header, Hint, Order};
pub use name::{GroupName, NameError, PrivateGroup, PrivateName};
pub use service::{Cause, Request, Service, ServiceType};
