//! Writing hostile bytes, numbers and addresses into a line so that they can't break it.
//!
//! Invariant: whatever goes in, what comes out holds no line end, no other control byte, and no quote that is
//! not escaped.

use std::io::Write;
use std::net::IpAddr;

/// Whether a byte stands for itself in quotes: printable ASCII but `"` and `\`.
fn is_clean(b: u8) -> bool {
    (b.wrapping_sub(b' ') < 0x5f) & (b != b'"') & (b != b'\\')
}

/// Whether all of them do, as nearly always. Without a way out of the loop, many bytes are looked at in one
/// instruction.
fn are_clean(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |clean, &b| clean & is_clean(b))
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Where a text is cut off. A line is written for people, who do not read novels there.
pub(super) fn cut(bytes: &[u8], max: usize) -> (&[u8], bool) {
    match bytes.get(..max) {
        Some(kept) if bytes.len() > max => (kept, true),
        _ => (bytes, false),
    }
}

/// As Apache and nginx escape: `\"`, `\\`, and `\xHH` for everything that is not printable ASCII.
pub(super) fn push_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    if are_clean(bytes) {
        return out.extend_from_slice(bytes);
    }
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&b| !is_clean(b)) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', b]),
            b => {
                let (high, low) = (HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]);
                out.extend_from_slice(&[b'\\', b'x', high, low]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// A JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD; control characters, also those
/// beyond ASCII that a terminal would obey, are escaped.
pub(super) fn push_json(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    if are_clean(bytes) {
        out.extend_from_slice(bytes);
    } else {
        for chunk in bytes.utf8_chunks() {
            chunk.valid().chars().for_each(|c| push_char(c, out));
            if !chunk.invalid().is_empty() {
                out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
    out.push(b'"');
}

fn push_char(c: char, out: &mut Vec<u8>) {
    match c {
        '"' | '\\' => out.extend_from_slice(&[b'\\', c as u8]),
        c if c.is_control() => {
            let code = u32::from(c) as usize;
            let (high, low) = (HEX[code >> 4 & 15], HEX[code & 15]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        }
        c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// A number in decimal digits; the formatter of the library takes several times as long.
pub(super) fn push_number(mut n: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// An address.
pub(super) fn push_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => {
            for (i, octet) in v4.octets().into_iter().enumerate() {
                if i > 0 {
                    out.push(b'.');
                }
                push_number(octet.into(), out);
            }
        }
        IpAddr::V6(v6) => {
            // Writing to memory cannot fail.
            let _ = write!(out, "{v6}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        push_escaped(bytes, &mut out);
        out
    }

    /// What a reader of the log makes of it.
    fn unescaped(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut bytes = text.iter().copied();
        while let Some(b) = bytes.next() {
            let meant = if b == b'\\' { bytes.next().unwrap() } else { b };
            out.push(if b == b'\\' && meant == b'x' {
                let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
            } else {
                meant
            });
        }
        out
    }

    #[test]
    fn numbers_and_addresses_read_as_they_are() {
        for n in [0, 9, 10, 499, 65_536, u64::MAX] {
            let mut out = Vec::new();
            push_number(n, &mut out);
            assert_eq!(out, n.to_string().as_bytes());
        }
        for text in ["10.0.255.1", "::1", "fd00::7"] {
            let mut out = Vec::new();
            push_address(text.parse().unwrap(), &mut out);
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn quotes_and_control_bytes_are_escaped() {
        assert_eq!(escaped(b"a\"b\\c\n\x1b[2J\xff"), br#"a\"b\\c\x0a\x1b[2J\xff"#);
        let mut out = Vec::new();
        push_json("a\"b\\\n\u{9b}é\u{1f388}".as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#""a\"b\\\u000a\u009bé🎈""#);
        let mut out = Vec::new();
        push_json(b"\xff\xfea", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "\"\u{fffd}\u{fffd}a\"");
    }

    proptest! {
        #[test]
        fn what_is_escaped_reads_back_and_breaks_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let text = escaped(&bytes);
            prop_assert!(text.iter().all(|b| (b' '..=b'~').contains(b)));
            prop_assert_eq!(unescaped(&text), bytes);
        }

        #[test]
        fn a_text_survives_json(text in "\\PC{0,40}|[\u{0}-\u{a0}\"\\\\]{0,40}") {
            let mut out = Vec::new();
            push_json(text.as_bytes(), &mut out);
            let read: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(read, text);
        }

        #[test]
        fn no_bytes_break_json(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut out = Vec::new();
            push_json(&bytes, &mut out);
            let read: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(read, String::from_utf8_lossy(&bytes));
            prop_assert!(!out.contains(&b'\n'));
        }
    }
}
