//! What is purged: a path beneath the folder of a cache, or everything that begins with one.
//!
//! The folder has the paths of the URLs: what `http://host/img/a.png` answers is the file `img/a.png`. The host, a query and a
//! fragment say nothing, and `%20` is a blank. A plain path is taken as it is. A path that ends with `*` means everything
//! that begins with what stands before it; a path that names a directory, everything in that. A name that itself ends with `*` is
//! meant if a `/` stands behind it, or if it is written as `%2A` in a URL.

use std::ffi::CString;
use std::fmt;

/// Bytes of the longest path (`PATH_MAX` of Linux).
pub const PATH_MAX: usize = 4_096;
/// Bytes of the longest name in a path (`NAME_MAX` of Linux).
pub const NAME_MAX: usize = 255;

/// Why a text is no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// Nothing.
    #[error("an empty path purges nothing; write / and a path, or /* for everything")]
    Empty,
    /// The whole cache, which nobody should purge by a slip.
    #[error("this would purge everything; if that is meant, write /*")]
    Everything,
    /// Too long.
    #[error("the path has {0} bytes, and no file can have more than {PATH_MAX}")]
    Long(usize),
    /// A name in it is too long.
    #[error("the path has a name of {0} bytes in it, and no file can have more than {NAME_MAX}")]
    Name(usize),
    /// It leads out of the cache, or tries.
    #[error("the path has \"..\" in it; write the path that is meant")]
    Above,
    /// A NUL.
    #[error("the path has a NUL in it, which no file can have")]
    Nul,
    /// A URL with `%` and no two digits behind it.
    #[error(
        "the URL has a % without two hexadecimal digits behind it; write %25 for the sign itself"
    )]
    Percent,
}

/// A path beneath the folder of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The directories that lead to it.
    pub(super) parents: CString,
    /// The last name, or the beginning of names. Empty for everything in `parents`.
    pub(super) last: CString,
    /// Whether `last` is only a beginning.
    pub(super) prefix: bool,
}

impl Object {
    /// Reads what a message says.
    ///
    /// # Errors
    /// No object can be meant.
    pub fn parse(text: &[u8]) -> Result<Self, ObjectError> {
        // As the program of the book does: the line's end is no part of the path.
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if text.is_empty() {
            return Err(ObjectError::Empty);
        }
        if text.len() > PATH_MAX {
            return Err(ObjectError::Long(text.len()));
        }
        let (path, prefix) = match text.strip_suffix(b"*") {
            Some(path) => (path, true),
            None => (text, false),
        };
        let names = path.split(|&byte| byte == b'/');
        let mut names: Vec<&[u8]> =
            names.filter(|name| !name.is_empty() && *name != b".").collect();
        if names.contains(&&b".."[..]) {
            return Err(ObjectError::Above);
        }
        if let Some(long) = names.iter().find(|name| name.len() > NAME_MAX) {
            return Err(ObjectError::Name(long.len()));
        }
        // "/img/*" is everything in there, and "/img*" what begins with the name.
        let whole = prefix && path.last().is_none_or(|&byte| byte == b'/');
        let last = if whole { None } else { names.pop() }.unwrap_or_default();
        let text = |bytes: Vec<u8>| CString::new(bytes).map_err(|_| ObjectError::Nul);
        Ok(Self {
            parents: text(names.join(&b'/'))?,
            last: text(last.to_vec())?,
            prefix: prefix || last.is_empty(),
        })
    }

    /// Reads what a person writes: a path or a URL.
    ///
    /// # Errors
    /// No object can be meant.
    pub fn named(text: &[u8]) -> Result<Self, ObjectError> {
        let path = match text.windows(3).position(|window| window == b"://") {
            Some(scheme) => {
                let rest = text[scheme + 3..].split(|byte| b"?#".contains(byte)).next();
                let rest = rest.unwrap_or_default();
                let path = rest.iter().position(|&byte| byte == b'/');
                let written = path.map_or(&b"/"[..], |path| &rest[path..]);
                let mut decoded = decode(written)?;
                // What was written as %2A or %0A is part of the name.
                if ends_in_sign(&decoded) && decoded.last() != written.last() {
                    decoded.push(b'/');
                }
                decoded
            }
            None => text.to_vec(),
        };
        let object = Self::parse(&path)?;
        if object.parents.is_empty() && object.last.is_empty() && !path.ends_with(b"*") {
            return Err(ObjectError::Everything);
        }
        Ok(object)
    }

    /// What a message says to mean it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut path = vec![b'/'];
        path.extend_from_slice(self.parents.as_bytes());
        if !self.parents.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(self.last.as_bytes());
        if self.prefix {
            path.push(b'*');
        } else if ends_in_sign(&path) {
            path.push(b'/');
        }
        path
    }
}

impl fmt::Display for Object {
    /// For people: what is no printable ASCII is escaped, so a path cannot forge a line of a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_bytes().escape_ascii(), f)
    }
}

/// Whether the end of a path would be taken for a sign: `*` for all that begins so, or the end of a line.
fn ends_in_sign(path: &[u8]) -> bool {
    matches!(path.last(), Some(b'*' | b'\n'))
}

fn decode(path: &[u8]) -> Result<Vec<u8>, ObjectError> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, behind @ ..] = rest {
        rest = behind;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let digits = behind.first_chunk::<2>().ok_or(ObjectError::Percent)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(ObjectError::Percent);
        decoded.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        rest = &behind[2..];
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, bool) {
        let object = Object::parse(text.as_bytes()).unwrap();
        let text = |text: CString| text.into_string().unwrap();
        (text(object.parents), text(object.last), object.prefix)
    }

    #[test]
    fn a_path_is_a_path_however_it_is_written() {
        for text in ["/a/b/c", "a/b/c", "//a/./b//c/", "/a/b/c\n"] {
            assert_eq!(parts(text), ("a/b".into(), "c".into(), false), "{text}");
        }
        assert_eq!(parts("x"), (String::new(), "x".into(), false));
    }

    #[test]
    fn a_star_at_the_end_means_what_begins_so() {
        assert_eq!(parts("/a/b*"), ("a".into(), "b".into(), true));
        assert_eq!(parts("/a/b/*"), ("a/b".into(), String::new(), true));
        assert_eq!(parts("/a*/b"), ("a*".into(), "b".into(), false));
        for everything in ["/*", "*", "/"] {
            assert_eq!(parts(everything), (String::new(), String::new(), true), "{everything}");
        }
    }

    #[test]
    fn what_a_message_says_means_the_same_again() {
        for text in ["/a/b/c", "/x", "/a/b*", "/a/b/*", "/*", "/a b\u{e4}"] {
            let object = Object::parse(text.as_bytes()).unwrap();
            assert_eq!(object.to_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn a_url_is_its_path() {
        let named = |text: &str| {
            String::from_utf8(Object::named(text.as_bytes()).unwrap().to_bytes()).unwrap()
        };
        assert_eq!(named("http://www.example.org/a/b.html?x=/1#y"), "/a/b.html");
        assert_eq!(named("https://h:8443/a%20b%2fc"), "/a b/c");
        assert_eq!(named("http://h/img/*"), "/img/*");
        // A path is taken as it is.
        assert_eq!(named("/a%20b?c#d"), "/a%20b?c#d");
        assert_eq!(named("/*"), "/*");
    }

    #[test]
    fn a_star_that_is_part_of_the_name_names_that_file_alone() {
        for (url, message, last) in [
            ("http://h/x/i%2a", "/x/i*/", "i*"),
            ("http://h/x/%2A", "/x/*/", "*"),
            ("http://h/x/i%0a", "/x/i\n/", "i\n"),
        ] {
            let object = Object::named(url.as_bytes()).unwrap();
            assert_eq!(object.to_bytes(), message.as_bytes(), "{url}");
            assert_eq!(parts(message), ("x".into(), last.into(), false), "{url}");
        }
        assert_eq!(Object::named(b"http://h/%2a").unwrap().to_bytes(), b"/*/");
        assert_eq!(parts("/x/%2a*"), ("x".into(), "%2a".into(), true));
        assert!(Object::named(b"http://h/x/%2a*").unwrap().prefix);
        assert_eq!(Object::named(b"i*/").unwrap().to_bytes(), b"/i*/");
    }

    #[test]
    fn the_whole_cache_is_not_purged_by_a_slip() {
        for text in ["/", "//", "http://h", "http://h/", "http://h?x=/a/*", "http://h/?/*"] {
            assert_eq!(Object::named(text.as_bytes()), Err(ObjectError::Everything), "{text}");
        }
    }

    #[test]
    fn what_leads_out_of_the_cache_or_cannot_be_a_file_is_refused() {
        let parse = |text: &[u8]| Object::parse(text).unwrap_err();
        for text in ["..", "/../etc/passwd", "/a/../../b", "/a/..", "/../*"] {
            assert_eq!(parse(text.as_bytes()), ObjectError::Above, "{text}");
        }
        assert_eq!(Object::named(b"http://h/%2e%2E/x"), Err(ObjectError::Above));
        assert_eq!(Object::named(b"http://h/a%0"), Err(ObjectError::Percent));
        assert_eq!(Object::named(b"http://h/a%zz"), Err(ObjectError::Percent));
        assert_eq!(Object::named(b"http://h/a%00b"), Err(ObjectError::Nul));
        assert_eq!(parse(b""), ObjectError::Empty);
        assert_eq!(parse(b"\n"), ObjectError::Empty);
        assert_eq!(parse(b"/a\0b"), ObjectError::Nul);
        assert_eq!(parse(b"/a\0b/c"), ObjectError::Nul);
        assert_eq!(parse(&[b'a'; 256]), ObjectError::Name(256));
        assert_eq!(parse(&[b'/'; 4_097]), ObjectError::Long(4_097));
        // Names that only look like it are names.
        assert_eq!(parts("/...").1, "...");
    }
}
