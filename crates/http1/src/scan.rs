//! Finding the end of a head, strictly.
//!
//! Runs before anything is parsed, since parsers forgive, and two of them forgive differently: a bare line feed, a
//! bare carriage return, an empty line at the start. Remembers how far it got, so that a head that comes byte by byte
//! costs linear time, and reaches the same verdict in whatever pieces the bytes come. A head that comes in one piece, as
//! nearly all do, is read first and then proven to pass.

use crate::field::Span;
use crate::reject::Reject;

/// How far the scan of one head has come. Make a new one for each message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Bytes looked at; never splits a CR from its LF.
    seen: usize,
    /// Where the present line begins.
    line: usize,
}

impl Scan {
    /// Looks at what came since the last call; `buf` begins with the head. Returns the head's length, empty line
    /// included, once that is there.
    pub fn advance(&mut self, buf: &[u8]) -> Result<Option<usize>, Reject> {
        while let Some(i) =
            buf.get(self.seen..).and_then(|rest| memchr::memchr2(b'\r', b'\n', rest))
        {
            let at = self.seen + i;
            // RFC 9112 section 2.2: a recipient may take a lone LF for a line's end. We must not: not everyone does.
            if buf[at] == b'\n' {
                return Err(Reject::BareLf);
            }
            match buf.get(at + 1) {
                None => {
                    self.seen = at;
                    return Ok(None);
                }
                Some(b'\n') => {}
                // RFC 9112 section 2.2: a lone CR is invalid or, in other places of the same text, a space.
                Some(_) => return Err(Reject::BareCr),
            }
            if at == self.line {
                return if at == 0 { Err(Reject::LeadingBlank) } else { Ok(Some(at + 2)) };
            }
            self.line = at + 2;
            self.seen = at + 2;
        }
        self.seen = buf.len().max(self.seen);
        Ok(None)
    }

    /// Whether nothing was looked at yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.seen == 0
    }

    /// The head's length if it is whole and no longer than `most`. Bytes beyond `most` are not looked at.
    pub(crate) fn head(&mut self, buf: &[u8], most: usize) -> Result<Option<usize>, Reject> {
        let end = self.advance(&buf[..buf.len().min(most)])?;
        match end {
            None if buf.len() < most => Ok(None),
            // Not even the start line was whole.
            None if self.line == 0 => Err(Reject::TargetTooLong),
            None => Err(Reject::HeadTooLarge),
            end => Ok(end),
        }
    }
}

/// Whether a head that httparse has read whole would also have passed the scan: the same verdict without a pass over the
/// bytes. httparse lets no carriage return through that has no line feed behind it, and takes a line feed alone for a
/// line's end; so it is enough to look at what stands before each field and at the end.
pub(crate) fn would_pass(head: &[u8], headers: &[httparse::Header<'_>]) -> bool {
    let after_crlf = |header: &httparse::Header<'_>| {
        let at = Span::within(head, header.name.as_bytes()).start as usize;
        head.get(..at).is_some_and(|before| before.ends_with(b"\r\n"))
    };
    head.ends_with(b"\r\n\r\n")
        && !matches!(head[0], b'\r' | b'\n')
        && headers.iter().all(after_crlf)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> Result<Option<usize>, Reject> {
        Scan::default().advance(text.as_bytes())
    }

    #[test]
    fn a_head_ends_at_its_first_empty_line() {
        assert_eq!(end("GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\r\n\r\n"), Ok(Some(27)));
        assert_eq!(end("GET / HTTP/1.1\r\nHost: a\r\n\r"), Ok(None));
        assert_eq!(end(""), Ok(None));
    }

    #[test]
    fn loose_line_ends_are_refused() {
        assert_eq!(end("GET / HTTP/1.1\nHost: a\r\n\r\n"), Err(Reject::BareLf));
        assert_eq!(end("GET / HTTP/1.1\r\nHost: a\n\n"), Err(Reject::BareLf));
        assert_eq!(end("GET / HTTP/1.1\rHost: a\r\n\r\n"), Err(Reject::BareCr));
        assert_eq!(end("GET / HTTP/1.1\r\r\n\r\n"), Err(Reject::BareCr));
        assert_eq!(end("\r\nGET / HTTP/1.1\r\n\r\n"), Err(Reject::LeadingBlank));
        assert_eq!(end("\nGET / HTTP/1.1\r\n\r\n"), Err(Reject::BareLf));
        assert_eq!(end("\rGET / HTTP/1.1\r\n\r\n"), Err(Reject::BareCr));
    }

    #[test]
    fn what_does_not_fit_is_refused_as_soon_as_it_does_not() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let head = |text: &[u8], most| Scan::default().head(text, most);
        assert_eq!(head(text, 27), Ok(Some(27)));
        assert_eq!(head(text, 26), Err(Reject::HeadTooLarge));
        assert_eq!(head(&text[..26], 26), Err(Reject::HeadTooLarge));
        assert_eq!(head(&text[..25], 26), Ok(None));
        assert_eq!(head(&text[..10], 10), Err(Reject::TargetTooLong));
    }
}
