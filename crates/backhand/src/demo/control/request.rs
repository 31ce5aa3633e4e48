//! One request and one answer on a connection: as much of HTTP/1.1 as a browser needs for this page.

use std::io::Read;

/// The most bytes that a request may have.
pub(super) const MAX: usize = 16 << 10;
/// What a body may have.
const BODY_MAX: usize = 1 << 10;

/// What the page may load and do: its own files, nothing inline, forms to itself, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    fields: Vec<(String, String)>,
    pub(super) body: String,
}

impl Request {
    /// Reads one; nothing if it is none, or too long, or does not come.
    pub(super) fn read(from: &mut impl Read) -> Option<Self> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            more(from, &mut bytes)?;
        };
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        if !words.next()?.starts_with("HTTP/1.") {
            return None;
        }
        let fields: Vec<(String, String)> = lines
            .map(|line| line.split_once(':'))
            .map(|field| {
                field.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().into()))
            })
            .collect::<Option<_>>()?;
        let mut request = Self { method, path, fields, body: String::new() };
        let length =
            request.field("content-length").map_or(Some(0), |length| length.parse().ok())?;
        if length > BODY_MAX || request.field("transfer-encoding").is_some() {
            return None;
        }
        let mut body = bytes.split_off(end + 4);
        while body.len() < length {
            more(from, &mut body)?;
        }
        body.truncate(length);
        request.body = String::from_utf8(body).ok()?;
        Some(request)
    }

    /// A field that is there exactly once.
    pub(super) fn field(&self, name: &str) -> Option<&String> {
        let mut all = self.fields.iter().filter(|(is, _)| is == name).map(|(_, value)| value);
        let first = all.next()?;
        all.next().is_none().then_some(first)
    }
}

fn more(from: &mut impl Read, bytes: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 2048];
    let n = from.read(&mut piece).ok().filter(|n| *n > 0)?;
    bytes.extend_from_slice(&piece[..n]);
    Some(())
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    kind: &'static str,
    body: String,
}

impl Answer {
    pub(super) fn text(status: u16, body: &str) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: body.into() }
    }

    pub(super) fn file(kind: &'static str, body: &str) -> Self {
        Self { status: 200, kind, body: body.into() }
    }

    pub(super) fn html(page: maud::Markup) -> Self {
        Self { status: 200, kind: "text/html; charset=utf-8", body: page.into_string() }
    }

    pub(super) fn json(value: serde_json::Value) -> Self {
        Self { status: 200, kind: "application/json", body: value.to_string() }
    }

    /// The order is taken; a browser without the script goes back to the page.
    pub(super) fn back() -> Self {
        Self { status: 303, kind: "text/plain; charset=utf-8", body: String::new() }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let location = if self.status == 303 { "Location: .\r\n" } else { "" };
        // The referrer may not be withheld altogether: then browsers withhold the origin of a form too.
        let head = format!(
            "HTTP/1.1 {} -\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nReferrer-Policy: same-origin\r\nContent-Security-Policy: {POLICY}\r\n{location}\r\n",
            self.status,
            self.kind,
            self.body.len()
        );
        [head.as_bytes(), self.body.as_bytes()].concat()
    }
}
