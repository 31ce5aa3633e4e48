//! HTTP/1 messages without I/O: heads, framing, persistence, and what a relay writes on.
//!
//! A message has one meaning or none. Whatever two readers could take for two different things (a bare line feed, two
//! lengths, a length and chunks, a folded line, an odd chunk size) is refused, and its connection closed; so nothing that
//! was not understood is ever sent on, and nobody behind us sees two requests where one was sent.
//!
//! ```text
//! bytes ─► Scan ─► request::parse ─► RequestHead + Fields ─► forward::request ─► bytes for the next hop
//!                                     └─ framing ─► Decoder ─► how much of what comes is this body
//! bytes ─► Scan ─► response::parse ─► ResponseHead + Fields ─► forward::response ─► bytes for the client
//! ```
//!
//! The caller owns all buffers; a head is offsets into them, and [`Fields`] is used again for each message, so nothing is
//! allocated per message.
//!
//! **Pipelining.** What came ahead stays in the caller's buffer. For each request in turn: parse the head; after its
//! `len` bytes comes its body, fed to a [`Decoder`] until a [`Progress`] is `done`; after the `used` bytes of that one
//! comes the next head, to be parsed with a new [`Scan`] once the response is on its way. After any [`Reject`], the rest
//! of the buffer means nothing and the connection is closed.
//!
//! Not here: sockets, time limits, how long a body may be, and which request goes where.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod body;
mod field;
pub mod forward;
mod framing;
mod name;
pub mod persistence;
mod reject;
pub mod request;
pub mod response;
mod scan;
mod target;
mod trailer;

pub use body::{CHUNK_END, Decoder, LAST_CHUNK, Progress, chunk_line};
pub use field::{Field, Fields, MAX_FIELDS, Span};
pub use name::Name;
pub use persistence::{Delivery, Plan};
pub use reject::Reject;
pub use request::RequestHead;
pub use response::{Asked, ResponseHead};
pub use scan::Scan;

/// How much one head may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a head, start line and empty line included. A start line that alone is longer is a target too long.
    pub max_head: usize,
    /// Field lines; at most [`MAX_FIELDS`].
    pub max_fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_head: 32 * 1024, max_fields: 100 }
    }
}
