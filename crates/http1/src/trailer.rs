//! The trailer section of a chunked body, byte by byte (RFC 9112 section 7.1.2).
//!
//! A trailer that is passed on has been read by the same rules as a head: CR LF, a token, a colon at once, no folding,
//! no control bytes. What RFC 9110 section 6.5.1 keeps out of trailers is refused as far as it could change what a
//! message is, where it goes, who sent it or how its content is read: a recipient that merges trailers into the head
//! would let the sender say such things after our checks.

use crate::name::{Name, is_token};
use crate::reject::Reject;

/// Bytes of a trailer section, line ends included.
const MAX_BYTES: u16 = 8 * 1024;
/// The longest forbidden name.
const NAME_ROOM: usize = 19;

/// Where a trailer section is.
#[derive(Clone, Debug)]
pub(crate) struct Trailer {
    bytes: u16,
    /// The name of the present line in small letters, as far as there is room.
    name: [u8; NAME_ROOM],
    /// Its length, as far as it matters: at most one more than there is room.
    len: usize,
    at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    Name,
    Value,
    ValueLf,
    EndLf,
}

impl Trailer {
    pub(crate) const fn new() -> Self {
        Self { bytes: 0, name: [0; NAME_ROOM], len: 0, at: At::LineStart }
    }

    /// Reads one byte; true when the section has ended.
    pub(crate) fn byte(&mut self, byte: u8) -> Result<bool, Reject> {
        self.bytes += 1;
        if self.bytes > MAX_BYTES {
            return Err(Reject::Trailer);
        }
        self.at = match (self.at, byte) {
            (At::LineStart, b'\r') => At::EndLf,
            (At::EndLf, b'\n') => return Ok(true),
            (At::LineStart, _) => {
                self.len = 0;
                self.name_byte(byte)?
            }
            (At::Name, b':') if !self.is_forbidden() => At::Value,
            (At::Name, _) => self.name_byte(byte)?,
            (At::Value, b'\r') => At::ValueLf,
            (At::Value, b'\t' | b' '..=b'~' | 0x80..) => At::Value,
            (At::ValueLf, b'\n') => At::LineStart,
            _ => return Err(Reject::Trailer),
        };
        Ok(false)
    }

    fn name_byte(&mut self, byte: u8) -> Result<At, Reject> {
        if !is_token(byte) {
            return Err(Reject::Trailer);
        }
        if let Some(room) = self.name.get_mut(self.len) {
            *room = byte.to_ascii_lowercase();
        }
        self.len = (self.len + 1).min(NAME_ROOM + 1);
        Ok(At::Name)
    }

    fn is_forbidden(&self) -> bool {
        let name = &self.name[..self.len.min(NAME_ROOM)];
        // Long enough to show a mark's prefix whatever follows.
        if self.len > NAME_ROOM {
            return matches!(Name::of(name), Name::Backhand) || name.starts_with(b"backhand_");
        }
        match Name::of(name) {
            Name::Other => matches!(
                name,
                b"trailer"
                    | b"authorization"
                    | b"www-authenticate"
                    | b"cookie"
                    | b"set-cookie"
                    | b"content-encoding"
                    | b"content-range"
                    | b"range"
                    | b"cache-control"
                    | b"location"
            ),
            Name::Date | Name::UserAgent | Name::Referer => false,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<bool, Reject> {
        let mut trailer = Trailer::new();
        text.bytes().try_fold(false, |done, byte| {
            assert!(!done, "bytes after the end");
            trailer.byte(byte)
        })
    }

    #[test]
    fn a_trailer_section_ends_at_its_empty_line() {
        assert_eq!(read("\r\n"), Ok(true));
        assert_eq!(read("X-Sum: 1\r\nServer-Timing:\t\u{e9}\r\nEmpty:\r\n\r\n"), Ok(true));
        assert_eq!(read("X-Sum: 1\r\n"), Ok(false));
    }

    #[test]
    fn a_trailer_cannot_say_what_belongs_into_a_head() {
        for name in [
            "Content-Length",
            "TRANSFER-ENCODING",
            "Transfer_Encoding",
            "Host",
            "Connection",
            "TE",
            "Trailer",
            "Upgrade",
            "Expect",
            "Keep-Alive",
            "Forwarded",
            "X-Forwarded-For",
            "X_Forwarded_For",
            "Proxy-Authorization",
            "Proxy-Authenticate",
            "Authorization",
            "Cookie",
            "Set-Cookie",
            "Content-Type",
            "Content-Encoding",
            "Content-Range",
            "Max-Forwards",
            "backhand-report",
            "Backhand-Proxied",
            "backhand-reservation",
            "backhand-reservation-of-any-length",
            "backhand_reservation-of-any",
        ] {
            assert_eq!(read(&std::format!("{name}: 1\r\n")), Err(Reject::Trailer), "{name}");
        }
        for name in [
            "Contents",
            "Content-Lengths",
            "X-Content-Length",
            "Hosts",
            "Digest",
            "ETag",
            "a-name-that-is-longer-than-all",
        ] {
            assert_eq!(read(&std::format!("{name}: 1\r\n")), Ok(false), "{name}");
        }
    }

    #[test]
    fn loose_trailer_lines_are_refused() {
        for text in [
            "\n",
            "\rX",
            "X: 1\n",
            "X: 1\rY",
            "X : 1\r\n",
            " X: 1\r\n",
            ": 1\r\n",
            "X\r\n",
            "X: \0\r\n",
            "X: 1\r\n folded\r\n",
            "X: \x7f\r\n",
        ] {
            assert_eq!(read(text), Err(Reject::Trailer), "{text:?}");
        }
    }

    #[test]
    fn a_trailer_section_is_bounded() {
        let fits = std::format!("X: {}\r\n\r\n", "a".repeat(8 * 1024 - 7));
        assert_eq!(read(&fits), Ok(true));
        let too_long = std::format!("X: {}", "a".repeat(8 * 1024));
        assert_eq!(read(&too_long), Err(Reject::Trailer));
    }
}
