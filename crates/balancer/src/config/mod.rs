//! The configuration of this crate: five sections of the file, checked into one immutable value.
//!
//! The `…Section` types are what the file says, and their fields' documentation is the reference of each
//! key. [`Config::check`] judges them all and returns either a [`Config`], which needs no further
//! question, or every mistake there is. A worker gets the whole value; nothing in it ever changes.
//!
//! Not here: the file itself, its line numbers and carets (the binary), and other crates' sections.

mod access_log;
mod addresses;
mod files;
mod found;
mod http;
mod local;
mod peers;
pub mod read;
mod route;
#[cfg(test)]
mod tests;
mod texts;

use base::Problem;
use serde::Deserialize;

pub use access_log::{AccessLog, AccessLogSection, LogFormat, LogTarget};
pub use addresses::AddressRules;
pub use http::{DEFAULT_PORT, Http, HttpSection, LISTEN_MAX, WORKERS_MAX};
pub use local::{Health, HealthCheck, Itself, Local, LocalSection, Service};
pub use peers::{PRECONNECT_MAX, PeerListen, Peers, PeersSection};
pub use read::{read, read_on};
pub use route::{Asking, ROUTES_MAX, Route, RouteSection, Routes};
pub use texts::Texts;

use found::Found;

/// The sections of this crate as they stand in the file. The binary, whose file has further sections,
/// puts one together.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sections {
    /// `[http]`.
    pub http: HttpSection,
    /// `[peers]`.
    pub peers: PeersSection,
    /// `[local]`.
    pub local: LocalSection,
    /// `[[route]]`, in order; the first that matches counts.
    pub route: Vec<RouteSection>,
    /// `[access_log]`.
    pub access_log: AccessLogSection,
}

/// The checked configuration of the balancer.
#[derive(Clone, Debug)]
pub struct Config {
    /// Clients.
    pub http: Http,
    /// Peers.
    pub peers: Peers,
    /// The local service.
    pub local: Local,
    /// The routes.
    pub routes: Routes,
    /// The access log.
    pub access_log: AccessLog,
    /// What was not said in the file and is therefore assumed, one sentence each, for the log.
    pub assumed: Vec<String>,
}

impl Config {
    /// Judges all sections. Opens the directory to be served, to see whether it can be; changes nothing.
    ///
    /// # Errors
    /// Every mistake found, each with its key, its place, its value and a remedy.
    pub fn check(sections: &Sections) -> Result<Self, Vec<Problem>> {
        let mut found = Found::default();
        let http = sections.http.check(&mut found);
        let peers = sections.peers.check(&mut found);
        if let PeerListen::At(addresses) = &peers.listen {
            let taken = |&&a: &&_| http.listen.iter().any(|&b| http::collide(a, b));
            if let Some(address) = addresses.iter().find(taken) {
                let message = format!("{address} is where clients are heard (http.listen)");
                found.wrong("peers.listen", message, "choose another port for peers");
            }
        }
        let local = sections.local.check(&mut found);
        let access_log = sections.access_log.check(&mut found);
        let routes = route::check(&sections.route, &http, &mut found);
        let Some(routes) = routes else { return Err(found.problems) };
        Ok(Self { http, peers, local, routes, access_log, assumed: found.assumed })
    }
}
