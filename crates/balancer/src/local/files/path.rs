//! From a path as sent to a path beneath the root, or to a refusal.
//!
//! Percent-encodings are decoded once, before anything is judged, so that what is judged is what is
//! opened. Dot segments are resolved here, in letters; the kernel's fence ([`super::root`]) stands behind
//! this and does not depend on it.
//!
//! Invariants of what comes out: no empty segment, none that is `.` or `..` or begins with a dot
//! (`.well-known` in first place excepted, RFC 8615), no NUL, no slash that was encoded, at most
//! [`PATH_MAX`] bytes.

/// Longest path looked for, in bytes: Linux opens no longer one.
pub(super) const PATH_MAX: usize = 4095;
/// Longest name in it.
const NAME_MAX: usize = 255;

/// Why a path is not even looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no path: broken encoding, NUL, or dot segments that lead out of the root.
    Malformed,
    /// It may be a path, but never one that is served: hidden names, encoded slashes, absurd lengths.
    Hidden,
}

/// Writes the path beneath the root (no slash at either end) to `out`. Tells whether a directory was meant.
pub(super) fn resolve(raw: &[u8], out: &mut Vec<u8>) -> Result<bool, Refusal> {
    out.clear();
    let Some(rest) = raw.strip_prefix(b"/") else { return Err(Refusal::Malformed) };
    let mut directory = false;
    for segment in rest.split(|&b| b == b'/') {
        let begin = out.len();
        if begin > 0 {
            out.push(b'/');
        }
        let start = out.len();
        decode(segment, out)?;
        directory = true;
        match &out[start..] {
            b"" | b"." => out.truncate(begin),
            b".." => {
                if begin == 0 {
                    return Err(Refusal::Malformed);
                }
                let parent = out[..begin].iter().rposition(|&b| b == b'/').unwrap_or(0);
                out.truncate(parent);
            }
            name => {
                let hidden = name[0] == b'.' && !(start == 0 && name == b".well-known");
                if hidden || name.len() > NAME_MAX || out.len() > PATH_MAX {
                    return Err(Refusal::Hidden);
                }
                directory = false;
            }
        }
    }
    Ok(directory)
}

/// Whether a path beneath the root has a name in it that is never served.
pub(super) fn is_hidden(path: &[u8]) -> bool {
    let mut names = path.split(|&b| b == b'/').enumerate();
    names.any(|(i, name)| name.starts_with(b".") && !(i == 0 && name == b".well-known"))
}

/// Whether `path`, as [`resolve`] wrote it, is what `raw` says letter by letter.
pub(super) fn is_canonical(raw: &[u8], path: &[u8], directory: bool) -> bool {
    let tail: &[u8] = if directory && !path.is_empty() { b"/" } else { b"" };
    raw.len() == 1 + path.len() + tail.len() && raw[1..].starts_with(path) && raw.ends_with(tail)
}

fn decode(segment: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut bytes = segment.iter();
    while let Some(&byte) = bytes.next() {
        let byte = if byte == b'%' {
            let digit = |b: Option<&u8>| b.and_then(|&b| (b as char).to_digit(16));
            match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => (high << 4 | low) as u8,
                _ => return Err(Refusal::Malformed),
            }
        } else {
            byte
        };
        match byte {
            0 => return Err(Refusal::Malformed),
            // A slash in a name is no name; taking it for a separator would let two paths mean one file.
            b'/' => return Err(Refusal::Hidden),
            byte => out.push(byte),
        }
    }
    Ok(())
}

/// Appends a path of ours as a URL carries it: an absolute path that begins with exactly one slash, so that
/// nothing in it can be taken for a host.
pub(super) fn append_encoded(path: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push(b'/');
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@".contains(&byte) {
            out.push(byte);
        } else {
            out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resolved(raw: &[u8]) -> Result<(Vec<u8>, bool), Refusal> {
        let mut out = Vec::new();
        resolve(raw, &mut out).map(|directory| (out, directory))
    }

    #[test]
    fn plain_paths_are_what_they_say() {
        for (raw, path, directory) in [
            ("/", "", true),
            ("/a", "a", false),
            ("/a/b.html", "a/b.html", false),
            ("/a/", "a", true),
            ("/a%20b/%C3%A9", "a b/é", false),
            ("/%25", "%", false),
            ("/.well-known/acme-challenge/x", ".well-known/acme-challenge/x", false),
        ] {
            assert_eq!(
                resolved(raw.as_bytes()),
                Ok((path.as_bytes().to_vec(), directory)),
                "{raw}"
            );
        }
    }

    #[test]
    fn dots_and_doubled_slashes_are_resolved_within_the_root() {
        for (raw, path, directory) in [
            ("//a///b", "a/b", false),
            ("/a/./b/.", "a/b", true),
            ("/a/../b", "b", false),
            ("/a/b/..", "a", true),
            ("/a/%2e%2E/b", "b", false),
            ("/a/b/../../c/", "c", true),
        ] {
            assert_eq!(
                resolved(raw.as_bytes()),
                Ok((path.as_bytes().to_vec(), directory)),
                "{raw}"
            );
        }
    }

    #[test]
    fn what_leads_out_or_is_no_path_is_malformed() {
        for raw in [
            "",
            "a",
            "/..",
            "/../a",
            "/a/../..",
            "/%2e%2e/x",
            "/%",
            "/%4",
            "/%zz",
            "/a%00b",
            "/..%00/",
            "http://x/",
            "*",
        ] {
            assert_eq!(resolved(raw.as_bytes()), Err(Refusal::Malformed), "{raw}");
        }
    }

    #[test]
    fn what_is_hidden_stays_hidden() {
        let long = format!("/{}", "a".repeat(256));
        let deep = "/abc".repeat(1100);
        for raw in [
            "/.git/config",
            "/a/.htpasswd",
            "/%2egit",
            "/a%2fb",
            "/..%2fetc",
            "/.well-known2",
            "/a/.well-known/x",
            "/...",
            &long,
            &deep,
        ] {
            assert_eq!(resolved(raw.as_bytes()), Err(Refusal::Hidden), "{raw}");
        }
    }

    #[test]
    fn a_path_is_decoded_only_once() {
        assert_eq!(resolved(b"/%252e%252e/x"), Ok((b"%2e%2e/x".to_vec(), false)));
    }

    #[test]
    fn only_the_plainest_spelling_is_canonical() {
        for (raw, canonical) in [
            ("/", true),
            ("/a/b", true),
            ("/a/", true),
            ("//a", false),
            ("/a/./b", false),
            ("/%61", false),
            ("/a//", false),
            ("/a/b/..", false),
            ("//", false),
        ] {
            let (path, directory) = resolved(raw.as_bytes()).unwrap();
            assert_eq!(is_canonical(raw.as_bytes(), &path, directory), canonical, "{raw}");
        }
    }

    #[test]
    fn an_encoded_path_never_names_a_host() {
        let mut out = Vec::new();
        append_encoded("evil.example/\\\r\n é".as_bytes(), &mut out);
        assert_eq!(out, b"/evil.example/%5C%0D%0A%20%C3%A9");
    }

    proptest! {
        #[test]
        fn nothing_but_plain_names_ever_comes_out(raw in proptest::collection::vec(
            prop_oneof![Just(b'/'), Just(b'.'), Just(b'%'), Just(b'2'), Just(b'e'), Just(b'f'), Just(0), any::<u8>()],
            0..64,
        )) {
            let mut raw = raw;
            raw.insert(0, b'/');
            if let Ok((path, _)) = resolved(&raw) {
                for (i, name) in path.split(|&b| b == b'/').enumerate() {
                    prop_assert!(path.is_empty() || !name.is_empty());
                    prop_assert!(!name.starts_with(b".") || (i == 0 && name == b".well-known"));
                    prop_assert!(!name.contains(&0));
                }
            }
        }

        #[test]
        fn an_encoded_path_resolves_to_itself(names in proptest::collection::vec("[^/.\0][^/\0]{0,8}", 1..4)) {
            let path = names.join("/");
            let mut raw = Vec::new();
            append_encoded(path.as_bytes(), &mut raw);
            prop_assert_eq!(resolved(&raw), Ok((path.into_bytes(), false)));
        }
    }
}
