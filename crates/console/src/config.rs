//! The section `[status]` of the configuration: where the internal pages are and who may see them.

use std::net::IpAddr;
use std::time::Duration;

use base::units::Span;
use base::{AddrBlock, AddrBlocks, Problem};
use serde::Deserialize;
use toml::Spanned;

/// What a path may not exceed: it is compared with every request.
const PATH_MAX: usize = 128;

/// The status page, its JSON and the metrics: where they are and who may see them.
///
/// These paths are answered by the machine that the client reached and are never balanced, so they shadow
/// equal paths of the site.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Status {
    /// The path of the status page. Everything below it belongs to the pages too: `status.json`,
    /// `decisions.json`, `events`.
    ///
    /// Begins and ends with a slash; letters, digits and `-._~/` between, at most 128. `"off"` gives
    /// the path back to the site. Default `"/backhand/"`.
    pub path: Option<Spanned<String>>,

    /// The path of the metrics in the OpenMetrics format, for Prometheus and its kin.
    ///
    /// Begins with a slash and must not be `/`. Move it if the site has a `/metrics` of its own; `"off"`
    /// gives the path back. Default `"/metrics"`.
    pub metrics: Option<Spanned<String>>,

    /// Who may see the pages and the metrics, by the client's address.
    ///
    /// Each entry is one address (`10.0.5.7`), a block (`10.0.5.0/24`, `fd00::/8`) or a dotted prefix
    /// (`10.0.`). The pages change nothing, but they name machines, addresses and requested paths. Behind a
    /// proxy that is not in `http.trusted` every client has the proxy's address: if that is allowed,
    /// everybody is.
    ///
    /// Default: loopback, and the blocks of `cluster.accept`. An empty list allows nobody.
    pub allow: Option<Vec<AddrBlock>>,

    /// How often the figures are sampled and sent to those who watch.
    ///
    /// Costs one look at the counters per interval; rendering happens only while somebody watches, and for
    /// very large clusters less often than this. The sparklines hold 60 samples.
    ///
    /// 200ms to 1m. Default 1s.
    pub interval: Option<Spanned<Span>>,
}

/// The checked section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The prefix of the pages with both slashes; `None` if they are off.
    pub path: Option<String>,
    /// The path of the metrics; `None` if they are off.
    pub metrics: Option<String>,
    /// Who may see them.
    pub allow: AddrBlocks,
    /// Time between samples.
    pub interval: Duration,
}

impl Config {
    /// The shortest interval between samples.
    pub const INTERVAL_MIN: Duration = Duration::from_millis(200);
    /// The longest interval between samples.
    pub const INTERVAL_MAX: Duration = Duration::from_secs(60);

    /// Judges the section. `accept` are the blocks of `cluster.accept`, from which the default of
    /// `allow` is made.
    ///
    /// # Errors
    /// Every mistake found, each with its key, its value and a remedy.
    pub fn check(section: &Status, accept: &AddrBlocks) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let path = path(section.path.as_ref(), "status.path", "/backhand/", &mut problems);
        let metrics = path_of_metrics(section.metrics.as_ref(), path.as_deref(), &mut problems);
        let interval = match &section.interval {
            None => Duration::from_secs(1),
            Some(span) => {
                let interval = span.get_ref().0;
                if !(Self::INTERVAL_MIN..=Self::INTERVAL_MAX).contains(&interval) {
                    let message = format!("{} is not between 200ms and 1m", span.get_ref());
                    let problem = Problem::new("status.interval", message, "the usual 1s suits");
                    problems.push(problem.at(span.span()));
                }
                interval
            }
        };
        let allow = match &section.allow {
            Some(blocks) => AddrBlocks(blocks.clone()),
            None => default_allow(accept),
        };
        if problems.is_empty() {
            Ok(Self { path, metrics, allow, interval })
        } else {
            Err(problems)
        }
    }
}

impl Default for Config {
    /// What an empty file means when nobody is accepted: loopback only.
    fn default() -> Self {
        Self {
            path: Some("/backhand/".into()),
            metrics: Some("/metrics".into()),
            allow: default_allow(&AddrBlocks::default()),
            interval: Duration::from_secs(1),
        }
    }
}

/// Loopback, then what the cluster accepts, each block once.
fn default_allow(accept: &AddrBlocks) -> AddrBlocks {
    let mut blocks: Vec<AddrBlock> =
        ["127.0.0.0/8", "::1"].iter().filter_map(|text| text.parse().ok()).collect();
    for block in &accept.0 {
        if !blocks.contains(block) {
            blocks.push(*block);
        }
    }
    AddrBlocks(blocks)
}

fn path(
    written: Option<&Spanned<String>>,
    key: &str,
    default: &str,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let Some(written) = written else { return Some(default.into()) };
    let text = written.get_ref();
    if text == "off" {
        return None;
    }
    let slash = default.ends_with('/');
    let wrong = if !text.starts_with('/') || (slash && !text.ends_with('/')) || text.len() < 2 {
        Some(format!("{text:?} is not a path such as {default:?}"))
    } else if text.len() > PATH_MAX {
        Some(format!("the path has {} bytes, more than {PATH_MAX}", text.len()))
    } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/".contains(&b)) {
        Some(format!("{text:?} has bytes other than letters, digits and -._~/"))
    } else if text.split('/').any(|part| part == "." || part == "..") || text.contains("//") {
        Some(format!("{text:?} has empty or dotted parts, which clients remove"))
    } else {
        None
    };
    if let Some(message) = wrong {
        let remedy = format!("write {default:?}, another path like it, or \"off\"");
        problems.push(Problem::new(key, message, remedy).at(written.span()));
    }
    Some(text.clone())
}

fn path_of_metrics(
    written: Option<&Spanned<String>>,
    pages: Option<&str>,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let found = path(written, "status.metrics", "/metrics", problems)?;
    let taken = pages.is_some_and(|pages| {
        let below = found.strip_prefix(pages);
        pages.strip_suffix('/') == Some(found.as_str())
            || below.is_some_and(|name| crate::page::NAMES.contains(&name))
    });
    if let (true, Some(written)) = (taken, written) {
        let message = format!("{found:?} is a page below status.path");
        let problem = Problem::new("status.metrics", message, "choose another path");
        problems.push(problem.at(written.span()));
    }
    Some(found)
}

/// Whether an address may see the pages.
pub(crate) fn may_see(config: &Config, client: IpAddr) -> bool {
    config.allow.contains(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Config, String> {
        let section: Status = toml::from_str(text).map_err(|e| e.message().to_owned())?;
        let accept = AddrBlocks(vec!["10.0.0.0/8".parse().unwrap()]);
        Config::check(&section, &accept)
            .map_err(|found| found.iter().map(|p| format!("{p}\n")).collect())
    }

    #[test]
    fn an_empty_section_allows_loopback_and_the_cluster() {
        let config = check("").unwrap();
        assert_eq!(config.path.as_deref(), Some("/backhand/"));
        assert_eq!(config.metrics.as_deref(), Some("/metrics"));
        for (client, seen) in
            [("127.0.0.1", true), ("::1", true), ("10.9.9.9", true), ("203.0.113.9", false)]
        {
            assert_eq!(may_see(&config, client.parse().unwrap()), seen, "{client}");
        }
    }

    #[test]
    fn a_written_list_replaces_the_default() {
        let config = check("allow = [\"203.0.113.0/24\"]").unwrap();
        assert!(may_see(&config, "203.0.113.9".parse().unwrap()));
        assert!(!may_see(&config, "127.0.0.1".parse().unwrap()));
        assert!(!may_see(&check("allow = []").unwrap(), "127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn pages_and_metrics_can_be_off_each_by_itself() {
        let config = check("path = \"off\"").unwrap();
        assert_eq!((config.path, config.metrics.as_deref()), (None, Some("/metrics")));
        assert_eq!(check("metrics = \"off\"").unwrap().metrics, None);
    }

    #[test]
    fn paths_that_would_swallow_the_site_or_never_match_are_refused() {
        for bad in ["/", "", "backhand/", "/backhand", "/a b/", "/a?b/", "/../", "/a//", "/é/"] {
            let error = check(&format!("path = {bad:?}")).unwrap_err();
            assert!(error.starts_with("status.path: "), "{bad}: {error}");
        }
        for bad in ["/", "metrics", "/backhand", "/backhand/status.json", "/backhand/"] {
            let error = check(&format!("metrics = {bad:?}")).unwrap_err();
            assert!(error.starts_with("status.metrics: "), "{bad}: {error}");
        }
        assert!(check("metrics = \"/backhand/metrics\"").is_ok());
    }

    #[test]
    fn an_interval_out_of_bounds_is_named_with_its_bounds() {
        for bad in ["10ms", "2m"] {
            let error = check(&format!("interval = {bad:?}")).unwrap_err();
            assert!(error.contains(bad) && error.contains("200ms"), "{error}");
        }
        assert!(check("intervall = \"1s\"").unwrap_err().contains("unknown field"));
    }
}
