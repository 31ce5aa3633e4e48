//! HTTP/1 messages without I/O: heads, framing, persistence, and what a relay writes on.
//!
//! A message has one meaning or none. Whatever two readers could take for two different things (a bare line feed, two lengths, a
//! length and chunks, a folded line, an odd chunk size) is refused, and its connection closed; so nothing that was not understood
//! is ever sent on, and nobody behind us sees two requests where one was sent.
//!
//! ```text
//! bytes ─► Scan ─► request::parse ─► RequestHead + Fields ─► forward::request ─► bytes for the next hop
//!                                     └─ framing ─► Decoder ─► how much of what comes is this body
//! bytes ─► Scan ─► response::parse ─► ResponseHead + Fields ─► forward::response ─► bytes for the client
//! ```
//!
//! The caller owns all buffers; a head is offsets into them, and [`Fields`] is used again for each message, so nothing is allocated per
//! message. Pipelined requests stay in the caller's buffer: after a head's `len` bytes comes its body, after the `used` bytes of a
//! [`Progress`] that is `done` comes the next head.
//!
//! Not here: sockets, time limits, and which request goes where.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod body;
mod field;
pub mod forward;
mod reject;
pub mod request;
pub mod response;
mod scan;

pub use body::{Decoder, Progress, chunk_line};
pub use field::{Field, Fields, MAX_FIELDS, Name, Span};
pub use reject::Reject;
pub use request::RequestHead;
pub use response::ResponseHead;
pub use scan::Scan;

/// How much one head may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a head, start line and empty line included.
    pub max_head: usize,
    /// Field lines; at most [`MAX_FIELDS`].
    pub max_fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_head: 32 * 1024, max_fields: 100 }
    }
}
