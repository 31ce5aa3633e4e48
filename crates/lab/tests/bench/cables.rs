//! What goes through the switch, and what does not.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lab::{Cut, Lab, Place};

use crate::support::{Pair, SHORT, eventually, shell};

pub(crate) fn two_machines_hear_each_other(lab: &Lab) {
    assert!(Pair::between_first_two(lab).ping(b"four"));
    let (Some(a), Some(b)) = (lab.machine(0).address6(), lab.machine(1).address6()) else {
        panic!("this kernel has no IPv6");
    };
    assert!(Pair::new(lab, [a.into(), b.into()]).ping(b"six"));
}

pub(crate) fn client_reaches_a_machine(lab: &Lab) {
    let at = SocketAddr::new(lab.machine(2).address(), 0);
    let listener = lab.listen(Place::Machine(2), at).unwrap();
    let mut client = lab.connect(listener.local_addr().unwrap(), SHORT).unwrap();
    let (mut served, from) = listener.accept().unwrap();
    assert_eq!(from.ip(), IpAddr::V4(lab.client_address()));
    client.write_all(b"hello").unwrap();
    let mut word = [0; 5];
    served.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"hello");
}

fn carrier(lab: &Lab) -> String {
    let script = "read x < /proc/net/dev; ip -o link show eth0 | grep -o 'state [A-Z]*'";
    shell(&lab.machine(0), script)
}

pub(crate) fn pulled_cable(lab: &Lab) {
    let pair = Pair::between_first_two(lab);
    assert!(pair.ping(b"before"));
    lab.machine(0).cut(Cut::Carrier).unwrap();
    assert!(!pair.ping(b"during"));
    eventually("the carrier is lost", || carrier(lab) != "state UP");
    lab.machine(0).heal().unwrap();
    eventually("the machine is back", || pair.ping(b"after"));
}

pub(crate) fn mute_port(lab: &Lab) {
    let pair = Pair::between_first_two(lab);
    assert!(pair.ping(b"before"));
    lab.machine(0).cut(Cut::PortMute).unwrap();
    assert!(!pair.ping(b"during"));
    assert_eq!(carrier(lab), "state UP");
    let others = [lab.machine(1).address(), lab.machine(2).address()];
    let (from, to) = (others[0], others[1]);
    let there = lab.listen(Place::Machine(2), (to, 0).into()).unwrap();
    lab.connect_from(Place::Machine(1), there.local_addr().unwrap(), SHORT)
        .unwrap_or_else(|e| panic!("{from} still reaches {to}: {e}"));
    lab.machine(0).heal().unwrap();
    assert!(pair.ping(b"after"));
}

pub(crate) fn both_cuts(lab: &Lab) {
    let pair = Pair::between_first_two(lab);
    for order in [[Cut::Carrier, Cut::PortMute], [Cut::PortMute, Cut::Carrier]] {
        for cut in order {
            lab.machine(0).cut(cut).unwrap();
        }
        assert!(!pair.ping(b"during"));
        lab.machine(0).heal().unwrap();
        eventually("the machine is back", || pair.ping(b"after"));
    }
}

pub(crate) fn multicast(lab: &Lab) {
    let group = Ipv4Addr::new(239, 255, 44, 45);
    let any = SocketAddr::from(([0, 0, 0, 0], 4445));
    let sockets: Vec<_> = (0..3).map(|i| lab.udp(Place::Machine(i), any).unwrap()).collect();
    for socket in &sockets {
        socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED).unwrap();
        socket.set_read_timeout(Some(SHORT * 10)).unwrap();
    }
    sockets[0].send_to(b"all", (group, 4445)).unwrap();
    for socket in &sockets {
        let mut buffer = [0; 8];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from.ip()), (&b"all"[..], lab.machine(0).address()));
    }
}

pub(crate) fn own_name_and_interfaces(lab: &Lab) {
    assert_eq!(shell(&lab.machine(1), "uname -n"), "m2");
    let interfaces = shell(&lab.machine(1), "cut -d: -f1 -s /proc/net/dev | tr -d ' \n'");
    assert!(interfaces.contains("eth0") && !interfaces.contains("port"), "{interfaces}");
    let cpu = shell(&lab.machine(1), "test -d /sys/fs/cgroup && echo yes");
    assert_eq!(cpu, "yes");
}
