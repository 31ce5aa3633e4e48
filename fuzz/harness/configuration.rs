//! Any bytes as the text of a configuration.
//!
//! What must hold: nothing panics; whoever is refused is told at least one thing, and each place lies within
//! the text; what is accepted can be used.

use base::Problem;

/// The sections of the file that belong to `resources` and `balancer`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    cluster: resources::config::Cluster,
    #[serde(default)]
    announce: resources::config::Announce,
    #[serde(default)]
    measure: resources::config::Measure,
    #[serde(default)]
    http: balancer::config::HttpSection,
    #[serde(default)]
    peers: balancer::config::PeersSection,
    #[serde(default)]
    local: balancer::config::LocalSection,
    #[serde(default)]
    route: Vec<balancer::config::RouteSection>,
    #[serde(default)]
    access_log: balancer::config::AccessLogSection,
}

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Mistakes of form end nothing but what is no TOML: the rest is judged as well.
    let (file, problems) = balancer::config::read_on::<File>(text);
    if !problems.is_empty() {
        refused(&problems, text);
    }
    let Some(file) = file else { return assert!(!problems.is_empty()) };
    let File { cluster, announce, measure, http, peers, local, route, access_log } = file;
    if let Err(problems) = resources::config::Config::check(&cluster, &announce, &measure) {
        refused(&problems, text);
    }
    let sections = balancer::config::Sections { http, peers, local, route, access_log };
    match balancer::config::Config::check(&sections) {
        Ok(config) => {
            assert!(!config.http.listen.is_empty() && config.http.workers > 0);
            assert_eq!(config.routes.all().len(), config.routes.table.all().len());
        }
        Err(problems) => refused(&problems, text),
    }
}

fn refused(problems: &[Problem], text: &str) {
    assert!(!problems.is_empty());
    for problem in problems {
        let at = problem.at.clone().unwrap_or_default();
        assert!(text.get(at).is_some(), "{problem:?}");
    }
}
