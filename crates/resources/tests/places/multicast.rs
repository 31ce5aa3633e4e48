//! Multicast and broadcast on real interfaces, in a network namespace of the test's own.

use std::net::UdpSocket;
use std::process::{Command, Stdio};

use announce::reception::Refused;
use resources::{Service, Setup};
use testkit::trial::Needs;

use crate::Case;
use crate::bench::{KEY_TEXT, Node, key_file, net, read_config};

/// All tests of this file.
pub(crate) const CASES: &[Case] = &[
    ("machines_meet_by_multicast_on_every_interface", on_every_interface),
    ("an_interface_that_goes_away_and_comes_back_is_used_again", interface_returns),
    ("a_machine_on_every_address_hears_the_group_also_after_its_cable_came_back", cable_returns),
    ("machines_meet_by_multicast_over_ipv6", over_ipv6),
    ("machines_meet_by_broadcast", by_broadcast),
];

/// Whether a network namespace with cables can be had here.
pub(crate) fn needs() -> Needs {
    let mut attempt = unshare();
    // The inner runs lay cables with `ip`.
    attempt.args(["ip", "link", "add", "one", "type", "veth", "peer", "name", "two"]);
    match attempt.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("no network namespace can be had: {}", said.trim()))
        }
        Err(error) => Err(format!("unshare of util-linux cannot be run: {error}")),
    }
}

/// This program in a network namespace of its own.
pub(crate) fn enter() -> Command {
    let mut command = unshare();
    command.arg(crate::myself());
    command
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    // Root needs no user namespace, which may be forbidden.
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--net");
    command
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
        key_file(&dir, KEY_TEXT)
    );
    let handle =
        Service::start(&read_config(&text), Setup { http_port: 80, ..Setup::default() }).unwrap();
    Node::new(handle, net(), host, dir)
}

fn meet(a: &Node, b: &Node) {
    a.meets(b);
    b.meets(a);
}

fn on_every_interface() {
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

fn interface_returns() {
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

fn cable_returns() {
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

fn over_ipv6() {
    cable("one", &["fd77::1/64", "fd77::2/64"]);
    let target = "targets = [{ to = \"[ff05::4445]:4445\", ttl = 1, interface = \"one\" }]";
    let a = machine(1, &format!("address = \"fd77::1\"\n{target}"));
    let b = machine(2, &format!("address = \"fd77::2\"\n{target}"));
    meet(&a, &b);
    let seen = a.machine(b.handle.me().machine).unwrap();
    assert_eq!(seen.exchange, Some("[fd77::2]:4446".parse().unwrap()));
}

fn by_broadcast() {
    cable("one", &["10.77.1.1/24", "10.77.1.2/24"]);
    let target = "targets = [\"10.77.1.255:4445\"]";
    let a = machine(1, &format!("address = \"10.77.1.1\"\n{target}"));
    let b = machine(2, &format!("address = \"10.77.1.2\"\n{target}"));
    meet(&a, &b);
}
