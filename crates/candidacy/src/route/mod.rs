//! Which rule a request falls under: the first whose conditions all hold.
//!
//! Paths are compared as received, byte by byte, up to the query. Percent-encodings are not decoded
//! and dot segments not resolved, because the service behind may read them otherwise than we would.
//! So a rule steers requests; it is no protection: `/admin` does not cover `/%61dmin`.
//!
//! Finding a rule walks the list and allocates nothing (the first use of a regular expression by a
//! clone excepted).

mod read;

use alloc::string::String;
use alloc::vec::Vec;

use regex::bytes::Regex;

use crate::chain::{Chain, Resolve};
use crate::request::{RequestView, host_name};

/// What an empty list of candidates means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Empty {
    /// Serve here.
    #[default]
    Here,
    /// Answer 503 at once.
    Refuse,
}

/// A route's place in the list; the implicit last route has the highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub u16);

impl RouteId {
    /// The place as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Rules in the longest list.
pub const MAX_ROUTES: usize = 1000;
/// The name of the implicit last route.
pub const LAST: &str = "default";

/// A condition on a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderRule {
    /// Its name, in any case.
    pub name: String,
    /// A regular expression that must be found in its value; none = the header must be there.
    pub value: Option<String>,
}

/// A rule as configured. Conditions that are empty hold for every request.
#[derive(Clone, Debug, Default)]
pub struct RouteRule {
    /// Its name, for people, metrics and other machines. Not empty, not [`LAST`], not twice.
    pub name: String,
    /// Virtual hosts: `www.example.com`, or `*.example.com` for all names below. Any of them; the
    /// request's port does not count.
    pub hosts: Vec<String>,
    /// Path prefixes; `/a` covers `/a` and `/a/b`, not `/ab`; `/a/` only what is below. Any of them.
    pub prefixes: Vec<String>,
    /// A regular expression that must be found in the path.
    pub regex: Option<String>,
    /// File name extensions of the path's last segment, without dot, in any case. Any of them.
    pub extensions: Vec<String>,
    /// Methods, as written. Any of them.
    pub methods: Vec<String>,
    /// Headers. All of them.
    pub headers: Vec<HeaderRule>,
    /// The chain, as texts. Empty = the default policy.
    pub chain: Vec<String>,
    /// What an empty list means.
    pub empty: Empty,
}

/// A rule ready for use.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// A number made of the name: the same on all machines, never 0.
    pub key: u32,
    /// Its chain.
    pub chain: Chain,
    conditions: Conditions,
}

/// A rule is not understood. Nothing was built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("route \"{name}\": {problem}")]
pub struct RouteError {
    /// Which rule, from 0.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// The field of the rule: `name`, `hosts`, `prefixes`, `regex`, `extensions`, `methods`,
    /// `headers` or `chain`.
    pub field: &'static str,
    /// For fields that are lists, which element.
    pub element: Option<usize>,
    /// What is wrong and what to write.
    pub problem: String,
}

#[derive(Clone, Debug, Default)]
struct Conditions {
    hosts: Vec<Host>,
    prefixes: Vec<Vec<u8>>,
    regex: Option<Regex>,
    extensions: Vec<Vec<u8>>,
    methods: Vec<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Regex>)>,
}

#[derive(Clone, Debug)]
enum Host {
    Exactly(Vec<u8>),
    /// Ends in this, its dot included.
    Below(Vec<u8>),
}

/// The ordered rules, with an implicit last one that covers what no other does.
///
/// Each worker should hold a clone of its own: then the working space of the regular expressions is
/// not shared either.
#[derive(Clone, Debug)]
pub struct Routes {
    routes: Vec<Route>,
}

impl Routes {
    /// The rules in order, and the chain of the implicit last route.
    pub fn new(rules: &[RouteRule], last: Chain) -> Result<Self, RouteError> {
        Self::new_with(rules, last, &|_, _| None)
    }

    /// The same; functions that are not built in are looked up by `resolve`.
    pub fn new_with(
        rules: &[RouteRule],
        last: Chain,
        resolve: Resolve<'_>,
    ) -> Result<Self, RouteError> {
        let mut routes = Vec::with_capacity(rules.len() + 1);
        for (index, rule) in rules.iter().enumerate() {
            let route = read::route(rule, resolve).and_then(|route| read::distinct(route, &routes));
            let error = |(field, element, problem)| RouteError {
                index,
                name: rule.name.clone(),
                field,
                element,
                problem,
            };
            routes.push(route.map_err(error)?);
        }
        let conditions = Conditions::default();
        routes.push(Route { name: LAST.into(), key: read::key(LAST), chain: last, conditions });
        Ok(Self { routes })
    }

    /// The first rule whose conditions all hold.
    pub fn find<R: RequestView + ?Sized>(&self, request: &R) -> RouteId {
        let [rules @ .., _] = &self.routes[..] else { return RouteId(0) };
        if rules.is_empty() {
            return RouteId(0);
        }
        let (host, path) = (host_name(request.host()), request.path());
        let found = rules.iter().position(|route| route.conditions.hold(host, path, request));
        RouteId(found.unwrap_or(rules.len()) as u16)
    }

    /// The route of an id that [`find`](Self::find) gave; the last one for any other.
    pub fn get(&self, id: RouteId) -> &Route {
        &self.routes[id.index().min(self.routes.len() - 1)]
    }

    /// All routes, the implicit one last.
    pub fn all(&self) -> &[Route] {
        &self.routes
    }
}

impl Conditions {
    fn hold<R: RequestView + ?Sized>(&self, host: &[u8], path: &[u8], request: &R) -> bool {
        any(&self.hosts, |h| h.covers(host))
            && any(&self.methods, |m| m.as_slice() == request.method())
            && any(&self.prefixes, |prefix| covers(prefix, path))
            && (self.extensions.is_empty() || {
                let extension = extension(path);
                self.extensions.iter().any(|e| extension.eq_ignore_ascii_case(e))
            })
            && self.headers.iter().all(|(name, value)| {
                let found = request.header(name);
                found.is_some_and(|found| value.as_ref().is_none_or(|regex| regex.is_match(found)))
            })
            && self.regex.as_ref().is_none_or(|regex| regex.is_match(path))
    }
}

fn any<T>(of: &[T], holds: impl FnMut(&T) -> bool) -> bool {
    of.is_empty() || of.iter().any(holds)
}

impl Host {
    fn covers(&self, name: &[u8]) -> bool {
        match self {
            Self::Exactly(own) => own.eq_ignore_ascii_case(name),
            Self::Below(end) => {
                let start = name.len().checked_sub(end.len()).filter(|&start| start > 0);
                start.is_some_and(|start| name[start..].eq_ignore_ascii_case(end))
            }
        }
    }
}

/// Whether a prefix covers a path: whole segments only.
fn covers(prefix: &[u8], path: &[u8]) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| prefix.ends_with(b"/") || rest.is_empty() || rest[0] == b'/')
}

/// What follows the last dot of the last segment; empty without one, or if the dot comes first.
fn extension(path: &[u8]) -> &[u8] {
    let segment = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
    match segment.iter().rposition(|&b| b == b'.') {
        Some(at) if at > 0 => &segment[at + 1..],
        _ => b"",
    }
}

#[cfg(test)]
mod tests;
