//! The fields of a head: where each stands in its bytes, and what is known of its name.
//!
//! A head's bytes stay in the caller's buffer; here are only offsets, in a table that is used again for each
//! message, so that reading a head allocates nothing. Where the first field of each kind stands is noted when the
//! table is filled, so that nothing is looked for twice.

use crate::name::{KINDS, Name};
use crate::reject::Reject;

/// The most fields a table can hold. [`crate::Limits`] may allow fewer.
pub const MAX_FIELDS: usize = 256;

/// The most options that `Connection` may name: each is compared with every field.
const MAX_OPTIONS: usize = 32;

/// In the table of first fields: there is none of this kind.
const NONE: u16 = u16::MAX;

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
        debug_assert!(start + part.len() <= head.len());
        Self { start: start as u32, end: (start + part.len()) as u32 }
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

/// The fields of one head in their order. Used again for each message.
#[derive(Clone, Debug)]
pub struct Fields {
    list: [Field; MAX_FIELDS],
    count: usize,
    /// By kind, the place of the first field.
    first: [u16; KINDS],
    /// A bit for each kind that stands there more than once.
    repeated: u32,
}

impl Default for Fields {
    fn default() -> Self {
        Self { list: [Field::default(); MAX_FIELDS], count: 0, first: [NONE; KINDS], repeated: 0 }
    }
}

impl Fields {
    /// All fields.
    pub fn iter(&self) -> core::slice::Iter<'_, Field> {
        self.list[..self.count].iter()
    }

    /// The first field of a known kind.
    pub fn field(&self, kind: Name) -> Option<&Field> {
        match self.first[kind as usize] {
            NONE => None,
            at => self.list.get(usize::from(at)),
        }
    }

    /// The value of the first field of a known kind.
    pub fn first<'h>(&self, kind: Name, head: &'h [u8]) -> Option<&'h [u8]> {
        self.field(kind).map(|field| field.value.of(head))
    }

    /// The value of the first field with this name, in any case.
    pub fn get<'h>(&self, name: &[u8], head: &'h [u8]) -> Option<&'h [u8]> {
        self.iter()
            .find(|field| field.name.of(head).eq_ignore_ascii_case(name))
            .map(|field| field.value.of(head))
    }

    /// Whether more than one field is of this kind.
    pub(crate) fn is_repeated(&self, kind: Name) -> bool {
        self.repeated & kind.bit() != 0
    }

    pub(crate) fn fill(
        &mut self,
        head: &[u8],
        headers: &[httparse::Header<'_>],
        most: usize,
    ) -> Result<(), Reject> {
        (self.count, self.first, self.repeated) = (0, [NONE; KINDS], 0);
        if headers.len() > most.min(MAX_FIELDS) {
            return Err(Reject::TooManyFields);
        }
        for (i, (field, header)) in self.list.iter_mut().zip(headers).enumerate() {
            let kind = Name::of(header.name.as_bytes());
            *field = Field {
                kind,
                name: Span::within(head, header.name.as_bytes()),
                value: Span::within(head, header.value),
            };
            match &mut self.first[kind as usize] {
                // Fewer than `MAX_FIELDS`, so it fits and is never `NONE`.
                first @ &mut NONE => *first = i as u16,
                _ => self.repeated |= kind.bit(),
            }
        }
        self.count = headers.len();
        // RFC 9110 section 5.1 knows hyphens only, but whoever reads these otherwise reads another length.
        if self.field(Name::Lookalike).is_some() { Err(Reject::Field) } else { Ok(()) }
    }

    /// Marks the fields that `Connection` names (RFC 9110 section 7.6.1), and tells what else it says.
    pub(crate) fn connection(&mut self, head: &[u8]) -> Result<Options, Reject> {
        let mut options = Options::default();
        let Some(field) = self.field(Name::Connection) else { return Ok(options) };
        let value = field.value.of(head);
        if !self.is_repeated(Name::Connection) && value.eq_ignore_ascii_case(b"keep-alive") {
            return Ok(Options { keep_alive: true, ..options });
        }
        let mut count = 0;
        for i in 0..self.count {
            if self.list[i].kind != Name::Connection {
                continue;
            }
            for option in list(self.list[i].value.of(head)) {
                count += 1;
                if count > MAX_OPTIONS {
                    return Err(Reject::Connection);
                }
                match option {
                    o if o.eq_ignore_ascii_case(b"close") => options.close = true,
                    o if o.eq_ignore_ascii_case(b"keep-alive") => options.keep_alive = true,
                    o if o.eq_ignore_ascii_case(b"upgrade") => options.upgrade = true,
                    other => self.name(head, other),
                }
            }
        }
        Ok(options)
    }

    fn name(&mut self, head: &[u8], option: &[u8]) {
        for i in 0..self.count {
            let field = &mut self.list[i];
            if field.kind.may_be_named() && field.name.of(head).eq_ignore_ascii_case(option) {
                let kind = core::mem::replace(&mut field.kind, Name::Named);
                let first = self.list[..self.count].iter().position(|f| f.kind == kind);
                self.first[kind as usize] = first.map_or(NONE, |at| at as u16);
            }
        }
    }
}

/// The elements of a comma-separated list, the empty ones left out (RFC 9110 section 5.6.1).
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// What the `Connection` fields of a message say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
}
