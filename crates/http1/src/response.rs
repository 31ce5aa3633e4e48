//! The head of a response, from a peer or the local service (RFC 9112 section 4).

use core::mem::MaybeUninit;

use crate::Limits;
use crate::field::{Fields, MAX_FIELDS, Options, Span};
use crate::framing::{Declared, declared};
use crate::name::Name;
use crate::reject::Reject;
use crate::request::explain;
use crate::scan::{Scan, would_pass};

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

/// What of its request a response depends on. See [`crate::RequestHead::asked`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The method was HEAD.
    pub head: bool,
    /// Another protocol was asked for.
    pub upgrade: bool,
}

/// What was understood of a response's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// Length of the head with its empty line.
    pub len: usize,
    /// 100 to 599.
    pub status: u16,
    /// The reason phrase; may be empty.
    pub reason: Span,
    /// HTTP/1.0 rather than 1.1.
    pub version_10: bool,
    /// How the body is delimited. A body after a response to HEAD, after 1xx, 204 or 304 is none, whatever the fields
    /// say.
    pub framing: Framing,
    /// Whether the connection may be used again once the body has ended, provided that nothing came behind it and that
    /// the whole request was sent (RFC 9112 sections 9.3 and 9.6).
    pub keep_alive: bool,
}

impl ResponseHead {
    /// Whether another head follows for the same request (RFC 9110 section 15.2). Not to be sent to a client of
    /// HTTP/1.0. 101 is none of these: it is the last head.
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

/// Reads the head at the start of `buf`, into `fields`; `None` while it is not complete. Interim responses come one
/// after the other, each with a new `scan`.
///
/// # Errors
/// Whatever is not understood, or could be understood in two ways. Nothing of it may be passed on, and the connection
/// may not be used again.
pub fn parse(
    buf: &[u8],
    asked: Asked,
    limits: &Limits,
    scan: &mut Scan,
    fields: &mut Fields,
) -> Result<Option<ResponseHead>, Reject> {
    if buf.first().is_some_and(|&b| !matches!(b, b'H' | b'\r' | b'\n')) {
        return Err(Reject::StartLine);
    }
    let config = httparse::ParserConfig::default();
    let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    if scan.is_fresh()
        && let Ok(httparse::Status::Complete(len)) =
            config.parse_response_with_uninit_headers(&mut parsed, buf, &mut room)
        && len <= limits.max_head
        && would_pass(&buf[..len], parsed.headers)
    {
        return understand(&buf[..len], &parsed, asked, limits, fields).map(Some);
    }
    let Some(len) = scan.head(buf, limits.max_head)? else { return Ok(None) };
    let head = &buf[..len];
    let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    match config.parse_response_with_uninit_headers(&mut parsed, head, &mut room) {
        Ok(httparse::Status::Complete(n)) if n == len => {
            understand(head, &parsed, asked, limits, fields).map(Some)
        }
        Ok(_) => Err(Reject::StartLine),
        Err(error) => Err(explain(error, head)),
    }
}

fn understand(
    head: &[u8],
    parsed: &httparse::Response<'_, '_>,
    asked: Asked,
    limits: &Limits,
    fields: &mut Fields,
) -> Result<ResponseHead, Reject> {
    fields.fill(head, parsed.headers, limits.max_fields)?;
    let (status, version_10) = (parsed.code.unwrap_or(0), parsed.version == Some(0));
    let reason = parsed.reason.unwrap_or_default().as_bytes();
    let reason = if reason.is_empty() { Span::default() } else { Span::within(head, reason) };
    let declared = declared(fields, head, version_10)?;
    let options = fields.connection(head)?;
    check_status(status, asked, options, fields)?;
    // RFC 9112 section 6.3, in its order.
    let framing = match declared {
        _ if asked.head || has_no_body(status) => Framing::None,
        Declared::Chunked => Framing::Chunked,
        Declared::Length(n) => Framing::Length(n),
        Declared::Nothing => Framing::UntilClose,
    };
    // RFC 9112 section 6.1 and RFC 9110 section 8.6 forbid 1xx and 204 to announce a body. One that does may well send it.
    let contradicts = (status < 200 || status == 204)
        && !matches!(declared, Declared::Nothing | Declared::Length(0));
    let persists = !options.close && (!version_10 || options.keep_alive);
    Ok(ResponseHead {
        len: head.len(),
        status,
        reason,
        version_10,
        framing,
        keep_alive: persists && framing != Framing::UntilClose && !contradicts,
    })
}

const fn has_no_body(status: u16) -> bool {
    status < 200 || status == 204 || status == 304
}

/// RFC 9110 section 15: 100 to 599. RFC 9110 section 7.8: 101 only to a request with Upgrade, and with the protocol
/// named; an origin that switched unasked would leave us reading its new protocol as responses.
fn check_status(
    status: u16,
    asked: Asked,
    options: Options,
    fields: &Fields,
) -> Result<(), Reject> {
    let switches = || asked.upgrade && options.upgrade && fields.field(Name::Upgrade).is_some();
    if !(100..600).contains(&status) || (status == 101 && !switches()) {
        return Err(Reject::Status);
    }
    Ok(())
}
