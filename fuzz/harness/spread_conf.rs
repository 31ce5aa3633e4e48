//! Any bytes as the text of a `spread.conf`, of a `spread.access_ip`, and as what follows from them.
//!
//! What must hold: nothing panics and no name is looked up that the file does not have; whoever is refused is told at least
//! one thing, at a place of the text, that can be shown; what is accepted keeps all limits and rules, and can be used.

use spread_daemon::conf::{self, AccessList, Family, Mistake, SpreadConf};
use spread_daemon::config::{DaemonConfig, Membership, Secrets};

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut asked = 0;
    let mut resolve = |name: &str, family: Option<Family>| {
        asked += 1;
        assert!(text.contains(name));
        match (name.len(), family) {
            (4.., _) => Err("nobody has this name".into()),
            (length, Some(Family::V6)) => Ok([0xfd, length as u16, 0, 0, 0, 0, 0, 1].into()),
            (length, _) => Ok([10, 99, 0, length as u8].into()),
        }
    };
    let read = SpreadConf::parse(&text, &mut resolve);
    assert!(asked <= conf::DAEMONS_MAX);
    match read {
        Ok(conf) => accepted(&conf),
        Err(mistakes) => refused(&mistakes, &text),
    }
    match AccessList::parse(&text) {
        Ok(list) => assert!(list.blocks.0.len() <= text.len()),
        Err(mistakes) => assert!(!mistakes.is_empty()),
    }
}

fn accepted(conf: &SpreadConf) {
    assert!((1..=conf::SEGMENTS_MAX).contains(&conf.segments.len()));
    assert!((1..=conf::DAEMONS_MAX).contains(&conf.daemons.len()));
    for segment in &conf.segments {
        assert!((1..=conf::ADDRESSES_MAX).contains(&segment.addresses.len()) && segment.port != 0);
    }
    for (i, one) in conf.daemons.iter().enumerate() {
        assert!(one.segment < conf.segments.len() && one.interfaces.len() <= conf::INTERFACES_MAX);
        for other in &conf.daemons[..i] {
            assert!(one.name != other.name && one.id != other.id);
            assert!((one.ip, conf.port_of(one)) != (other.ip, conf.port_of(other)));
            assert_eq!(one.ip.is_ipv4(), other.ip.is_ipv4());
        }
    }
    let named = conf.daemons[0].name;
    let here = [conf::LocalAddress { interface: "eth0".into(), ip: conf.daemons[0].ip }];
    if let Ok(me) = conf.whoami(Some(named.as_str()), &here) {
        assert_eq!(me.index, 0);
    }
    let secrets = Secrets { insecure: true, ..Secrets::default() };
    let Ok(config) = DaemonConfig::from_conf(conf, conf.daemons.len() - 1, secrets) else {
        panic!("insecure was said");
    };
    let Membership::Fixed(list) = config.membership else { panic!("a list is a list") };
    assert_eq!(list.members.len(), conf.daemons.len());
    assert_eq!(list.hash, conf.hash());
    assert!(config.timing.floor <= config.timing.ceiling);
}

fn refused(mistakes: &[Mistake], text: &str) {
    assert!((1..=conf::MISTAKES_MAX + 1).contains(&mistakes.len()));
    for mistake in mistakes {
        assert!(mistake.place.line <= text.lines().count() + 1);
        assert!(mistake.render("spread.conf", text).contains("  help: "));
    }
}
