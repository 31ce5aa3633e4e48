//! Which rule a request falls under: the first whose conditions all hold.
//!
//! Paths are compared as received, byte by byte, up to the query; percent-encodings are not decoded
//! and dot segments not resolved, because the service behind may read them otherwise than we would.
//! So a rule with a prefix steers requests; it is no protection. `/admin` does not cover `/%61dmin`.

use alloc::string::String;
use alloc::vec::Vec;

use crate::chain::Chain;
use crate::request::RequestView;

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
    /// Its name, for people, metrics and other machines.
    pub name: String,
    /// Virtual hosts: `www.example.com`, or `*.example.com` for all names below. Any of them.
    pub hosts: Vec<String>,
    /// Path prefixes; `/a` covers `/a` and `/a/b`, not `/ab`; `/a/` what is below. Any of them.
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
    /// A number made of the name: the same on all machines.
    pub key: u32,
    /// Its chain.
    pub chain: Chain,
}

/// A rule is not understood. Nothing was built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("route {name:?}: {problem}")]
pub struct RouteError {
    /// Which rule, from 0.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// The field of the rule: `hosts`, `prefixes`, `regex`, `chain` ...
    pub field: &'static str,
    /// For fields that are lists, which element.
    pub element: Option<usize>,
    /// What is wrong and what to write.
    pub problem: String,
}

/// The ordered rules, with an implicit last one that covers what no other does.
///
/// Each worker should hold a clone of its own: then the regular expressions' working space is not
/// shared either.
#[derive(Clone, Debug)]
pub struct Routes {
    routes: Vec<Route>,
}

impl Routes {
    /// The rules in order, and the chain of the implicit last route (named `default`).
    pub fn new(rules: &[RouteRule], last: Chain) -> Result<Self, RouteError> {
        let _ = rules;
        Ok(Self { routes: alloc::vec![Route { name: "default".into(), key: 0, chain: last }] })
    }

    /// The first rule whose conditions all hold.
    pub fn find<R: RequestView + ?Sized>(&self, request: &R) -> RouteId {
        let _ = request;
        RouteId(0)
    }

    /// The route of an id that [`find`](Self::find) gave; the last one for any other.
    pub fn get(&self, id: RouteId) -> &Route {
        &self.routes[usize::from(id.0).min(self.routes.len() - 1)]
    }

    /// All routes, the implicit one last.
    pub fn all(&self) -> &[Route] {
        &self.routes
    }
}
