//! Machines that find each other, and what they then know.

use std::time::{Duration, Instant};

use candidacy::snapshot::Pressure;
use candidacy::{Condition, RouteFigures, Slot};
use resources::measure::Root;
use resources::{Served, ServedFigures, THIS};

use crate::bench::{PATIENCE, Plan, net, pair};

#[test]
fn machines_that_start_find_each_other_and_hold_the_same_matrix() {
    let net = net();
    let nodes: Vec<_> = (1..=3).map(|host| Plan::new(net, host, &[1, 2, 3]).start()).collect();
    for a in &nodes {
        for b in &nodes {
            a.meets(b);
            let machine = a.until("all figures", |_| {
                a.machine(b.handle.me().machine).filter(|m| m.arriba > 0)
            });
            assert_eq!(machine.name, format!("web{}", b.host));
            assert_eq!(machine.service.addr.to_string(), format!("{}:8080", net.ip(b.host)));
            assert!(machine.cpus_milli > 0 && machine.total_memory > 1 << 20, "{machine:?}");
            assert!(machine.available_memory > 0 && machine.load_high_water > 0, "{machine:?}");
            assert_eq!(machine.exchange, Some(net.exchange(b.host)));
            assert_eq!(machine.peer, Some(net.exchange(b.host)));
            let facts = b.machine(b.handle.me().machine).unwrap();
            assert_eq!(
                (machine.cpus_milli, machine.total_memory),
                (facts.cpus_milli, facts.total_memory)
            );
        }
        assert_eq!(a.handle.matrix().slow.load().present().len(), 3);
        assert_eq!(a.handle.stats().admitted, 2);
    }
}

#[test]
fn pressure_that_the_kernel_does_not_tell_is_unknown_to_all_and_not_none() {
    let net = net();
    let bare = tempfile::tempdir().unwrap();
    let pressed = bare.path().join("proc/pressure");
    std::fs::create_dir_all(&pressed).unwrap();
    let calm = "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
    std::fs::write(pressed.join("cpu"), calm).unwrap();
    let mut plan = Plan::new(net, 1, &[1, 2]);
    plan.setup.root = Root::at(bare.path());
    let (a, b) = (plan.start(), Plan::new(net, 2, &[1, 2]).start());
    b.meets(&a);
    for node in [&a, &b] {
        let known = node.machine(a.handle.me().machine).unwrap().pressure;
        assert_eq!(known, Pressure { cpu: Some(0), memory: None, io: None });
    }
}

#[test]
fn the_figures_keep_coming_without_being_asked_for() {
    let (a, b) = pair(net());
    let before = a.handle.stats().heard;
    a.until("ten more announcements", |handle| (handle.stats().heard >= before + 10).then_some(()));
    let slot = a.meets(&b);
    let hot = &a.handle.matrix().hot;
    let heard = hot.heard(slot).unwrap();
    assert!(a.handle.clock().now().since(heard.at) < Duration::from_secs(2));
    assert_eq!(a.handle.stats().deaths, 0);
}

#[test]
fn a_machine_that_starts_anew_gets_its_row_under_a_new_epoch() {
    let net = net();
    let (a, b) = pair(net);
    let slot = a.meets(&b);
    let (epoch, id, boot) =
        (a.handle.matrix().hot.epoch(slot), b.handle.me().machine, b.handle.me().boot);
    let dir = b.stop();
    let b = Plan::new(net, 2, &[1, 2]).start_in(dir);
    assert_eq!(b.handle.me().machine, id, "identity stays");
    assert_ne!(b.handle.me().boot, boot, "each start is a new life");
    assert_eq!(a.meets(&b), slot);
    assert!(a.handle.matrix().hot.epoch(slot) > epoch);
    assert_eq!(a.condition(slot), Condition::Alive);
    let death = a.death();
    assert_eq!((death.slot, death.epoch), (slot, epoch), "requests at the old life are moved");
}

#[test]
fn a_jump_in_load_is_told_before_its_time() {
    let net = net();
    let plan = |host| Plan { interval: "1m", ..Plan::new(net, host, &[1, 2]) };
    // The second one's first word finds the first one there; the first one's is repeated by its load.
    let (a, b) = (plan(1).start(), plan(2).start());
    let slot = a.meets(&b);
    let begun = Instant::now();
    for _ in 0..64 {
        b.handle.local().try_begin().unwrap();
    }
    let heard = a.until("the jump", |handle| {
        handle.matrix().hot.heard(slot).filter(|h| h.report.in_flight >= 64)
    });
    assert_eq!(heard.report.in_flight, 64);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let early = b.handle.stats().announcements_early;
    assert!((1..=3).contains(&early), "{early} early announcements for one jump");
}

#[test]
fn draining_and_sickness_are_told_at_once() {
    let net = net();
    let plan = |host| Plan { interval: "1m", ..Plan::new(net, host, &[1, 2]) };
    let (a, b) = (plan(1).start(), plan(2).start());
    let slot = a.meets(&b);
    let flags = |flags: candidacy::Flags| {
        a.until("flags", |handle| {
            handle.matrix().hot.heard(slot).filter(|heard| heard.report.flags == flags)
        });
    };
    b.handle.local().set_healthy(false);
    flags(candidacy::Flags::UNHEALTHY);
    b.handle.local().set_healthy(true);
    flags(candidacy::Flags::NONE);
    b.handle.stop();
    flags(candidacy::Flags::DRAINING);
}

#[test]
fn a_machine_may_announce_itself_as_another() {
    let net = net();
    let a = Plan::new(net, 1, &[1, 2]).start();
    let by_name =
        Plan { announce: "as = \"localhost:8181\"".into(), ..Plan::new(net, 2, &[1]) }.start();
    let by_address =
        Plan { announce: "as = \"192.0.2.7:80\"".into(), ..Plan::new(net, 3, &[1]) }.start();
    a.meets(&by_name);
    let machine = a.until("the resolved name", |_| {
        a.machine(by_name.handle.me().machine).filter(|m| m.service.addr.ip() == net_loopback())
    });
    assert_eq!(machine.service.name.as_deref(), Some("localhost"));
    assert_eq!(machine.service.addr.port(), 8181);
    assert_eq!(machine.exchange, Some(net.exchange(2)), "probes go to where packets come from");
    a.meets(&by_address);
    let machine = a.machine(by_address.handle.me().machine).unwrap();
    assert_eq!(machine.service.addr, "192.0.2.7:80".parse().unwrap());
}

fn net_loopback() -> std::net::IpAddr {
    [127, 0, 0, 1].into()
}

struct Busy;

impl Served for Busy {
    fn figures(&self) -> ServedFigures {
        let route = |n: u32| RouteFigures { key: n, service_micros: 1000 * n, in_flight: n as u16 };
        ServedFigures {
            routes: (1..=12).map(route).collect(),
            running: 10,
            ready: 4,
            ..ServedFigures::default()
        }
    }
    fn service_micros(&self, route: u32) -> u32 {
        1000 * route
    }
    fn turnaround(&self, slot: Slot) -> Option<(Duration, u64)> {
        (slot != THIS).then_some((Duration::from_millis(7), 42))
    }
}

#[test]
fn slots_routes_and_turnaround_are_in_the_matrix() {
    let (a, b) = pair(net());
    a.handle.set_served(Busy);
    b.handle.set_served(Busy);
    let id = b.handle.me().machine;
    let machine =
        a.until("routes", |_| a.machine(id).filter(|m| m.running == 10 && m.turnaround.is_some()));
    assert_eq!((machine.ready, machine.routes.len()), (4, 8), "at most eight routes travel");
    assert_eq!(machine.routes[2].service_micros, 3000);
    assert_eq!(machine.turnaround, Some((Duration::from_millis(7), 42)));
}

#[test]
fn a_machine_without_peer_listener_is_plain() {
    let net = net();
    let a = Plan::new(net, 1, &[1, 2]).start();
    let mut plan = Plan::new(net, 2, &[1]);
    plan.setup.peer_listener = false;
    let b = plan.start();
    a.meets(&b);
    let machine = a.machine(b.handle.me().machine).unwrap();
    assert!(machine.plain && machine.peer.is_none() && machine.exchange.is_some(), "{machine:?}");
}

#[test]
fn speed_is_measured_once_and_remembered() {
    let net = net();
    let a = Plan::new(net, 1, &[1]).start();
    let id = a.handle.me().machine;
    let speed = a.until("the speed", |_| a.machine(id).filter(|m| m.arriba > 0)).arriba;
    let dir = a.stop();
    let file = dir.path().join("arriba");
    let deadline = Instant::now() + PATIENCE;
    // The file is written after the figure is announced.
    while !file.exists() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert!(std::fs::read_to_string(&file).unwrap().trim_end().ends_with(&speed.to_string()));
    let a = Plan::new(net, 1, &[1]).start_in(dir);
    let again = a.until("the first row", |_| a.machine(id).filter(|m| m.total_memory > 0));
    assert!(again.arriba > 0);
}
