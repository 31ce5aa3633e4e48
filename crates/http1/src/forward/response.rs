//! A response's head for the client, or for the peer that asked.

use alloc::vec::Vec;

use super::{address, copy, line};
use crate::field::Fields;
use crate::name::Name;
use crate::persistence::{Delivery, Plan};
use crate::response::{Framing, ResponseHead};

/// What a response says to the client beyond what its origin said.
#[derive(Clone, Copy, Debug)]
pub struct Back<'a> {
    /// The client speaks HTTP/1.0, and is answered as it understands.
    pub client_10: bool,
    /// How the body travels, and whether the connection to the client stays.
    pub plan: Plan,
    /// The date for an origin without one (RFC 9110 section 6.6.1).
    pub date: &'a [u8],
    /// Whole lines to add, each with its CR LF: the report, to a peer.
    pub lines: &'a [u8],
}

/// What passes through whatever it says. Marks never do: a peer's have been read, and an application has no business
/// to make any.
const KEPT: u32 = Name::Other.bit()
    | Name::Host.bit()
    | Name::Expect.bit()
    | Name::MaxForwards.bit()
    | Name::Date.bit()
    | Name::ContentType.bit()
    | Name::UserAgent.bit()
    | Name::Referer.bit()
    | Name::XForwardedFor.bit()
    | Name::XForwardedProto.bit()
    | Name::XForwardedHost.bit()
    | Name::Forwarded.bit();

/// Writes a response's head for the client, always as HTTP/1.1 (RFC 9110 section 6.2: the version says what we can do).
///
/// `bytes` begin with the head that `head` and `fields` were read from.
pub fn response(
    out: &mut Vec<u8>,
    bytes: &[u8],
    head: &ResponseHead,
    fields: &Fields,
    back: &Back<'_>,
) {
    let bytes = bytes.get(..head.len).unwrap_or_default();
    out.reserve(bytes.len() + back.lines.len() + 128);
    out.extend_from_slice(b"HTTP/1.1 ");
    address::number(out, u32::from(head.status));
    line(out, b" ", head.reason.of(bytes));
    // RFC 9110 section 7.8: said when the protocol changes, or would have to.
    let upgrade = matches!(head.status, 101 | 426) && fields.field(Name::Upgrade).is_some();
    let mut kept = KEPT;
    if upgrade {
        kept |= Name::Upgrade.bit();
    }
    // RFC 9110 section 8.6: never in 1xx and 204.
    if head.status >= 200 && head.status != 204 {
        kept |= Name::ContentLength.bit();
    }
    copy(out, bytes, fields, kept);
    if head.status >= 200 && fields.field(Name::Date).is_none() {
        line(out, b"Date: ", back.date);
    }
    let chunks = match back.plan.delivery {
        Delivery::AsItCame => head.framing == Framing::Chunked,
        Delivery::Chunk => true,
        Delivery::Unchunk => false,
    };
    if chunks {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    connection(out, head.status, upgrade, back);
    out.extend_from_slice(back.lines);
    out.extend_from_slice(b"\r\n");
}

/// RFC 9112 section 9.6: a connection that will not stay is said to close. Section 9.3: in HTTP/1.0 one that will is
/// said to stay.
fn connection(out: &mut Vec<u8>, status: u16, upgrade: bool, back: &Back<'_>) {
    if upgrade {
        out.extend_from_slice(b"Connection: upgrade\r\n");
    }
    match (status, back.plan.keep_alive, back.client_10) {
        (..200, ..) | (_, true, false) => {}
        (_, false, _) => out.extend_from_slice(b"Connection: close\r\n"),
        (_, true, true) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
    }
}
