//! Finding the end of a head, strictly.
//!
//! Runs before anything is parsed, since parsers forgive what two of them forgive differently: a bare line feed, a bare carriage
//! return, an empty line at the start. Remembers how far it got, so that a head that comes byte by byte costs linear time.

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
    /// Looks at what came since the last call; `buf` begins with the head. Returns the head's length, empty line included, once that is there.
    pub fn advance(&mut self, buf: &[u8]) -> Result<Option<usize>, Reject> {
        while let Some(i) =
            buf.get(self.seen..).and_then(|rest| memchr::memchr2(b'\r', b'\n', rest))
        {
            let at = self.seen + i;
            if buf[at] == b'\n' {
                return Err(Reject::BareLf);
            }
            match buf.get(at + 1) {
                None => {
                    self.seen = at;
                    return if at == 0 { Err(Reject::LeadingBlank) } else { Ok(None) };
                }
                Some(b'\n') => {}
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
        assert_eq!(end("\r\nGET / HTTP/1.1\r\n\r\n"), Err(Reject::LeadingBlank));
        assert_eq!(end("\nGET / HTTP/1.1\r\n\r\n"), Err(Reject::BareLf));
    }

    #[test]
    fn pieces_make_no_difference() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        let mut scan = Scan::default();
        let found: alloc::vec::Vec<_> =
            (0..=text.len()).map(|n| scan.clone_advance(&text[..n])).collect();
        assert_eq!(found.iter().position(Option::is_some), Some(27));
    }

    impl Scan {
        fn clone_advance(&mut self, buf: &[u8]) -> Option<usize> {
            self.advance(buf).unwrap()
        }
    }
}
