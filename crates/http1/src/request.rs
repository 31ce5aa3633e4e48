//! The head of a request.

use core::mem::MaybeUninit;

use crate::Limits;
use crate::field::{Declared, Fields, MAX_FIELDS, Name, Span, declared};
use crate::reject::Reject;
use crate::scan::Scan;

/// How the body of a request is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// What was understood of a request's head. The bytes stay in the caller's buffer; spans are offsets into them.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead {
    /// Length of the head with its empty line. The body, or the next request, begins there.
    pub len: usize,
    /// The method as sent.
    pub method: Span,
    /// Path and query, also if the target was in absolute form; `*` for `OPTIONS *`.
    pub target: Span,
    /// The host, from the field or an absolute target, which agree. Absent only in HTTP/1.0.
    pub host: Option<Span>,
    /// HTTP/1.0 rather than 1.1.
    pub version_10: bool,
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether the client wants the connection to go on (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
    /// Whether the client asks for another protocol (RFC 9110 section 7.8).
    pub upgrade: bool,
}

impl RequestHead {
    /// Whether repeating the request changes nothing (RFC 9110 section 9.2.2).
    pub fn is_idempotent(&self, head: &[u8]) -> bool {
        matches!(
            self.method.of(head),
            b"GET" | b"HEAD" | b"PUT" | b"DELETE" | b"OPTIONS" | b"TRACE"
        )
    }

    /// Whether the response has no body whatever its fields say (RFC 9110 section 9.3.2).
    pub fn is_head(&self, head: &[u8]) -> bool {
        self.method.of(head) == b"HEAD"
    }
}

/// Reads the head at the start of `buf`, into `fields`. `None` while it is not complete. `scan` remembers what was looked at; make a
/// new one for the next message.
pub fn parse(
    buf: &[u8],
    limits: &Limits,
    scan: &mut Scan,
    fields: &mut Fields,
) -> Result<Option<RequestHead>, Reject> {
    let Some(len) = scan.advance(buf)? else {
        return if buf.len() >= limits.max_head { Err(Reject::HeadTooLarge) } else { Ok(None) };
    };
    if len > limits.max_head {
        return Err(Reject::HeadTooLarge);
    }
    let head = &buf[..len];
    let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, &mut room) {
        Ok(httparse::Status::Complete(n)) if n == len => {}
        Ok(_) => return Err(Reject::StartLine),
        Err(error) => return Err(explain(error)),
    }
    let (Some(method), Some(target)) = (parsed.method, parsed.path) else {
        return Err(Reject::StartLine);
    };
    one_space_each(head, method, target)?;
    fields.fill(head, parsed.headers, limits.max_fields)?;
    let version_10 = parsed.version == Some(0);
    let (target, authority) = split_target(method.as_bytes(), target.as_bytes())?;
    let host = host(fields, head, authority, version_10)?;
    let framing = match declared(fields, head, version_10)? {
        Declared::Nothing => Framing::None,
        Declared::Length(n) => Framing::Length(n),
        Declared::Chunked => Framing::Chunked,
    };
    let options = fields.connection(head);
    Ok(Some(RequestHead {
        len,
        method: Span::within(head, method.as_bytes()),
        target: if target.is_empty() { root(head) } else { Span::within(head, target) },
        host,
        version_10,
        framing,
        keep_alive: !options.close && (!version_10 || options.keep_alive),
        expects_continue: expects_continue(fields, head, version_10)?,
        upgrade: options.upgrade && !version_10 && fields.first(Name::Upgrade, head).is_some(),
    }))
}

pub(crate) fn explain(error: httparse::Error) -> Reject {
    match error {
        httparse::Error::HeaderName | httparse::Error::HeaderValue => Reject::Field,
        httparse::Error::TooManyHeaders => Reject::TooManyFields,
        httparse::Error::Version => Reject::Version,
        _ => Reject::StartLine,
    }
}

/// `METHOD SP target SP version CR LF` and nothing else (RFC 9112 section 3): readers differ on what several spaces mean.
fn one_space_each(head: &[u8], method: &str, target: &str) -> Result<(), Reject> {
    let line = memchr::memchr(b'\r', head).unwrap_or(0);
    let exact = method.len() + 1 + target.len() + 1 + b"HTTP/1.1".len();
    if line == exact && head.starts_with(method.as_bytes()) {
        Ok(())
    } else {
        Err(Reject::StartLine)
    }
}

/// Path and query, and the authority of an absolute form (RFC 9112 section 3.2).
fn split_target<'t>(
    method: &[u8],
    target: &'t [u8],
) -> Result<(&'t [u8], Option<&'t [u8]>), Reject> {
    if method == b"CONNECT" {
        return Err(Reject::Method);
    }
    // Never in a URI, and read differently by different readers. `[]^`{|}` are not either, but browsers send them in queries.
    if target.iter().any(|b| matches!(b, 0..=b' ' | 0x7f.. | b'"' | b'<' | b'>' | b'#' | b'\\')) {
        return Err(Reject::Target);
    }
    match target {
        [b'/', ..] => Ok((target, None)),
        b"*" if method == b"OPTIONS" => Ok((target, None)),
        _ => absolute(target),
    }
}

fn absolute(target: &[u8]) -> Result<(&[u8], Option<&[u8]>), Reject> {
    let after = [&b"http://"[..], b"https://"]
        .iter()
        .find(|scheme| {
            target.len() > scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme)
        })
        .map(|scheme| &target[scheme.len()..])
        .ok_or(Reject::Target)?;
    let end = after.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(after.len());
    let (authority, path) = after.split_at(end);
    // `http://host?query` has no path to begin with a slash; nobody sends it, and it cannot be passed on as it is.
    if authority.is_empty() || path.first() == Some(&b'?') {
        Err(Reject::Target)
    } else {
        Ok((path, Some(authority)))
    }
}

/// The target of an absolute form without a path is `/`, which is found in the scheme's `//`.
fn root(head: &[u8]) -> Span {
    let at = memchr::memchr(b'/', head).unwrap_or(0) as u32;
    Span { start: at, end: at + 1 }
}

/// RFC 9112 section 3.2: exactly one in HTTP/1.1, at most one in HTTP/1.0, valid, and equal to the authority of an absolute target. (The
/// RFC lets a proxy prefer the target; two that disagree are an attempt to reach one host by another's rules.)
fn host(
    fields: &Fields,
    head: &[u8],
    authority: Option<&[u8]>,
    version_10: bool,
) -> Result<Option<Span>, Reject> {
    let mut hosts = fields.iter().filter(|f| f.kind == Name::Host);
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() || (first.is_none() && !version_10) {
        return Err(Reject::Host);
    }
    let Some(first) = first else { return Ok(authority.map(|a| Span::within(head, a))) };
    let value = first.value.of(head);
    let valid = value.iter().all(|b| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'[' | b']' | b'%' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='));
    if !valid || authority.is_some_and(|a| !a.eq_ignore_ascii_case(value)) {
        return Err(Reject::Host);
    }
    Ok(Some(first.value))
}

/// RFC 9110 section 10.1.1: the only expectation there is; one in HTTP/1.0 is ignored.
fn expects_continue(fields: &Fields, head: &[u8], version_10: bool) -> Result<bool, Reject> {
    match fields.first(Name::Expect, head) {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(!version_10),
        Some(_) => Err(Reject::Expectation),
    }
}
