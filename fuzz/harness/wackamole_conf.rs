//! Any bytes as the text of a `wackamole.conf`.
//!
//! What must hold: nothing panics and no name is looked up that the file does not have; whoever is refused is told at least one
//! thing, at a place of the text, that can be shown; what is accepted keeps all limits and rules.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use addresses::conf::{self, Ask, Mistake};
use addresses::config::{self, Config, Notify, PerRound};

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut asked = 0;
    let mut resolve = |name: &str| {
        asked += 1;
        assert!(text.contains(name));
        match name.len() {
            4.. => Err("nobody has this name".into()),
            length => Ok(vec![IpAddr::from([10, 0, 0, length as u8])]),
        }
    };
    let mut module = |folder: &Path, file: &str| {
        assert!(text.contains(file));
        if file.len() < 8 { Ok(folder.join(file)) } else { Err("it is not there".into()) }
    };
    let mut ask = Ask { resolve: &mut resolve, module: &mut module };
    let read = conf::parse(&text, "fuzz", &mut ask);
    assert!(asked <= 64);
    match read {
        Ok(parsed) => accepted(&parsed.config),
        Err(mistakes) => refused(&mistakes, &text),
    }
}

fn accepted(config: &Config) {
    let mut known = HashSet::new();
    for set in &config.sets {
        assert!((1..=64).contains(&set.addresses.len()) && set.kernel && !set.quorum);
        for address in &set.addresses {
            let bits = if address.ip.is_ipv4() { 32 } else { 128 };
            assert!((1..=bits).contains(&address.prefix) && (1..=bits).contains(&address.net));
            assert!(known.insert(address.ip), "{} stands twice", address.ip);
            assert!(!address.ip.is_loopback() && !address.ip.is_multicast());
            let named =
                address.interface.as_ref().is_none_or(|name| (1..=15).contains(&name.len()));
            assert!(named && !address.ip.is_unspecified());
        }
    }
    assert!(known.len() <= config::ADDRESSES_MAX && config.notify.len() <= config::NOTIFY_MAX);
    let heads: HashSet<IpAddr> = config.sets.iter().map(|set| set.head()).collect();
    let preferred: HashSet<IpAddr> = config.prefer.iter().copied().collect();
    assert!(preferred.is_subset(&heads) && preferred.len() == config.prefer.len());
    for whom in &config.notify {
        let Notify::Hosts { block, throttle, .. } = whom else { continue };
        assert!(block.contains(block.first()) && block.contains(block.last()));
        assert_ne!(*throttle, Some(0));
    }
    let day = Duration::from_secs(86_400);
    assert!(config.mature <= day && config.retry_interval <= day);
    assert!(!config.retry_interval.is_zero() && !config.balance.interval.is_zero());
    assert_ne!(config.balance.per_round, PerRound::Number(0));
    assert!(config.guardian.suspicion < config.lease && config.historical);
    assert!(config.daemon.is_some() && config.hooks.len() <= config::HOOKS_MAX);
    assert!(config.control.as_ref().is_none_or(|path| path.is_absolute()));
    assert!(config.assumed.len() < 16 && config.warnings.len() < 128);
}

fn refused(mistakes: &[Mistake], text: &str) {
    assert!((1..=conf::MISTAKES_MAX + 1).contains(&mistakes.len()));
    for mistake in mistakes {
        assert!(mistake.place.line <= text.lines().count() + 1);
        assert!(!mistake.message.is_empty() && !mistake.remedy.is_empty());
        assert!(mistake.render("wackamole.conf", text).contains("  help: "));
    }
}
