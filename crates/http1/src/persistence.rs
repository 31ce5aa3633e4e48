//! Whether the client's connection goes on after a response, and in which form the body must travel for that (RFC 9112
//! sections 6.3, 9.3 and 9.6).
//!
//! The other side's connection is judged by [`ResponseHead::keep_alive`]. Both are only about what the heads say: a
//! connection also ends when a body was left unread, broke off, or was followed by bytes nobody asked for.

use crate::request::RequestHead;
use crate::response::{Framing, ResponseHead};

/// In which form a body travels on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Byte for byte, chunk framing included.
    AsItCame,
    /// Its data only, ended by the connection: chunks for a client of HTTP/1.0 (RFC 9112 section 6.1).
    Unchunk,
    /// In chunks that we make ([`crate::chunk_line`]), since its end was the end of the other connection.
    Chunk,
}

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The form of the body.
    pub delivery: Delivery,
    /// Whether the connection goes on when the body has ended.
    pub keep_alive: bool,
}

/// What to do with a response. `may_stay` is what the caller says to the connection's staying; `rechunk` allows a body
/// that ends with the origin's connection to be sent in chunks, instead of ending the client's connection too.
pub fn plan(request: &RequestHead, response: &ResponseHead, may_stay: bool, rechunk: bool) -> Plan {
    let wanted = request.keep_alive && may_stay && response.status != 101;
    let (delivery, ends_itself) = match response.framing {
        Framing::Chunked if request.version_10 => (Delivery::Unchunk, false),
        Framing::UntilClose if wanted && rechunk && !request.version_10 => (Delivery::Chunk, true),
        Framing::UntilClose => (Delivery::AsItCame, false),
        Framing::None | Framing::Length(_) | Framing::Chunked => (Delivery::AsItCame, true),
    };
    Plan { delivery, keep_alive: wanted && ends_itself }
}
