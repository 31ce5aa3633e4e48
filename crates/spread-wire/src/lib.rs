//! The Spread client session protocol: handshake, messages, both byte orders, both sides.
//!
//! A session begins with a handshake of a few bytes; then both ends send messages without any framing but a header of 48
//! bytes that says how many names and how much body follow.
//!
//! - [`limits`]: every size, with its unit.
//! - [`name`]: sessions, groups, private groups.
//! - [`service`]: what kind of message it is.
//! - [`header`]: the 48 bytes, the byte orders, the hint.
//! - [`names`], [`regular`], [`membership`], [`reject`]: the messages, read and written.
//! - [`server`], [`client_message`]: the daemon's side: its handshake, and what a client says.
//! - [`client`]: the client's side: its handshake, what it sends, what it receives.
//! - [`error`]: the codes of the original.
//!
//! A core: bytes come in, in pieces of any size, and values and bytes go out. Not here: sockets, deadlines, and who is
//! a member of what (`groups`).
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod client;
pub mod client_message;
pub mod error;
mod framing;
pub mod header;
pub mod limits;
pub mod membership;
pub mod name;
pub mod names;
pub mod regular;
pub mod reject;
pub mod server;
pub mod service;

pub use client_message::{ClientMessage, Ignored, Violation};
pub use error::ErrorCode;
pub use framing::READ_MAX;
pub use header::{Header, Hint, Order};
pub use membership::{GroupId, Membership, Transitional, VsSets, encode_self_leave};
pub use name::{GroupName, NameError, PrivateGroup, PrivateName};
pub use names::Names;
pub use regular::Regular;
pub use reject::Reject;
pub use server::{Handshake, Methods, Policy, Refusal, Session, Step, Version};
pub use service::{Cause, Request, Service, ServiceType};
