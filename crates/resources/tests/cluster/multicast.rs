//! Multicast and broadcast on real interfaces, in a network namespace of the test's own.
//!
//! The test runs itself again inside: `unshare` makes the namespace, the inner run does the work. Where
//! neither root nor user namespaces are allowed, it says so and proves nothing.

use std::net::UdpSocket;
use std::process::Command;

use announce::reception::Refused;

use crate::bench::{Node, key_file, net, read_config};
use resources::{Service, Setup};

const INSIDE: &str = "BACKHAND_TEST_INSIDE";

/// Runs `test` of this file again in a namespace; whether this is already that run.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let possible =
        Command::new("unshare").args(["--user", "--map-root-user", "--net", "true"]).status();
    if !possible.is_ok_and(|status| status.success()) {
        eprintln!("{test}: not run, for network namespaces are not allowed here");
        return false;
    }
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("multicast::{test}"), "--nocapture"])
        .env(INSIDE, "1")
        .status();
    assert!(status.unwrap().success(), "{test} failed inside its namespace");
    false
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

/// An interface with two IPv4 addresses, and its other end so that it has a carrier.
fn cable(name: &str, addresses: &[&str]) {
    // What one host says to another address of its own travels by loopback.
    ip("link set lo up");
    ip(&format!("link add {name} type veth peer name {name}-far"));
    ip(&format!("link set {name}-far up"));
    ip(&format!("link set {name} up"));
    addresses.iter().for_each(|address| ip(&format!("addr add {address} dev {name} nodad")));
}

fn machine(host: u8, announce: &str) -> Node {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "[cluster]\nname = \"web{host}\"\nstate_dir = {:?}\nkey_file = {:?}\n[announce]\ninterval = \"100ms\"\n{announce}\n",
        dir.path(),
        key_file(&dir)
    );
    let handle =
        Service::start(&read_config(&text), Setup { http_port: 80, ..Setup::default() }).unwrap();
    Node::new(handle, net(), host, dir)
}

fn meet(a: &Node, b: &Node) {
    a.meets(b);
    b.meets(a);
}

#[test]
fn machines_meet_by_multicast_on_every_interface() {
    if !inside("machines_meet_by_multicast_on_every_interface") {
        return;
    }
    cable("one", &["10.77.1.1/24", "10.77.1.2/24"]);
    cable("two", &["10.77.2.1/24"]);
    // Two machines on one host: each has an address of its own, both hear the group.
    let a = machine(1, "address = \"10.77.1.1\"\ntargets = [\"239.255.44.45:4445\"]");
    let b = machine(2, "address = \"10.77.1.2\"\ntargets = [\"239.255.44.45:4445\"]");
    meet(&a, &b);
    let packets = a.handle.stats().announcement_packets_sent as f64;
    let per_announcement = packets / a.handle.stats().announcements as f64;
    assert!(per_announcement > 1.9, "both cables and their far ends carry it: {per_announcement}");
}

#[test]
fn an_interface_that_goes_away_and_comes_back_is_used_again() {
    if !inside("an_interface_that_goes_away_and_comes_back_is_used_again") {
        return;
    }
    let addresses = ["10.77.1.1/24", "10.77.1.2/24"];
    cable("one", &addresses);
    let target = "targets = [{ to = \"239.255.44.45:4445\", ttl = 2, interface = \"one\" }]";
    let a = machine(1, &format!("address = \"10.77.1.1\"\n{target}"));
    let b = machine(2, &format!("address = \"10.77.1.2\"\n{target}"));
    meet(&a, &b);
    ip("link del one");
    assert_eq!(b.death().slot, b.meets(&a));
    cable("one", &addresses);
    b.until("the return", |handle| (handle.stats().returns >= 1).then_some(()));
    let heard = b.handle.stats().heard;
    b.until("announcements", |handle| (handle.stats().heard >= heard + 5).then_some(()));
}

#[test]
fn a_machine_on_every_address_hears_the_group_also_after_its_cable_came_back() {
    if !inside("a_machine_on_every_address_hears_the_group_also_after_its_cable_came_back") {
        return;
    }
    let a = machine(1, "");
    for _ in 0..3 {
        // The first cable appears after the start, the others after one was lost.
        let before = a.handle.stats().refused(Refused::Torn);
        cable("one", &["10.77.1.2/24"]);
        ip("route add 239.255.44.45 dev one");
        let noise = UdpSocket::bind("10.77.1.2:0").unwrap();
        a.until("noise from the group", |handle| {
            noise.send_to(b"noise", "239.255.44.45:4445").unwrap();
            (handle.stats().refused(Refused::Torn) > before).then_some(())
        });
        ip("link del one");
    }
}

#[test]
fn machines_meet_by_multicast_over_ipv6() {
    if !inside("machines_meet_by_multicast_over_ipv6") {
        return;
    }
    cable("one", &["fd77::1/64", "fd77::2/64"]);
    let target = "targets = [{ to = \"[ff05::4445]:4445\", ttl = 1, interface = \"one\" }]";
    let a = machine(1, &format!("address = \"fd77::1\"\n{target}"));
    let b = machine(2, &format!("address = \"fd77::2\"\n{target}"));
    meet(&a, &b);
    let seen = a.machine(b.handle.me().machine).unwrap();
    assert_eq!(seen.exchange, Some("[fd77::2]:4446".parse().unwrap()));
}

#[test]
fn machines_meet_by_broadcast() {
    if !inside("machines_meet_by_broadcast") {
        return;
    }
    cable("one", &["10.77.1.1/24", "10.77.1.2/24"]);
    let target = "targets = [\"10.77.1.255:4445\"]";
    let a = machine(1, &format!("address = \"10.77.1.1\"\n{target}"));
    let b = machine(2, &format!("address = \"10.77.1.2\"\n{target}"));
    meet(&a, &b);
}
