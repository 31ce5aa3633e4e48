//! Strangers at the sockets that workers ask from. In a file of its own, since these sockets are found among
//! all of the process.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::UdpSocket;

use announce::reception::Refused;
use common::*;

/// The ports of this process's own IPv4 UDP sockets, as the system lists them.
fn udp_ports() -> Vec<u16> {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links: Vec<String> = links
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|link| link.to_string_lossy().into_owned())
        .collect();
    let table = std::fs::read_to_string("/proc/self/net/udp").unwrap();
    let ours = table.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (_, port) = columns[1].split_once(':')?;
        let link = format!("socket:[{}]", columns[9]);
        links.contains(&link).then(|| u16::from_str_radix(port, 16).unwrap())
    });
    ours.collect()
}

#[test]
fn what_strangers_send_to_a_worker_is_counted_and_changes_nothing() {
    let origin = Origin::named("x");
    let machine = in_front_of(&origin).start();
    let known = [machine.resources.config().port, machine.resources.config().exchange_port];
    let ports: Vec<u16> = udp_ports().into_iter().filter(|port| !known.contains(port)).collect();
    assert!(!ports.is_empty(), "a worker has a socket to ask from");
    let torn = || machine.resources.stats().refused(Refused::Torn);
    assert_eq!(torn(), 0);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for port in &ports {
        stranger.send_to(b"no answer", ("127.0.0.1", *port)).unwrap();
    }
    until("each was counted", || torn() == ports.len() as u64);
    assert_eq!(machine.totals().answers, 0);
    assert_eq!(get(machine.address, "/").text(), "x");
}
