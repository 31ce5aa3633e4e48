//! The section `[bus]`, judged beside what the rest of the file says of the cluster.

use base::Problem;
use resources::config::{Cluster, Protection};
use spread_daemon::conf::LocalAddress;
use spread_daemon::config::{Around, BusSection, DaemonConfig, KeyFault};
use spread_daemon::link::interfaces;

/// The daemon that the file asks for. Without the rest of the file in order nothing is said about it: what is known of the
/// cluster would be missing.
pub(super) fn check(
    section: Option<&BusSection>,
    cluster: &Cluster,
    resources: Option<&resources::config::Config>,
    problems: &mut Vec<Problem>,
) -> Option<DaemonConfig> {
    let (section, resources) = (section?, resources?);
    let here: Vec<LocalAddress> = interfaces::addresses()
        .unwrap_or_default()
        .into_iter()
        .map(|address| LocalAddress { interface: address.name, ip: address.ip })
        .collect();
    let key = match &resources.protection {
        Protection::Key(key) => Some(key),
        Protection::Alone | Protection::Loopback | Protection::Insecure => None,
    };
    let read_key = |path: &std::path::Path| {
        crypto::key_file::read_key(path)
            .map_err(|error| KeyFault { message: error.to_string(), remedy: error.remedy() })
    };
    let around = Around {
        name: &resources.name,
        here: &here,
        key,
        insecure: cluster.insecure,
        accept: &resources.accept,
        read_key: &read_key,
    };
    super::keep(section.check(&around), problems)
}
