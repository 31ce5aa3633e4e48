//! What a decision may see of a request.
//!
//! The trait is implemented by whoever parsed the head; nothing is copied. Values are bytes as
//! received: a core must not assume that strangers send UTF-8.

/// A request, as far as routes and candidacy functions look at it.
pub trait RequestView {
    /// The value of `Host` as received, port included; empty if there is none.
    fn host(&self) -> &[u8];

    /// The target in origin form as received, `/path?query`; `*` or empty where there is no path.
    fn target(&self) -> &[u8];

    /// The method, as received.
    fn method(&self) -> &[u8];

    /// The first value of the named header (name in any case), without surrounding blanks.
    fn header(&self, name: &[u8]) -> Option<&[u8]>;

    /// Whether the client came over TLS; redirects keep its scheme.
    fn secure(&self) -> bool {
        false
    }

    /// The path: the target up to its query. Not decoded, see [`crate::route`].
    fn path(&self) -> &[u8] {
        let target = self.target();
        target.iter().position(|&b| b == b'?').map_or(target, |at| &target[..at])
    }
}

/// The name in a `Host` value: without port, brackets and a final dot.
pub(crate) fn host_name(host: &[u8]) -> &[u8] {
    let name = match host {
        [b'[', rest @ ..] => rest.iter().position(|&b| b == b']').map_or(rest, |at| &rest[..at]),
        _ => host.iter().position(|&b| b == b':').map_or(host, |at| &host[..at]),
    };
    name.strip_suffix(b".").unwrap_or(name)
}

/// A request made of parts, for tests, checks of a configuration, and the simulator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain<'a> {
    /// See [`RequestView::host`].
    pub host: &'a str,
    /// See [`RequestView::target`].
    pub target: &'a str,
    /// See [`RequestView::method`].
    pub method: &'a str,
    /// Names and values.
    pub headers: &'a [(&'a str, &'a str)],
}

impl RequestView for Plain<'_> {
    fn host(&self) -> &[u8] {
        self.host.as_bytes()
    }
    fn target(&self) -> &[u8] {
        self.target.as_bytes()
    }
    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }
    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(n, _)| n.as_bytes().eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_loses_its_port_brackets_and_final_dot() {
        for (host, name) in [
            ("www.example.com:8080", "www.example.com"),
            ("www.example.com.", "www.example.com"),
            ("[::1]:80", "::1"),
            ("[::1", "::1"),
            ("", ""),
        ] {
            assert_eq!(host_name(host.as_bytes()), name.as_bytes(), "{host}");
        }
    }

    #[test]
    fn the_path_ends_at_the_query() {
        let path = |target| Plain { target, ..Plain::default() }.path().to_vec();
        assert_eq!(path("/a/b?c=/d"), b"/a/b");
        assert_eq!(path("*"), b"*");
    }
}
