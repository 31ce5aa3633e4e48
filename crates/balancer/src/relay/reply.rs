//! Responses this machine makes itself: refusals, redirects, failures.

use std::io::Write;

use crate::worker::date::Date;

/// The reason phrase of a status; a space for those that have none here, as RFC 9112 section 4 allows.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// What one own response says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) status: u16,
    /// Further header lines, each ending in CR LF.
    pub(crate) headers: &'a [u8],
    /// A sentence for the reader.
    pub(crate) text: &'a str,
    /// Whether the connection goes on after it.
    pub(crate) keep: bool,
    /// Whether the client said HTTP/1.0, and must be told when the connection goes on.
    pub(crate) old: bool,
    /// Whether the request was HEAD: the length is told, the body left out.
    pub(crate) head_only: bool,
}

impl Reply<'_> {
    /// Writes head and body; returns how many bytes of body.
    pub(crate) fn append(&self, date: &Date, out: &mut Vec<u8>) -> usize {
        begin(self.status, date, out);
        out.extend_from_slice(self.headers);
        let body = format!("{} {}\n{}\n", self.status, reason(self.status), self.text);
        // Writing to memory cannot fail.
        let _ = write!(
            out,
            "Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n",
            body.len()
        );
        end(self.keep, self.old, out);
        if self.head_only {
            return 0;
        }
        out.extend_from_slice(body.as_bytes());
        body.len()
    }
}

/// Status line and date.
pub(crate) fn begin(status: u16, date: &Date, out: &mut Vec<u8>) {
    let _ = write!(out, "HTTP/1.1 {status} {}\r\nDate: ", reason(status));
    date.append(out);
    out.extend_from_slice(b"\r\n");
}

/// Whether the connection goes on, and the empty line.
pub(crate) fn end(keep: bool, old: bool, out: &mut Vec<u8>) {
    match (keep, old) {
        (false, _) => out.extend_from_slice(b"Connection: close\r\n\r\n"),
        (true, true) => out.extend_from_slice(b"Connection: keep-alive\r\n\r\n"),
        (true, false) => out.extend_from_slice(b"\r\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_its_length_and_whether_it_is_the_last_word() {
        let mut out = Vec::new();
        let reply = Reply {
            status: 503,
            headers: b"Retry-After: 1\r\n",
            text: "Too many requests are being served.",
            keep: false,
            old: false,
            head_only: false,
        };
        let n = reply.append(&Date::default(), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\nDate: "), "{text}");
        assert!(text.contains("\r\nRetry-After: 1\r\n"), "{text}");
        assert!(
            text.contains(&format!("\r\nContent-Length: {n}\r\nConnection: close\r\n\r\n503 "))
        );
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.len(), n);
    }

    #[test]
    fn a_reply_to_head_tells_the_length_and_sends_no_body() {
        let mut out = Vec::new();
        let reply =
            Reply { status: 404, headers: b"", text: "", keep: true, old: true, head_only: true };
        assert_eq!(reply.append(&Date::default(), &mut out), 0);
        assert!(out.ends_with(b"Connection: keep-alive\r\n\r\n"));
    }
}
