//! The head of a response, from a peer or the local service.

use core::mem::MaybeUninit;

use crate::Limits;
use crate::field::{Declared, Fields, MAX_FIELDS, Span, declared};
use crate::reject::Reject;
use crate::request::explain;
use crate::scan::Scan;

/// How the body of a response is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// What was understood of a response's head.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead {
    /// Length of the head with its empty line.
    pub len: usize,
    /// 100 to 599.
    pub status: u16,
    /// The reason phrase; may be empty.
    pub reason: Span,
    /// HTTP/1.0 rather than 1.1.
    pub version_10: bool,
    /// How the body is delimited. A body after a response to HEAD, after 1xx, 204 or 304 is none, whatever the fields say.
    pub framing: Framing,
    /// Whether the connection may be used again once the body has ended.
    pub keep_alive: bool,
}

/// Reads the head at the start of `buf`, into `fields`; `None` while it is not complete. `to_head` says whether the request was a HEAD.
pub fn parse(
    buf: &[u8],
    to_head: bool,
    limits: &Limits,
    scan: &mut Scan,
    fields: &mut Fields,
) -> Result<Option<ResponseHead>, Reject> {
    let Some(len) = scan.advance(buf)? else {
        return if buf.len() >= limits.max_head { Err(Reject::HeadTooLarge) } else { Ok(None) };
    };
    if len > limits.max_head {
        return Err(Reject::HeadTooLarge);
    }
    let head = &buf[..len];
    let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut parsed, head, &mut room) {
        Ok(httparse::Status::Complete(n)) if n == len => {}
        Ok(_) => return Err(Reject::StartLine),
        Err(error) => return Err(explain(error)),
    }
    let status = parsed.code.filter(|code| (100..600).contains(code)).ok_or(Reject::StartLine)?;
    fields.fill(head, parsed.headers, limits.max_fields)?;
    let version_10 = parsed.version == Some(0);
    let declared = declared(fields, head, version_10)?;
    let framing = match declared {
        _ if to_head || status < 200 || status == 204 || status == 304 => Framing::None,
        Declared::Length(n) => Framing::Length(n),
        Declared::Chunked => Framing::Chunked,
        Declared::Nothing => Framing::UntilClose,
    };
    let options = fields.connection(head);
    let reason = parsed.reason.unwrap_or_default().as_bytes();
    Ok(Some(ResponseHead {
        len,
        status,
        reason: if reason.is_empty() { Span::default() } else { Span::within(head, reason) },
        version_10,
        framing,
        keep_alive: framing != Framing::UntilClose
            && !options.close
            && (!version_10 || options.keep_alive),
    }))
}
