//! The configuration as the core, the session and the kernel have it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use spread_client::Options;
use spread_wire::PrivateName;
use vip::{Set, SetKey, Settings};

use crate::config::{self, Config};

/// The oldest word of the ring on which a lease is renewed, with a daemon in this program.
pub(super) const FRESH: Duration = Duration::from_millis(300);
/// The same where only the session can be asked: the time between two of our words, and their way.
pub(super) const FRESH_BY_ECHO: Duration = Duration::from_millis(1_500);

pub(super) fn options(config: &Config) -> Options {
    let drawn = format!("vip{:x}", crypto::seed() & 0xff_ffff);
    let name = config.private_name.or_else(|| PrivateName::new(drawn.as_bytes()).ok());
    Options { name, full_size: false, ..Options::default() }
}

/// The sets by what names them in messages.
pub(super) fn keyed(config: &Config) -> BTreeMap<SetKey, config::Set> {
    let one = |set: &config::Set| Some((core_set(set)?.key(), set.clone()));
    config.sets.iter().filter_map(one).collect()
}

pub(super) fn core_set(set: &config::Set) -> Option<Set> {
    let ips: Vec<IpAddr> = set.addresses.iter().map(|address| address.ip).collect();
    let core = Set::new(&ips)?;
    Some(if set.kernel { core } else { core.hooks_only() })
}

pub(super) fn kernel_addresses(config: &Config) -> impl Iterator<Item = IpAddr> + '_ {
    let sets = config.sets.iter().filter(|set| set.kernel);
    sets.flat_map(|set| set.addresses.iter().map(|address| address.ip))
}

/// The configuration as the core has it.
pub(super) fn settings(config: &Config, fresh: Duration) -> Settings {
    let listed = |set: &config::Set| {
        Some(vip::settings::Listed {
            set: core_set(set)?,
            preferred: config.prefer.contains(&set.head()),
            quorum: set.quorum,
        })
    };
    let quorum = config.quorum.iter().flat_map(|quorum| &quorum.members);
    Settings {
        mature: config.mature,
        valid: config.lease,
        fresh,
        balance_every: config.balance.interval,
        per_round: match config.balance.per_round {
            config::PerRound::All => vip::settings::PerRound::All,
            config::PerRound::Number(number) => vip::settings::PerRound::Number(number),
        },
        prefer_after: config.prefer_after,
        weight: u16::try_from(config.weight).unwrap_or(u16::MAX).clamp(1, 1_000),
        capacity: u16::try_from(config.capacity).unwrap_or(u16::MAX),
        keep_unhealthy: config.when_all_unhealthy == config::WhenAllUnhealthy::Keep,
        quorum: quorum
            .map(|(name, weight)| (name.clone(), u16::try_from(*weight).unwrap_or(u16::MAX)))
            .collect(),
        sets: config.sets.iter().filter_map(listed).collect(),
    }
}
