//! Tagged fields: tag, length, value. What a reader does not know it can step over.
//!
//! Numbers are big-endian without leading zero bytes, so zero has no bytes at all. A number too large
//! for what this version keeps counts as the largest it can keep: a later version may count further.

use alloc::vec::Vec;

/// The longest value of a field.
pub(crate) const VALUE_MAX: usize = 255;

/// Appends fields to a buffer.
pub(crate) struct Writer<'a>(pub(crate) &'a mut Vec<u8>);

impl Writer<'_> {
    /// Appends one field; what is beyond [`VALUE_MAX`] bytes is cut.
    pub(crate) fn bytes(&mut self, tag: u8, value: &[u8]) {
        let value = &value[..value.len().min(VALUE_MAX)];
        self.0.push(tag);
        self.0.push(value.len() as u8);
        self.0.extend_from_slice(value);
    }

    /// Appends a number that may be missing; zero is written, with no bytes, to be told from that.
    pub(crate) fn optional(&mut self, tag: u8, value: Option<impl Into<u64>>) {
        match value.map(Into::into) {
            None => {}
            Some(0) => self.bytes(tag, &[]),
            Some(value) => self.number(tag, value),
        }
    }

    /// Appends a number; zero is left out, since a missing number reads as zero.
    pub(crate) fn number(&mut self, tag: u8, value: impl Into<u64>) {
        let value = value.into();
        if value != 0 {
            let bytes = value.to_be_bytes();
            self.bytes(tag, &bytes[value.leading_zeros() as usize / 8..]);
        }
    }
}

/// Walks the fields of a buffer. `Err` once if the last field is cut.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

/// A field announced more bytes than are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut;

impl<'a> Iterator for Reader<'a> {
    type Item = Result<(u8, &'a [u8]), Cut>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, rest) = self.0.split_first()?;
        let field =
            rest.split_first().and_then(|(&length, rest)| rest.split_at_checked(length.into()));
        let Some((value, rest)) = field else {
            self.0 = &[];
            return Some(Err(Cut));
        };
        self.0 = rest;
        Some(Ok((tag, value)))
    }
}

/// The number a value holds, at most `max`; `None` if it is no number (more than eight bytes).
pub(crate) fn number(value: &[u8], max: u64) -> Option<u64> {
    if value.len() > 8 {
        return None;
    }
    Some(value.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)).min(max))
}

/// `N` bytes of `bytes` from `at`, if there are so many.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
