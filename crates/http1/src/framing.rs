//! What the fields of a message say about the length of its body (RFC 9112 sections 6.1 to 6.3).
//!
//! The standard lets a recipient mend some faults: drop a Content-Length beside a Transfer-Encoding, take several
//! equal lengths for one. Request smuggling lives on the fact that not everyone mends alike, so nothing is mended.

use crate::field::{Field, Fields};
use crate::name::Name;
use crate::reject::Reject;

/// Digits of a Content-Length: 18 hold more than any disk, and never overflow 64 bits.
const MAX_DIGITS: usize = 18;

/// How a message's body is delimited, as far as its own fields say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    Nothing,
    Length(u64),
    Chunked,
}

/// Reads Content-Length and Transfer-Encoding.
///
/// - RFC 9112 section 6.3: Content-Length with Transfer-Encoding is to be handled as an error.
/// - RFC 9112 section 6.3: several lengths, or one that is not a plain number, cannot be recovered from; we do
///   not make use of the exception for equal ones.
/// - RFC 9112 section 6.1: chunked is the final coding and applied once; we know no other coding, and want the
///   word alone and once.
/// - RFC 9112 section 6.1: Transfer-Encoding in HTTP/1.0 means that the framing is faulty.
/// - RFC 9112 section 5.1 allows tabs around a value, but nginx takes them for part of it; in these two there are none.
pub(crate) fn declared(fields: &Fields, head: &[u8], version_10: bool) -> Result<Declared, Reject> {
    let value = |kind| fields.field(kind).map(|field| spaced(field, head));
    let length = value(Name::ContentLength);
    let coding = value(Name::TransferEncoding);
    match (length, coding) {
        (None, None) => Ok(Declared::Nothing),
        (Some(_), Some(_)) => Err(Reject::BothFramings),
        (Some(_), None) if fields.is_repeated(Name::ContentLength) => Err(Reject::ContentLength),
        (Some(value), None) => Ok(Declared::Length(number(value)?)),
        (None, Some(_)) if version_10 || fields.is_repeated(Name::TransferEncoding) => {
            Err(Reject::TransferEncoding)
        }
        (None, Some(value)) if value.eq_ignore_ascii_case(b"chunked") => Ok(Declared::Chunked),
        (None, Some(_)) => Err(Reject::TransferEncoding),
    }
}

/// The value of a field if only spaces surround it, else with what else does.
fn spaced<'h>(field: &Field, head: &'h [u8]) -> &'h [u8] {
    let after = head.get(field.name.end as usize + 1..).unwrap_or_default();
    let line = &after[..memchr::memchr(b'\r', after).unwrap_or(after.len())];
    let (around, value) = (line.len(), field.value.of(head));
    if around > value.len() && memchr::memchr(b'\t', line).is_some() { line } else { value }
}

/// A plain decimal number (RFC 9110 section 8.6): no sign, no list, no spaces.
fn number(value: &[u8]) -> Result<u64, Reject> {
    if value.is_empty() || value.len() > MAX_DIGITS || !value.iter().all(u8::is_ascii_digit) {
        return Err(Reject::ContentLength);
    }
    Ok(value.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits_and_nothing_else() {
        assert_eq!(number(b"0"), Ok(0));
        assert_eq!(number(b"0042"), Ok(42));
        assert_eq!(number(b"999999999999999999"), Ok(999_999_999_999_999_999));
        for odd in [
            &b""[..],
            b"+5",
            b"-0",
            b"5 ",
            b"5,5",
            b"0x5",
            b"5.0",
            b"5e1",
            b"\xb2",
            b"1000000000000000000",
        ] {
            assert_eq!(number(odd), Err(Reject::ContentLength), "{}", odd.escape_ascii());
        }
    }
}
