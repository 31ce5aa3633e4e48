//! From rules as configured to conditions that can be checked quickly. Errors name the field, the
//! element and the remedy.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use regex::bytes::Regex;

use super::{Conditions, HeaderRule, Host, LAST, MAX_ROUTES, Route, RouteRule};
use crate::chain::{Chain, Resolve, fnv, regex_problem};

/// Field, element, problem.
pub(super) type Mistake = (&'static str, Option<usize>, String);

pub(super) fn route(rule: &RouteRule, resolve: Resolve<'_>) -> Result<Route, Mistake> {
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
        methods: each("methods", &rule.methods, |m| method(m))?,
        headers: each("headers", &rule.headers, header)?,
    };
    Ok(Route { name: rule.name.clone(), key: key(&rule.name), chain, conditions })
}

/// Methods are told apart by case (RFC 9110, 9.1), and all that are registered are in capitals: a rule for `post`
/// would never cover anything.
fn method(text: &str) -> Result<Vec<u8>, String> {
    let word = token("a method", text)?;
    if text.bytes().any(|b| b.is_ascii_lowercase()) {
        return Err(format!(
            "{text:?} covers nothing: methods are in capitals; write {:?}",
            text.to_ascii_uppercase()
        ));
    }
    Ok(word)
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
        return Err(format!(
            "the prefix \"{text}\" does not begin with a slash; write \"/{text}\""
        ));
    }
    if text.contains(['?', '#']) {
        return Err(format!(
            "\"{text}\" goes beyond the path; write what stands before the ? or #"
        ));
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

fn token(what: &str, text: &str) -> Result<Vec<u8>, String> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.is_empty() || !text.bytes().all(fine) {
        return Err(format!("\"{text}\" is no name of {what}; write letters, digits and hyphens"));
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

pub(super) fn key(name: &str) -> u32 {
    let hash = fnv(name.as_bytes());
    ((hash >> 32) as u32 ^ hash as u32).max(1)
}

pub(super) fn distinct(route: Route, before: &[Route]) -> Result<Route, Mistake> {
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
