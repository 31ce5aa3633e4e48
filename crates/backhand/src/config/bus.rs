//! The section `[bus]`, judged beside what the rest of the file says of the cluster.

use base::{AddrBlocks, Problem};
use resources::config::{Cluster, Protection, usual_accept};
use spread_daemon::conf::LocalAddress;
use spread_daemon::config::{Around, BusSection, DaemonConfig, KeyFault, Membership};
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
    // What the rest of the cluster accepts may be loopback alone, because it has no key; the bus can have one of its own.
    let accept = cluster.accept.clone().map_or_else(usual_accept, AddrBlocks);
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let around = Around {
        name: called(cluster, &resources.name, &host),
        here: &here,
        key,
        insecure: cluster.insecure,
        accept: &accept,
        read_key: &read_key,
    };
    let mut config = super::keep(section.check(&around), problems)?;
    let found = matches!(config.membership, Membership::Found { .. });
    let alone = matches!(config.protection, spread_daemon::config::Protection::Loopback);
    if found && !alone && resources.protection.is_loopback() && cluster.accept.is_none() {
        let blocks: Vec<String> = accept.0.iter().map(ToString::to_string).collect();
        config
            .assumed
            .push(format!("no cluster.accept: daemons are believed from {}", blocks.join(", ")));
    }
    Some(config)
}

/// What the daemon's name is made of: where no name was given, the host's own as it is, for the rest of the cluster calls all whose
/// names have impossible characters by one.
fn called<'a>(cluster: &Cluster, machine: &'a str, host: &'a str) -> &'a str {
    if cluster.name.is_none() && !host.is_empty() { host } else { machine }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use super::super::Config;
    use super::{AddrBlocks, Around, BusSection, Cluster, called};

    /// The configuration of this text, in which `KEY` is a file with a key.
    fn read(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        write(&key, format!("{}\n", "0123456789abcdef".repeat(4))).unwrap();
        set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        let text = text.replace("KEY", &format!("{:?}", key));
        Config::read("b.toml", &text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    fn believes(config: &Config, ip: &str) -> bool {
        config.bus.as_ref().unwrap().accepts(ip.parse().unwrap())
    }

    #[test]
    fn a_bus_with_a_key_of_its_own_believes_the_network_without_a_cluster() {
        for text in ["[bus]\nkey_file = KEY", "[bus]\ninsecure = true"] {
            let config = read(text);
            assert!(config.resources.protection.is_alone() && believes(&config, "10.0.0.1"));
            assert!(!believes(&config, "203.0.113.1"), "{text}");
            let said = |line: &str| line.contains("daemons are believed from 127.0.0.0/8, 10.");
            assert!(config.assumed().any(said), "{text}");
        }
        let config = read("[announce]\ntargets = [\"127.0.0.1:4445\"]\n[bus]\nkey_file = KEY");
        assert!(believes(&config, "10.0.0.1") && !config.resources.accepts([10, 0, 0, 1].into()));
    }

    #[test]
    fn what_the_cluster_accepts_holds_for_a_bus_with_a_key_of_its_own() {
        let config = read("[cluster]\naccept = [\"10.0.\"]\n[bus]\nkey_file = KEY");
        assert!(believes(&config, "10.0.0.1") && !believes(&config, "10.1.0.1"));
        let config = read("[cluster]\nkey_file = KEY\n[bus]");
        assert!(believes(&config, "10.0.0.1") && !believes(&config, "203.0.113.1"));
    }

    #[test]
    fn hosts_with_impossible_names_are_told_apart() {
        let named = |host| {
            let around = Around {
                name: called(&Cluster::default(), "unnamed", host),
                here: &[],
                key: None,
                insecure: false,
                accept: &AddrBlocks::default(),
                read_key: &|_| unreachable!("no key is named"),
            };
            BusSection::default().check(&around).unwrap().name.to_string()
        };
        let (one, other) = (named("we#ird!"), named("na!me b"));
        assert!(one.starts_with("we-ird--") && one.len() == 16, "{one}");
        assert!(other.starts_with("na-me-b-") && one != other, "{other}");
        assert_eq!((named("web1.example.net"), named("")), ("web1".into(), "unnamed".into()));
        let cluster = Cluster { name: Some("web2".parse().unwrap()), ..Cluster::default() };
        assert_eq!(called(&cluster, "web2", "host"), "web2");
    }

    #[test]
    fn a_bus_without_any_key_believes_loopback_only() {
        let config = read("[bus]");
        assert!(believes(&config, "127.0.0.1") && !believes(&config, "10.0.0.1"));
    }
}
