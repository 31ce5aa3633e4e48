//! Which rule a request falls under: the first whose conditions all hold.
//!
//! Paths are compared as received, byte by byte, up to the query. Percent-encodings are not decoded
//! and dot segments not resolved, because the service behind may read them otherwise than we would.
//! So a rule steers requests; it is no protection: `/admin` does not cover `/%61dmin`.
//!
//! Finding a rule walks the list and allocates nothing (the first use of a regular expression by a
//! clone excepted).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use regex::bytes::Regex;

use crate::chain::{Chain, Resolve, fnv, regex_problem};
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
            let route = route(rule, resolve).and_then(|route| distinct(route, &routes));
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
        routes.push(Route { name: LAST.into(), key: key(LAST), chain: last, conditions });
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

/// Field, element, problem.
type Mistake = (&'static str, Option<usize>, String);

fn route(rule: &RouteRule, resolve: Resolve<'_>) -> Result<Route, Mistake> {
    if rule.name.trim().is_empty() {
        return Err(("name", None, "a route needs a name".into()));
    }
    let chain = Chain::parse_with(&rule.chain, resolve)
        .map_err(|e| ("chain", Some(e.index), e.to_string()))?
        .when_empty(rule.empty);
    let conditions = Conditions {
        hosts: each("hosts", &rule.hosts, host)?,
        prefixes: each("prefixes", &rule.prefixes, prefix)?,
        regex: rule.regex.as_deref().map(expression).transpose().map_err(|e| ("regex", None, e))?,
        extensions: each("extensions", &rule.extensions, bare_extension)?,
        methods: each("methods", &rule.methods, |m| token("a method", m))?,
        headers: each("headers", &rule.headers, header)?,
    };
    Ok(Route { name: rule.name.clone(), key: key(&rule.name), chain, conditions })
}

fn each<T, U>(
    field: &'static str,
    from: &[T],
    read: impl Fn(&T) -> Result<U, String>,
) -> Result<Vec<U>, Mistake> {
    let read = |(i, item)| read(item).map_err(|problem| (field, Some(i), problem));
    from.iter().enumerate().map(read).collect()
}

fn host(text: &String) -> Result<Host, String> {
    let (below, name) = text.strip_prefix("*.").map_or((false, text.as_str()), |n| (true, n));
    let name = name.trim_end_matches('.').trim_start_matches('[').trim_end_matches(']');
    let colons = name.bytes().filter(|&b| b == b':').count();
    if colons == 1 {
        return Err(format!("\"{text}\" has a port; write the name alone, ports do not count"));
    }
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    if name.is_empty() || !name.bytes().all(fine) {
        return Err(format!(
            "\"{text}\" is no host; write www.example.com, or *.example.com for all names below"
        ));
    }
    Ok(if below {
        Host::Below(format!(".{name}").into_bytes())
    } else {
        Host::Exactly(name.as_bytes().to_vec())
    })
}

fn prefix(text: &String) -> Result<Vec<u8>, String> {
    if !text.starts_with('/') {
        return Err(format!("the prefix \"{text}\" must begin with a slash: \"/{text}\""));
    }
    if text.contains(['?', '#']) {
        return Err(format!("\"{text}\" holds a query; prefixes cover paths"));
    }
    Ok(text.as_bytes().to_vec())
}

fn bare_extension(text: &String) -> Result<Vec<u8>, String> {
    let bare = text.strip_prefix('.').unwrap_or(text);
    if bare.is_empty() || bare.contains(['.', '/']) {
        return Err(format!("\"{text}\" is no extension; write for instance \"php\""));
    }
    Ok(bare.as_bytes().to_vec())
}

fn token(what: &str, text: &String) -> Result<Vec<u8>, String> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.is_empty() || !text.bytes().all(fine) {
        return Err(format!("\"{text}\" is no name of {what}"));
    }
    Ok(text.as_bytes().to_vec())
}

fn header(rule: &HeaderRule) -> Result<(Vec<u8>, Option<Regex>), String> {
    let name = token("a header", &rule.name)?;
    Ok((name, rule.value.as_deref().map(expression).transpose()?))
}

fn expression(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|e| regex_problem(text, &e))
}

fn key(name: &str) -> u32 {
    let hash = fnv(name.as_bytes());
    ((hash >> 32) as u32 ^ hash as u32).max(1)
}

fn distinct(route: Route, before: &[Route]) -> Result<Route, Mistake> {
    if before.len() >= MAX_ROUTES {
        return Err(("name", None, format!("more than {MAX_ROUTES} routes")));
    }
    if route.name == LAST || before.iter().any(|r| r.name == route.name) {
        return Err(("name", None, "there is another route of this name; give it its own".into()));
    }
    if let Some(other) = before.iter().find(|r| r.key == route.key) {
        let problem = format!("its name makes the same number as \"{}\"; change one", other.name);
        return Err(("name", None, problem));
    }
    Ok(route)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Plain;
    use proptest::prelude::*;

    fn rule(edit: impl FnOnce(&mut RouteRule)) -> RouteRule {
        let mut rule = RouteRule { name: "r".into(), ..RouteRule::default() };
        edit(&mut rule);
        rule
    }

    fn covered(rule: &RouteRule, request: Plain<'_>) -> bool {
        Routes::new(core::slice::from_ref(rule), Chain::standard()).unwrap().find(&request)
            == RouteId(0)
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&t| t.into()).collect()
    }

    #[test]
    fn a_prefix_covers_whole_segments_of_the_path_as_received() {
        let rule = rule(|r| r.prefixes = strings(&["/a", "/b/"]));
        for (target, expected) in [
            ("/a", true),
            ("/a/c", true),
            ("/a?x=/b/", true),
            ("/ab", false),
            ("/b", false),
            ("/b/", true),
            ("/b/c", true),
            ("/c?/a", false),
            ("/%61", false),
            ("/A", false),
            ("*", false),
        ] {
            assert_eq!(covered(&rule, Plain { target, ..Plain::default() }), expected, "{target}");
        }
    }

    #[test]
    fn a_host_counts_without_case_port_and_final_dot() {
        let rule = rule(|r| r.hosts = strings(&["www.example.com", "*.example.org"]));
        for (host, expected) in [
            ("WWW.example.com:8080", true),
            ("www.example.com.", true),
            ("example.com", false),
            ("a.example.org", true),
            ("a.b.example.org", true),
            ("example.org", false),
            ("badexample.org", false),
            ("", false),
        ] {
            assert_eq!(covered(&rule, Plain { host, ..Plain::default() }), expected, "{host}");
        }
    }

    #[test]
    fn an_extension_is_that_of_the_last_segment() {
        let rule = rule(|r| r.extensions = strings(&["php", ".pl"]));
        for (target, expected) in [
            ("/a.php", true),
            ("/a.PHP?x.txt", true),
            ("/a.tar.pl", true),
            ("/a.php/b", false),
            ("/.php", false),
            ("/php", false),
            ("/a.php5", false),
        ] {
            assert_eq!(covered(&rule, Plain { target, ..Plain::default() }), expected, "{target}");
        }
    }

    #[test]
    fn methods_headers_and_expressions_must_all_hold() {
        let rule = rule(|r| {
            r.methods = strings(&["POST", "PUT"]);
            r.regex = Some("^/api/v[0-9]+/".into());
            r.headers = alloc::vec![
                HeaderRule { name: "X-Kind".into(), value: Some("^write".into()) },
                HeaderRule { name: "x-any".into(), value: None },
            ];
        });
        let good = Plain {
            host: "h",
            target: "/api/v2/x",
            method: "POST",
            headers: &[("x-kind", "write now"), ("X-Any", "")],
        };
        assert!(covered(&rule, good));
        assert!(!covered(&rule, Plain { method: "post", ..good }));
        assert!(!covered(&rule, Plain { target: "/api/vx/", ..good }));
        assert!(!covered(
            &rule,
            Plain { headers: &[("x-kind", "rewrite"), ("x-any", "")], ..good }
        ));
        assert!(!covered(&rule, Plain { headers: &[("x-kind", "write")], ..good }));
    }

    #[test]
    fn the_first_rule_that_covers_wins_and_the_last_covers_all() {
        let named = |name: &str, prefix: &str| RouteRule {
            name: name.into(),
            prefixes: strings(&[prefix]),
            ..RouteRule::default()
        };
        let rules = [named("a", "/x/y"), named("b", "/x"), named("c", "/x/y/z")];
        let routes = Routes::new(&rules, Chain::standard()).unwrap();
        let name =
            |target| routes.get(routes.find(&Plain { target, ..Plain::default() })).name.clone();
        assert_eq!(["/x/y/z", "/x/z", "/"].map(name), ["a", "b", "default"]);
        assert_eq!(routes.get(RouteId(99)).name, "default");
    }

    #[test]
    fn mistakes_name_the_field_and_the_remedy() {
        let cases: [(RouteRule, &str, &str); 9] = [
            (rule(|r| r.name.clear()), "name", "needs a name"),
            (rule(|r| r.name = LAST.into()), "name", "another route of this name"),
            (rule(|r| r.hosts = strings(&["a:80"])), "hosts", "write the name alone"),
            (rule(|r| r.hosts = strings(&["a*b"])), "hosts", "*.example.com"),
            (rule(|r| r.prefixes = strings(&["a"])), "prefixes", "\"/a\""),
            (rule(|r| r.regex = Some("(".into())), "regex", "unclosed group"),
            (rule(|r| r.extensions = strings(&["a.b"])), "extensions", "\"php\""),
            (rule(|r| r.methods = strings(&["G T"])), "methods", "no name of a method"),
            (rule(|r| r.chain = strings(&["byAge", "byLod"])), "chain", "did you mean byLoad"),
        ];
        for (rule, field, said) in cases {
            let error = Routes::new(&[rule], Chain::standard()).unwrap_err();
            assert_eq!(error.field, field, "{error}");
            assert!(error.problem.contains(said), "{error}");
        }
    }

    #[test]
    fn a_name_makes_the_same_number_everywhere() {
        let routes = Routes::new(&[rule(|_| {})], Chain::standard()).unwrap();
        assert_eq!(routes.all().iter().map(|r| r.key).collect::<Vec<_>>(), [694281113, 1837981928]);
    }

    proptest! {
        #[test]
        fn no_request_makes_finding_panic(host in ".{0,20}", target in ".{0,30}", method in ".{0,8}") {
            let rule = rule(|r| {
                r.hosts = strings(&["*.b"]);
                r.prefixes = strings(&["/"]);
                r.extensions = strings(&["x"]);
            });
            covered(&rule, Plain { host: &host, target: &target, method: &method, headers: &[] });
            covered(&RouteRule { name: "r".into(), ..RouteRule::default() }, Plain::default());
        }
    }
}
