//! The target of a request, and the host it is for (RFC 9112 section 3.2).

use crate::field::{Fields, Span};
use crate::name::Name;
use crate::reject::Reject;

/// A target taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target<'h> {
    /// Path and query, `*`, or nothing if an absolute target has no path.
    pub(crate) path: &'h [u8],
    /// The authority of an absolute target.
    pub(crate) authority: Option<&'h [u8]>,
}

/// Takes a target apart. CONNECT, whose target is an authority, has been refused before.
pub(crate) fn split<'h>(method: &[u8], target: &'h [u8]) -> Result<Target<'h>, Reject> {
    let path_end = memchr::memchr(b'?', target).unwrap_or(target.len());
    // Without an early end: so the compiler looks at many bytes at once.
    let odd = target.iter().fold(false, |odd, &b| odd | !may_stand(b));
    if odd || memchr::memchr(b'\\', &target[..path_end]).is_some() {
        return Err(Reject::Target);
    }
    match target {
        // Origin form, section 3.2.1.
        [b'/', ..] => Ok(Target { path: target, authority: None }),
        // Asterisk form, section 3.2.4.
        b"*" if method == b"OPTIONS" => Ok(Target { path: target, authority: None }),
        _ => absolute(target),
    }
}

/// RFC 3986 appendix A has no control bytes, spaces, `"<>` or bytes above ASCII in any URI, and `#` begins what is
/// never sent. It has no `\^{|}` and backtick either, but browsers send those in queries and all but the backslash in
/// paths. A backslash in a path is a slash to some file systems, so it is refused there.
const fn may_stand(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'<' | b'>' | b'#')
}

/// Absolute form, section 3.2.2, which a server must accept. Only `http`: on a listener without TLS, a target that
/// claims `https` is misdirected (RFC 9110 section 7.4).
fn absolute(target: &[u8]) -> Result<Target<'_>, Reject> {
    const SCHEME: &[u8] = b"http://";
    let (scheme, rest) = target.split_at_checked(SCHEME.len()).ok_or(Reject::Target)?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(Reject::Target);
    }
    let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // `http://host?query` has no path to begin with a slash, and cannot be passed on as it is; nobody sends it.
    if !is_authority(authority) || path.first() == Some(&b'?') {
        return Err(Reject::Target);
    }
    Ok(Target { path, authority: Some(authority) })
}

/// The host of a request: exactly one Host in HTTP/1.1, at most one in HTTP/1.0, valid (section 3.2), and the same as
/// in an absolute target. The standard would have us prefer the target (section 3.2.2); but a client must send both
/// alike, and two that differ are an attempt to reach one host by another's rules.
pub(crate) fn host(
    fields: &Fields,
    head: &[u8],
    authority: Option<&[u8]>,
    version_10: bool,
) -> Result<Option<Span>, Reject> {
    let Some(field) = fields.field(Name::Host) else {
        return if version_10 {
            Ok(authority.map(|a| Span::within(head, a)))
        } else {
            Err(Reject::Host)
        };
    };
    let value = field.value.of(head);
    let differs = authority.is_some_and(|authority| !authority.eq_ignore_ascii_case(value));
    if fields.is_repeated(Name::Host) || differs || !is_authority(value) {
        return Err(Reject::Host);
    }
    Ok(Some(field.value))
}

/// A name or address, and perhaps a port (RFC 9110 section 7.2): letters, digits, `-`, `.` and `_`, or an IPv6
/// address in brackets. RFC 3986 would allow percent-encoding, `!$&'()*+,;=` and `~` in names, which no host has and
/// which readers take apart differently; user information is an error (RFC 9110 section 4.2.4), an empty host too
/// (section 4.2.1).
pub(crate) fn is_authority(text: &[u8]) -> bool {
    if let Some(rest) = text.strip_prefix(b"[") {
        let Some(end) = memchr::memchr(b']', rest) else { return false };
        let address = core::str::from_utf8(&rest[..end]).unwrap_or_default();
        return address.parse::<core::net::Ipv6Addr>().is_ok() && is_port(&rest[end + 1..]);
    }
    let end = memchr::memchr(b':', text).unwrap_or(text.len());
    let (name, port) = text.split_at(end);
    let in_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    !name.is_empty() && name.iter().all(in_name) && is_port(port)
}

/// Nothing, or a colon and at most five digits (RFC 3986 section 3.2.3).
fn is_port(text: &[u8]) -> bool {
    match text {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_addresses_and_ports() {
        for good in [
            "a",
            "www.example.org",
            "a_b-c.d:80",
            "192.0.2.1:8080",
            "[2001:db8::1]",
            "[::1]:80",
            "a:",
        ] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a b",
            "a/b",
            "u@a",
            "a,b",
            "a:b",
            "a:123456",
            "a:80:80",
            "[::1",
            "[::1]x",
            "[v1.x]",
            "[fe80::1%eth0]",
            "a%41",
            "a\"b",
            "a\\b",
            "a\u{e9}",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn targets_have_the_form_that_goes_with_the_method() {
        let path = |method: &str, target| {
            split(method.as_bytes(), target).map(|t| (t.path, t.authority)).map_err(|_| ())
        };
        assert_eq!(path("GET", b"/a?b"), Ok((&b"/a?b"[..], None)));
        assert_eq!(path("OPTIONS", b"*"), Ok((&b"*"[..], None)));
        assert_eq!(path("GET", b"*"), Err(()));
        assert_eq!(path("GET", b"HTTP://a:80/x"), Ok((&b"/x"[..], Some(&b"a:80"[..]))));
        assert_eq!(path("GET", b"http://a"), Ok((&b""[..], Some(&b"a"[..]))));
        for bad in [
            "http://",
            "http:///x",
            "http://a?q",
            "https://a/",
            "ftp://a/",
            "a:80",
            "x",
            "http://u@a/",
        ] {
            assert_eq!(path("GET", bad.as_bytes()), Err(()), "{bad}");
        }
    }

    #[test]
    fn bytes_that_no_target_has_are_refused() {
        for bad in 0..=255u8 {
            let target = [b'/', b'a', bad, b'b'];
            let allowed = bad.is_ascii_graphic() && !b"\"<>#\\".contains(&bad);
            assert_eq!(split(b"GET", &target).is_ok(), allowed, "{}", target.escape_ascii());
        }
        assert!(split(b"GET", b"/a?b\\c").is_ok(), "browsers send backslashes in queries");
    }
}
