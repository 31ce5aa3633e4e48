//! The fields of a head: where each stands in its bytes, and what is known of its name.
//!
//! A head's bytes stay in the caller's buffer; here are only offsets, in a table that is used again for each message, so that reading a head
//! allocates nothing.

use crate::reject::Reject;

/// The most fields a table can hold. [`crate::Limits`] may allow fewer.
pub const MAX_FIELDS: usize = 128;

/// A piece of the head, as offsets from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes meant; empty if the span does not lie in `head`.
    pub fn of(self, head: &[u8]) -> &[u8] {
        head.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    pub(crate) fn within(head: &[u8], part: &[u8]) -> Self {
        // Both slices are of one buffer: httparse returns nothing else.
        let start = (part.as_ptr() as usize).wrapping_sub(head.as_ptr() as usize);
        Self { start: start as u32, end: (start + part.len()) as u32 }
    }
}

/// Names that mean something to a relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Name {
    /// Anything else: passed on unread.
    #[default]
    Other,
    /// `Host`
    Host,
    /// `Content-Length`
    ContentLength,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Connection`
    Connection,
    /// `Keep-Alive`, `Proxy-Connection`, `TE`: for one hop only (RFC 9110 section 7.6.1).
    OneHop,
    /// `Upgrade`
    Upgrade,
    /// `Expect`
    Expect,
    /// `Date`
    Date,
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `X-Forwarded-Proto`
    XForwardedProto,
    /// `X-Forwarded-Host`
    XForwardedHost,
    /// `Forwarded` (RFC 7239)
    Forwarded,
    /// Any name that begins with `backhand-`: believed and written only between peers.
    Backhand,
    /// A field that the message's `Connection` names, and which is therefore for this hop only.
    Named,
}

impl Name {
    fn of(name: &[u8]) -> Self {
        const KNOWN: [(&[u8], Name); 14] = [
            (b"host", Name::Host),
            (b"content-length", Name::ContentLength),
            (b"transfer-encoding", Name::TransferEncoding),
            (b"connection", Name::Connection),
            (b"keep-alive", Name::OneHop),
            (b"proxy-connection", Name::OneHop),
            (b"te", Name::OneHop),
            (b"upgrade", Name::Upgrade),
            (b"expect", Name::Expect),
            (b"date", Name::Date),
            (b"x-forwarded-for", Name::XForwardedFor),
            (b"x-forwarded-proto", Name::XForwardedProto),
            (b"x-forwarded-host", Name::XForwardedHost),
            (b"forwarded", Name::Forwarded),
        ];
        // The first letter and the length rule out nearly all names before any comparison.
        let first = name.first().map_or(0, u8::to_ascii_lowercase);
        if first == b'b' && name.len() > 9 && name[..9].eq_ignore_ascii_case(b"backhand-") {
            return Self::Backhand;
        }
        if !matches!(first, b'c' | b'd' | b'e' | b'f' | b'h' | b'k' | b'p' | b't' | b'u' | b'x') {
            return Self::Other;
        }
        let same = |known: &[u8]| known.len() == name.len() && known.eq_ignore_ascii_case(name);
        KNOWN.iter().find(|(known, _)| same(known)).map_or(Self::Other, |&(_, name)| name)
    }

    /// Whether a `Connection` field may declare it to be for one hop. Names that frame or route a message, or say who sent it, may not be removed so.
    const fn may_be_named(self) -> bool {
        matches!(self, Self::Other | Self::Date)
    }
}

/// One field line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Field {
    /// What is known of its name.
    pub kind: Name,
    /// The name as sent.
    pub name: Span,
    /// The value without surrounding spaces.
    pub value: Span,
}

impl Field {
    /// Where the next line begins: the value may be followed by spaces that do not belong to it.
    pub(crate) fn line(&self, head: &[u8]) -> Span {
        let from = self.value.end.max(self.name.end) as usize;
        let end = head
            .get(from..)
            .and_then(|rest| memchr::memchr(b'\n', rest))
            .map_or(head.len(), |i| from + i + 1);
        Span { start: self.name.start, end: end as u32 }
    }
}

/// The fields of one head in their order. Used again for each message.
#[derive(Clone, Debug)]
pub struct Fields {
    list: [Field; MAX_FIELDS],
    count: usize,
}

impl Default for Fields {
    fn default() -> Self {
        Self { list: [Field::default(); MAX_FIELDS], count: 0 }
    }
}

impl Fields {
    /// All fields.
    pub fn iter(&self) -> core::slice::Iter<'_, Field> {
        self.list[..self.count].iter()
    }

    /// The value of the first field of a known kind.
    pub fn first<'h>(&self, kind: Name, head: &'h [u8]) -> Option<&'h [u8]> {
        self.iter().find(|f| f.kind == kind).map(|f| f.value.of(head))
    }

    /// The value of the first field with this name, in any case.
    pub fn get<'h>(&self, name: &[u8], head: &'h [u8]) -> Option<&'h [u8]> {
        self.iter().find(|f| f.name.of(head).eq_ignore_ascii_case(name)).map(|f| f.value.of(head))
    }

    pub(crate) fn fill(
        &mut self,
        head: &[u8],
        headers: &[httparse::Header<'_>],
        most: usize,
    ) -> Result<(), Reject> {
        self.count = 0;
        if headers.len() > most.min(MAX_FIELDS) {
            return Err(Reject::TooManyFields);
        }
        for (field, header) in self.list.iter_mut().zip(headers) {
            let name = header.name.as_bytes();
            let at = Span::within(head, name);
            // An empty value may be an empty slice from anywhere.
            let value = if header.value.is_empty() {
                Span { start: at.end, end: at.end }
            } else {
                Span::within(head, header.value)
            };
            *field = Field { kind: Name::of(name), name: at, value };
        }
        self.count = headers.len();
        Ok(())
    }

    /// Marks the fields that `Connection` names, and tells what else it says.
    pub(crate) fn connection(&mut self, head: &[u8]) -> Options {
        let mut options = Options::default();
        for i in 0..self.count {
            if self.list[i].kind != Name::Connection {
                continue;
            }
            for token in self.list[i].value.of(head).split(|&b| b == b',').map(<[u8]>::trim_ascii) {
                match token {
                    t if t.eq_ignore_ascii_case(b"close") => options.close = true,
                    t if t.eq_ignore_ascii_case(b"keep-alive") => options.keep_alive = true,
                    t if t.eq_ignore_ascii_case(b"upgrade") => options.upgrade = true,
                    b"" => {}
                    other => self.name(head, other),
                }
            }
        }
        options
    }

    fn name(&mut self, head: &[u8], token: &[u8]) {
        for field in &mut self.list[..self.count] {
            if field.kind.may_be_named() && field.name.of(head).eq_ignore_ascii_case(token) {
                field.kind = Name::Named;
            }
        }
    }
}

/// What the `Connection` fields of a message say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
}

/// How a message's body is delimited, as far as its own fields say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    Nothing,
    Length(u64),
    Chunked,
}

/// RFC 9112 sections 6.1 to 6.3, without any of the leniencies they allow.
pub(crate) fn declared(fields: &Fields, head: &[u8], version_10: bool) -> Result<Declared, Reject> {
    let mut found = Declared::Nothing;
    for field in fields.iter() {
        let value = field.value.of(head);
        let one = match field.kind {
            Name::ContentLength => Declared::Length(length(value)?),
            Name::TransferEncoding if version_10 || !value.eq_ignore_ascii_case(b"chunked") => {
                return Err(Reject::TransferEncoding);
            }
            Name::TransferEncoding => Declared::Chunked,
            _ => continue,
        };
        found = match (found, one) {
            (Declared::Nothing, one) => one,
            (Declared::Length(_), Declared::Length(_)) => return Err(Reject::ContentLength),
            (Declared::Chunked, Declared::Chunked) => return Err(Reject::TransferEncoding),
            _ => return Err(Reject::BothFramings),
        };
    }
    Ok(found)
}

/// A plain decimal number: no sign, no list, no spaces, at most 18 digits.
fn length(value: &[u8]) -> Result<u64, Reject> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(Reject::ContentLength);
    }
    Ok(value.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}
