//! The head of a request (RFC 9112 section 3).

use core::mem::MaybeUninit;

use crate::Limits;
use crate::field::{Fields, MAX_FIELDS, Options, Span, list};
use crate::framing::{Declared, declared};
use crate::name::{Name, is_token};
use crate::reject::Reject;
use crate::response::Asked;
use crate::scan::{Scan, would_pass};
use crate::target;

/// The longest method. RFC 9112 section 3: one longer than any implemented is answered with 501.
const MAX_METHOD: usize = 32;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Whether the client asks for another protocol, and may have it (RFC 9110 section 7.8).
    pub upgrade: bool,
    /// Whether the client says that it understands trailers (RFC 9110 section 10.1.4).
    pub wants_trailers: bool,
    /// For TRACE and OPTIONS, how many more hops are allowed; at least 1 (RFC 9110 section 7.6.2).
    pub max_forwards: Option<u32>,
    /// `OPTIONS http://host`, which becomes `OPTIONS *` (RFC 9112 section 3.2.4).
    pub(crate) asterisk: bool,
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

    /// What the response to this request depends on.
    pub fn asked(&self, head: &[u8]) -> Asked {
        Asked { head: self.is_head(head), upgrade: self.upgrade }
    }
}

/// Reads the head at the start of `buf`, into `fields`. `None` while it is not complete. `scan` remembers what was
/// looked at; make a new one for the next message. What comes after the head is not looked at.
///
/// # Errors
/// Whatever is not understood, or could be understood in two ways. Nothing of it may be passed on.
pub fn parse(
    buf: &[u8],
    limits: &Limits,
    scan: &mut Scan,
    fields: &mut Fields,
) -> Result<Option<RequestHead>, Reject> {
    // What does not begin like a method, TLS for example, need not be waited for.
    if buf.first().is_some_and(|&b| !is_token(b) && b != b'\r' && b != b'\n') {
        return Err(Reject::StartLine);
    }
    let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    if scan.is_fresh()
        && let Ok(httparse::Status::Complete(len)) =
            parsed.parse_with_uninit_headers(buf, &mut room)
        && len <= limits.max_head
        && would_pass(&buf[..len], parsed.headers)
    {
        return understand(&buf[..len], &parsed, limits, fields).map(Some);
    }
    let Some(len) = scan.head(buf, limits.max_head)? else { return Ok(None) };
    let head = &buf[..len];
    let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, &mut room) {
        Ok(httparse::Status::Complete(n)) if n == len => {
            understand(head, &parsed, limits, fields).map(Some)
        }
        Ok(_) => Err(Reject::StartLine),
        Err(error) => Err(explain(error, head)),
    }
}

fn understand(
    head: &[u8],
    parsed: &httparse::Request<'_, '_>,
    limits: &Limits,
    fields: &mut Fields,
) -> Result<RequestHead, Reject> {
    let (Some(method), Some(path)) = (parsed.method, parsed.path) else {
        return Err(Reject::StartLine);
    };
    let (method, path, version_10) =
        (method.as_bytes(), path.as_bytes(), parsed.version == Some(0));
    fields.fill(head, parsed.headers, limits.max_fields)?;
    one_space_each(head, method, path)?;
    // CONNECT is for proxies, and its target would be an authority (RFC 9110 section 9.3.6).
    if method == b"CONNECT" || method.len() > MAX_METHOD {
        return Err(Reject::Method);
    }
    let target = target::split(method, path)?;
    let host = target::host(fields, head, target.authority, version_10)?;
    let framing = match declared(fields, head, version_10)? {
        Declared::Nothing => Framing::None,
        Declared::Length(n) => Framing::Length(n),
        Declared::Chunked => Framing::Chunked,
    };
    if method == b"TRACE" && framing != Framing::None {
        return Err(Reject::BodyNotAllowed);
    }
    let options = fields.connection(head)?;
    Ok(RequestHead {
        len: head.len(),
        method: Span::within(head, method),
        target: if target.path.is_empty() { root(head) } else { Span::within(head, target.path) },
        host,
        version_10,
        framing,
        // RFC 9112 section 9.3, in its order.
        keep_alive: !options.close && (!version_10 || options.keep_alive),
        expects_continue: expects_continue(fields, head)?
            && !version_10
            && framing != Framing::None,
        upgrade: framing == Framing::None && !version_10 && upgrades(fields, head, options),
        wants_trailers: fields.first(Name::Te, head).is_some_and(names_trailers),
        max_forwards: max_forwards(fields, head, method)?,
        asterisk: target.path.is_empty() && method == b"OPTIONS",
    })
}

pub(crate) fn explain(error: httparse::Error, head: &[u8]) -> Reject {
    match error {
        httparse::Error::HeaderName | httparse::Error::HeaderValue => Reject::Field,
        httparse::Error::TooManyHeaders => Reject::TooManyFields,
        httparse::Error::Version if is_other_version(head) => Reject::Version,
        _ => Reject::StartLine,
    }
}

/// Whether the request line ends, or the status line begins, with a version that is well-formed (RFC 9112 section 2.3).
/// RFC 9110 section 2.5 would have 1.2 taken for 1.1; there will be none, and what says so is not a client.
fn is_other_version(head: &[u8]) -> bool {
    let line = &head[..memchr::memchr(b'\r', head).unwrap_or(0)];
    let version = |text: Option<&[u8]>| {
        text.and_then(|text| text.strip_prefix(b"HTTP/"))
            .is_some_and(|v| matches!(v, [a, b'.', b] if a.is_ascii_digit() && b.is_ascii_digit()))
    };
    version(line.last_chunk::<8>().map(|text| &text[..])) || version(line.get(..8))
}

/// `METHOD SP target SP version CR LF` and nothing else (RFC 9112 section 3): readers differ on what several spaces
/// mean.
fn one_space_each(head: &[u8], method: &[u8], target: &[u8]) -> Result<(), Reject> {
    let line = memchr::memchr(b'\r', head).unwrap_or(0);
    let exact = method.len() + 1 + target.len() + 1 + b"HTTP/1.1".len();
    if line == exact && head.starts_with(method) { Ok(()) } else { Err(Reject::StartLine) }
}

/// The target of an absolute form without a path is `/` (RFC 9110 section 4.2.3), which is found in the scheme's `//`.
fn root(head: &[u8]) -> Span {
    let at = memchr::memchr(b'/', head).unwrap_or(0) as u32;
    Span { start: at, end: at + 1 }
}

/// RFC 9110 section 10.1.1: the only expectation there is.
fn expects_continue(fields: &Fields, head: &[u8]) -> Result<bool, Reject> {
    match fields.first(Name::Expect, head) {
        None => Ok(false),
        Some(value)
            if fields.is_repeated(Name::Expect) || !value.eq_ignore_ascii_case(b"100-continue") =>
        {
            Err(Reject::Expectation)
        }
        Some(_) => Ok(true),
    }
}

/// Whether another protocol is asked for that we pass on. RFC 9110 section 7.8 lets us ignore the wish, and we do where
/// it means HTTP or TLS: requests in such a tunnel would pass every rule of this machine unseen (`h2c` smuggling).
fn upgrades(fields: &Fields, head: &[u8], options: Options) -> bool {
    let Some(value) = fields.first(Name::Upgrade, head) else { return false };
    let mut protocols = list(value);
    let (Some(protocol), None) = (protocols.next(), protocols.next()) else { return false };
    let name = protocol.split(|&b| b == b'/').next().unwrap_or_default();
    let is_http =
        [&b"h2c"[..], b"h2", b"h3", b"http", b"tls"].iter().any(|n| name.eq_ignore_ascii_case(n));
    let is_token = protocol.iter().all(|&b| is_token(b) || b == b'/');
    options.upgrade && !fields.is_repeated(Name::Upgrade) && is_token && !is_http
}

fn names_trailers(value: &[u8]) -> bool {
    list(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

/// RFC 9110 section 7.6.2: only for these two methods, to be checked and counted down.
fn max_forwards(fields: &Fields, head: &[u8], method: &[u8]) -> Result<Option<u32>, Reject> {
    let Some(value) = fields.first(Name::MaxForwards, head) else { return Ok(None) };
    if !matches!(method, b"TRACE" | b"OPTIONS") {
        return Ok(None);
    }
    let digits = !value.is_empty() && value.len() <= 9 && value.iter().all(u8::is_ascii_digit);
    if !digits || fields.is_repeated(Name::MaxForwards) {
        return Err(Reject::Field);
    }
    match value.iter().fold(0, |n, digit| n * 10 + u32::from(digit - b'0')) {
        0 => Err(Reject::LastStop),
        n => Ok(Some(n)),
    }
}
