//! What matters of a request for files: method, path, and eight header fields.

/// One request for a file. Build it with [`Request::new`], then show it each header field once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    pub(super) method: &'a [u8],
    pub(super) path: &'a [u8],
    pub(super) query: Option<&'a [u8]>,
    pub(super) range: Option<&'a [u8]>,
    pub(super) if_range: Option<&'a [u8]>,
    pub(super) if_match: Lines<'a>,
    pub(super) if_none_match: Lines<'a>,
    pub(super) if_modified_since: Option<&'a [u8]>,
    pub(super) if_unmodified_since: Option<&'a [u8]>,
    pub(super) accept_encoding: Lines<'a>,
}

/// The lines of a field that may stand several times. More than four are as good as none: nobody sends them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines<'a> {
    lines: [&'a [u8]; 4],
    count: usize,
}

impl<'a> Lines<'a> {
    fn push(&mut self, line: &'a [u8]) {
        if let Some(place) = self.lines.get_mut(self.count) {
            *place = line;
            self.count += 1;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.lines[..self.count].iter().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Request<'a> {
    /// A request with a method and a target in origin form (`/path?query`), or `*`.
    pub fn new(method: &'a [u8], target: &'a [u8]) -> Self {
        let (path, query) = match memchr::memchr(b'?', target) {
            Some(at) => (&target[..at], Some(&target[at + 1..])),
            None => (target, None),
        };
        Self { method, path, query, ..Self::default() }
    }

    /// Takes note of a header field if it matters here. A field that may stand only once and stands twice is
    /// taken as it stood first.
    pub fn header(&mut self, name: &[u8], value: &'a [u8]) {
        // By length first: of the fifteen fields of a browser's request most end here.
        let place = match name.len() {
            5 if name.eq_ignore_ascii_case(b"range") => &mut self.range,
            8 if name.eq_ignore_ascii_case(b"if-range") => &mut self.if_range,
            8 if name.eq_ignore_ascii_case(b"if-match") => return self.if_match.push(value),
            13 if name.eq_ignore_ascii_case(b"if-none-match") => {
                return self.if_none_match.push(value);
            }
            15 if name.eq_ignore_ascii_case(b"accept-encoding") => {
                return self.accept_encoding.push(value);
            }
            17 if name.eq_ignore_ascii_case(b"if-modified-since") => &mut self.if_modified_since,
            19 if name.eq_ignore_ascii_case(b"if-unmodified-since") => {
                &mut self.if_unmodified_since
            }
            _ => return,
        };
        place.get_or_insert(value);
    }
}
