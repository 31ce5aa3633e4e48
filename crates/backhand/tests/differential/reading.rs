//! Readings of what arrived at the origin, by rules that servers are known to follow.
//!
//! Deliberately not `http1`: what is judged here must not share a mistake with its judge. These readers are as
//! forgiving as the most forgiving servers; if even they see no second request, there is none to see.

/// A request as some server would understand it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) body: Vec<u8>,
}

/// How to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// A line feed alone ends a line, empty lines before a request do not count, spaces before a colon neither.
    pub(crate) loose: bool,
    /// With both given, the length counts and not the chunks.
    pub(crate) length_wins: bool,
}

/// As the standard says.
pub(crate) const STANDARD: Reading = Reading { loose: false, length_wins: false };

/// All ways to read.
pub(crate) const ALL: [Reading; 4] = [
    STANDARD,
    Reading { loose: false, length_wins: true },
    Reading { loose: true, length_wins: false },
    Reading { loose: true, length_wins: true },
];

/// The head at the start of some bytes.
#[derive(Clone, Debug)]
struct Head<'b> {
    line: String,
    length: Option<usize>,
    chunked: bool,
    rest: &'b [u8],
}

impl Reading {
    /// Takes one whole request off the front; `None` if it is not whole.
    pub(crate) fn take(self, bytes: &mut &[u8]) -> Option<Seen> {
        let head = self.head(bytes)?;
        let mut rest = head.rest;
        let body = match head.length {
            Some(n) if !head.chunked || self.length_wins => {
                let (body, after) = rest.split_at_checked(n)?;
                rest = after;
                body.to_vec()
            }
            _ if head.chunked => self.chunks(&mut rest)?,
            _ => Vec::new(),
        };
        *bytes = rest;
        let mut words = head.line.split_ascii_whitespace();
        let mut word = || words.next().unwrap_or_default().to_owned();
        Some(Seen { method: word(), target: word(), body })
    }

    /// The targets of all requests, the last one also if its body is not whole.
    pub(crate) fn targets(self, mut bytes: &[u8]) -> Vec<String> {
        let mut targets = Vec::new();
        while let Some(seen) = self.take(&mut bytes) {
            targets.push(seen.target);
        }
        if let Some(head) = self.head(bytes) {
            targets.push(head.line.split_ascii_whitespace().nth(1).unwrap_or_default().into());
        }
        targets
    }

    fn head(self, bytes: &[u8]) -> Option<Head<'_>> {
        let mut rest = bytes;
        let mut line = self.line(&mut rest)?;
        while self.loose && line.is_empty() {
            line = self.line(&mut rest)?;
        }
        let mut head = Head { line, length: None, chunked: false, rest };
        loop {
            let line = self.line(&mut head.rest)?;
            if line.is_empty() {
                return Some(head);
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            let name = if self.loose { name.trim().replace('_', "-") } else { name.into() };
            if name.eq_ignore_ascii_case("content-length") {
                let digits: String =
                    value.trim().chars().take_while(char::is_ascii_digit).collect();
                head.length = digits.parse().ok();
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.chunked |= value.to_ascii_lowercase().contains("chunked");
            }
        }
    }

    fn chunks(self, rest: &mut &[u8]) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line(rest)?;
            let digits: String = line.trim().chars().take_while(char::is_ascii_hexdigit).collect();
            let size = usize::from_str_radix(&digits, 16).ok()?;
            if size == 0 {
                while !self.line(rest)?.is_empty() {}
                return Some(body);
            }
            let (data, after) = rest.split_at_checked(size)?;
            body.extend_from_slice(data);
            *rest = after;
            self.line(rest)?;
        }
    }

    /// Takes a line off the front, without its end.
    fn line(self, rest: &mut &[u8]) -> Option<String> {
        let end = if self.loose {
            rest.iter().position(|&b| b == b'\n')? + 1
        } else {
            rest.windows(2).position(|two| two == b"\r\n")? + 2
        };
        let (line, after) = rest.split_at(end);
        *rest = after;
        Some(String::from_utf8_lossy(line).trim_end_matches(['\r', '\n']).to_owned())
    }
}
