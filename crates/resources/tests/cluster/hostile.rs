//! What an enemy on the segment can do: nothing but be counted.

use std::net::UdpSocket;
use std::time::Instant;

use announce::Contact;
use announce::packet::Announcement;
use announce::reception::Refused;
use base::{Boot, MachineId};
use crypto::Ring;
use seal::{ClusterKey, Purpose, Sealer, Speaker};

use crate::bench::{KEY_TEXT, Node, PATIENCE, Plan, key, net, pair};

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 2048];
    let (length, _) = socket.recv_from(&mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

fn refused(node: &Node, reason: Refused, at_least: u64) {
    node.until(reason.as_str(), |handle| {
        (handle.stats().refused(reason) >= at_least).then_some(())
    });
}

fn speaker() -> Speaker {
    Speaker { machine: MachineId([9; 16]), boot: Boot([9; 16]) }
}

fn announcement(key: &ClusterKey, sequence: u64) -> Vec<u8> {
    let said = Announcement {
        sequence,
        exchange_port: 4446,
        ..Announcement::new("enemy", Contact::here(80))
    };
    sealed(key, &said)
}

fn sealed(key: &ClusterKey, said: &Announcement) -> Vec<u8> {
    let (mut text, mut datagram) = (Vec::new(), Vec::new());
    said.encode(&mut text);
    Sealer::new(&Ring, key, Purpose::Announce, speaker(), 0).seal(&text, &mut datagram);
    datagram
}

#[test]
fn a_recording_of_a_life_that_is_over_admits_nobody() {
    let net = net();
    // The recorder stands at host 9; the victim announces to it.
    let recorder = net.socket(9);
    let victim = Plan::new(net, 2, &[9]).start();
    let recording: Vec<_> = (0..5).map(|_| receive(&recorder)).collect();
    let id = victim.handle.me().machine;
    victim.stop();
    let a = Plan::new(net, 1, &[1]).start();
    // From the very address that the victim had.
    let replayer = net.socket(2);
    recording
        .iter()
        .for_each(|packet| assert!(replayer.send_to(packet, net.announcements(1)).is_ok()));
    refused(&a, Refused::Unadmitted, 1);
    // Its probe goes to the dead exchange port, thrice; nobody answers.
    a.until("the probes", |handle| (handle.stats().probes_sent >= 3).then_some(()));
    a.until("the list to be cleared", |handle| {
        recording
            .iter()
            .for_each(|packet| assert!(replayer.send_to(packet, net.announcements(1)).is_ok()));
        (handle.stats().refused(Refused::Replayed) >= 5).then_some(())
    });
    assert_eq!(a.machine(id), None);
    assert_eq!((a.handle.stats().admitted, a.handle.stats().heard), (0, 0));
}

#[test]
fn packets_of_a_living_machine_count_once() {
    let net = net();
    let recorder = net.socket(9);
    let a = Plan::new(net, 1, &[1]).start();
    let b = Plan::new(net, 2, &[1, 9]).start();
    a.meets(&b);
    let packet = receive(&recorder);
    for _ in 0..3 {
        recorder.send_to(&packet, net.announcements(1)).unwrap();
    }
    // The first is the same announcement by another way, the others are copies of it.
    refused(&a, Refused::Duplicate, 1);
    refused(&a, Refused::Replayed, 2);
    assert_eq!(a.handle.stats().admitted, 1);
}

#[test]
fn an_announcement_that_comes_by_two_ways_is_a_second_hearing_and_no_replay() {
    let net = net();
    let a = Plan::new(net, 1, &[1]).start();
    // Named twice, as by two interfaces on one segment.
    let b = Plan::new(net, 2, &[1, 1]).start();
    a.meets(&b);
    refused(&a, Refused::Duplicate, 3);
    assert_eq!(a.handle.stats().refused(Refused::Replayed), 0);
}

#[test]
fn forged_and_torn_packets_are_counted_and_change_nothing() {
    let net = net();
    let (a, b) = pair(net);
    let slot = a.meets(&b);
    let enemy = net.socket(9);
    let genuine = announcement(&key(), 1);
    let send = |bytes: &[u8]| assert!(enemy.send_to(bytes, net.announcements(1)).is_ok());
    for at in [50, genuine.len() - 1, 41] {
        let mut forged = genuine.clone();
        forged[at] ^= 1;
        send(&forged);
    }
    send(&genuine[..40]);
    send(b"GET / HTTP/1.1\r\n\r\n");
    send(&[]);
    refused(&a, Refused::Forged, 3);
    refused(&a, Refused::Torn, 3);
    assert_eq!(a.handle.matrix().slow.load().present().len(), 2);
    assert!(a.handle.matrix().hot.heard(slot).is_some());
}

#[test]
fn a_cluster_with_another_key_stays_another_cluster() {
    let net = net();
    let a = Plan::new(net, 1, &[1, 2]).start();
    let other = KEY_TEXT.replace("00", "ff");
    let b = Plan { key: Some(other), ..Plan::new(net, 2, &[1, 2]) }.start();
    refused(&a, Refused::Forged, 3);
    refused(&b, Refused::Forged, 3);
    for (node, stranger) in [(&a, &b), (&b, &a)] {
        assert_eq!(node.machine(stranger.handle.me().machine), None);
    }
}

#[test]
fn packets_from_outside_of_the_accepted_blocks_are_not_looked_at() {
    let net = net();
    let blocks = format!("accept = [\"{}\", \"10.0.\"]", net.ip(1));
    let a = Plan { cluster: blocks, ..Plan::new(net, 1, &[1, 2]) }.start();
    let b = Plan::new(net, 2, &[1, 2]).start();
    refused(&a, Refused::Blocked, 3);
    assert_eq!(a.machine(b.handle.me().machine), None);
    assert!(!a.handle.accepts(net.ip(2)) && a.handle.accepts("10.0.7.7".parse().unwrap()));
    assert_eq!(a.handle.stats().refused(Refused::Forged), 0, "no cryptography was spent");
}

#[test]
fn a_flood_of_new_names_leaves_the_known_ones_alone() {
    let net = net();
    let (a, b) = pair(net);
    let slot = a.meets(&b);
    let enemy = net.socket(9);
    let begun = Instant::now();
    for n in 0..20_000u32 {
        let mut forged = announcement(&key(), 1);
        forged[8..12].copy_from_slice(&n.to_be_bytes());
        // A full socket buffer is part of a flood.
        let _ = enemy.send_to(&forged, net.announcements(1));
    }
    let heard = a.handle.stats().heard;
    a.until("the known machine", |handle| (handle.stats().heard >= heard + 3).then_some(()));
    assert!(begun.elapsed() < PATIENCE);
    assert!(a.handle.stats().refused(Refused::Forged) > 100);
    assert_eq!(a.handle.matrix().slow.load().present().len(), 2);
    assert_eq!(a.condition(slot), candidacy::Condition::Alive);
}

#[test]
fn without_a_key_machines_speak_on_loopback_only() {
    let net = net();
    let plan = |host| Plan { key: None, ..Plan::new(net, host, &[1, 2]) };
    let (a, b) = (plan(1).start(), plan(2).start());
    a.meets(&b);
    b.meets(&a);
}
