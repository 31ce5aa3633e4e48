//! Address rules: whether a client may have what it asks for.
//!
//! Judged before anything is decided, and again by a machine that a peer passes the request on to, for its
//! rules may be others. Routes compare paths as received, so that they cost nothing; a rule that `/%61dmin` or
//! `//admin` gets around would protect nothing. So a request whose path could be written more plainly has to
//! be permitted on the route of the plain path too; and on that of the path without parameters, since servers
//! do not agree on what `/admin;x` and `/..;/` are.

use std::net::IpAddr;

use candidacy::{RequestView, RouteId};

use super::Worker;
use crate::relay::conn::Entry;
use crate::relay::http::{Head, Request};

/// A request with another path.
struct Rewritten<'a> {
    head: Head<'a>,
    path: &'a [u8],
}

impl RequestView for Rewritten<'_> {
    fn host(&self) -> &[u8] {
        self.head.host()
    }
    fn target(&self) -> &[u8] {
        self.path
    }
    fn method(&self) -> &[u8] {
        self.head.method()
    }
    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.head.header(name)
    }
    // A question mark in it was encoded, and begins no query.
    fn path(&self) -> &[u8] {
        self.path
    }
}

impl Worker {
    /// Whether the rules of the request's route turn its client away. Allocates nothing once it has seen a
    /// path as long.
    pub(crate) fn forbids(
        &self,
        request: &Request,
        bytes: &[u8],
        route: RouteId,
        from: (Entry, IpAddr),
    ) -> bool {
        let routes = &self.config.routes;
        if !routes.are_guarded() {
            return false;
        }
        let client = request.true_client(bytes, from, self);
        if !routes.get(route).addresses.permit(client) {
            return true;
        }
        let mut path = self.text.borrow_mut();
        [Parameters::Kept, Parameters::Dropped].into_iter().any(|parameters| {
            let head = request.view(bytes);
            if !make_plain(head.path(), parameters, &mut path) {
                return false;
            }
            let meant = self.routes.find(&Rewritten { head, path: &path });
            !routes.get(meant).addresses.permit(client)
        })
    }
}

/// What becomes of the parameters of segments (RFC 2396, 3.3): `/admin;x` is another name for `/admin` to servlet
/// containers, and just another name to most other servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parameters {
    Kept,
    Dropped,
}

/// Writes a path as servers read it into `to`: decoded once, without doubled slashes and dot segments. `false` if it
/// is written so already, or has no parameters to drop.
fn make_plain(path: &[u8], parameters: Parameters, to: &mut Vec<u8>) -> bool {
    let is_odd = |pair: &[u8]| pair[0] == b'/' && matches!(pair[1], b'/' | b'.');
    let may_be_plainer = match parameters {
        Parameters::Kept => path.contains(&b'%') || path.windows(2).any(is_odd),
        // An encoded one may be taken for one too.
        Parameters::Dropped => path.iter().any(|b| matches!(b, b'%' | b';')),
    };
    if path.first() != Some(&b'/') || !may_be_plainer {
        return false;
    }
    to.clear();
    let mut left = path;
    while let [first, rest @ ..] = left {
        (left, _) = match left {
            [b'%', high, low, rest @ ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (rest, to.push(high << 4 | low)),
                _ => (&left[1..], to.push(b'%')),
            },
            _ => (rest, to.push(*first)),
        };
    }
    if parameters == Parameters::Dropped && !to.contains(&b';') {
        return false;
    }
    resolve(to, parameters);
    true
}

/// Takes doubled slashes and dot segments out of a path that begins with a slash.
fn resolve(path: &mut Vec<u8>, parameters: Parameters) {
    let is_slash = |b: &u8| *b == b'/';
    let (mut kept, mut at) = (0, 0);
    while at < path.len() {
        at += path[at..].iter().take_while(|b| is_slash(b)).count();
        let end = path[at..].iter().position(is_slash).map_or(path.len(), |n| at + n);
        let is_last = end == path.len();
        let name_end = match parameters {
            Parameters::Kept => end,
            Parameters::Dropped => {
                path[at..end].iter().position(|&b| b == b';').map_or(end, |n| at + n)
            }
        };
        // What is kept is never longer than what was read, slash included.
        match &path[at..name_end] {
            b"." | b"" => {}
            b".." => kept = path[..kept].iter().rposition(is_slash).unwrap_or(0),
            name => {
                let length = name.len();
                path[kept] = b'/';
                path.copy_within(at..name_end, kept + 1);
                kept += 1 + length;
                at = end;
                continue;
            }
        }
        if is_last {
            path[kept] = b'/';
            kept += 1;
        }
        at = end;
    }
    path.truncate(kept);
}

fn digit(b: u8) -> Option<u8> {
    (b as char).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_servers_read_it() {
        let mut to = Vec::new();
        for (path, plain) in [
            ("/%61dmin", "/admin"),
            ("//admin", "/admin"),
            ("///admin//x/", "/admin/x/"),
            ("/./admin", "/admin"),
            ("/x/../admin", "/admin"),
            ("/x/%2e%2E/admin", "/admin"),
            ("/x%2f..%2Fadmin", "/admin"),
            ("/../../admin/.", "/admin/"),
            ("/a/b/..", "/a/"),
            ("/..", "/"),
            ("/%2", "/%2"),
            ("/%", "/%"),
            ("/%zz%41", "/%zzA"),
            ("/%2561", "/%61"),
            ("/.hidden/..x", "/.hidden/..x"),
            ("/a%3Fb", "/a?b"),
            ("//admin/..;/../secret", "/admin/secret"),
            ("//admin/;/../secret", "/admin/secret"),
            ("//a;b/c", "/a;b/c"),
        ] {
            assert!(make_plain(path.as_bytes(), Parameters::Kept, &mut to), "{path}");
            assert_eq!(std::str::from_utf8(&to), Ok(plain), "{path}");
        }
        for (path, plain) in [
            ("/admin;x=1/y", "/admin/y"),
            ("/admin%3bx", "/admin"),
            ("/x/..;/admin", "/admin"),
            ("/x/..;a=b/.;/admin;/", "/admin/"),
            ("/;x", "/"),
        ] {
            assert!(make_plain(path.as_bytes(), Parameters::Dropped, &mut to), "{path}");
            assert_eq!(std::str::from_utf8(&to), Ok(plain), "{path}");
        }
        assert!(!make_plain(b"/%61dmin", Parameters::Dropped, &mut to), "nothing to drop");
        for path in ["/", "/admin", "/a.b/c..d/e", "*", "", "x//y"] {
            assert!(!make_plain(path.as_bytes(), Parameters::Kept, &mut to), "{path}");
        }
    }

    #[test]
    fn no_path_is_too_odd() {
        let mut random = base::Random::new(5);
        let mut to = Vec::new();
        for _ in 0..20_000 {
            let length = random.below(12) as usize;
            let tail = (0..length).map(|_| b"/.%2eFa;"[random.below(8) as usize]);
            let path: Vec<u8> = std::iter::once(b'/').chain(tail).collect();
            let parameters = [Parameters::Kept, Parameters::Dropped][random.below(2) as usize];
            if make_plain(&path, parameters, &mut to) {
                assert_eq!(to.first(), Some(&b'/'), "{}", String::from_utf8_lossy(&path));
                let segments = to.split(|&b| b == b'/').skip(1);
                let bad = |s: &&[u8]| *s == b"." || *s == b"..";
                assert!(!segments.clone().any(|s| bad(&s)), "{}", String::from_utf8_lossy(&path));
                assert!(!to.windows(2).any(|pair| pair == b"//"));
            }
        }
    }
}
