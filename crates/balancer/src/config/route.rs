//! `[[route]]`: which requests are balanced how.

use std::time::Duration;

use base::AddrBlock;
use base::units::Span;
use candidacy::route::{HeaderRule, RouteError};
use candidacy::{Chain, Empty, RouteId, RouteRule};
use serde::Deserialize;
use toml::Spanned;

use super::addresses::AddressRules;
use super::found::Found;
use super::http::{Http, RESPONSE_MAX, RESPONSE_MIN};
use super::texts::Texts;

/// Most routes.
pub const ROUTES_MAX: usize = 256;
/// The name of the route for whatever matches none.
const DEFAULT_NAME: &str = "default";
/// Most functions of a chain.
const CHAIN_MAX: usize = candidacy::chain::MAX_FUNCTIONS;
/// Mistakes of one route that are told: nobody reads more.
const MISTAKES_MAX: usize = 32;
/// Longest name of a route, in bytes: it travels in packets.
const NAME_MAX: usize = 32;

/// Which requests are balanced how. Routes are looked at in the order of the file, and the first whose
/// conditions all hold is the request's; one without conditions takes all that come to it. What matches none
/// belongs to a route named `default`, which is balanced by `byFresh`.
///
/// Routes should be equal on all machines, or a client's fate depends on where it enters. They steer, they do
/// not protect: paths are compared as received, so `/admin` does not cover `/%61dmin`. Only `allow` and `deny`
/// look further.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteSection {
    /// What the route is called in logs, metrics, on the status page, and between machines.
    ///
    /// 1 to 32 letters, digits, dots, hyphens and underscores; no two alike. Default `route1`, `route2`, ... by
    /// its place.
    pub name: Option<Spanned<String>>,

    /// Virtual hosts: `"www.example.com"`, or `"*.example.com"` for all names below that one. One or a
    /// list, of which any suffices. The port and a final dot do not count. Default: every host.
    pub host: Option<Spanned<Texts>>,

    /// Path prefixes: `"/shop"` covers `/shop` and `/shop/cart` but not `/shopping`; `"/shop/"` only what is
    /// below. One or a list, of which any suffices. Default: every path.
    pub path: Option<Spanned<Texts>>,

    /// A regular expression that must be found in the path; `^` and `$` bind it to its ends. It takes time
    /// linear in the path, whatever it says. Default: none.
    pub regex: Option<Spanned<String>>,

    /// Extensions of the last file name in the path, without dot: `"php"`, `["jpg", "png"]`. Case does not
    /// count. Default: any, and none.
    pub extension: Option<Spanned<Texts>>,

    /// Methods: `"POST"`, `["PUT", "DELETE"]`. Default: all.
    pub method: Option<Spanned<Texts>>,

    /// Header fields that must be there: `"Authorization"`, or whose value must match a regular expression:
    /// `"Cookie: session="`. One or a list, all of which must hold. Default: none.
    pub header: Option<Spanned<Texts>>,

    /// The candidacy functions that choose the machine, in order: `["byAge 5", "byRandom", "byLogWindow",
    /// "byLoad 0.5"]`. Each takes the list the one before left; the first machine of the last list is chosen.
    /// `"off"` serves every request of the route here, without a look at the others.
    ///
    /// The functions: `byAge SECONDS`, `byRandom`, `byLogWindow`, `byCPU`, `byLoad BIAS`, `byBusyChildren`,
    /// `byCost`, `addPrediction`, `byHostname REGEX`, `removeSelf`, `addSelf`, `HTTPRedirectToIP`,
    /// `HTTPRedirectToName FORMAT`, `byFresh`, `off`. Names in any case.
    ///
    /// At most 32 functions. `byAge` keeps machines heard of within so many seconds, above 0 to 86400, 5 if not said. `byLoad` orders by load;
    /// this machine's counts as less by so much of BIAS, 0 to 1000, 0 if not said. In the FORMAT of
    /// `HTTPRedirectToName`, `%S` is the chosen machine's name, `%H` the host the client asked for; `%2S` and `%2H` are
    /// the first two labels of it, `%-2S` and `%-2H` the last two (1 to 255); `%I` is the machine's address, `%P` its
    /// port, `%%` a percent sign. `"HTTPRedirectToName %1S.%-2H"` sends a client of `www.example.com` to
    /// `web3.example.com`. Without FORMAT it is `%S`. Nobody is redirected who asked for this machine by the name that
    /// the format makes of it.
    ///
    /// Default `["byFresh"]`, which suits nearly every site.
    pub chain: Option<Spanned<Texts>>,

    /// What to do when the chain leaves no machine: `"here"` serves the request here, `"refuse"` answers 503
    /// at once, for requests that only certain machines may do. Default "here".
    pub empty: Option<Spanned<String>>,

    /// Whether a few machines are asked how they are before one is chosen. `"auto"`: when the route's requests
    /// typically take far longer than an answer does; `"always"`; `"never"`. Only chains that end in
    /// `byFresh` can ask. Default "auto".
    pub asking: Option<Spanned<String>>,

    /// Whose requests the route takes, by the client's true address: the sender's, or the one that a forwarder in
    /// `http.trusted` names. All others are answered 403, before anything is decided, and logged.
    ///
    /// Each entry is one address (`"10.0.5.7"`), a block (`"10.0.5.0/24"`, `"fd00::/8"`) or a dotted prefix
    /// (`"10.0."`). A request that a peer passed on is judged again where it is served, by the address of its
    /// client and not of the peer. Where paths are concerned, a client has to be welcome on the route of the
    /// path as received and on that of the path as servers read it: decoded once, without doubled slashes and
    /// dot segments. So `/%61dmin` is no way around a rule for `/admin`.
    ///
    /// Default: everybody. An empty list allows nobody.
    pub allow: Option<Vec<AddrBlock>>,

    /// Whose requests the route does not take, written and judged like `allow`. What is denied is denied even
    /// if it is also allowed. Default: nobody's.
    pub deny: Option<Vec<AddrBlock>>,

    /// Time from the request's last byte until the response must begin, in place of `http.response_timeout`.
    /// 10ms to 1h.
    pub response_timeout: Option<Spanned<Span>>,
}

/// Whether machines are asked before one is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asking {
    /// When the route's requests take long enough for it to pay.
    #[default]
    Auto,
    /// For every request.
    Always,
    /// For none.
    Never,
}

/// What this crate needs to know of one route; its conditions and chain are in [`Routes::table`].
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// Its conditions as a person would say them; empty if it takes everything that comes to it.
    pub conditions: String,
    /// What happens when its chain leaves nobody.
    pub empty: Empty,
    /// Whether machines are asked first.
    pub asking: Asking,
    /// Until the response begins.
    pub response_timeout: Duration,
    /// Whose requests it takes.
    pub addresses: AddressRules,
}

/// All routes, checked.
#[derive(Clone, Debug)]
pub struct Routes {
    /// Conditions and chains. A worker should have a clone of its own.
    pub table: candidacy::Routes,
    /// The rest, in the same order; the last is the one for whatever matches none.
    settings: Vec<Route>,
    are_guarded: bool,
}

impl Routes {
    /// What is set for a route that the table found.
    pub fn get(&self, id: RouteId) -> &Route {
        &self.settings[usize::from(id.0).min(self.settings.len() - 1)]
    }

    /// Whether any route turns anybody away.
    pub fn are_guarded(&self) -> bool {
        self.are_guarded
    }

    /// All of them, the last being the one for whatever matches none.
    pub fn all(&self) -> &[Route] {
        &self.settings
    }
}

/// The routes; `None` if anything at all was found to be wrong.
pub(super) fn check(sections: &[RouteSection], http: &Http, found: &mut Found) -> Option<Routes> {
    if sections.len() > ROUTES_MAX {
        let message = format!("there are {} routes", sections.len());
        found.wrong("route", message, format!("write at most {ROUTES_MAX}"));
    }
    let mut rules: Vec<RouteRule> = Vec::new();
    let mut settings: Vec<Route> = Vec::new();
    for (i, section) in sections.iter().enumerate().take(ROUTES_MAX) {
        let name = section.name(i, &settings, found);
        let rule = section.rule(i, name.clone(), found);
        let asks = section.judge(i, rule.clone(), found);
        settings.push(Route {
            name,
            conditions: conditions(&rule),
            empty: rule.empty,
            asking: section.asking(i, asks, found),
            response_timeout: found.span(
                &format!("route[{i}].response_timeout"),
                &section.response_timeout,
                http.response_timeout,
                RESPONSE_MIN..=RESPONSE_MAX,
            ),
            addresses: AddressRules::new(section.allow.clone(), section.deny.clone()),
        });
        rules.push(rule);
    }
    settings.push(Route {
        name: DEFAULT_NAME.into(),
        conditions: String::new(),
        empty: Empty::Here,
        asking: Asking::Auto,
        response_timeout: http.response_timeout,
        addresses: AddressRules::default(),
    });
    let are_guarded = settings.iter().any(|route| !route.addresses.is_open());
    if !found.problems.is_empty() {
        return None;
    }
    match candidacy::Routes::new(&rules, Chain::standard()) {
        Ok(table) => Some(Routes { table, settings, are_guarded }),
        Err(e) => {
            // Each rule is good on its own, so this is about all of them together.
            let (message, remedy) = e.problem.rsplit_once("; ").unwrap_or((&e.problem, ""));
            found.wrong(format!("route[{}]", e.index), message, remedy);
            None
        }
    }
}

impl RouteSection {
    fn name(&self, i: usize, earlier: &[Route], found: &mut Found) -> String {
        let key = || format!("route[{i}].name");
        let Some(written) = &self.name else {
            let name = format!("route{}", i + 1);
            if earlier.iter().any(|route| route.name == name) {
                let message =
                    format!("it has no name, and another has {name:?}, its own by its place");
                found.wrong(key(), message, "give each route a name of its own");
            }
            return name;
        };
        let name = written.get_ref();
        let good = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if !(1..=NAME_MAX).contains(&name.len()) || !name.bytes().all(good) {
            let message = format!("{name:?} is not a name");
            let remedy =
                format!("write 1 to {NAME_MAX} letters, digits, dots, hyphens and underscores");
            found.wrong_at(written, key(), message, remedy);
        } else if name == DEFAULT_NAME {
            let message = format!("{name:?} is the route of whatever no other takes");
            found.wrong_at(written, key(), message, "give this route another name");
        } else if earlier.iter().any(|route| route.name == *name) {
            let message = format!("another route is named {name:?}");
            found.wrong_at(written, key(), message, "give each route a name of its own");
        }
        name.clone()
    }

    fn rule(&self, i: usize, name: String, found: &mut Found) -> RouteRule {
        RouteRule {
            name,
            hosts: texts(&self.host),
            prefixes: texts(&self.path),
            regex: self.regex.as_ref().map(|regex| regex.get_ref().clone()),
            extensions: texts(&self.extension),
            methods: texts(&self.method),
            headers: texts(&self.header).iter().map(|text| header(text)).collect(),
            chain: self.chain(i, found),
            empty: found.word(
                &format!("route[{i}].empty"),
                &self.empty,
                [("here", Empty::Here), ("refuse", Empty::Refuse)],
            ),
        }
    }

    fn chain(&self, i: usize, found: &mut Found) -> Vec<String> {
        let chain = texts(&self.chain);
        if let (Some(written), true) = (&self.chain, chain.is_empty()) {
            let remedy = "name its functions, write \"off\", or leave it out for byFresh";
            found.wrong_at(written, format!("route[{i}].chain"), "the chain is empty", remedy);
        }
        chain
    }

    fn asking(&self, i: usize, asks: bool, found: &mut Found) -> Asking {
        let key = format!("route[{i}].asking");
        let words = [("auto", Asking::Auto), ("always", Asking::Always), ("never", Asking::Never)];
        let asking = found.word(&key, &self.asking, words);
        match &self.asking {
            Some(written) if asking == Asking::Always && !asks => {
                let message = "this chain does not end in byFresh, so nobody is asked";
                found.wrong_at(written, key, message, "remove it, or let byFresh choose");
                Asking::Never
            }
            _ if !asks => Asking::Never,
            _ => asking,
        }
    }

    /// Finds every mistake of a rule: what is wrong is told and taken out, until nothing is. Returns whether its chain
    /// may ask.
    fn judge(&self, i: usize, mut rule: RouteRule, found: &mut Found) -> bool {
        let known = found.problems.len();
        loop {
            // Each on its own, so that a mistake in one does not hide those in the next.
            let e = match candidacy::Routes::new(std::slice::from_ref(&rule), Chain::standard()) {
                Ok(built) => return built.all().first().is_none_or(|route| route.chain.asks()),
                Err(e) => e,
            };
            // Names were judged above, where the other ones are known.
            if e.field == "name" {
                return true;
            }
            if found.problems.len() - known >= MISTAKES_MAX {
                let message = format!("there are more than {MISTAKES_MAX} mistakes");
                found.wrong(format!("route[{i}]"), message, "mend those that are told first");
                return true;
            }
            self.explain(i, &e, found);
            if !replace(&mut rule, &e) {
                return true;
            }
        }
    }

    /// Says where in the file the mistake of a rule stands.
    fn explain(&self, i: usize, e: &RouteError, found: &mut Found) {
        // They end in what to do.
        let (message, remedy) = e.problem.rsplit_once("; ").unwrap_or((&e.problem, ""));
        let (name, written) = match e.field {
            "hosts" => ("host", &self.host),
            "prefixes" => ("path", &self.path),
            "extensions" => ("extension", &self.extension),
            "methods" => ("method", &self.method),
            "headers" => ("header", &self.header),
            "chain" => ("chain", &self.chain),
            other => {
                let key = format!("route[{i}].{other}");
                let problem = base::Problem::new(key, message, remedy);
                let at = self.regex.as_ref().filter(|_| other == "regex").map(Spanned::span);
                found.problems.push(match at {
                    Some(at) => problem.at(at),
                    None => problem,
                });
                return;
            }
        };
        let all = written.as_ref().map(Texts::all).unwrap_or_default();
        let single = matches!(written.as_ref().map(Spanned::get_ref), Some(Texts::One(_)));
        let element = e.element.and_then(|n| Some((n, all.get(n)?)));
        let (key, at) = match element {
            Some((n, text)) if !single => (format!("route[{i}].{name}[{n}]"), Some(text.span())),
            Some((_, text)) => (format!("route[{i}].{name}"), Some(text.span())),
            None => (format!("route[{i}].{name}"), written.as_ref().map(Spanned::span)),
        };
        let problem = base::Problem::new(key, message, remedy);
        found.problems.push(match at {
            Some(at) => problem.at(at),
            None => problem,
        });
    }
}

/// Puts something harmless in the place of what is wrong, so that the others keep their places; `false` if that is not
/// to be had.
fn replace(rule: &mut RouteRule, e: &RouteError) -> bool {
    fn put<T>(list: &mut [T], n: Option<usize>, harmless: T) -> bool {
        n.and_then(|n| list.get_mut(n)).map(|bad| *bad = harmless).is_some()
    }
    match e.field {
        "hosts" => put(&mut rule.hosts, e.element, "a".into()),
        "prefixes" => put(&mut rule.prefixes, e.element, "/".into()),
        "extensions" => put(&mut rule.extensions, e.element, "a".into()),
        "methods" => put(&mut rule.methods, e.element, "GET".into()),
        "headers" => put(&mut rule.headers, e.element, header("A")),
        "chain" if rule.chain.len() <= CHAIN_MAX => {
            put(&mut rule.chain, e.element, "byRandom".into())
        }
        "regex" => rule.regex.take().is_some(),
        _ => false,
    }
}

fn texts(written: &Option<Spanned<Texts>>) -> Vec<String> {
    let all = written.as_ref().map(Texts::all).unwrap_or_default();
    all.into_iter().map(Spanned::into_inner).collect()
}

/// What a rule asks for, for the status page: `host a.org or b.org, path /shop, method POST`.
fn conditions(rule: &RouteRule) -> String {
    let any =
        |what: &str, of: &[String]| (!of.is_empty()).then(|| format!("{what} {}", of.join(" or ")));
    let headers = rule.headers.iter().map(|header| match &header.value {
        Some(value) => format!("header {} ~ {value}", header.name),
        None => format!("header {}", header.name),
    });
    [
        any("host", &rule.hosts),
        any("path", &rule.prefixes),
        rule.regex.as_ref().map(|regex| format!("path ~ {regex}")),
        any("extension", &rule.extensions),
        any("method", &rule.methods),
    ]
    .into_iter()
    .flatten()
    .chain(headers)
    .collect::<Vec<_>>()
    .join(", ")
}

/// `Name`, or `Name: regular expression`.
fn header(text: &str) -> HeaderRule {
    match text.split_once(':') {
        Some((name, value)) => {
            HeaderRule { name: name.trim().into(), value: Some(value.trim().into()) }
        }
        None => HeaderRule { name: text.trim().into(), value: None },
    }
}
