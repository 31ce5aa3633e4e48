//! Another configuration while everything runs: what of it is in force at once, what with the next move, what with the next start.

use std::collections::BTreeSet;
use std::net::IpAddr;

use base::Instant;
use vip::SetKey;

use super::holding::Holding;
use super::places::Place;
use super::run::Service;
use super::setup::{keyed, settings};
use super::worker::Job;
use crate::config::{self, Config};

impl Service {
    pub(super) fn reload(&mut self, now: Instant, config: Config) {
        for key in needs_start(&self.config, &config) {
            self.alarm(
                None,
                format!("{key} has changed in the configuration and needs a start to be in force"),
            );
        }
        self.config = as_started(&self.config, config);
        self.sets = keyed(&self.config);
        self.look_what_is_managed();
        self.hear_farewells();
        self.hold_as_listed();
        // First: what is listed in another form stays only with a holder that could have that form.
        self.interfaces_changed(now, &BTreeSet::new());
        self.vip.reload(now, settings(&self.config, self.fresh()));
        self.share_at = self.config.share_neighbours_every.map(|_| now);
        self.note(None, "the configuration was read again".into());
    }

    /// What is held here and still listed is held as it is listed now, before the core judges it by that. Where it is, it stays until
    /// it comes here the next time: taking it off in between would cut its clients off for a line in a file.
    fn hold_as_listed(&mut self) {
        let mut stricter = false;
        let mut terms = Vec::new();
        let mut stay = Vec::new();
        let (places, managed) = (&self.places, &self.managed);
        for (key, holding) in &mut self.holdings.sets {
            let Some(listed) = self.sets.get(key) else { continue };
            let place = |address: &config::Address| match places.of(address, managed) {
                Place::On(interface) => Some(interface),
                Place::NotNow(_) => None,
            };
            stay.extend(stays_as_it_is(holding, listed, place).map(|ip| (*key, ip)));
            stricter |= listed.quorum && !holding.set.quorum;
            terms.extend(take_over(holding, listed));
        }
        for set in self.round.up_sets.iter_mut().chain(&mut self.round.down_sets) {
            let listed = super::setup::core_set(set).and_then(|one| self.sets.get(&one.key()));
            set.quorum = listed.map_or(set.quorum, |listed| listed.quorum);
        }
        if !terms.is_empty() {
            self.ask_kernel(Job::Terms(terms));
        }
        if stricter {
            // A program may run whose end the guardian was not to wait for.
            self.withhold();
        }
        for (key, ip) in stay {
            self.stays_for_now(key, ip);
        }
    }

    fn stays_for_now(&mut self, key: SetKey, ip: IpAddr) {
        let head = self.holdings.sets.get(&key).map(|holding| holding.set.head());
        let what = format!(
            "{ip} is listed in another way now (interface, prefix or source); it stays as it is until it comes here the next time, which `backhand vip move` can bring about"
        );
        self.alarm(head, what);
    }
}

/// What of another configuration is not in force before the next start.
fn needs_start(now: &Config, next: &Config) -> Vec<&'static str> {
    let kept = [
        (next.group != now.group, "group"),
        (next.daemon != now.daemon, "daemon"),
        (next.private_name != now.private_name, "private_name"),
        (next.retry_interval != now.retry_interval, "retry_interval"),
        (next.machine != now.machine, "cluster.name"),
        (next.lease != now.lease, "lease"),
        (next.announce_every != now.announce_every, "announce_every"),
        (next.frames_per_second != now.frames_per_second, "frames_per_second"),
        (next.pass_on != now.pass_on, "pass_on"),
        (next.health != now.health, "health"),
        (next.hooks != now.hooks, "hook"),
        (next.control != now.control, "control"),
        (next.socket != now.socket, "socket"),
        (next.guardian != now.guardian, "guardian"),
    ];
    kept.into_iter().filter(|(differs, _)| *differs).map(|(_, key)| key).collect()
}

/// Another configuration, but for what is in force only from the start: half of it would be worse than none. The guardian judges the
/// beats by the silence that it was started with, the others know this machine by its first name.
fn as_started(now: &Config, next: Config) -> Config {
    Config {
        group: now.group,
        daemon: now.daemon.clone(),
        private_name: now.private_name,
        retry_interval: now.retry_interval,
        machine: now.machine.clone(),
        lease: now.lease,
        announce_every: now.announce_every,
        frames_per_second: now.frames_per_second,
        pass_on: now.pass_on,
        health: now.health.clone(),
        hooks: now.hooks.clone(),
        control: now.control.clone(),
        socket: now.socket.clone(),
        guardian: now.guardian,
        ..next
    }
}

/// The addresses of a set that is held in another way than it is listed now, beyond what [`take_over`] changes.
fn stays_as_it_is<'a>(
    holding: &'a Holding,
    listed: &'a config::Set,
    place: impl Fn(&config::Address) -> Option<u32> + 'a,
) -> impl Iterator<Item = IpAddr> + 'a {
    let differs = move |placed: &&super::holding::Placed| {
        let on = placed.address;
        listed.addresses.iter().filter(|one| one.ip == on.ip).any(|one| {
            let elsewhere = place(one).is_some_and(|interface| interface != on.interface);
            // The kernel does not change the scope of one of version 4 that is there.
            let source = one.source != placed.terms.source && on.ip.is_ipv4();
            !listed.kernel || elsewhere || one.prefix != on.prefix || source
        })
    };
    holding.placed.iter().filter(differs).map(|placed| placed.address.ip)
}

/// What is changed of a set that is held, and the terms that the kernel's thread is to hold its addresses on.
fn take_over(
    holding: &mut Holding,
    listed: &config::Set,
) -> Vec<(crate::kernel::Address, super::worker::Terms)> {
    holding.set.quorum = listed.quorum;
    let mut changed = Vec::new();
    for placed in &mut holding.placed {
        let mut terms = super::worker::Terms { quorum: listed.quorum, ..placed.terms };
        if let Some(one) = listed.addresses.iter().find(|one| one.ip == placed.address.ip)
            && one.ip.is_ipv6()
        {
            terms.source = one.source;
        }
        if terms != placed.terms {
            placed.terms = terms;
            changed.push((placed.address, terms));
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vip::Reason;

    use super::*;
    use crate::kernel;
    use crate::service::holding::{Placed, State};
    use crate::service::worker::Terms;

    fn config() -> Config {
        let section: config::AddressesSection = toml::from_str("list = [\"10.0.0.1\"]").unwrap();
        section.check(&config::Around { machine: "m1", bus: true }).unwrap()
    }

    fn listed(ip: &str) -> config::Set {
        let ip: IpAddr = ip.parse().unwrap();
        let prefix = if ip.is_ipv4() { 32 } else { 128 };
        let address = config::Address { interface: None, ip, prefix, net: 24, source: false };
        config::Set { name: None, addresses: vec![address], kernel: true, quorum: false }
    }

    fn holding(set: &config::Set) -> Holding {
        let one = &set.addresses[0];
        let placed = Placed {
            address: kernel::Address { ip: one.ip, prefix: one.prefix, interface: 2 },
            net: one.net,
            terms: Terms { source: one.source, quorum: set.quorum },
        };
        Holding {
            set: set.clone(),
            placed: vec![placed],
            state: State::Up,
            reason: Reason::Held,
            contested: None,
            since: Instant::ORIGIN,
            put_back: 0,
        }
    }

    /// Makes a key another than it was.
    type Change = fn(&mut Config);

    #[test]
    fn what_needs_a_start_is_said_and_not_half_in_force() {
        let now = config();
        let second = Duration::from_secs(1);
        let changes: [(&str, Change); 14] = [
            ("group", |next| next.group = spread_wire::GroupName::new(b"other").unwrap()),
            ("daemon", |next| next.daemon = Some(spread_client::Endpoint::Unix("/x".into()))),
            ("private_name", |next| {
                next.private_name = spread_wire::PrivateName::new(b"mine").ok();
            }),
            ("retry_interval", |next| next.retry_interval *= 2),
            ("cluster.name", |next| next.machine = "m9".into()),
            ("lease", |next| next.lease *= 2),
            ("announce_every", |next| next.announce_every *= 2),
            ("frames_per_second", |next| next.frames_per_second *= 2),
            ("pass_on", |next| next.pass_on = !next.pass_on),
            ("health", |next| {
                next.health = vec![config::Check {
                    name: "web".into(),
                    kind: config::CheckKind::Balancer,
                    interval: Duration::from_secs(1),
                    timeout: Duration::from_secs(1),
                    rise: 1,
                    fall: 1,
                }];
            }),
            ("hook", |next| {
                next.hooks = vec![config::Hook {
                    event: config::HookEvent::OnUp,
                    run: config::HookRun::Command(vec!["/bin/true".into()]),
                    timeout: Duration::from_secs(1),
                    sets: config::HookSets::All,
                }];
            }),
            ("control", |next| next.control = Some("/run/x".into())),
            ("socket", |next| next.socket = Some("/run/y".into())),
            // The guardian that runs would fence a program that beats as slowly as another may.
            ("guardian", |next| next.guardian.suspicion *= 10),
        ];
        for (key, change) in changes {
            let mut next = now.clone();
            change(&mut next);
            // In force at once, whatever else is not.
            next.stop_within = 60 * second;
            next.mature = 9 * second;
            assert_eq!(needs_start(&now, &next), [key]);
            let wanted = Config { stop_within: 60 * second, mature: 9 * second, ..now.clone() };
            assert_eq!(as_started(&now, next), wanted, "{key}");
        }
        assert_eq!(needs_start(&now, &now.clone()), [""; 0]);
    }

    #[test]
    fn a_set_that_is_put_under_quorum_is_held_so_from_then_on() {
        for ip in ["10.0.0.1", "fd00::1"] {
            let mut set = listed(ip);
            let mut held = holding(&set);
            assert_eq!(take_over(&mut held, &set), []);
            set.quorum = true;
            let terms = Terms { source: false, quorum: true };
            let address = held.placed[0].address;
            assert_eq!(take_over(&mut held, &set), [(address, terms)]);
            assert!(held.set.quorum && held.placed[0].terms == terms);
            assert_eq!(take_over(&mut held, &set), []);
            set.quorum = false;
            assert_eq!(take_over(&mut held, &set), [(address, Terms { quorum: false, ..terms })]);
        }
    }

    #[test]
    fn what_is_listed_at_another_place_stays_and_that_is_said() {
        let set = listed("10.0.0.1");
        let held = holding(&set);
        let told =
            |set: &config::Set, interface| stays_as_it_is(&held, set, move |_| interface).count();
        assert_eq!(told(&set, Some(2)), 0);
        // There is no such interface now: that is said for itself.
        assert_eq!(told(&set, None), 0);
        assert_eq!(told(&set, Some(3)), 1);
        let changes: [fn(&mut config::Set); 3] = [
            |set| set.addresses[0].prefix = 24,
            |set| set.addresses[0].source = true,
            |set| set.kernel = false,
        ];
        for change in changes {
            let mut other = set.clone();
            change(&mut other);
            assert_eq!(told(&other, Some(2)), 1, "{other:?}");
        }
        // Of version 6 the next renewal does it.
        let mut six = listed("fd00::1");
        let mut held = holding(&six);
        six.addresses[0].source = true;
        assert_eq!(stays_as_it_is(&held, &six, |_| Some(2)).count(), 0);
        assert_eq!(take_over(&mut held, &six).len(), 1);
    }
}
