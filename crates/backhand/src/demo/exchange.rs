//! One request and its response on a connection, as the demonstration's client does it.
//!
//! Deliberately not `http1`: the client must not share a mistake with the server that it judges. It understands what the
//! demonstration's site can send, a length or chunks, and nothing else.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::SocketAddr;

/// More than any page of the demonstration; a bound for what is read into memory.
const MAX_RESPONSE: usize = 8 << 20;

/// A whole response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The machine that says it served; empty if none said so.
    pub(crate) served_by: String,
    /// Whether the connection can be used again.
    pub(crate) keep: bool,
    pub(crate) body: Vec<u8>,
}

/// Why there is no whole response, and whether the request may be repeated elsewhere.
#[derive(Debug)]
pub(crate) enum Broken {
    /// Nothing of a response had come.
    BeforeFirstByte(Error),
    /// The response had begun.
    AfterFirstByte,
}

/// Sends a `GET` and reads the whole response.
pub(crate) fn exchange<S: Read + Write>(
    stream: &mut S,
    host: SocketAddr,
    path: &str,
) -> Result<Response, Broken> {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: backhand-demo\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(Broken::BeforeFirstByte)?;
    let mut reader = Reader { stream, bytes: Vec::new() };
    let head = reader.until(b"\r\n\r\n").map_err(|error| match reader.bytes.is_empty() {
        true => Broken::BeforeFirstByte(error),
        false => Broken::AfterFirstByte,
    })?;
    rest(&mut reader, &head).map_err(|_| Broken::AfterFirstByte)
}

fn rest<S: Read>(reader: &mut Reader<'_, S>, head: &[u8]) -> Result<Response, Error> {
    let head = std::str::from_utf8(head).map_err(|_| unclear("a head that is not text"))?;
    let field = |name: &str| {
        let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    };
    let status =
        head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| unclear("no status"))?;
    let body = match (field("content-length"), field("transfer-encoding")) {
        (Some(length), None) => {
            reader.exactly(length.parse().map_err(|_| unclear("no length"))?)?
        }
        (None, Some(coding)) if coding.eq_ignore_ascii_case("chunked") => chunks(reader)?,
        _ => return Err(unclear("neither a length nor chunks")),
    };
    Ok(Response {
        status,
        served_by: field("x-served-by").unwrap_or_default().to_owned(),
        keep: field("connection").is_none_or(|c| !c.eq_ignore_ascii_case("close")),
        body,
    })
}

fn chunks<S: Read>(reader: &mut Reader<'_, S>) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    loop {
        let line = reader.until(b"\r\n")?;
        let digits = std::str::from_utf8(&line).unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).map_err(|_| unclear("no chunk size"))?;
        body.extend(reader.exactly(size)?);
        if reader.until(b"\r\n")? != b"\r\n" {
            return Err(unclear("a chunk without end"));
        }
        if size == 0 {
            return Ok(body);
        }
    }
}

struct Reader<'a, S> {
    stream: &'a mut S,
    bytes: Vec<u8>,
}

impl<S: Read> Reader<'_, S> {
    /// Everything up to and with `end`.
    fn until(&mut self, end: &[u8]) -> Result<Vec<u8>, Error> {
        let mut from = 0;
        loop {
            if let Some(i) = self.bytes[from..].windows(end.len()).position(|w| w == end) {
                return Ok(self.bytes.drain(..from + i + end.len()).collect());
            }
            from = self.bytes.len().saturating_sub(end.len() - 1);
            self.more()?;
        }
    }

    fn exactly(&mut self, n: usize) -> Result<Vec<u8>, Error> {
        if n > MAX_RESPONSE {
            return Err(unclear("a longer body than the demonstration has"));
        }
        while self.bytes.len() < n {
            self.more()?;
        }
        Ok(self.bytes.drain(..n).collect())
    }

    fn more(&mut self) -> Result<(), Error> {
        let mut piece = [0; 16 << 10];
        let n = match self.stream.read(&mut piece) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) if self.bytes.len() > MAX_RESPONSE => {
                return Err(unclear("a longer response than the demonstration has"));
            }
            other => other?,
        };
        self.bytes.extend_from_slice(&piece[..n]);
        Ok(())
    }
}

fn unclear(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// Gives the response in pieces of a few bytes, and takes whatever is written.
    struct Peer(Cursor<Vec<u8>>);

    impl Read for Peer {
        fn read(&mut self, to: &mut [u8]) -> Result<usize, Error> {
            let n = to.len().min(3);
            self.0.read(&mut to[..n])
        }
    }

    impl Write for Peer {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> Result<(), Error> {
            Ok(())
        }
    }

    fn ask(response: &str) -> Result<Response, Broken> {
        exchange(&mut Peer(Cursor::new(response.into())), ([127, 0, 0, 1], 80).into(), "/")
    }

    #[test]
    fn a_response_with_a_length_is_read_whole() {
        let got =
            ask("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Served-By: m2\r\n\r\nhello").unwrap();
        assert_eq!(
            (got.status, got.served_by.as_str(), got.keep, &got.body[..]),
            (200, "m2", true, &b"hello"[..])
        );
    }

    #[test]
    fn a_chunked_response_is_put_together() {
        let got = ask("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n").unwrap();
        assert_eq!((&got.body[..], got.keep), (&b"hello!"[..], false));
    }

    #[test]
    fn only_silence_allows_another_attempt() {
        assert!(matches!(ask(""), Err(Broken::BeforeFirstByte(_))));
        assert!(matches!(ask("HTTP/1.1 200"), Err(Broken::AfterFirstByte)));
        assert!(matches!(
            ask("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"),
            Err(Broken::AfterFirstByte)
        ));
    }
}
